// SPDX-License-Identifier: GPL-3.0-or-later
//! How full Redis is, and how long new clean verdicts may live therefore (`cache.redis_bytes`). Workers measure it every
//! [`EVERY`]: all that a server holds but the samples that wait, which have a bound of their own. Most of that is
//! verdicts, and most verdicts are clean, so their life decides: up to [`BEGIN`] of the bound it is `cache.clean_ttl`, from
//! there to the bound it goes down to [`LEAST`], evenly. Verdicts with findings keep theirs.
//!
//! Where `maxmemory` is small, half of it is the bound. In a cluster each server is measured that has a shard of the queue,
//! and the fullest counts.

use super::{
    RedisHub,
    entry::read,
    error::unusable,
    scripts::{SCRIPTS, Step},
};
use crate::{
    freshness::Cache,
    hub::{HubError, HubMemory},
};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(10);
/// From such a part of the bound on lives are shorter.
const BEGIN: f64 = 0.75;
/// No clean verdict lives shorter, unless `cache.clean_ttl` is.
const LEAST: Duration = Duration::from_secs(15 * 60);

/// What was measured last.
#[derive(Default)]
pub(super) struct Fill {
    measured: Option<(Instant, HubMemory)>,
    /// Whether the log was told that lives are shorter.
    told: bool,
}

impl Fill {
    /// How long a clean verdict lives that is stored now.
    pub(super) fn clean_life(&self, cache: &Cache) -> Duration {
        self.memory().map_or(cache.clean_ttl, |memory| memory.clean_life)
    }

    /// What was measured.
    pub(super) fn memory(&self) -> Option<HubMemory> {
        self.measured.as_ref().map(|(_, memory)| *memory)
    }

    fn is_due(&self) -> bool {
        self.measured.as_ref().is_none_or(|(at, _)| at.elapsed() >= EVERY)
    }

    fn learn(&mut self, memory: HubMemory, cache: &Cache) {
        let shorter = memory.clean_life < cache.clean_ttl;
        if shorter && !self.told {
            warn!(
                event = "redis_fills",
                redis.held_bytes = memory.held_bytes(),
                redis.bound_bytes = memory.bound_bytes,
                cache.clean_life_seconds = memory.clean_life.as_secs(),
                "Redis holds almost cache.redis_bytes; new clean verdicts live shorter"
            );
            self.told = true;
        } else if self.told && (memory.held_bytes() as f64) < memory.bound_bytes as f64 * (BEGIN - 0.1) {
            info!(event = "redis_fills_no_more", "New clean verdicts live as long as cache.clean_ttl again");
            self.told = false;
        }
        self.measured = Some((Instant::now(), memory));
    }
}

/// Measures where it is time to.
pub(super) async fn measure(hub: &RedisHub) -> Result<(), HubError> {
    if !hub.fill().is_due() {
        return Ok(());
    }
    let shards = (0..hub.keys.shards()).map(|shard| hub.keys.job_bytes(shard));
    let steps: Vec<Step> = shards.map(|key| SCRIPTS.fill.on([key]).into()).collect();
    let mut fullest = HubMemory::default();
    for answer in hub.verdicts.each(steps).await? {
        let [used_bytes, most_bytes, sample_bytes] =
            <[u64; 3]>::try_from(read::<Vec<u64>>(answer)?).map_err(|_| unusable("too few numbers"))?;
        let server = HubMemory { used_bytes, most_bytes, sample_bytes, ..HubMemory::default() };
        if server.held_bytes() > fullest.held_bytes() || fullest.used_bytes == 0 {
            fullest = server;
        }
    }
    fullest.bound_bytes = bound(&hub.cache, fullest.most_bytes);
    fullest.clean_life = life(fullest.held_bytes(), fullest.bound_bytes, &hub.cache);
    hub.fill().learn(fullest, &hub.cache);
    Ok(())
}

/// What a server that may hold `most` bytes may hold beside samples that wait; 0: no bound.
fn bound(cache: &Cache, most: u64) -> u64 {
    match (cache.redis_bytes.as_u64(), most / 2) {
        (bound, 0) => bound,
        (bound, half) => bound.min(half),
    }
}

/// How long a clean verdict may live where a server holds so many bytes of `bound`.
fn life(held: u64, bound: u64, cache: &Cache) -> Duration {
    if bound == 0 {
        return cache.clean_ttl;
    }
    let (least, whole) = (LEAST.min(cache.clean_ttl), cache.clean_ttl);
    let over = (held as f64 / bound as f64 - BEGIN) / (1.0 - BEGIN);
    whole - (whole - least).mul_f64(over.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytesize::ByteSize;

    fn cache(clean_ttl: Duration, mib: u64) -> Cache {
        Cache {
            clean_ttl,
            found_ttl: Duration::from_secs(600),
            local_ttl: Duration::from_secs(10),
            local_bytes: ByteSize::mib(1),
            redis_bytes: ByteSize::mib(mib),
            stale: Default::default(),
        }
    }

    #[test]
    fn clean_verdicts_live_shorter_the_nearer_the_bound_and_never_too_short() {
        let day = Duration::from_secs(24 * 3600);
        let lives = |clean_ttl, mib| {
            let cache = cache(clean_ttl, mib);
            [0, 75, 80, 100, 500].map(|held: u64| life(held << 20, mib << 20, &cache))
        };
        let [empty, begun, nearer, full, over] = lives(day, 100);
        assert_eq!([empty, begun], [day, day]);
        assert!(nearer < day && nearer > day / 2, "{nearer:?}");
        assert_eq!([full, over], [LEAST, LEAST]);
        assert_eq!(lives(day, 0), [day; 5], "without a bound");
        let short = Duration::from_secs(60);
        assert_eq!(lives(short, 100), [short; 5], "never longer than they may");
    }

    #[test]
    fn the_bound_is_never_more_than_half_of_what_redis_may_hold() {
        let cache = cache(LEAST, 100);
        assert_eq!([0, 1 << 30, 64 << 20].map(|most| bound(&cache, most) >> 20), [100, 100, 32]);
    }

    #[test]
    fn samples_that_wait_are_not_counted() {
        let memory = HubMemory { used_bytes: 100, sample_bytes: 70, ..HubMemory::default() };
        assert_eq!(memory.held_bytes(), 30);
        assert_eq!(HubMemory { sample_bytes: 170, ..memory }.held_bytes(), 0);
    }
}
