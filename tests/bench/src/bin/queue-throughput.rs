// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo run --release -p thundergate-bench --bin queue-throughput`: what the decoupling costs. A milter's end and a
//! worker's end of the hub over one redis-server of its own, with a scanner that takes no time. Prints
//!
//! * jobs/s from reserving to acknowledging, many at a time, and `redis-benchmark`'s XADD/s on the same server;
//! * what passes between reserving a sample and hearing its answer, at light load.
//!
//! Milter, worker, Redis and its benchmark share the machine's processors: compare ratios, on an idle machine.

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Parser;
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_common::{
    clock::now,
    digest::Digest,
    freshness::Cache,
    hub::{
        Admission, Begin, Claim, Completion, Hub, Milter, Observer, Queue, Reservation, Room, Worker,
        redis::{Redis, RedisHub},
    },
    job::{Job, Lane},
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Verdict},
};
use thundergate_harness::redis::RedisServer;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Measures the queue over a Redis of its own.
#[derive(Parser)]
struct Arguments {
    /// Jobs of the throughput measurement.
    #[arg(long, default_value_t = 40_000)]
    jobs: usize,
    /// Jobs under way at a time, on either side.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Size of each sample in bytes.
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Jobs a second of the latency measurement.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// How long the latency measurement takes, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let redis = RedisServer::start_open()?;
    let xadd = xadd_per_second(&redis)?;
    println!("redis-benchmark, XADD of 200 bytes, 50 connections:  {xadd:>9.0} /s");
    runtime.block_on(measure(&arguments, &redis, xadd))
}

async fn measure(arguments: &Arguments, redis: &RedisServer, xadd: f64) -> anyhow::Result<()> {
    let (milter, worker) = (connect(redis, "milter").await?, connect(redis, "worker").await?);
    let ended = CancellationToken::new();
    let mut workers = JoinSet::new();
    workers.spawn(work(worker, arguments.concurrency, ended.clone()));

    let per_second = throughput(arguments, &milter).await?;
    println!(
        "jobs, {} under way:  {per_second:>9.0} /s, {:.3} of XADD",
        arguments.concurrency,
        per_second / xadd
    );
    let latency = latency(arguments, &milter).await?;
    let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "from reserving to the answer, {} jobs/s:  p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        arguments.rate,
        ms(0.5),
        ms(0.99),
        ms(1.0)
    );
    ended.cancel();
    while workers.join_next().await.is_some() {}
    let queue = milter.queue().await?;
    ensure!(queue.sample_bytes == 0, "something is left: {queue:?}");
    Ok(())
}

async fn throughput(arguments: &Arguments, milter: &Arc<RedisHub>) -> anyhow::Result<f64> {
    let started = Instant::now();
    let each = arguments.jobs / arguments.concurrency;
    let senders = (0..arguments.concurrency).map(|sender| async move {
        for number in 0..each {
            ask(milter, sample(arguments.size, (sender * each + number) as u64)).await?;
        }
        anyhow::Ok(())
    });
    join_all(senders).await.into_iter().collect::<anyhow::Result<()>>()?;
    Ok((each * arguments.concurrency) as f64 / started.elapsed().as_secs_f64())
}

/// Open loop: a job is due at its time, and counts from then on.
async fn latency(arguments: &Arguments, milter: &Arc<RedisHub>) -> anyhow::Result<Histogram<u64>> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / arguments.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = JoinSet::new();
    for number in 0..u64::from(arguments.rate * arguments.seconds) {
        let due = ticks.tick().await;
        let (milter, sample) = (Arc::clone(milter), sample(arguments.size, (1 << 40) + number));
        asked.spawn(async move { ask(&milter, sample).await.map(|()| due.elapsed()) });
    }
    let mut histogram = Histogram::new(3)?;
    while let Some(took) = asked.join_next().await {
        histogram.record(took??.as_micros() as u64)?;
    }
    Ok(histogram)
}

/// What a milter does with an unknown sample.
async fn ask(milter: &RedisHub, sample: Sample) -> anyhow::Result<()> {
    let key = sample.key.clone();
    let mut ticket = milter.announcements().subscribe(&key);
    milter.look_up(std::slice::from_ref(&key)).await?;
    let reserved = milter.reserve(std::slice::from_ref(&key), Lane::Mail).await?;
    ensure!(reserved == [Reservation::Owner], "{reserved:?}");
    let job = Job {
        sample: key,
        size: sample.bytes.len() as u64,
        lane: Lane::Mail,
        source: "mx1".to_owned(),
        queue_id: "4Bq".to_owned(),
        enqueued_ms: 0,
        needs: None,
        reads_short: true,
        traceparent: None,
    };
    let admitted = milter.submit(&[(sample, job)]).await?;
    ensure!(admitted == [Admission::Queued], "{admitted:?}");
    let answer = tokio::time::timeout(Duration::from_secs(10), ticket.answer()).await;
    answer.context("an announcement was lost").map(drop)
}

/// What a worker does, with a scanner that takes no time.
async fn work(worker: Arc<RedisHub>, most: usize, ended: CancellationToken) -> anyhow::Result<()> {
    let mut scans = JoinSet::new();
    while !ended.is_cancelled() {
        while scans.len() >= most {
            scans.join_next().await;
        }
        let room = Room { most: most - scans.len(), background: 0 };
        for claim in worker.claim("worker", 0, room, Duration::from_secs(1)).await? {
            scans.spawn(scan(Arc::clone(&worker), claim));
        }
        while scans.try_join_next().is_some() {}
    }
    Ok(())
}

async fn scan(worker: Arc<RedisHub>, claim: Claim) -> anyhow::Result<()> {
    if let Begin::Scan { .. } = worker.begin(&claim).await? {
        let verdict = Verdict { scanned_at: now(), ..Verdict::default() };
        let answer = Answer::Verdict(Arc::new(verdict));
        worker.complete(&claim, &Completion::Answered(answer)).await?;
    }
    Ok(())
}

fn sample(size: usize, number: u64) -> Sample {
    let mut bytes = vec![0; size.max(8)];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    let key = SampleKey { digest: Digest::of(&bytes), hint: NameHint::Extension("pdf".to_owned()) };
    Sample { key, bytes: Bytes::from(bytes) }
}

async fn connect(redis: &RedisServer, process: &str) -> anyhow::Result<Arc<RedisHub>> {
    let config: Redis = toml::from_str(&format!("url = \"{}\"", redis.bare_url()))?;
    let defaults: toml::Table = include_str!("../../../../deploy/worker.toml").parse()?;
    let queue: Queue = defaults["queue"].clone().try_into()?;
    let cache: Cache = defaults["cache"].clone().try_into()?;
    Ok(RedisHub::connect(&config, &queue, &cache, process.to_owned()).await?)
}

fn xadd_per_second(redis: &RedisServer) -> anyhow::Result<f64> {
    let url = redis.bare_url();
    let port = url.trim_end_matches("/0").rsplit(':').next().context("an address has a port")?;
    let output = Command::new("redis-benchmark")
        .args(["-p", port, "-n", "200000", "-c", "50", "--csv", "XADD", "measured", "*", "job"])
        .arg("x".repeat(200))
        .output()
        .context("redis-benchmark cannot be started")?;
    redis.command("DEL measured")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("redis-benchmark printed nothing")?;
    let rate = line.rsplit("\",\"").nth(6).with_context(|| format!("no rate in {line}"))?;
    Ok(rate.trim_matches('"').parse()?)
}
