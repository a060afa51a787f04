// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo run --release -p thundergate-bench --bin farm-throughput`: the worker's farm over stand-in scanners of 4
//! threads and 30 ms a sample, without a hub. Prints what must hold beside what was measured, and ends with status 1 where
//! it does not hold.
//!
//! * throughput of 1, 2, 4 and 8 instances against threads / service time;
//! * one of eight ten times slower: the throughput that is left;
//! * one of eight dead, after its breaker has opened: the 99th percentile at a load of 60 %;
//! * four workers that share eight instances which refuse what they have no thread for, with and without `Retry-After`:
//!   the throughput of all.
//!
//! Stand-ins and farm share the machine's processors, so only a release build on an idle machine says much.

use anyhow::ensure;
use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use thundergate_common::{
    config,
    digest::Digest,
    generation::InstanceState,
    sample::{NameHint, Sample, SampleKey},
};
use thundergate_harness::thunderstorm::{Fault, Settings, Standin};
use thundergate_worker::farm::{Farm, metrics::FarmMetrics};
use tokio::{task::JoinSet, time::MissedTickBehavior};

const THREADS: usize = 4;
const SERVICE_TIME: Duration = Duration::from_millis(30);
const WORKERS: usize = 4;

/// Measures the worker's farm over stand-in scanners.
#[derive(Parser)]
struct Arguments {
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Size of each sample in bytes.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Does not mind how fast it is, only whether every scan succeeds: for short runs without optimisation.
    #[arg(long)]
    unjudged: bool,
}

/// What one measurement saw.
struct Seen {
    per_second: f64,
    latency: Histogram<u64>,
    failed: u64,
}

impl Seen {
    fn nothing() -> anyhow::Result<Self> {
        Ok(Self { per_second: 0.0, latency: Histogram::new(3)?, failed: 0 })
    }

    fn note(&mut self, took: Option<Duration>) -> anyhow::Result<()> {
        match took {
            Some(took) => self.latency.record(u64::try_from(took.as_micros())?)?,
            None => self.failed += 1,
        }
        Ok(())
    }
}

/// One line of the table.
struct Row {
    what: String,
    measured: String,
    wanted: String,
    fast: bool,
    failed: u64,
}

impl Row {
    fn holds(&self, unjudged: bool) -> bool {
        self.failed == 0 && (self.fast || unjudged)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    ensure!((1..=600).contains(&arguments.seconds), "--seconds takes 1 to 600");
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut rows = Vec::new();
    let eight = throughput(&arguments, &mut rows).await?;
    slow(&arguments, eight, &mut rows).await?;
    dead(&arguments, &mut rows).await?;
    for retry_after in [Some(1), None] {
        shared(&arguments, retry_after, &mut rows).await?;
    }
    Ok(if rows.iter().all(|row| row.holds(arguments.unjudged)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// 1, 2, 4, 8 instances, always more samples than places. Returns the scans per second of eight.
async fn throughput(arguments: &Arguments, rows: &mut Vec<Row>) -> anyhow::Result<f64> {
    let mut last = 0.0;
    for instances in [1, 2, 4, 8] {
        let standins = start(instances, &Settings::default()).await;
        let farm = farm(&standins).await?;
        let seen = saturate(arguments, &[farm]).await?;
        let ideal = ideal(instances);
        say(
            rows,
            format!("{instances} instances"),
            format!(
                "{:.0}/s, {:.1} %, {:.1} ms a scan",
                seen.per_second,
                100.0 * seen.per_second / ideal,
                mean(&standins)
            ),
            format!(">= 95 % of {ideal:.0}/s"),
            seen.per_second >= 0.95 * ideal,
            seen.failed,
        );
        last = seen.per_second;
    }
    Ok(last)
}

async fn slow(arguments: &Arguments, eight: f64, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let standins = start(8, &Settings::default()).await;
    standins[0].settings(|settings| settings.service_time = SERVICE_TIME * 10);
    let seen = saturate(arguments, &[farm(&standins).await?]).await?;
    say(
        rows,
        "8 instances, one 10 times slower".to_owned(),
        format!("{:.0}/s, {:.1} % of all 8", seen.per_second, 100.0 * seen.per_second / eight),
        "> 87.5 %, less lost than its share".to_owned(),
        seen.per_second > eight * 7.0 / 8.0,
        seen.failed,
    );
    Ok(())
}

async fn dead(arguments: &Arguments, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let standins = start(8, &Settings::default()).await;
    let farm = farm(&standins).await?;
    let before = p99(&offer(arguments, &farm).await?);
    standins[0].fault(Fault::Down);
    while farm.reports()[0].state != InstanceState::Open {
        farm.scan(&sample(arguments.size), "", None).await?;
    }
    let seen = offer(arguments, &farm).await?;
    say(
        rows,
        "8 instances, one dead, load 60 %".to_owned(),
        format!("p99 {:.1} ms, {:.1} ms before", p99(&seen), before),
        "<= 1.5 times".to_owned(),
        p99(&seen) <= 1.5 * before,
        seen.failed,
    );
    Ok(())
}

/// Every worker believes that all threads are its own, and the instances let nobody wait.
async fn shared(arguments: &Arguments, retry_after: Option<u64>, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let settings = Settings { waiting: 0, retry_after, ..Settings::default() };
    let standins = start(8, &settings).await;
    let mut farms = Vec::new();
    for _ in 0..WORKERS {
        farms.push(farm(&standins).await?);
    }
    let seen = saturate(arguments, &farms).await?;
    let refused: u64 = standins.iter().map(|standin| standin.requests() - standin.total()).sum();
    let header = retry_after.map_or("no Retry-After".to_owned(), |seconds| format!("Retry-After: {seconds}"));
    say(
        rows,
        format!("{WORKERS} workers, 8 instances, 503 with {header}"),
        format!("{:.0}/s, {:.1} %, {refused} refused", seen.per_second, 100.0 * seen.per_second / ideal(8)),
        ">= 85 %".to_owned(),
        seen.per_second >= 0.85 * ideal(8),
        seen.failed,
    );
    Ok(())
}

fn say(rows: &mut Vec<Row>, what: String, measured: String, wanted: String, fast: bool, failed: u64) {
    let row = Row { what, measured, wanted, fast, failed };
    let mark = if row.holds(false) { "holds" } else { "FAILS" };
    println!("{:<52} {:<34} {:<36} {mark}", row.what, row.measured, row.wanted);
    rows.push(row);
}

fn ideal(instances: usize) -> f64 {
    (instances * THREADS) as f64 / SERVICE_TIME.as_secs_f64()
}

/// How long a thread of theirs was busy with a sample, in milliseconds.
fn mean(standins: &[Standin]) -> f64 {
    let (busy, total) = standins
        .iter()
        .fold((0.0, 0), |(busy, total), one| (busy + one.busy().as_secs_f64(), total + one.total()));
    busy * 1000.0 / total as f64
}

fn p99(seen: &Seen) -> f64 {
    seen.latency.value_at_quantile(0.99) as f64 / 1000.0
}

async fn start(instances: usize, settings: &Settings) -> Vec<Standin> {
    let mut standins = Vec::new();
    for _ in 0..instances {
        let settings = Settings { threads: THREADS, service_time: SERVICE_TIME, ..settings.clone() };
        standins.push(Standin::start(settings).await);
    }
    standins
}

/// A farm of these, as a worker has it: probed, and not yet asked for a scan.
async fn farm(standins: &[Standin]) -> anyhow::Result<Arc<Farm>> {
    let instances: Vec<_> =
        standins.iter().map(|standin| format!("{{ url = {:?} }}", standin.url())).collect();
    let configured: config::Farm = toml::from_str(&format!("instances = [{}]", instances.join(", ")))?;
    let farm = Arc::new(Farm::new(&configured, FarmMetrics::default())?);
    farm.probe().await;
    ensure!(farm.capacity() == standins.len() * THREADS, "a stand-in is not available");
    Ok(farm)
}

/// No two are alike, or somebody could remember.
fn sample(size: usize) -> Sample {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut bytes = vec![0; size.max(8)];
    bytes[..8].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let key = SampleKey { digest: Digest::of(&bytes), hint: NameHint::None };
    Sample { key, bytes: Bytes::from(bytes) }
}

/// As many scans as the farms bear: half as many again as they have places are wanted at any time.
async fn saturate(arguments: &Arguments, farms: &[Arc<Farm>]) -> anyhow::Result<Seen> {
    let warm = Instant::now() + Duration::from_secs(1);
    let end = warm + Duration::from_secs(arguments.seconds);
    let mut clients = JoinSet::new();
    for farm in farms {
        for _ in 0..farm.capacity() * 3 / 2 {
            clients.spawn(scan_until(warm, end, Arc::clone(farm), arguments.size));
        }
    }
    let mut all = Seen::nothing()?;
    while let Some(seen) = clients.join_next().await {
        let seen = seen??;
        all.latency.add(&seen.latency)?;
        all.failed += seen.failed;
    }
    all.per_second = all.latency.len() as f64 / arguments.seconds as f64;
    Ok(all)
}

/// One scan after the other; what ends between `warm` and `end` counts.
async fn scan_until(warm: Instant, end: Instant, farm: Arc<Farm>, size: usize) -> anyhow::Result<Seen> {
    let mut seen = Seen::nothing()?;
    while Instant::now() < end {
        let took = scan(&farm, size).await;
        if (warm..end).contains(&Instant::now()) {
            seen.note(took)?;
        }
    }
    Ok(seen)
}

/// 60 % of what eight instances bear, at even distances, whether scans end or not.
async fn offer(arguments: &Arguments, farm: &Arc<Farm>) -> anyhow::Result<Seen> {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / (0.6 * ideal(8))));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut scans = JoinSet::new();
    let watched = farm.watch(Default::default());
    let offering = async {
        while Instant::now() < end {
            ticks.tick().await;
            let (farm, size) = (Arc::clone(farm), arguments.size);
            scans.spawn(async move { scan(&farm, size).await });
        }
        let mut all = Seen::nothing()?;
        while let Some(took) = scans.join_next().await {
            all.note(took?)?;
        }
        Ok(all)
    };
    tokio::select! {
        seen = offering => seen,
        () = watched => unreachable!("nobody ends it"),
    }
}

/// How long it took; none where it failed.
async fn scan(farm: &Farm, size: usize) -> Option<Duration> {
    let sample = sample(size);
    let began = Instant::now();
    farm.scan(&sample, "", None).await.ok().map(|_| began.elapsed())
}
