// SPDX-License-Identifier: GPL-3.0-or-later
//! Mass mail in front of a slow scanner: 90 % of the messages carry what is known. A perfect cache lets through as many
//! as keep the scanner busy with the other tenth.

use super::{KIB, Run, median, programs};
use crate::load::{Length, Plan, run_beside};
use std::time::Duration;

const CONNECTIONS: usize = 64;
const SERVICE_TIME: Duration = Duration::from_millis(30);
const THREADS: f64 = 4.0;

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    let perfect = THREADS / SERVICE_TIME.as_secs_f64() / 0.1;
    for size in [KIB, 100 * KIB] {
        let (mut rates, mut held, mut once) = (Vec::new(), true, true);
        for round in 1..=run.rounds {
            eprintln!("90 % repeats, {}: round {round} of {}", super::bytes(size), run.rounds);
            let scanner = programs::scanner(SERVICE_TIME).await;
            // All connections may wait for the scanner at a time, though they are one client's.
            let seats = format!("wait.sessions = {}\n", 2 * CONNECTIONS);
            let ours = programs::milter(&format!("{seats}{}", programs::farm(&scanner)))?;
            let plan = run.plan(&ours.address()?, size, CONNECTIONS, &[ours.process()])?;
            let length = Length::Time(Duration::from_secs_f64(run.seconds * 5.0));
            let mut plan = Plan { length, warm_up: Duration::from_secs(2), ..plan };
            plan.mix.repeats = 90.0;
            plan.mix.look.text = false;
            let report = run_beside(&plan).await?;
            let known = plan.mix.pool;
            once &= scanner.uploads().values().all(|uploads| *uploads == 1);
            once &= scanner.total() == report.new_attachments + known;
            held &= super::flawless(std::slice::from_ref(&report));
            rates.push(report.messages_per_second);
        }
        let rate = median(rates);
        run.say(
            7,
            format!("90 % repeats, 4 threads of 30 ms, {}", super::bytes(size)),
            format!("{rate:.0}/s of {perfect:.0}/s = {:.3}", rate / perfect),
            "at least 0.95",
            Some(rate >= 0.95 * perfect && held),
            vec![rate, perfect],
        );
        let measured = if once { "one upload a sample" } else { "some were uploaded twice, or not" };
        run.say_counted(7, "the same", measured, "one upload a sample", once);
    }
    Ok(())
}
