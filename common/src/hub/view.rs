// SPDX-License-Identifier: GPL-3.0-or-later
//! The hub as people see it: the queue with what was given up, and what is known of a sample.

use crate::{
    failed::FailedSample,
    job::{Job, Lane},
    sample::SampleKey,
    verdict::Verdict,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The queue as an operator sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    /// One entry a lane.
    pub lanes: Vec<LaneState>,
    /// How many dead letters are kept.
    pub dead_letters: u64,
    /// Bytes of samples that wait or are being scanned.
    pub sample_bytes: u64,
}

/// One lane of the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneState {
    /// Which one.
    pub lane: Lane,
    /// Jobs that nobody has claimed.
    pub waiting: u64,
    /// Jobs in the hands of workers.
    pub claimed: u64,
    /// Age of the oldest job, in milliseconds; none where there is no job.
    pub oldest_ms: Option<u64>,
}

/// A job that could not be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The hub's name of the entry.
    pub id: String,
    /// What was to be done.
    pub job: Job,
    /// Why it was not.
    pub reason: String,
    /// The instance that could not do it last; empty where that is unknown.
    #[serde(default)]
    pub instance: String,
    /// How often it was tried.
    pub deliveries: u32,
    /// When it was given up, in seconds since the epoch.
    #[serde(default)]
    pub buried_at: u64,
}

/// What became of a dead letter that was to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// Its job stands in the background lane.
    Queued,
    /// The bytes of its sample are gone: only its sender can bring them again.
    BytesGone,
    /// There is no such letter.
    Unknown,
}

/// What is known of a sample under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownSample {
    /// Digest and name.
    pub key: SampleKey,
    /// What a scan said; none where there is no verdict.
    pub verdict: Option<Arc<Verdict>>,
    /// What is held against it since it could not be scanned, also where that holds no longer.
    pub failed: Option<FailedSample>,
}
