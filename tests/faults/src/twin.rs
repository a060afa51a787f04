// SPDX-License-Identifier: GPL-3.0-or-later
//! Twin runs: the same mails at the same times, once with hostile mails and once without. What becomes of a well-behaved
//! mail in the first only is what somebody else's mail did to it.

use super::{
    blind,
    hostile::kind_of,
    journal::{Attempt, End, Millis, Record},
    kind::Kind,
};
use std::collections::{BTreeMap, BTreeSet};

/// What hostile mails may still have done so long after a fault: a slow sample's thread, and the wait of a mail.
const AFTERWARDS: Millis = 10_000;

/// A well-behaved mail to which something happened in the run with hostile mails only.
#[derive(Clone, Debug, PartialEq)]
pub struct Harmed {
    /// The mail's number.
    pub mail: u32,
    /// During which hostile fault; none: during none.
    pub kind: Option<Kind>,
    /// What, in words.
    pub how: String,
}

/// What one kind of hostile mails cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// Hostile mails.
    pub mails: usize,
    /// How often each of their samples was uploaded, in ascending order.
    pub uploads: Vec<usize>,
    /// Well-behaved mails that were harmed.
    pub harmed: usize,
    /// How often a worker's breaker opened.
    pub breakers: usize,
}

impl Cost {
    /// The most uploads of a sample.
    pub fn most(&self) -> usize {
        self.uploads.last().copied().unwrap_or_default()
    }

    /// The median of the uploads of a sample.
    pub fn median(&self) -> usize {
        self.uploads.get(self.uploads.len() / 2).copied().unwrap_or_default()
    }

    /// With what another run adds.
    pub fn add(&mut self, other: Self) {
        self.mails += other.mails;
        self.uploads.extend(other.uploads);
        self.uploads.sort_unstable();
        self.harmed += other.harmed;
        self.breakers += other.breakers;
    }
}

/// Well-behaved mails that were deferred, not decided, or decided otherwise in the first of two runs only.
pub fn harmed(with: &Record, without: &Record) -> Vec<Harmed> {
    let (with_fates, without_fates) = (fates(with), fates(without));
    let mut harmed = Vec::new();
    let all: BTreeSet<u32> = with_fates.keys().chain(without_fates.keys()).copied().collect();
    for mail in all {
        let fate = with_fates.get(&mail).copied().unwrap_or_default();
        let other = without_fates.get(&mail).copied().unwrap_or_default();
        let decided = fate.decided.map(|one| &one.end);
        let how = match (fate.deferred, other.deferred) {
            (Some(first), None) => in_words(first),
            _ if decided.is_none() && other.decided.is_some() => "it was never decided".to_owned(),
            _ if decided != other.decided.map(|one| &one.end) && !is_excused(with, without, fate, other) => {
                format!("decided otherwise: {decided:?}")
            }
            _ => continue,
        };
        let kind = fate.deferred.or(fate.decided).and_then(|one| hostile_at(with, one.ended));
        harmed.push(Harmed { mail, kind, how });
    }
    harmed
}

/// What each kind of hostile mails cost in this run.
pub fn costs(record: &Record, harmed: &[Harmed]) -> BTreeMap<Kind, Cost> {
    let mut costs = BTreeMap::<Kind, Cost>::new();
    for kind in record.contents.keys().filter_map(|mail| kind_of(*mail)) {
        costs.entry(kind).or_default().mails += 1;
    }
    let samples = record.hostile_samples();
    let mut uploads: BTreeMap<&str, usize> = samples.keys().map(|name| (*name, 0)).collect();
    for scan in record.scans.iter().filter(|scan| !scan.was_turned_away()) {
        uploads.entry(scan.name.as_str()).and_modify(|count| *count += 1);
    }
    for (name, kind) in &samples {
        costs.entry(*kind).or_default().uploads.push(uploads[name]);
    }
    for (kind, cost) in &mut costs {
        cost.uploads.sort_unstable();
        cost.breakers = record.breakers.get(kind).copied().unwrap_or_default();
        cost.harmed = harmed.iter().filter(|one| one.kind == Some(*kind)).count();
    }
    costs
}

/// What became of a mail: its first attempt that decided nothing, and the one that decided it.
#[derive(Clone, Copy, Default)]
struct Fate<'a> {
    deferred: Option<&'a Attempt>,
    decided: Option<&'a Attempt>,
}

fn fates(record: &Record) -> BTreeMap<u32, Fate<'_>> {
    let mut fates = BTreeMap::<u32, Fate<'_>>::new();
    for attempt in record.attempts.iter().filter(|one| one.mail < super::corpus::PROBES) {
        let fate = fates.entry(attempt.mail).or_default();
        match attempt.end {
            End::Tempfailed(_) | End::Broken(_) | End::Hung => _ = fate.deferred.get_or_insert(attempt),
            End::Aborted => (),
            End::Accepted | End::Held | End::Taken | End::Other(_) => fate.decided = Some(attempt),
        }
    }
    fates
}

/// A mail may pass in either run while nobody can know that an instance sees too little.
fn is_excused(with: &Record, without: &Record, fate: Fate<'_>, other: Fate<'_>) -> bool {
    let excused = |record, fate: Fate<'_>| fate.decided.is_some_and(|one| blind::is_excused(record, one));
    excused(with, fate) || excused(without, other)
}

/// The hostile fault at this time, or the last one before it.
fn hostile_at(record: &Record, at: Millis) -> Option<Kind> {
    let hostile = record.faults.iter().filter(|fault| fault.kind.is_hostile());
    let mut active = hostile.filter(|fault| fault.from <= at && at <= fault.to.saturating_add(AFTERWARDS));
    active.next_back().map(|fault| fault.kind)
}

fn in_words(attempt: &Attempt) -> String {
    let Attempt { queue_id, began, ended, end, .. } = attempt;
    format!("{queue_id} at {:.1} s, after {} ms: {end:?}", *began as f64 / 1e3, ended - began)
}
