// SPDX-License-Identifier: GPL-3.0-or-later
//! The hub: [`conformance`] is what every hub does, over one process and over each way to a Redis; [`redis_only`] is what
//! only Redis can do to one, [`sealed`] what a secret is good for, [`users`] who may do what.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod redis_only;
mod sealed;
mod users;

use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use thundergate_common::{
    config,
    digest::Digest,
    hub::{Admission, Claim, Completion, Hub, Reservation, Room, memory::MemoryHub, redis::RedisHub},
    job::{Job, Lane},
    keys::CLUSTER_SHARDS,
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Finding, Verdict, now},
};
use thundergate_harness::redis::RedisServer;
use tokio::time::sleep;

/// Long enough for anything that should happen at once.
const SOON: Duration = Duration::from_secs(5);
const RESERVE_TTL: Duration = Duration::from_millis(400);
const LEASE_TTL: Duration = Duration::from_millis(900);
const RECLAIM_AFTER: Duration = Duration::from_millis(300);

/// Two processes' ends of one hub, and what lies behind them.
struct Stage {
    here: Arc<dyn Hub>,
    there: Arc<dyn Hub>,
    _server: Option<RedisServer>,
}

fn limits() -> config::Queue {
    config::Queue {
        max_jobs: 32,
        max_bytes: bytesize::ByteSize::kib(64),
        sample_ttl: Duration::from_secs(3),
        reserve_ttl: RESERVE_TTL,
        lease_ttl: LEASE_TTL,
        reclaim_after: RECLAIM_AFTER,
        max_deliveries: 3,
    }
}

fn ttls() -> config::Cache {
    config::Cache {
        clean_ttl: Duration::from_secs(120),
        found_ttl: Duration::from_secs(600),
        local_ttl: Duration::from_secs(10),
        local_bytes: bytesize::ByteSize::mib(1),
        stale: config::Stale::Rescan,
    }
}

fn in_memory() -> Stage {
    let hub = MemoryHub::new(&limits(), &ttls());
    Stage { here: hub.clone(), there: hub, _server: None }
}

async fn over_redis() -> Stage {
    redis_stage(RedisServer::start().unwrap()).await
}

async fn redis_stage(server: RedisServer) -> Stage {
    let stage = stage(&redis("tg", config::RedisUrl::One(server.url().into()))).await;
    Stage { _server: Some(server), ..stage }
}

/// A stage over a Redis; two stages with different prefixes see nothing of each other.
async fn stage(redis: &config::Redis) -> Stage {
    let (here, there) = (connect(redis, "here").await, connect(redis, "there").await);
    Stage { here, there, _server: None }
}

fn redis(prefix: &str, url: config::RedisUrl) -> config::Redis {
    config::Redis { prefix: prefix.to_owned(), ..config::Redis::at(url) }
}

async fn connect(redis: &config::Redis, process: &str) -> Arc<RedisHub> {
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
async fn submit(hub: &dyn Hub, name: &str, lane: Lane) {
    assert_eq!(hub.reserve(&[key(name)], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(submit_again(hub, name, lane).await, Admission::Queued);
}

async fn submit_again(hub: &dyn Hub, name: &str, lane: Lane) -> Admission {
    hub.submit(&[job(name, lane)]).await.unwrap()[0]
}

async fn claimed(hub: &dyn Hub) -> Claim {
    let mut claims = hub.claim("worker", 0, room(1), SOON).await.unwrap();
    claims.pop().expect("there is a job")
}

async fn queued(stage: &Stage, name: &str, lane: Lane) -> Claim {
    submit(&*stage.here, name, lane).await;
    claimed(&*stage.there).await
}

async fn reclaimed(hub: &dyn Hub, worker: &str) -> Claim {
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
    stage.there.complete(&claim, &answered(verdict)).await.unwrap();
}

async fn eventually(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !happens().await {
        assert!(started.elapsed() < SOON, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
