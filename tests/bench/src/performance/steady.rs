// SPDX-License-Identifier: GPL-3.0-or-later
//! A fixed rate, 70 % of the most there can be, for a long time.

use super::{KIB, MIB, Run, middle, programs};
use crate::load::{Length, Plan, run_beside};
use std::time::Duration;

const CONNECTIONS: usize = 64;
const SHARE: f64 = 0.7;
/// How many times longer than other measurements it takes.
const LONG: f64 = 30.0;
/// From when on memory may not grow.
const SETTLED: usize = 10;

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    let scanner = programs::scanner(Duration::ZERO).await;
    let ours = programs::milter(&programs::farm(&scanner))?;
    let plan = run.plan(&ours.address()?, 100 * KIB, CONNECTIONS, &[ours.process()])?;
    let most =
        middle(&run.in_turn("the most there can be", std::slice::from_ref(&plan)).await?[0], |report| {
            report.messages_per_second
        });
    let long = Duration::from_secs_f64(run.seconds * LONG);
    eprintln!("a fixed rate for {} s", long.as_secs());
    let rate = (most * SHARE).floor();
    let report = run_beside(&Plan { rate: Some(rate), length: Length::Time(long), ..plan }).await?;
    let latency = report.whole;
    run.say(
        6,
        format!("100 KiB at {rate:.0}/s, 70 % of {most:.0}/s"),
        format!(
            "p50 {:.2} ms, p99 {:.2}, p99.9 {:.2}, max {:.0}",
            latency.p50, latency.p99, latency.p999, latency.max
        ),
        "every message in time",
        Some(report.messages_per_second > 0.99 * rate && report.errors.total() == 0),
        vec![rate, most, latency.p50, latency.p99, latency.p999, latency.max],
    );
    let resident = &report.processes[0].resident_each_second;
    let mib = |bytes: Option<&u64>| bytes.copied().unwrap_or_default() as f64 / MIB as f64;
    let (settled, end) = (mib(resident.get(SETTLED)), mib(resident.last()));
    run.say(
        6,
        "the same: resident memory".to_owned(),
        format!("{settled:.1} MiB after {SETTLED} s, {end:.1} at the end"),
        "no growth (5 % and 4 MiB)",
        Some(end <= settled * 1.05 + 4.0),
        vec![settled, end],
    );
    Ok(())
}
