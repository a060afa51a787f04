// SPDX-License-Identifier: GPL-3.0-or-later
//! How long a verdict is good, and for what: `[cache]` says how long it lives, the [`generation`](crate::generation)
//! whether something newer would see more.

use crate::{
    clock::now,
    config::{Fault, exact_size},
    generation::Generation,
    job::Lane,
    verdict::Verdict,
};
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[cache]`: how long verdicts live.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Of a verdict without findings.
    #[serde(with = "humantime_serde")]
    pub clean_ttl: Duration,
    /// Of a verdict with findings.
    #[serde(with = "humantime_serde")]
    pub found_ttl: Duration,
    /// How long a process trusts its own copy before it asks Redis again.
    #[serde(with = "humantime_serde")]
    pub local_ttl: Duration,
    /// Memory for those copies.
    #[serde(serialize_with = "exact_size")]
    pub local_bytes: ByteSize,
    /// What a clean verdict is good for that is older than the farm's signatures.
    #[serde(default)]
    pub stale: Stale,
}

/// What a clean verdict is good for that is older than the farm's signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stale {
    /// Nothing: the sample is scanned again before a message is decided.
    #[default]
    Rescan,
    /// The message is decided on it, and the sample scanned again in the background.
    Serve,
    /// As much as any other.
    Ignore,
}

impl Cache {
    /// Finds what contradicts itself or can never work.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn check(&self) -> Result<(), Fault> {
        if self.clean_ttl.is_zero() || self.found_ttl.is_zero() {
            return Fault::found(&["cache.clean_ttl", "cache.found_ttl"], "must be more than 0s");
        }
        if self.local_ttl > self.clean_ttl.min(self.found_ttl) {
            return Fault::found(
                &["cache.local_ttl", "cache.clean_ttl", "cache.found_ttl"],
                "a copy must not outlive its verdict",
            );
        }
        Ok(())
    }

    /// How long `verdict` is kept from its scan on.
    pub fn ttl(&self, verdict: &Verdict) -> Duration {
        if verdict.is_clean() { self.clean_ttl } else { self.found_ttl }
    }

    /// Whether who would have a sample scanned in `lane` can do with `verdict` instead.
    pub fn believes(&self, verdict: &Verdict, generation: &Generation, lane: Lane) -> bool {
        !generation.outdates(verdict) || (lane.is_awaited() && self.stale != Stale::Rescan)
    }
}

impl Verdict {
    /// What is left of `ttl` since the scan; zero once it is over.
    pub fn fresh_for(&self, ttl: Duration) -> Duration {
        self.fresh_at(now(), ttl)
    }

    /// What is left of `ttl` at `now` by the clock that the verdict was stamped by.
    pub(crate) fn fresh_at(&self, now: u64, ttl: Duration) -> Duration {
        ttl.saturating_sub(Duration::from_secs(now.saturating_sub(self.scanned_at)))
    }

    /// Whether it is still good, as long as `cache` lets verdicts live.
    pub(crate) fn is_fresh(&self, cache: &Cache) -> bool {
        !self.fresh_for(cache.ttl(self)).is_zero()
    }
}
