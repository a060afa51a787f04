// SPDX-License-Identifier: GPL-3.0-or-later
//! Known attachments that only Redis knows: a milter that trusts no copy of its own, beside one that does.
//!
//! A message waits for its look-up, an MGET. Behind its answer the mail is recorded, many messages in one
//! round trip where there are many; a single connection shows that at its worst.

use super::{KIB, Run, flawless, median, programs};
use crate::load::{Length, Plan, run_beside};
use anyhow::Context as _;
use std::time::{Duration, Instant};
use thundergate_harness::redis::RedisServer;

const MESSAGES: u64 = 2000;

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    let scanner = programs::scanner(Duration::ZERO).await;
    let redis = RedisServer::start_open()?;
    let hub = programs::redis(&redis);
    let _worker = programs::worker(&format!("{hub}{}", programs::farm(&scanner)))?;
    let local = programs::milter(&hub)?;
    let remote = programs::milter(&format!("cache.local_ttl = \"0s\"\n{hub}"))?;
    latency(run, &local.address()?, &remote.address()?).await?;
    for attachments in [1, 10] {
        let mut plan =
            Plan { connections: 1, length: Length::Messages(MESSAGES), ..Plan::to(&remote.address()?)? };
        plan.mix.sizes = vec![KIB];
        plan.mix.look.attachments = attachments;
        run_beside(&plan).await?; // known from here on
        plan.prepare = false;
        let (mut trips, mut look_ups) = (Vec::new(), Vec::new());
        for _ in 0..run.rounds {
            let idle = Counts::over(&redis, quiet()).await?;
            let busy = Counts::over(&redis, async { run_beside(&plan).await.map(drop) }).await?;
            let messages = MESSAGES as f64;
            trips.push((busy.reads - idle.reads * busy.seconds / idle.seconds) / messages);
            look_ups.push(busy.look_ups / messages);
        }
        let (trips, look_ups) = (median(trips), median(look_ups));
        run.say(
            3,
            format!("look-ups in Redis, {attachments} attachments"),
            format!("{look_ups:.3} a message; {trips:.2} round trips with the records'"),
            "1 a message",
            Some((0.99..1.01).contains(&look_ups)),
            vec![look_ups, trips],
        );
    }
    Ok(())
}

/// What Redis has to do anyway: signs of life.
async fn quiet() -> anyhow::Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn latency(run: &mut Run, local: &str, remote: &str) -> anyhow::Result<()> {
    for size in [KIB, 100 * KIB] {
        let what = format!("hits that Redis knows, {}, 1 connection", super::bytes(size));
        let plans = [run.plan(local, size, 1, &[])?, run.plan(remote, size, 1, &[])?];
        let reports = run.in_turn(&what, &plans).await?;
        let differences = reports[1].iter().zip(&reports[0]);
        let difference = median(differences.map(|(far, near)| far.whole.p50 - near.whole.p50).collect());
        let p50 = |which: usize| super::middle(&reports[which], |report| report.whole.p50);
        run.say(
            3,
            what,
            format!("p50 {:.3} ms, known here {:.3} ms: {difference:.3} ms more", p50(1), p50(0)),
            "at most 1 ms more",
            Some(difference <= 1.0 && flawless(&reports[1])),
            vec![difference, p50(1), p50(0)],
        );
    }
    Ok(())
}

/// What Redis counts.
struct Counts {
    /// Batches of commands that came together.
    reads: f64,
    look_ups: f64,
    seconds: f64,
}

impl Counts {
    /// Of what happens during `work`, these looks aside.
    async fn over(
        redis: &RedisServer,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        let before = Self::now(redis)?;
        work.await?;
        let after = Self::now(redis)?;
        Ok(Self {
            reads: after.reads - before.reads - 1.0,
            look_ups: after.look_ups - before.look_ups,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    fn now(redis: &RedisServer) -> anyhow::Result<Self> {
        let info = redis::from_redis_value::<String>(redis.command("INFO everything")?)?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let reads = field("total_reads_processed:").context("INFO says nothing of reads")?;
        let look_ups = field("cmdstat_mget:calls=").and_then(|calls| calls.split(',').next());
        Ok(Self { reads: reads.trim().parse()?, look_ups: look_ups.unwrap_or("0").parse()?, seconds: 0.0 })
    }
}
