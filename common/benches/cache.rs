// SPDX-License-Identifier: GPL-3.0-or-later
//! The verdicts that a process remembers: hits and misses, by one thread and by two at a time.

use bytesize::ByteSize;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};
use thundergate_common::{
    cache::VerdictCache,
    clock::now,
    digest::Digest,
    freshness::{Cache, Stale},
    sample::{NameHint, SampleKey},
    verdict::Verdict,
};

/// Samples that are known.
const KNOWN: u32 = 1000;

fn lookups(criterion: &mut Criterion) {
    let cache = cache();
    let known: Vec<_> = (0..KNOWN).map(key).collect();
    for key in &known {
        cache.insert(key, Arc::new(Verdict { scanned_at: now(), ..Verdict::default() }));
    }
    assert!(known.iter().all(|key| cache.get(key).is_some()));
    let unknown: Vec<_> = (KNOWN..2 * KNOWN).map(key).collect();
    let mut group = criterion.benchmark_group("cache");
    for (name, keys) in [("hit", &known), ("miss", &unknown)] {
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new(name, format!("{threads} threads")), |bencher| {
                bencher.iter_custom(|rounds| look_up(&cache, keys, threads, rounds));
            });
        }
    }
    group.finish();
}

/// How long it takes until each of the threads has made `rounds` look-ups.
fn look_up(cache: &VerdictCache, keys: &[SampleKey], threads: usize, rounds: u64) -> Duration {
    let start = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let (start, keys) = (&start, keys.iter().cycle().skip(thread * 7));
                scope.spawn(move || {
                    start.wait();
                    let began = Instant::now();
                    for (key, _) in keys.zip(0..rounds) {
                        black_box(cache.get(key));
                    }
                    began.elapsed()
                })
            })
            .collect();
        start.wait();
        let took = running.into_iter().map(|thread| thread.join().expect("look-ups do not panic"));
        took.max().unwrap_or_default()
    })
}

/// As deployed, but no verdict expires meanwhile.
fn cache() -> VerdictCache {
    let day = Duration::from_secs(24 * 3600);
    let (clean_ttl, found_ttl, local_ttl) = (day, day, day);
    VerdictCache::new(&Cache {
        clean_ttl,
        found_ttl,
        local_ttl,
        local_bytes: ByteSize::mib(64),
        redis_bytes: ByteSize(0),
        stale: Stale::Rescan,
    })
}

fn key(number: u32) -> SampleKey {
    SampleKey { digest: Digest::of(&number.to_be_bytes()), hint: NameHint::Extension("pdf".to_owned()) }
}

criterion_group!(benches, lookups);
criterion_main!(benches);
