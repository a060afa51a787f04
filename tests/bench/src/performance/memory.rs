// SPDX-License-Identifier: GPL-3.0-or-later
//! What known attachments cost in CPU time, and large messages in memory.

use super::{KIB, MIB, Run, flawless, middle, programs};
use crate::load::{Plan, usage::Usage};
use std::time::Duration;

const CONNECTIONS: usize = 64;

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    let scanner = programs::scanner(Duration::ZERO).await;
    let ours = programs::milter(&programs::farm(&scanner))?;
    let plan = run.plan(&ours.address()?, 100 * KIB, 8, &[ours.process()])?;
    let reports = run.in_turn("CPU time", &[plan]).await?;
    let cpu = middle(&reports[0], |report| report.cpu_ms_per_message());
    let measured = format!("{cpu:.3} ms of CPU time a message");
    run.say(4, "hits, 100 KiB, 8 connections".to_owned(), measured, "", None, vec![cpu]);

    // Another process: what the first one keeps for later does not count.
    let ours = programs::milter(&programs::farm(&scanner))?;
    let before = Usage::of(&ours.process()).resident as f64;
    let plan = run.plan(&ours.address()?, 10 * MIB, CONNECTIONS, &[ours.process()])?;
    let plan = Plan { length: crate::load::Length::Time(Duration::from_secs_f64(run.seconds * 4.0)), ..plan };
    let reports = run.in_turn("large messages", &[plan]).await?.remove(0);
    let peak = reports.iter().map(|report| report.processes[0].peak).max().unwrap_or_default() as f64;
    let in_flight = CONNECTIONS as f64 * middle(&reports, |report| report.bytes_per_message);
    let most = 1.3 * in_flight + (40 * MIB) as f64;
    let mib = |bytes: f64| bytes / MIB as f64;
    run.say(
        4,
        format!("{CONNECTIONS} connections, 10 MiB attached: resident memory"),
        format!("{:.0} MiB, {:.0} before; {:.0} in flight", mib(peak), mib(before), mib(in_flight)),
        &format!("at most {:.0} MiB", mib(most)),
        Some(peak <= most && flawless(&reports)),
        vec![peak, in_flight],
    );
    let connection = mib(peak - before) / CONNECTIONS as f64;
    let measured =
        format!("{connection:.2} MiB, {:.2} of them the message", mib(in_flight) / CONNECTIONS as f64);
    run.say(4, "the same for each connection".to_owned(), measured, "", None, vec![connection]);
    Ok(())
}
