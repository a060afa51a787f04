// SPDX-License-Identifier: GPL-3.0-or-later
//! Known attachments, answered from this process's memory, against a null milter that negotiates the same.

use super::{KIB, MIB, Run, bytes, flawless, median, middle, programs, ratio};
use std::time::{Duration, Instant};
use thundergate_common::digest::Digest;

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    let scanner = programs::scanner(Duration::ZERO).await;
    let null = programs::null_milter()?;
    let ours = programs::milter(&programs::farm(&scanner))?;
    for (size, least) in [(KIB, 0.75), (100 * KIB, 0.65), (MIB, 0.55)] {
        for connections in [1, 8, 64] {
            let what = format!("hits, {}, {connections} connections", bytes(size));
            let plans = [
                run.plan(&null.address()?, size, connections, &[null.process()])?,
                run.plan(&ours.address()?, size, connections, &[ours.process()])?,
            ];
            let reports = run.in_turn(&what, &plans).await?;
            let [null, ours] = [&reports[0], &reports[1]];
            let rate = ratio(ours, null, |report| report.messages_per_second);
            let [floor, rates] = [null, ours].map(|all| middle(all, |report| report.messages_per_second));
            let [floor_cpu, cpu] = [null, ours].map(|all| middle(all, |report| report.cpu_ms_per_message()));
            run.say(
                1,
                what.clone(),
                format!("{rates:.0}/s of {floor:.0}/s = {rate:.2}; CPU {cpu:.3} ms, {floor_cpu:.3} ms"),
                &format!("at least {least}"),
                Some(rate >= least && flawless(ours)),
                vec![rate, rates, floor, cpu, floor_cpu],
            );
            let [floor, p99] = [null, ours].map(|all| middle(all, |report| report.after_end.p99));
            let most = 2.0 * floor + time_to_hash(size);
            run.say(
                1,
                format!("{what}: p99 of the last reply"),
                format!("{p99:.3} ms, null milter {floor:.3} ms"),
                &format!("at most {most:.3} ms"),
                Some(p99 <= most),
                vec![p99, floor],
            );
        }
    }
    Ok(())
}

/// How long it takes to hash so many bytes, in milliseconds.
fn time_to_hash(size: usize) -> f64 {
    let sample = vec![7; size];
    let once = |_| {
        let began = Instant::now();
        std::hint::black_box(Digest::of(&sample));
        began.elapsed().as_secs_f64() * 1e3
    };
    median((0..21).map(once).collect())
}
