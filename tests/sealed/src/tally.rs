// SPDX-License-Identifier: GPL-3.0-or-later
//! How often the password was among the candidates, and how far behind.

use super::Mail;
use std::{collections::BTreeMap, fmt::Write, time::Duration};

/// What was found of some mails.
#[derive(Default)]
struct Count {
    mails: usize,
    /// Of each password that was found, its rank from 1.
    ranks: Vec<usize>,
    /// How many of them were meant as passwords by where they stand.
    meant: usize,
}

/// What was found in all mails of one half.
#[derive(Default)]
pub struct Tally {
    all: Count,
    /// By what the mails have in common: language, format and so on, and which.
    by: BTreeMap<(&'static str, String), Count>,
    times: Vec<Duration>,
}

/// A password that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// From 1.
    pub rank: usize,
    /// Its place makes it worth trying again.
    pub meant: bool,
}

impl Tally {
    /// Of `mail` it was `found`, or not; looking took `time`.
    pub fn add(&mut self, mail: &Mail, found: Option<Found>, time: Duration) {
        self.all.add(found);
        self.times.push(time);
        let groups = [
            ("language", mail.language.clone()),
            ("format", mail.format.as_str().to_owned()),
            ("place", mail.place.as_str().to_owned()),
            ("kind", mail.kind.as_str().to_owned()),
            ("charset", mail.charset.to_ascii_lowercase()),
        ];
        for group in groups {
            self.by.entry(group).or_default().add(found);
        }
    }

    /// In percent of all mails.
    pub fn found(&self) -> f64 {
        self.all.found()
    }

    /// A table for people.
    pub fn table(&mut self) -> String {
        let mut table = format!(
            "{:<9} {:<20} {:>6} {:>8} {:>7} {:>7} {:>7} {:>7}\n",
            "", "", "mails", "found %", "first %", "p50", "p95", "meant %"
        );
        self.all.line("all", "", &mut table);
        for ((group, which), count) in &mut self.by {
            count.line(group, which, &mut table);
        }
        self.times.sort_unstable();
        let [half, most, last] =
            [0.5, 0.99, 1.0].map(|share| quantile(&self.times, share).unwrap_or_default());
        let _ = writeln!(table, "CPU a mail: p50 {half:?}, p99 {most:?}, most {last:?}");
        table
    }
}

impl Count {
    fn add(&mut self, found: Option<Found>) {
        self.mails += 1;
        if let Some(found) = found {
            self.ranks.push(found.rank);
            self.meant += usize::from(found.meant);
        }
    }

    fn found(&self) -> f64 {
        percent(self.ranks.len(), self.mails)
    }

    fn line(&mut self, group: &str, which: &str, table: &mut String) {
        self.ranks.sort_unstable();
        let first = self.ranks.iter().filter(|&&rank| rank == 1).count();
        let [half, most] = [0.5, 0.95].map(|share| quantile(&self.ranks, share).unwrap_or_default());
        let (found, first, meant) =
            (self.found(), percent(first, self.mails), percent(self.meant, self.mails));
        let mails = self.mails;
        let _ = writeln!(
            table,
            "{group:<9} {which:<20} {mails:>6} {found:>8.1} {first:>7.1} {half:>7} {most:>7} {meant:>7.1}"
        );
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Of sorted values the one below which `share` of them are.
fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}
