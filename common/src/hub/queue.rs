// SPDX-License-Identifier: GPL-3.0-or-later
//! `[queue]`: how many jobs may wait, how long each stage of one's life may last, and what records of mails may take.

use crate::config::{Fault, exact_size};
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[queue]`: the life of a job.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Jobs that may wait; one more is refused (`policy.on.overload`).
    pub max_jobs: usize,
    /// Bytes of samples that may wait.
    #[serde(serialize_with = "exact_size")]
    pub max_bytes: ByteSize,
    /// How long the bytes of a sample wait for a worker.
    #[serde(with = "humantime_serde")]
    pub sample_ttl: Duration,
    /// How long a sample stays reserved for a milter that has not submitted its bytes, and a queued one for its job.
    #[serde(with = "humantime_serde")]
    pub reserve_ttl: Duration,
    /// How long a scan's lease lives without being renewed.
    #[serde(with = "humantime_serde")]
    pub lease_ttl: Duration,
    /// Not renewed for this long, a claimed job is taken over by another worker.
    #[serde(with = "humantime_serde")]
    pub reclaim_after: Duration,
    /// After so many deliveries a job is a dead letter.
    pub max_deliveries: u32,
    /// How long a sample that could not be scanned counts as failed.
    #[serde(with = "humantime_serde")]
    pub failed_ttl: Duration,
    /// Bytes of the records of mails that the hub keeps.
    #[serde(serialize_with = "exact_size")]
    pub records_bytes: ByteSize,
    /// How long it keeps them.
    #[serde(with = "humantime_serde")]
    pub records_ttl: Duration,
}

impl Queue {
    /// Finds what contradicts itself or can never work.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn check(&self) -> Result<(), Fault> {
        for (key, zero) in [
            ("queue.max_jobs", self.max_jobs == 0),
            ("queue.max_bytes", self.max_bytes.as_u64() == 0),
            ("queue.max_deliveries", self.max_deliveries == 0),
            ("queue.sample_ttl", self.sample_ttl.is_zero()),
            ("queue.reserve_ttl", self.reserve_ttl.is_zero()),
            ("queue.lease_ttl", self.lease_ttl.is_zero()),
            ("queue.reclaim_after", self.reclaim_after.is_zero()),
            ("queue.failed_ttl", self.failed_ttl.is_zero()),
            ("queue.records_bytes", self.records_bytes.as_u64() == 0),
            ("queue.records_ttl", self.records_ttl.is_zero()),
        ] {
            if zero {
                return Fault::found(&[key], "must be more than 0");
            }
        }
        if self.lease_ttl < self.reclaim_after {
            return Fault::found(
                &["queue.lease_ttl", "queue.reclaim_after"],
                "queue.lease_ttl must not be below queue.reclaim_after, or a sample is scanned twice",
            );
        }
        if self.sample_ttl < self.lease_ttl {
            return Fault::found(
                &["queue.sample_ttl", "queue.lease_ttl"],
                "a sample must outlive queue.lease_ttl",
            );
        }
        Ok(())
    }
}
