// SPDX-License-Identifier: GPL-3.0-or-later
//! The time of day as what travels carries it. A clock before 1970 counts as 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since the epoch.
pub fn now() -> u64 {
    since_the_epoch().as_secs()
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    u64::try_from(since_the_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn since_the_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
