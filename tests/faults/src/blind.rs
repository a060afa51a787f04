// SPDX-License-Identifier: GPL-3.0-or-later
//! Bad mails that pass because an instance finds nothing, or has signatures too old for them.
//!
//! Until the workers look again nobody can know, so what passes in that time is counted and named, and no violation. What
//! passes later is one, and so is what passes after it because a verdict of that time is still believed.

use super::{
    journal::{Attempt, End, Fault, Millis, Record, Scan},
    kind::Kind,
};
use std::{collections::BTreeMap, time::Duration};

/// `canary.every` of a site.
pub const CANARY_EVERY: Duration = Duration::from_secs(2);
/// `farm.lag` of a site.
pub const LAG: Duration = Duration::from_secs(2);
/// A worker has looked, told the others, and what was under way is over.
const TOLD_WITHIN: Millis = 1_500;

/// Bad mails that passed because of one fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Before anybody could know.
    pub within: Vec<u32>,
    /// Later.
    pub after: Vec<u32>,
}

/// Whether a bad mail may have passed with this attempt: one instance sees too little, and nobody can know yet.
pub fn is_excused(record: &Record, attempt: &Attempt) -> bool {
    record
        .faults
        .iter()
        .any(|fault| known_by(fault).is_some_and(|by| fault.from <= attempt.ended && attempt.ended <= by))
}

/// Whether the instance of this scan saw too little, or was found to within one interval.
pub fn is_doubtful(record: &Record, scan: &Scan) -> bool {
    let ended = scan.ended.unwrap_or(Millis::MAX);
    record.faults.iter().any(|fault| {
        let interval = known_by(fault).map(|by| by - fault.from);
        let doubtful = |interval| fault.overlaps(scan.began, ended.saturating_add(interval));
        fault.target == scan.instance && interval.is_some_and(doubtful)
    })
}

/// Bad mails that passed since an instance first saw too little, by the kind of the last such fault before.
pub fn passed(record: &Record) -> BTreeMap<Kind, Passed> {
    let mut passed = BTreeMap::<Kind, Passed>::new();
    let blinding = || record.faults.iter().filter(|fault| known_by(fault).is_some());
    for fault in blinding() {
        passed.entry(fault.kind).or_default();
    }
    let accepted = record.attempts.iter().filter(|one| one.end == End::Accepted);
    for attempt in accepted.filter(|one| record.must_be_held(one.mail)) {
        let Some(last) = blinding().rfind(|fault| fault.from <= attempt.ended) else { continue };
        let passed = passed.entry(last.kind).or_default();
        match is_excused(record, attempt) {
            true => passed.within.push(attempt.mail),
            false => passed.after.push(attempt.mail),
        }
    }
    passed
}

/// When it must be known that an instance sees too little; none for faults that blind nobody.
fn known_by(fault: &Fault) -> Option<Millis> {
    let interval = match fault.kind {
        Kind::Blind => CANARY_EVERY,
        Kind::Late => LAG,
        _ => return None,
    };
    Some(fault.from + super::millis(interval) + TOLD_WITHIN)
}
