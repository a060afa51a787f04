// SPDX-License-Identifier: GPL-3.0-or-later
//! The hub: [`conformance`] is what every hub does, over one process and over each way to a Redis; [`redis_only`] is what
//! only Redis can do to one, [`records`] what records of mails take there, [`restart`] what it keeps, [`failures`] what it holds against samples, [`sealed`] what a secret
//! is good for, [`users`] who may do what. Each Redis has the delivered settings and users; each call is made by the user
//! whose program makes it, or, where the users do not matter, by the operator's, who may make them all.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod failures;
mod memory;
mod records;
mod redis_only;
mod restart;
mod sealed;
mod users;

use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use thundergate_common::{
    clock::{now, now_ms},
    digest::Digest,
    freshness::{Cache, Stale},
    hub::{
        self, Admission, Claim, Completion, Hub as _, Queue, Reservation, Room,
        memory::MemoryHub,
        redis::{Redis, RedisHub, RedisUrl},
    },
    job::{Job, Lane},
    keys::CLUSTER_SHARDS,
    record::{MailRecord, PartRecord, RecordId},
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Finding, Verdict},
};
use thundergate_harness::redis::{MILTER, OPERATOR, RedisCluster, RedisServer, WORKER, password_of};
use tokio::time::sleep;

/// Long enough for anything that should happen at once.
const SOON: Duration = Duration::from_secs(5);
const RESERVE_TTL: Duration = Duration::from_millis(400);
const LEASE_TTL: Duration = Duration::from_millis(900);
const RECLAIM_AFTER: Duration = Duration::from_millis(300);

/// Two processes' ends of one hub, and what lies behind them.
struct Stage {
    here: End,
    there: End,
    _server: Option<RedisServer>,
}

/// One process's end of the hub, for each who may ask something of it; over Redis each is the user of
/// `deploy/redis/users.acl` whose program asks.
#[derive(Clone)]
struct End {
    milter: Arc<dyn hub::Milter>,
    worker: Arc<dyn hub::Worker>,
    operator: Arc<dyn hub::Operator>,
}

impl End {
    /// Connects each user to where `redis` says that it finds Redis.
    async fn connect(redis: impl Fn(&str) -> Redis, queue: &Queue, process: &str) -> Self {
        let hub =
            async |user| RedisHub::connect(&redis(user), queue, &ttls(), process.to_owned()).await.unwrap();
        Self { milter: hub(MILTER).await, worker: hub(WORKER).await, operator: hub(WORKER).await }
    }
}

impl<H: hub::Milter + hub::Worker + hub::Operator> From<Arc<H>> for End {
    fn from(hub: Arc<H>) -> Self {
        Self { milter: hub.clone(), worker: hub.clone(), operator: hub }
    }
}

fn limits() -> Queue {
    Queue {
        max_jobs: 32,
        max_bytes: bytesize::ByteSize::kib(64),
        sample_ttl: Duration::from_secs(3),
        reserve_ttl: RESERVE_TTL,
        lease_ttl: LEASE_TTL,
        reclaim_after: RECLAIM_AFTER,
        max_deliveries: 3,
        failed_ttl: Duration::from_secs(600),
        records_bytes: bytesize::ByteSize::kib(256),
        records_ttl: Duration::from_secs(48 * 3600),
    }
}

fn ttls() -> Cache {
    Cache {
        clean_ttl: Duration::from_secs(120),
        found_ttl: Duration::from_secs(600),
        local_ttl: Duration::from_secs(10),
        local_bytes: bytesize::ByteSize::mib(1),
        redis_bytes: bytesize::ByteSize(0),
        stale: Stale::Rescan,
    }
}

fn in_memory() -> Stage {
    let hub = MemoryHub::new(&limits(), &ttls());
    Stage { here: hub.clone().into(), there: hub.into(), _server: None }
}

async fn over_redis() -> Stage {
    redis_stage(RedisServer::start().unwrap()).await
}

async fn redis_stage(server: RedisServer) -> Stage {
    let stage = stage(|user| at(server.url_of(user))).await;
    Stage { _server: Some(server), ..stage }
}

/// A stage over the Redis that each user finds where `redis` says.
async fn stage(redis: impl Fn(&str) -> Redis) -> Stage {
    let (here, there) = (connect(&redis, "here").await, connect(&redis, "there").await);
    Stage { here, there, _server: None }
}

fn at(url: String) -> Redis {
    Redis::at(RedisUrl::One(url.into()))
}

fn over(cluster: &RedisCluster, user: &str) -> Redis {
    Redis::at(RedisUrl::Cluster(cluster.urls_of(user).into_iter().map(Into::into).collect()))
}

async fn connect(redis: impl Fn(&str) -> Redis, process: &str) -> End {
    End::connect(redis, &limits(), process).await
}

/// A process's end that is one user's.
async fn connect_as_one(redis: &Redis, process: &str) -> Arc<RedisHub> {
    RedisHub::connect(redis, &limits(), &ttls(), process.to_owned()).await.unwrap()
}

fn key(name: &str) -> SampleKey {
    SampleKey { digest: Digest::of(&bytes(name)), hint: NameHint::None }
}

/// A sample's bytes: its name, padded so that all samples have the same shard.
fn bytes(name: &str) -> Bytes {
    let mut padded = name.to_owned();
    while usize::from(Digest::of(padded.as_bytes()).as_bytes()[0]) % CLUSTER_SHARDS != 0 {
        padded.push(' ');
    }
    padded.into()
}

/// A mail that held these samples.
fn mail_record(queue_id: &str, samples: &[SampleKey]) -> MailRecord {
    let part = |key: &SampleKey| PartRecord {
        digest: Some(key.digest),
        hint: Some(key.hint.clone()).filter(|hint| *hint != NameHint::None),
        size: 100,
        disposition: "clean".into(),
        source: "hub".into(),
        ..PartRecord::default()
    };
    MailRecord {
        id: RecordId::at(now_ms()),
        at_ms: now_ms(),
        queue_id: queue_id.into(),
        sender: "a@example.org".into(),
        recipients: vec!["b@example.org".into()],
        size: 1000,
        parts: samples.iter().map(part).collect(),
        action: "accept".into(),
        cause: "clean".into(),
        ..MailRecord::default()
    }
}

fn room(most: usize) -> Room {
    Room { most, background: most }
}

fn job(name: &str, lane: Lane) -> (Sample, Job) {
    let enqueued_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let sample = Sample { key: key(name), bytes: bytes(name) };
    let (source, queue_id) = ("mx1".to_owned(), "4Bq".to_owned());
    let job = Job {
        sample: key(name),
        size: sample.bytes.len() as u64,
        lane,
        source,
        queue_id,
        enqueued_ms,
        needs: None,
        reads_short: true,
        traceparent: None,
    };
    (sample, job)
}

fn verdict() -> Arc<Verdict> {
    static SCANNED: std::sync::LazyLock<u64> = std::sync::LazyLock::new(now);
    let findings = vec![Finding { score: 95, ..Finding::default() }];
    Arc::new(Verdict { findings, scanned_at: *SCANNED, ..Verdict::default() })
}

fn answered(verdict: &Arc<Verdict>) -> Completion {
    Completion::Answered(Answer::Verdict(verdict.clone()))
}

fn names(claims: &[Claim]) -> Vec<SampleKey> {
    claims.iter().map(|claim| claim.job.sample.clone()).collect()
}

/// Reserves and submits a sample of which nobody has heard.
async fn submit(hub: &dyn hub::Milter, name: &str, lane: Lane) {
    assert_eq!(hub.reserve(&[key(name)], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(submit_again(hub, name, lane).await, Admission::Queued);
}

async fn submit_again(hub: &dyn hub::Milter, name: &str, lane: Lane) -> Admission {
    hub.submit(&[job(name, lane)]).await.unwrap()[0]
}

async fn claimed(hub: &dyn hub::Worker) -> Claim {
    let mut claims = hub.claim("worker", 0, room(1), SOON).await.unwrap();
    claims.pop().expect("there is a job")
}

async fn queued(stage: &Stage, name: &str, lane: Lane) -> Claim {
    submit(&*stage.here.milter, name, lane).await;
    claimed(&*stage.there.worker).await
}

async fn reclaimed(hub: &dyn hub::Worker, worker: &str) -> Claim {
    let started = Instant::now();
    loop {
        if let Some(claim) = hub.reclaim(worker, 0, room(10)).await.unwrap().pop() {
            return claim;
        }
        assert!(started.elapsed() < SOON, "nothing to reclaim");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Gives a sample a verdict, by way of a job.
async fn store(stage: &Stage, name: &str, verdict: &Arc<Verdict>) {
    let claim = Claim { id: "0-0".into(), job: job(name, Lane::Mail).1, deliveries: 1 };
    stage.there.worker.complete(&claim, &answered(verdict)).await.unwrap();
}

async fn eventually(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !happens().await {
        assert!(started.elapsed() < SOON, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
