// SPDX-License-Identifier: GPL-3.0-or-later
//! Lanes and dead letters.

use crate::{
    hub::{DeadLetter, QueueState},
    job::Lane,
};
use serde::{Deserialize, Serialize};

/// Dead letters that one request can name.
pub const MOST_LETTERS: usize = 1000;

/// The queue and what was given up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Lanes, how many dead letters are kept, and bytes of samples.
    pub queue: QueueState,
    /// The dead letters, newest first.
    pub dead_letters: Vec<Letter>,
}

/// A sample that was given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its name, for retry and drop.
    pub id: String,
    /// When it was given up.
    pub buried_at_ms: u64,
    /// `DIGEST` or `DIGEST.EXTENSION`.
    pub sample: String,
    /// Of the sample, in bytes.
    pub size: u64,
    /// The mail that brought it first, by the MTA's name.
    pub queue_id: String,
    /// The lane in which it waited.
    pub lane: Option<Lane>,
    /// How often it was handed to a worker.
    pub deliveries: u32,
    /// The instance that could not do it last; empty where that is unknown.
    pub instance: String,
    /// Why, in the worker's words.
    pub reason: String,
}

/// Which dead letters, at most [`MOST_LETTERS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letters {
    /// By their ids.
    pub ids: Vec<String>,
    /// The caller's reason, for the audit.
    #[serde(default)]
    pub reason: String,
}

/// What became of letters that were to be tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// They wait for a scan.
    pub queued: usize,
    /// The bytes of these are gone: only their senders can bring them again.
    pub bytes_gone: Vec<String>,
    /// There are no such letters (any more).
    pub unknown: Vec<String>,
}

/// What became of letters that were to be forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many are forgotten.
    pub dropped: usize,
    /// There are no such letters (any more).
    pub unknown: Vec<String>,
}

impl From<&DeadLetter> for Letter {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id.clone(),
            buried_at_ms: letter.buried_at * 1000,
            sample: letter.job.sample.to_string(),
            size: letter.job.size,
            queue_id: letter.job.queue_id.clone(),
            lane: Some(letter.job.lane),
            deliveries: letter.deliveries,
            instance: letter.instance.clone(),
            reason: letter.reason.clone(),
        }
    }
}
