// SPDX-License-Identifier: GPL-3.0-or-later
//! rspamd with its antivirus module alone and its cache in a Redis, tuned and as it is installed, side by side with ours
//! and a Redis: all know the attachment, and no scanner needs any time.

use super::{KIB, MIB, Run, bytes, flawless, middle, programs, ratio};
use crate::load::{Process, Report, run_beside};
use anyhow::ensure;
use std::time::Duration;
use thundergate_harness::{
    clamd::{Clamd, Settings},
    redis::RedisServer,
    rspamd::{Options, Rspamd},
};

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    if !Rspamd::is_installed() {
        eprintln!("section 9 is left out: Debian's package rspamd is not installed");
        return Ok(());
    }
    let clamd = Clamd::start(Settings::default()).await?;
    let their_redis = RedisServer::start_open()?;
    let process = |id: u32| Process { name: format!("process {id}"), id };
    let mut peers = Vec::new();
    for (name, as_installed) in [("tuned", false), ("as installed", true)] {
        let options = Options { as_installed, ..Options::default() };
        let rspamd = Rspamd::start(clamd.address(), &their_redis.bare_unix_url(), options).await?;
        // All its workers are there once it has worked for a while, and it must have asked.
        run_beside(&run.plan(&rspamd.address(), KIB, 64, &[])?).await?;
        let processes: Vec<Process> =
            rspamd.pids().into_iter().chain(their_redis.id()).map(process).collect();
        peers.push((name, rspamd, processes));
    }
    ensure!(clamd.scans() > 0, "rspamd asks its scanner nothing");

    let scanner = programs::scanner(Duration::ZERO).await;
    let our_redis = RedisServer::start_open()?;
    let hub = programs::redis(&our_redis);
    let _worker = programs::worker(&format!("{hub}{}", programs::farm(&scanner)))?;
    let milter = programs::milter(&hub)?;
    let ours: Vec<Process> = [milter.process()].into_iter().chain(our_redis.id().map(process)).collect();

    for (size, least, most) in [(KIB, 2.5, 0.4), (100 * KIB, 1.4, 0.6), (MIB, 1.0, 0.75)] {
        for connections in [8, 64] {
            let mut plans = vec![run.plan(&milter.address()?, size, connections, &ours)?];
            for (_, rspamd, processes) in &peers {
                plans.push(run.plan(&rspamd.address(), size, connections, processes)?);
            }
            let what = format!("{}, {connections} connections", bytes(size));
            let reports = run.in_turn(&format!("rspamd, {what}"), &plans).await?;
            for ((name, ..), theirs) in peers.iter().zip(&reports[1..]) {
                compare(run, &format!("rspamd {name}, {what}"), &reports[0], theirs, (least, most));
            }
        }
    }
    Ok(())
}

/// Says how `ours` compare with `theirs`: at `least` so many times the rate is promised, at `most` so much of the time.
fn compare(run: &mut Run, what: &str, ours: &[Report], theirs: &[Report], (least, most): (f64, f64)) {
    let rate = ratio(ours, theirs, |report| report.messages_per_second);
    let [their_rate, our_rate] = [theirs, ours].map(|all| middle(all, |report| report.messages_per_second));
    run.say(
        9,
        what.to_owned(),
        format!("{our_rate:.0}/s, rspamd {their_rate:.0}/s: {rate:.2} times"),
        &format!("at least {least} times"),
        Some(rate >= least && flawless(ours)),
        vec![rate, our_rate, their_rate],
    );
    let cpu = ratio(ours, theirs, |report| report.cpu_ms_per_message());
    let [their_cpu, our_cpu] = [theirs, ours].map(|all| middle(all, |report| report.cpu_ms_per_message()));
    run.say(
        9,
        format!("{what}: CPU time a message"),
        format!("{our_cpu:.3} ms, rspamd {their_cpu:.3} ms: {cpu:.2} times"),
        &format!("at most {most} times"),
        Some(cpu <= most),
        vec![cpu, our_cpu, their_cpu],
    );
}
