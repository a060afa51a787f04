// SPDX-License-Identifier: GPL-3.0-or-later
//! What thundergate promises of its speed, measured against a null milter, rspamd, a perfect cache and no milter at all.
//!
//! Machines are noisy, so what is compared is measured in turns, round after round; a ratio is the median of the rounds'
//! own ratios. Everything runs in processes of its own: [`programs`] starts them.
//!
//! | section | module | what |
//! |---|---|---|
//! | 1 | `hits` | known attachments against a null milter |
//! | 3 | `shared` | verdicts that only Redis knows |
//! | 4 | `memory` | CPU time and memory of known attachments |
//! | 5 | `idle` | idle connections, and ones that send a byte a second |
//! | 6 | `steady` | a fixed rate for a long time |
//! | 7 | `repeats` | mass mail in front of a slow scanner |
//! | 8 | `postfix` | behind Postfix, against Postfix alone |
//! | 9 | `peer` | rspamd |
//!
//! Section 2, the path of the hash alone, is a bench of the milter's.

mod hits;
mod idle;
mod memory;
mod peer;
mod postfix;
pub mod programs;
mod repeats;
mod shared;
mod smtp;
mod steady;

use crate::load::{Length, Plan, Process, Report, run_beside};
use serde::Serialize;
use std::time::Duration;

/// KiB and MiB in bytes.
pub(crate) const KIB: usize = 1 << 10;
/// See [`KIB`].
pub(crate) const MIB: usize = 1 << 20;

/// A run: how long, how often, and what came of it so far.
#[derive(Debug)]
pub struct Run {
    /// How often each thing is measured.
    pub rounds: usize,
    /// How long each time.
    pub seconds: f64,
    /// What was promised, and what was measured.
    pub rows: Vec<Row>,
}

/// One promise.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its section.
    pub section: u32,
    /// What was measured.
    pub what: String,
    /// What came out.
    pub measured: String,
    /// What was promised.
    pub wanted: String,
    /// Whether it holds; none where nothing was promised.
    pub holds: Option<bool>,
    /// Whether it is counted and not timed, so that any machine must keep it.
    pub counted: bool,
    /// The figures behind it.
    pub figures: Vec<f64>,
}

/// What there is to measure, by number.
pub const SECTIONS: [u32; 8] = [1, 3, 4, 5, 6, 7, 8, 9];

impl Run {
    /// Measures one section.
    ///
    /// # Errors
    /// Something does not start, or does not answer.
    pub async fn section(&mut self, number: u32) -> anyhow::Result<()> {
        match number {
            1 => hits::measure(self).await,
            3 => shared::measure(self).await,
            4 => memory::measure(self).await,
            5 => idle::measure(self).await,
            6 => steady::measure(self).await,
            7 => repeats::measure(self).await,
            8 => postfix::measure(self).await,
            9 => peer::measure(self).await,
            _ => anyhow::bail!("there is no section {number}: {SECTIONS:?}"),
        }
    }

    fn say(
        &mut self,
        section: u32,
        what: String,
        measured: String,
        wanted: &str,
        holds: Option<bool>,
        figures: Vec<f64>,
    ) {
        let mark = match holds {
            Some(true) => "holds",
            Some(false) => "FAILS",
            None => "",
        };
        println!("{section} {what:<46} {measured:<62} {wanted:<28} {mark}");
        let wanted = wanted.to_owned();
        self.rows.push(Row { section, what, measured, wanted, holds, counted: false, figures });
    }

    /// The same of something that is counted.
    fn say_counted(&mut self, section: u32, what: &str, measured: &str, wanted: &str, holds: bool) {
        self.say(section, what.to_owned(), measured.to_owned(), wanted, Some(holds), Vec::new());
        self.rows.last_mut().expect("it was said just now").counted = true;
    }

    /// A known attachment of this size, over so many connections.
    fn plan(
        &self,
        milter: &str,
        size: usize,
        connections: usize,
        processes: &[Process],
    ) -> anyhow::Result<Plan> {
        let mut plan = Plan {
            connections,
            length: Length::Time(Duration::from_secs_f64(self.seconds)),
            warm_up: Duration::from_millis(500),
            processes: processes.to_vec(),
            ..Plan::to(milter)?
        };
        plan.mix.sizes = vec![size];
        Ok(plan)
    }

    /// Each plan once a round, in turn; the reports of each plan.
    async fn in_turn(&self, what: &str, plans: &[Plan]) -> anyhow::Result<Vec<Vec<Report>>> {
        let mut reports = vec![Vec::new(); plans.len()];
        for round in 1..=self.rounds {
            eprintln!("{what}: round {round} of {}", self.rounds);
            for (plan, reports) in plans.iter().zip(&mut reports) {
                reports.push(run_beside(plan).await?);
            }
        }
        Ok(reports)
    }
}

/// The middle one; of an even number the upper middle.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of one figure.
fn middle(reports: &[Report], figure: impl Fn(&Report) -> f64) -> f64 {
    median(reports.iter().map(figure).collect())
}

/// The median of one figure's ratio between the same rounds.
fn ratio(of: &[Report], to: &[Report], figure: impl Fn(&Report) -> f64) -> f64 {
    median(of.iter().zip(to).map(|(of, to)| figure(of) / figure(to)).collect())
}

/// Whether every message was accepted and no connection was lost.
fn flawless(reports: &[Report]) -> bool {
    reports.iter().all(|report| report.decisions.accept == report.messages && report.errors.total() == 0)
}

fn bytes(size: usize) -> String {
    if size >= MIB { format!("{} MiB", size / MIB) } else { format!("{} KiB", size / KIB) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert!(median(Vec::new()).is_nan());
    }
}
