// SPDX-License-Identifier: GPL-3.0-or-later
//! What twin runs print at their end: what each kind of hostile mails cost, whom they harmed, and what passed while an
//! instance saw too little.

use super::{
    Options,
    blind::{Passed, passed},
    corpus::PROBES,
    journal::Record,
    kind::Kind,
    twin::{Cost, Harmed, costs, harmed},
};
use std::collections::BTreeMap;

/// Mails that are listed one by one.
const LISTED: usize = 50;

/// All twin runs.
#[derive(Default)]
pub struct Summary {
    seeds: Vec<u64>,
    mails: usize,
    costs: BTreeMap<Kind, Cost>,
    passed: BTreeMap<Kind, Passed>,
    /// With the seeds of their runs.
    harmed: Vec<(u64, Harmed)>,
}

impl Summary {
    /// Adds two runs: with hostile mails and without.
    pub fn add(&mut self, options: &Options, with: &Record, without: &Record) {
        let harmed = harmed(with, without);
        for (kind, cost) in costs(with, &harmed) {
            self.costs.entry(kind).or_default().add(cost);
        }
        for record in [with, without] {
            for (kind, more) in passed(record) {
                let all = self.passed.entry(kind).or_default();
                all.within.extend(more.within);
                all.after.extend(more.after);
            }
        }
        self.seeds.push(options.seed);
        self.mails += with.contents.keys().filter(|mail| **mail < PROBES).count();
        self.harmed.extend(harmed.into_iter().map(|one| (options.seed, one)));
    }

    /// Whether hostile mails harmed nobody.
    pub fn is_good(&self) -> bool {
        self.harmed.is_empty()
    }

    /// Figures, and then the mails that were harmed.
    pub fn print(&self) {
        println!(
            "\nTwin runs: {} well-behaved mails, seeds {:?}, each with hostile mails and without",
            self.mails, self.seeds
        );
        println!(
            "\n                      hostile       bad  uploads a bad sample   breakers  well-behaved mails"
        );
        println!(
            "  kind                  mails   samples     most       median     opened  deferred only with them"
        );
        for (kind, cost) in &self.costs {
            let Cost { mails, uploads, harmed, breakers } = cost;
            let (kind, samples) = (format!("{kind:?}"), uploads.len());
            let (most, median) = (cost.most(), cost.median());
            println!(
                "  {kind:<16} {mails:>10} {samples:>9} {most:>8} {median:>12} {breakers:>10}  {harmed:>8}"
            );
        }
        for (kind, Passed { within, after }) in &self.passed {
            println!(
                "  {kind:?}: bad mails let through after one interval: {}; within it: {} {within:?}",
                after.len(),
                within.len()
            );
        }
        println!(
            "\n  well-behaved mails harmed by hostile ones in all: {} of {}",
            self.harmed.len(),
            self.mails
        );
        for (seed, Harmed { mail, kind, how }) in self.harmed.iter().take(LISTED) {
            let during = kind.map_or("no hostile fault".to_owned(), |kind| format!("{kind:?}"));
            println!("    seed {seed}, mail {mail}, during {during}: {how}");
        }
    }
}
