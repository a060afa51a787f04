// SPDX-License-Identifier: GPL-3.0-or-later
//! How long a verdict is good, and for what: `[cache]` says how long it lives, the [`generation`](crate::generation)
//! whether something newer would see more.

use crate::{
    clock::now,
    config::{Cache, Stale},
    generation::Generation,
    job::Lane,
    verdict::Verdict,
};
use std::time::Duration;

impl Cache {
    /// How long `verdict` is kept from its scan on.
    pub fn ttl(&self, verdict: &Verdict) -> Duration {
        if verdict.is_clean() { self.clean_ttl } else { self.found_ttl }
    }

    /// Whether who would have a sample scanned in `lane` can do with `verdict` instead.
    pub fn believes(&self, verdict: &Verdict, generation: &Generation, lane: Lane) -> bool {
        !generation.outdates(verdict) || (lane == Lane::Mail && self.stale != Stale::Rescan)
    }
}

impl Verdict {
    /// What is left of `ttl` since the scan; zero once it is over.
    pub fn fresh_for(&self, ttl: Duration) -> Duration {
        ttl.saturating_sub(Duration::from_secs(now().saturating_sub(self.scanned_at)))
    }

    /// Whether it is still good, as long as `cache` lets verdicts live.
    pub fn is_fresh(&self, cache: &Cache) -> bool {
        !self.fresh_for(cache.ttl(self)).is_zero()
    }
}
