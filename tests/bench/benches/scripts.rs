// SPDX-License-Identifier: GPL-3.0-or-later
//! What milters and workers ask of Redis, most of it Lua scripts: each call over a redis-server of the bench's own, on
//! its unix socket, one at a time.

use bytes::Bytes;
use bytesize::ByteSize;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    clock::now,
    digest::Digest,
    freshness::{Cache, Stale},
    hub::{
        Admission, Begin, Claim, Completion, Hub, Milter, Queue, Reservation, Room, Worker,
        redis::{Redis, RedisHub, RedisUrl},
    },
    job::{Job, Lane},
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Verdict},
};
use thundergate_harness::redis::RedisServer;
use tokio::runtime::Runtime;

const WARMING: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);
const ONE: Room = Room { most: 1, background: 0 };
/// Of every sample.
const SIZE: usize = 1 << 10;

/// A milter's and a worker's end of the hub in one, and samples of which nobody has heard.
struct Site {
    runtime: Runtime,
    hub: Arc<RedisHub>,
    samples: AtomicU64,
    _server: RedisServer,
}

fn calls(criterion: &mut Criterion) {
    let site = Site::start();
    let mut group = criterion.benchmark_group("hub");
    let known: Vec<_> = (0..10).map(|_| site.verdict()).collect();
    group.bench_function("look up 1", |bencher| bencher.iter(|| site.look_up(&known[..1])));
    group.bench_function("look up 10", |bencher| bencher.iter(|| site.look_up(&known)));
    group.bench_function("reserve, known", |bencher| {
        bencher.iter(|| assert!(matches!(site.reserve(&known[0]), Reservation::Known(_))));
    });
    group.bench_function("reserve, unknown", |bencher| {
        let reserve = |key| assert_eq!(site.reserve(&key), Reservation::Owner);
        bencher.iter_batched(|| site.sample().key, reserve, BatchSize::PerIteration);
    });
    group.bench_function("submit", |bencher| {
        bencher.iter_batched(
            || site.owned(),
            |sample| {
                site.submit(sample);
                Ended(&site, None)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("claim and begin", |bencher| {
        let begin = |()| Ended(&site, Some(site.begun()));
        bencher.iter_batched(|| site.queued(), begin, BatchSize::PerIteration);
    });
    group.bench_function("complete", |bencher| {
        let begun = || {
            site.queued();
            site.begun()
        };
        bencher.iter_batched(begun, |claim| site.complete(&claim), BatchSize::PerIteration);
    });
    group.finish();
}

impl Site {
    fn start() -> Self {
        let server = RedisServer::start_open().expect("redis-server starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let redis = Redis::at(RedisUrl::One(server.bare_unix_url().into()));
        let (queue, cache) = (queue(), cache());
        let hub = RedisHub::connect(&redis, &queue, &cache, "bench".to_owned());
        let hub = runtime.block_on(hub).expect("the address is right");
        Self { runtime, hub, samples: AtomicU64::new(0), _server: server }
    }

    /// One that differs from all before.
    fn sample(&self) -> Sample {
        let mut bytes = vec![0x5a; SIZE];
        bytes[..8].copy_from_slice(&self.samples.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let key = SampleKey { digest: Digest::of(&bytes), hint: NameHint::Extension("pdf".to_owned()) };
        Sample { key, bytes: Bytes::from(bytes) }
    }

    /// A sample whose verdict is stored.
    fn verdict(&self) -> SampleKey {
        self.queued();
        let claim = self.begun();
        self.complete(&claim);
        claim.job.sample
    }

    fn look_up(&self, keys: &[SampleKey]) {
        let found = self.runtime.block_on(self.hub.look_up(keys)).expect("Redis answers");
        assert!(found.iter().all(Option::is_some));
    }

    fn reserve(&self, key: &SampleKey) -> Reservation {
        let key = std::slice::from_ref(key);
        let found = self.runtime.block_on(self.hub.reserve(key, Lane::Mail));
        found.expect("Redis answers").pop().expect("one for each")
    }

    /// A sample that is reserved and not submitted.
    fn owned(&self) -> Sample {
        let sample = self.sample();
        assert_eq!(self.reserve(&sample.key), Reservation::Owner);
        sample
    }

    fn submit(&self, sample: Sample) {
        let job = Job {
            sample: sample.key.clone(),
            size: SIZE as u64,
            lane: Lane::Mail,
            source: "mx.b.example".to_owned(),
            queue_id: "4cXyZ12345".to_owned(),
            enqueued_ms: now() * 1000,
            needs: None,
            reads_short: true,
            traceparent: None,
        };
        let admitted = self.runtime.block_on(self.hub.submit(&[(sample, job)]));
        assert_eq!(admitted.expect("Redis answers"), [Admission::Queued]);
    }

    /// Puts one job into the queue.
    fn queued(&self) {
        self.submit(self.owned());
    }

    /// The job in the queue, its lease taken.
    fn begun(&self) -> Claim {
        let begun = async {
            let claim = self.hub.claim("worker", 0, ONE, SOON).await?.pop().expect("there is a job");
            assert!(matches!(self.hub.begin(&claim).await?, Begin::Scan { .. }));
            Ok::<_, thundergate_common::hub::HubError>(claim)
        };
        self.runtime.block_on(begun).expect("Redis answers")
    }

    fn complete(&self, claim: &Claim) {
        let verdict = Verdict { scanned_at: now(), scan_ms: 30, ..Verdict::default() };
        let completion = Completion::Answered(Answer::Verdict(Arc::new(verdict)));
        self.runtime.block_on(self.hub.complete(claim, &completion)).expect("Redis answers");
    }
}

/// Ends the one job of the queue when it is dropped, which is not measured: so the queue stays short.
struct Ended<'a>(&'a Site, Option<Claim>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let claim = self.1.take().unwrap_or_else(|| self.0.begun());
        self.0.complete(&claim);
    }
}

fn queue() -> Queue {
    Queue {
        max_jobs: 10_000,
        max_bytes: ByteSize::gib(1),
        sample_ttl: HOUR,
        reserve_ttl: HOUR,
        lease_ttl: HOUR,
        reclaim_after: HOUR,
        max_deliveries: 5,
        failed_ttl: Duration::from_secs(600),
        records_bytes: ByteSize::kib(256),
        records_ttl: Duration::from_secs(48 * 3600),
    }
}

fn cache() -> Cache {
    let (clean_ttl, found_ttl, local_ttl) = (HOUR, HOUR, HOUR);
    let redis_bytes = ByteSize(0);
    Cache {
        clean_ttl,
        found_ttl,
        local_ttl,
        local_bytes: ByteSize::mib(1),
        redis_bytes,
        stale: Stale::Rescan,
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(WARMING).measurement_time(PATIENCE);
    targets = calls
}
criterion_main!(benches);
