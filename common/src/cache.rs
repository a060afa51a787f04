// SPDX-License-Identifier: GPL-3.0-or-later
//! The verdicts this process remembers, asked before the hub: mass mail costs no round trip. Bounded by bytes
//! (`cache.local_bytes`). An entry lives `cache.local_ttl`, so that an operator's override reaches every process, and
//! never longer than its verdict is fresh.

use crate::{freshness, generation::Generation, job::Lane, sample::SampleKey, verdict::Verdict};
use moka::{Expiry, sync::Cache};
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// What an entry costs besides its strings: moka's own book-keeping, measured.
const ENTRY_OVERHEAD: usize = 330;

/// How often, and for how many samples, a process asks for the same re-scan in the background.
const REFRESH: Duration = Duration::from_secs(30);
const REFRESHED: u64 = 10_000;

/// Where a verdict is looked up, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Among those that this process remembers.
    Local,
    /// In the hub.
    Hub,
}

impl Layer {
    /// Both, the nearest first.
    pub const ALL: [Self; 2] = [Self::Local, Self::Hub];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Hub => "hub",
        }
    }
}

/// Verdicts by sample.
#[derive(Clone, Debug)]
pub struct VerdictCache {
    verdicts: Cache<SampleKey, Remembered>,
    refreshed: Cache<SampleKey, ()>,
    config: freshness::Cache,
}

#[derive(Clone, Debug)]
struct Remembered {
    verdict: Arc<Verdict>,
    life: Duration,
}

impl VerdictCache {
    /// An empty cache of `cache.local_bytes`, whose entries live `cache.local_ttl`.
    pub fn new(cache: &freshness::Cache) -> Self {
        let verdicts = Cache::builder()
            .max_capacity(cache.local_bytes.as_u64())
            .weigher(|key: &SampleKey, entry: &Remembered| {
                let size = ENTRY_OVERHEAD + mem::size_of_val(key) + verdict_bytes(&entry.verdict);
                u32::try_from(size).unwrap_or(u32::MAX)
            })
            .expire_after(OwnLife)
            .build();
        let refreshed = Cache::builder().max_capacity(REFRESHED).time_to_live(REFRESH).build();
        Self { verdicts, refreshed, config: cache.clone() }
    }

    /// The verdict of a sample, while it is fresh.
    pub fn get(&self, key: &SampleKey) -> Option<Arc<Verdict>> {
        let entry = self.verdicts.get(key)?;
        entry.verdict.is_fresh(&self.config).then_some(entry.verdict)
    }

    /// Remembers the verdict of a sample; one without life left is forgotten.
    pub fn insert(&self, key: &SampleKey, verdict: Arc<Verdict>) {
        let life = self.config.local_ttl.min(verdict.fresh_for(self.config.ttl(&verdict)));
        if life.is_zero() {
            self.verdicts.invalidate(key);
        } else {
            self.verdicts.insert(key.clone(), Remembered { verdict, life });
        }
    }

    /// Whether a message can be decided on `verdict`.
    pub fn believes(&self, verdict: &Verdict, generation: &Generation) -> bool {
        self.config.believes(verdict, generation, Lane::Mail)
    }

    /// Whether it is time to have a sample with a stale verdict scanned again: once in a while, not with every message.
    pub fn refresh_is_due(&self, key: &SampleKey) -> bool {
        self.refreshed.entry_by_ref(key).or_insert(()).is_fresh()
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &freshness::Cache {
        &self.config
    }

    /// The samples with a verdict, in no order.
    pub fn keys(&self) -> impl Iterator<Item = SampleKey> {
        self.verdicts.iter().map(|(key, _)| SampleKey::clone(&key))
    }

    /// Forgets the verdict of a sample.
    pub fn remove(&self, key: &SampleKey) {
        self.verdicts.invalidate(key);
    }
}

/// Every entry brings its own life.
struct OwnLife;

impl Expiry<SampleKey, Remembered> for OwnLife {
    fn expire_after_create(&self, _: &SampleKey, entry: &Remembered, _: Instant) -> Option<Duration> {
        Some(entry.life)
    }

    fn expire_after_update(
        &self,
        _: &SampleKey,
        entry: &Remembered,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.life)
    }
}

/// The bytes that a verdict holds on to, its strings included.
pub fn verdict_bytes(verdict: &Verdict) -> usize {
    let strings = |texts: &[&String]| texts.iter().map(|text| text.len()).sum::<usize>();
    let findings = verdict.findings.iter().map(|finding| {
        let file = &finding.file;
        let rules = finding.rules.iter().map(|rule| {
            let lists =
                rule.tags.iter().chain(&rule.matched).map(|text| text.len() + mem::size_of::<String>());
            mem::size_of_val(rule)
                + lists.sum::<usize>()
                + strings(&[&rule.name, &rule.reason, &rule.author, &rule.reference])
                + strings(&[&rule.date, &rule.class, &rule.origin])
        });
        mem::size_of_val(finding)
            + rules.sum::<usize>()
            + strings(&[&finding.level, &finding.module, &finding.message])
            + strings(&[&file.name, &file.extension, &file.kind, &file.first_bytes])
            + strings(&[&file.md5, &file.sha1, &file.sha256])
    });
    mem::size_of_val(verdict)
        + findings.sum::<usize>()
        + verdict.instance.len()
        + verdict.signatures.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::now, digest::Digest, sample::NameHint, verdict::Finding};
    use bytesize::ByteSize;

    fn cache(local_ttl: Duration, local_bytes: ByteSize) -> VerdictCache {
        let (clean_ttl, found_ttl) = (Duration::from_secs(60), Duration::from_secs(600));
        let stale = freshness::Stale::Rescan;
        VerdictCache::new(&freshness::Cache {
            clean_ttl,
            found_ttl,
            local_ttl,
            local_bytes,
            redis_bytes: ByteSize(0),
            stale,
        })
    }

    fn key(number: u32) -> SampleKey {
        SampleKey { digest: Digest::of(&number.to_be_bytes()), hint: NameHint::None }
    }

    fn scanned(seconds_ago: u64) -> Arc<Verdict> {
        Arc::new(Verdict { scanned_at: now() - seconds_ago, ..Verdict::default() })
    }

    #[test]
    fn a_fresh_verdict_is_remembered_and_an_old_one_is_not() {
        let cache = cache(Duration::from_secs(60), ByteSize::mib(1));
        cache.insert(&key(1), scanned(0));
        cache.insert(&key(2), scanned(61));
        assert_eq!(cache.get(&key(1)), Some(scanned(0)));
        assert_eq!(cache.get(&key(2)), None);
        let found = Verdict { findings: vec![Finding::default()], ..(*scanned(61)).clone() };
        cache.insert(&key(3), Arc::new(found));
        assert!(cache.get(&key(3)).is_some(), "a verdict with findings lives longer");
    }

    #[test]
    fn an_old_verdict_takes_the_place_of_a_fresh_one() {
        let cache = cache(Duration::from_secs(60), ByteSize::mib(1));
        cache.insert(&key(1), scanned(0));
        cache.insert(&key(1), scanned(61));
        assert_eq!(cache.get(&key(1)), None);
    }

    #[test]
    fn nothing_is_remembered_where_the_local_ttl_is_zero() {
        let cache = cache(Duration::ZERO, ByteSize::mib(1));
        cache.insert(&key(1), scanned(0));
        assert_eq!(cache.get(&key(1)), None);
    }

    #[test]
    fn weight_stays_within_its_bound() {
        let cache = cache(Duration::from_secs(60), ByteSize::kib(64));
        for number in 0..10_000 {
            cache.insert(&key(number), scanned(0));
        }
        cache.verdicts.run_pending_tasks();
        let (weight, entries) = (cache.verdicts.weighted_size(), cache.verdicts.entry_count());
        assert!((1..=64 * 1024).contains(&weight), "{weight}");
        assert!(entries < 200, "{entries}");
    }
}
