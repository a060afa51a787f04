// SPDX-License-Identifier: GPL-3.0-or-later
//! Why samples were uploaded more than once: one upload a sample is right, one more needs a reason, which is looked for
//! in what came before it.

use super::{
    blind,
    checker::{Outcome, Violation, truths},
    hostile::SLOW,
    journal::{Answer, Fault, Millis, Record, Scan},
    kind::Kind,
};
use std::collections::BTreeMap;

/// Workers learn of new signatures with their next probe; scans until then count as done with the old ones.
const PROBED_WITHIN: Millis = 3_000;
/// A fault that ended so long before a scan began can still be why it is repeated: leases and claims run out later.
const TAIL: Millis = 1_000;
/// A worker may notice the end of a connection so much earlier than the link in between.
const NOTICED: Millis = 250;
/// A worker gives a scan up at `farm.timeout`, 4 or 6 seconds, and the answer may be on its way by then.
const GIVEN_UP: Millis = 3_500;
/// A verdict that was not stored leaves a job behind, which is taken over and scanned again within this.
const RECLAIMED_WITHIN: Millis = 30_000;

/// The reasons, and how many uploads each explains.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    /// What the instances counted.
    pub uploads: u64,
    /// Distinct samples among them.
    pub samples: u64,
    /// In words, with what happened to the samples.
    pub because: BTreeMap<String, Vec<String>>,
    /// Those without a reason.
    pub unexplained: Vec<Violation>,
}

/// Finds a reason for every upload beyond the first of its sample.
pub fn reasons(record: &Record, outcome: &Outcome) -> Reasons {
    let mut reasons = Reasons {
        uploads: outcome.uploads.values().sum(),
        samples: outcome.uploads.len() as u64,
        ..Reasons::default()
    };
    let mut histories: BTreeMap<&str, Vec<&Scan>> = BTreeMap::new();
    for scan in record.scans.iter().filter(|scan| scan.is_upload()) {
        histories.entry(&scan.name).or_default().push(scan);
    }
    let (truths, hostile) = (truths(record), record.hostile_samples());
    // How often hostile samples may be scanned is another question.
    for (name, count) in outcome.uploads.iter().filter(|(name, _)| !hostile.contains_key(name.as_str())) {
        let history = histories.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let Some(item) = truths.get(name.as_str()) else {
            reasons.needless(0, name, format!("{name} was scanned, and no mail carries it"));
            continue;
        };
        if (history.len() as u64) < *count {
            let seen = history.len();
            reasons.needless(
                0,
                name,
                format!("{name}: {count} uploads, of which {seen} passed over the links"),
            );
        }
        for at in 1..history.len() {
            let told: Vec<_> = history[..=at].iter().map(|scan| in_words(scan)).collect();
            let told = format!("{name}: {}", told.join("; "));
            match reason(record, &history[..at], history[at], item.found) {
                Some(reason) => reasons.because.entry(reason).or_default().push(told),
                None => reasons.needless(history[at].began, name, told),
            }
        }
    }
    reasons
}

impl Reasons {
    /// Uploads beyond one a sample, as the instances count.
    pub fn extra(&self) -> u64 {
        self.uploads - self.samples
    }

    /// What nothing explains.
    pub fn violations(&self) -> Vec<Violation> {
        self.unexplained.clone()
    }

    fn needless(&mut self, at: Millis, name: &str, detail: String) {
        let look_for = name.split('.').next().unwrap_or_default().to_owned();
        self.unexplained.push(Violation { what: "needless upload", at, look_for, detail });
    }
}

fn reason(record: &Record, before: &[&Scan], this: &Scan, found: bool) -> Option<String> {
    let last = before.last()?;
    let answered = before.iter().rev().find(|scan| scan.is_answered() && scan.ended <= Some(this.began));
    let interrupted = |scan: &Scan, until: Millis| {
        let from = scan.began.saturating_sub(TAIL);
        let faults =
            record.faults.iter().filter(|fault| fault.overlaps(from - after(fault).min(from), until));
        faults.filter(|fault| interrupts(fault, scan)).map(|fault| fault.kind).next()
    };
    match answered {
        None if last.answer == Some(Answer::Lie) => Some("its scan was answered with a lie".to_owned()),
        None if last.answer.is_none() && last.ended.is_some_and(|ended| ended <= this.began + NOTICED) => {
            Some("its scan was cut off".to_owned())
        }
        None => {
            let kind = interrupted(last, this.began)?;
            Some(format!("its scan went on unseen ({kind:?})"))
        }
        Some(answered) => {
            if answered.answer == Some(Answer::Clean) && blind::is_doubtful(record, answered) {
                return Some("its scanner was blind or late".to_owned());
            }
            if let Some(kind) = lost(record, answered, this.began) {
                return Some(format!("its verdict was lost with Redis ({kind:?})"));
            }
            if !found && is_outdated(record, answered.began, this.began) {
                return Some("signatures were new".to_owned());
            }
            let ended = answered.ended.unwrap_or(this.began);
            let kind = interrupted(answered, this.began.min(ended + TAIL))?;
            let soon = this.began <= ended + RECLAIMED_WITHIN;
            soon.then(|| format!("its verdict was not stored or its claim not kept ({kind:?})"))
        }
    }
}

/// How Redis forgot the verdict of this scan before `now`, if it did.
fn lost(record: &Record, scan: &Scan, now: Millis) -> Option<Kind> {
    let stored_by = scan.ended.unwrap_or(now) + TAIL;
    let loses = |fault: &&Fault| match fault.kind {
        // What had reached the disk is there again.
        Kind::RedisRestarted => fault.overlaps(scan.began, stored_by),
        Kind::RedisEmptied | Kind::Failover => true,
        // A frozen master is replaced by a replica that has not heard its last words.
        Kind::RedisFrozen => record.replicated,
        _ => false,
    };
    let mut faults = record.faults.iter().filter(loses);
    faults.find(|fault| fault.overlaps(scan.began, now)).map(|fault| fault.kind)
}

fn is_outdated(record: &Record, scanned: Millis, now: Millis) -> bool {
    let renews = |fault: &&Fault| matches!(fault.kind, Kind::SignatureUpdate | Kind::Late);
    let mut updates = record.faults.iter().filter(renews);
    updates.any(|update| scanned <= update.to.saturating_add(PROBED_WITHIN) && now >= update.from)
}

/// How long a fault goes on after its end.
fn after(fault: &Fault) -> Millis {
    if fault.kind == Kind::Slow { super::millis(SLOW) } else { 0 }
}

/// Whether the worker of this scan can fail to store its verdict or to keep its claim because of it.
fn interrupts(fault: &Fault, scan: &Scan) -> bool {
    match fault.kind {
        Kind::WorkerKilled | Kind::WorkerCutFromRedis => fault.target == scan.worker,
        Kind::WorkerCutFromInstance => {
            fault.target == scan.worker && scan.ended.is_none_or(|end| end >= fault.from)
        }
        Kind::InstanceHung | Kind::InstanceSlow => fault.target == scan.instance,
        // Every thread may be another's for that long.
        Kind::Slow => scan.ended.is_none_or(|ended| ended - scan.began > GIVEN_UP),
        Kind::RedisRestarted
        | Kind::RedisEmptied
        | Kind::RedisFrozen
        | Kind::Failover
        | Kind::RedisRefused
        | Kind::RedisLatency
        | Kind::RedisFull
        | Kind::RedisReadOnly
        | Kind::RedisMisconf
        | Kind::RedisFar
        | Kind::InstancesTrickle
        | Kind::Loss
        | Kind::ClientKill => true,
        _ => false,
    }
}

fn in_words(scan: &Scan) -> String {
    let Scan { worker, instance, began, ended, answer, .. } = scan;
    let ended = ended.map_or("never".to_owned(), |ended| format!("{ended}"));
    let answer = answer.as_ref().map_or("no answer".to_owned(), |answer| format!("{answer:?}"));
    format!("worker{worker} at storm{instance} from {began} ms to {ended} ms: {answer}")
}
