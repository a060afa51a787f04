// SPDX-License-Identifier: GPL-3.0-or-later
//! The JSON that goes through Redis besides verdicts and jobs: announcements and dead letters, each with a version.

use crate::{job::Job, sample::SampleKey, verdict::Answer};
use serde::{Deserialize, Serialize};

/// The version that this program writes and reads.
const VERSION: u8 = 1;

/// One answer for those who wait for a sample.
#[derive(Serialize, Deserialize)]
pub struct Announcement {
    v: u8,
    pub key: SampleKey,
    pub answer: Answer,
}

/// A dead letter; its id is the entry's.
#[derive(Serialize, Deserialize)]
pub struct Letter {
    pub job: Job,
    pub reason: String,
    pub deliveries: u32,
    #[serde(default)]
    pub buried_at: u64,
}

impl Announcement {
    /// The announcement's JSON.
    pub fn encode(key: &SampleKey, answer: &Answer) -> Vec<u8> {
        encode(&Self { v: VERSION, key: key.clone(), answer: answer.clone() })
    }

    /// The announcement in `bytes`; none where another version of this program wrote them.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|announcement| announcement.v == VERSION)
    }
}

/// `value` as JSON.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers always serialise")
}
