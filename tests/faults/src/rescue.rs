// SPDX-License-Identifier: GPL-3.0-or-later
//! What a killed worker was scanning must soon be scanned by another.

use super::{
    checker::Violation,
    journal::{Fault, Millis, Record, Scan},
    kind::Kind,
};

/// So soon.
const WITHIN: Millis = 15_000;

/// Scans that were rescued too late or never, and how long each rescue took.
pub fn rescues(record: &Record) -> (Vec<Violation>, Vec<Millis>) {
    let (mut violations, mut rescues) = (Vec::new(), Vec::new());
    let hostile = record.hostile_samples();
    for kill in record.faults.iter().filter(|fault| fault.kind == Kind::WorkerKilled) {
        let cut = record.scans.iter().filter(|scan| was_cut(scan, kill));
        // Nobody needs to try a hostile one again soon.
        for victim in cut.filter(|scan| !hostile.contains_key(scan.name.as_str())) {
            match rescue(record, kill, victim) {
                Some(took) if took <= WITHIN => rescues.push(took),
                late => violations.push(Violation {
                    what: "too late",
                    at: kill.from,
                    look_for: victim.name.split('.').next().unwrap_or_default().to_owned(),
                    detail: format!(
                        "{} was being scanned by worker{} when it was killed; scanned elsewhere after {late:?} ms",
                        victim.name, victim.worker
                    ),
                }),
            }
        }
    }
    (violations, rescues)
}

fn was_cut(scan: &Scan, kill: &Fault) -> bool {
    let unanswered = scan.answer.is_none() && scan.ended.is_none_or(|ended| ended >= kill.from);
    scan.worker == kill.target && scan.began <= kill.from && unanswered
}

/// From the kill to the next scan of the same sample; nothing to wait for where somebody else had scanned it already.
fn rescue(record: &Record, kill: &Fault, victim: &Scan) -> Option<Millis> {
    let same = |scan: &&Scan| scan.name == victim.name;
    let others = || record.scans.iter().filter(same);
    if others().any(|scan| scan.is_answered() && scan.ended.is_some_and(|ended| ended <= kill.from)) {
        return Some(0);
    }
    let elsewhere =
        |scan: &&Scan| scan.worker != victim.worker && scan.ended.is_none_or(|ended| ended > kill.from);
    let restarted = |scan: &&Scan| scan.worker == victim.worker && scan.began > kill.from;
    let mut next = others().filter(|scan| elsewhere(scan) || restarted(scan));
    next.next().map(|scan| scan.began.saturating_sub(kill.from))
}
