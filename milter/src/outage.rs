// SPDX-License-Identifier: GPL-3.0-or-later
//! Troubles that many messages meet, told once: one line when such a trouble begins, one when it is over. It is over at
//! the first success after [`QUIET`] without it, so that one that comes and goes does not fill the log.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// How long a trouble has to stay away.
const QUIET: Duration = Duration::from_secs(5);

/// One kind of trouble; remembers when it was met last, while it lasts.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// The trouble is met. True where it is news.
    pub fn begins(&self, now: Instant) -> bool {
        self.lock().replace(now).is_none()
    }

    /// It is not met this time. True where it is over by that.
    pub fn ends(&self, now: Instant) -> bool {
        self.lock().take_if(|met| now.saturating_duration_since(*met) >= QUIET).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().expect("nothing panics while it holds the time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let (outage, began) = (Outage::default(), Instant::now());
        assert!(!outage.ends(began));
        assert!(outage.begins(began));
        let again = began + QUIET / 2;
        assert!(!outage.begins(again));
        assert!(!outage.ends(began + QUIET));
        assert!(outage.ends(again + QUIET));
        assert!(!outage.ends(again + QUIET));
        assert!(outage.begins(again + QUIET));
    }
}
