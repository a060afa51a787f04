// SPDX-License-Identifier: GPL-3.0-or-later
//! What goes through Redis and nowhere else: announcements and dead letters.

use crate::{job::Job, sample::SampleKey, verdict::Answer};
use serde::{Deserialize, Serialize};

/// One answer for those who wait for a sample.
#[derive(Serialize, Deserialize)]
pub(super) struct Announcement {
    pub key: SampleKey,
    pub answer: Answer,
}

/// A dead letter; its id is the entry's.
#[derive(Serialize, Deserialize)]
pub(super) struct Letter {
    pub job: Job,
    pub reason: String,
    #[serde(default)]
    pub instance: String,
    pub deliveries: u32,
    #[serde(default)]
    pub buried_at: u64,
}
