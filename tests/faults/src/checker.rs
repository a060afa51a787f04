// SPDX-License-Identifier: GPL-3.0-or-later
//! Reads the record of a run and says what must not have happened. It trusts nobody's word: what became of a mail is what
//! its sender was told and what Postfix has in the end, what was scanned is what passed over the wire, how often is what
//! the instances counted.
//!
//! | it says | when |
//! |---|---|
//! | lost | a mail has no final decision, or Postfix took it and does not have it |
//! | accepted unscanned | an attachment of an accepted mail had no true answer of a scanner by then |
//! | wrong decision | a bad mail was accepted, a clean one held, any was tagged, rejected or discarded; but see [`blind`] |
//! | hung session | no answer in time, on a connection that lived |
//! | broken session | a connection was refused or broke, and its milter was not being stopped |
//! | left over | a lease, waiter, sample or job is in Redis after the quiet period |
//! | needless upload | a sample was scanned again though nothing cut its scan off and nothing lost its verdict |
//! | too late | what was measured took longer than it may |
//! | no progress | a milter decided nothing in a quiet moment |
//! | trouble | a program crashed or did not end as it should, or the run itself failed |

pub use super::backend::Leftover;
use super::{
    blind,
    corpus::Item,
    journal::{Attempt, End, Fault, Millis, Record},
    kind::Kind,
    rescue,
    uploads::{self, Reasons},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// A connection may be idle so long before its sender uses it again.
const IDLE: Millis = 5_000;

/// What a run ends with, beside its record.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How many mails were planned.
    pub mails: u32,
    /// How many milters there are.
    pub milters: usize,
    /// How long an attempt through a milter may take.
    pub patience: Millis,
    /// What Postfix delivered and what it holds, by mail: how often each.
    pub postfix: BTreeMap<u32, (usize, usize)>,
    /// What the instances counted, by upload name.
    pub uploads: BTreeMap<String, u64>,
    /// What is in Redis after the quiet period.
    pub leftovers: Vec<Leftover>,
    /// Whether leftovers that expire by themselves are tolerated: with the default time-outs they take an hour.
    pub expiring_tolerated: bool,
    /// Times in which every milter must decide something.
    pub long_quiets: Vec<(Millis, Millis)>,
}

/// Something that must not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// As in the head of this module.
    pub what: &'static str,
    /// When.
    pub at: Millis,
    /// What the logs say about it can be found with this text: a queue id or a digest.
    pub look_for: String,
    /// The rest.
    pub detail: String,
}

/// What the checker found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Nothing, if all is well.
    pub violations: Vec<Violation>,
    /// Why samples were uploaded more than once.
    pub reasons: Reasons,
    /// Scans that a killed worker left behind, and how long each of them waited for another, in milliseconds.
    pub rescues: Vec<Millis>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.1} s  {}: {}", self.at as f64 / 1e3, self.what, self.detail)
    }
}

/// Checks everything.
pub fn check(record: &Record, outcome: &Outcome) -> Verdict {
    let mut verdict = Verdict { reasons: uploads::reasons(record, outcome), ..Verdict::default() };
    let (late, rescues) = rescue::rescues(record);
    verdict.rescues = rescues;
    let all = [
        lost(record, outcome),
        unscanned(record, outcome),
        wrong(record, outcome),
        hung(record, outcome),
        broken(record),
        left_over(outcome),
        verdict.reasons.violations(),
        late,
        measured(record),
        no_progress(record, outcome),
        troubles(record),
    ];
    verdict.violations = all.into_iter().flatten().collect();
    verdict.violations.sort_by_key(|violation| violation.at);
    verdict
}

fn lost(record: &Record, outcome: &Outcome) -> Vec<Violation> {
    let is_final = |end: &End| matches!(end, End::Accepted | End::Held | End::Taken | End::Other(_));
    let decided: BTreeSet<_> =
        record.attempts.iter().filter(|one| is_final(&one.end)).map(|one| one.mail).collect();
    let undecided = (0..outcome.mails).filter(|mail| !decided.contains(mail)).map(|mail| {
        let last = record.attempts.iter().rev().find(|attempt| attempt.mail == mail);
        of_mail("lost", mail, last, format!("no final decision; its last attempt: {last:?}"))
    });
    let taken = record.attempts.iter().filter(|one| one.end == End::Taken);
    let vanished = taken.filter(|one| !outcome.postfix.contains_key(&one.mail)).map(|one| {
        of_mail("lost", one.mail, Some(one), "Postfix took it and neither delivered nor holds it".to_owned())
    });
    undecided.chain(vanished).collect()
}

/// Every attempt that let a mail pass, with the time by which it had to be scanned.
pub(super) fn accepted<'a>(record: &'a Record, outcome: &'a Outcome) -> impl Iterator<Item = &'a Attempt> {
    let delivered = |mail| outcome.postfix.get(&mail).is_some_and(|(delivered, _)| *delivered > 0);
    record.attempts.iter().filter(move |one| match one.end {
        End::Accepted => true,
        End::Taken => delivered(one.mail),
        _ => false,
    })
}

fn unscanned(record: &Record, outcome: &Outcome) -> Vec<Violation> {
    let truths = truths(record);
    let mut first_scan: BTreeMap<&str, Millis> = BTreeMap::new();
    for scan in record.scans.iter().filter(|scan| scan.is_answered()) {
        let true_answer = truths
            .get(scan.name.as_str())
            .is_some_and(|item| item.found == (scan.answer == Some(super::journal::Answer::Found)));
        if let (true, Some(ended)) = (true_answer, scan.ended) {
            let first = first_scan.entry(&scan.name).or_insert(ended);
            *first = ended.min(*first);
        }
    }
    let mut violations = Vec::new();
    for attempt in accepted(record, outcome) {
        let excused = blind::is_excused(record, attempt);
        let items = record.contents.get(&attempt.mail).into_iter().flatten();
        for item in items.filter(|item| !(excused && item.found)) {
            if first_scan.get(item.upload_name.as_str()).is_none_or(|scanned| *scanned > attempt.ended) {
                let detail = format!("{} had not been scanned", item.upload_name);
                violations.push(of_mail("accepted unscanned", attempt.mail, Some(attempt), detail));
            }
        }
    }
    violations
}

fn wrong(record: &Record, outcome: &Outcome) -> Vec<Violation> {
    let mut violations = Vec::new();
    for attempt in &record.attempts {
        let right = record.must_be_held(attempt.mail);
        let complaint = match &attempt.end {
            End::Accepted if right && !blind::is_excused(record, attempt) => {
                Some("bad and accepted".to_owned())
            }
            End::Held if !right => Some("clean and held".to_owned()),
            End::Other(what) => Some(what.clone()),
            _ => None,
        };
        violations.extend(
            complaint.map(|complaint| of_mail("wrong decision", attempt.mail, Some(attempt), complaint)),
        );
    }
    for (mail, (delivered, held)) in &outcome.postfix {
        let last = record.attempts.iter().rev().find(|attempt| attempt.mail == *mail);
        let complaint = match record.must_be_held(*mail) {
            true if *delivered > 0 => "bad and delivered by Postfix",
            false if *held > 0 => "clean and held by Postfix",
            _ => continue,
        };
        violations.push(of_mail("wrong decision", *mail, last, complaint.to_owned()));
    }
    violations
}

fn hung(record: &Record, outcome: &Outcome) -> Vec<Violation> {
    let too_long = |one: &&Attempt| {
        let through_milter = one.milter.is_some() && one.ended - one.began > outcome.patience + 1_000;
        one.end == End::Hung || through_milter
    };
    let hung = record.attempts.iter().filter(too_long);
    hung.map(|one| {
        let took = one.ended - one.began;
        of_mail("hung session", one.mail, Some(one), format!("after {took} ms: {:?}", one.end))
    })
    .collect()
}

/// Only a milter that ends, or has ended, may let a session down; an idle connection tells its sender later.
fn broken(record: &Record) -> Vec<Violation> {
    let broken = record.attempts.iter().filter_map(|one| match &one.end {
        End::Broken(why) if one.milter.is_some() && !meets_a_stop(record, one) => Some((one, why)),
        _ => None,
    });
    broken.map(|(one, why)| of_mail("broken session", one.mail, Some(one), why.clone())).collect()
}

/// Whether its milter was being stopped; Postfix has the first one.
pub(super) fn meets_a_stop(record: &Record, attempt: &Attempt) -> bool {
    let stops = |fault: &&Fault| matches!(fault.kind, Kind::MilterKilled | Kind::MilterTerminated);
    let milter = attempt.milter.unwrap_or_default();
    let mut stopped = record.faults.iter().filter(stops).filter(|fault| fault.target == milter);
    stopped.any(|fault| fault.overlaps(attempt.began.saturating_sub(IDLE), attempt.ended))
}

fn left_over(outcome: &Outcome) -> Vec<Violation> {
    let left = outcome.leftovers.iter().filter(|one| !(one.expires && outcome.expiring_tolerated));
    let violation = |one: &Leftover| Violation {
        what: "left over",
        at: 0,
        look_for: one.what.split(['{', '}']).nth(1).unwrap_or(&one.what).to_owned(),
        detail: one.what.clone(),
    };
    left.map(violation).collect()
}

fn measured(record: &Record) -> Vec<Violation> {
    let late = record.measured.iter().filter(|one| one.took.is_none_or(|took| took > one.limit));
    late.map(|one| Violation {
        what: "too late",
        at: one.at,
        look_for: String::new(),
        detail: format!("{} took {:?}, allowed are {:?}", one.what, one.took, one.limit),
    })
    .collect()
}

fn no_progress(record: &Record, outcome: &Outcome) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (from, to) in &outcome.long_quiets {
        for milter in 0..outcome.milters {
            let decided = |one: &Attempt| {
                let decided = matches!(one.end, End::Accepted | End::Held);
                one.milter == Some(milter) && decided && (*from..=*to).contains(&one.ended)
            };
            if !record.attempts.iter().any(decided) {
                let (at, look_for) = (*from, String::new());
                let detail = format!("milter{milter} decided nothing for {} ms of quiet", to - from);
                violations.push(Violation { what: "no progress", at, look_for, detail });
            }
        }
    }
    violations
}

fn troubles(record: &Record) -> Vec<Violation> {
    let trouble = |(at, detail): &(Millis, String)| Violation {
        what: "trouble",
        at: *at,
        look_for: String::new(),
        detail: detail.clone(),
    };
    record.troubles.iter().map(trouble).collect()
}

/// The truth about everything that was sent, by upload name.
pub(super) fn truths(record: &Record) -> BTreeMap<&str, &Arc<Item>> {
    record.contents.values().flatten().map(|item| (item.upload_name.as_str(), item)).collect()
}

fn of_mail(what: &'static str, mail: u32, attempt: Option<&Attempt>, detail: String) -> Violation {
    let through = match attempt.and_then(|attempt| attempt.milter) {
        Some(milter) => format!("milter{milter}"),
        None => "Postfix".to_owned(),
    };
    let queue_id = attempt.map(|attempt| attempt.queue_id.clone()).unwrap_or_default();
    let look_for = if queue_id.is_empty() { super::senders::address_of(mail) } else { queue_id.clone() };
    let at = attempt.map(|attempt| attempt.ended).unwrap_or_default();
    Violation { what, at, look_for, detail: format!("mail {mail} ({queue_id}) through {through}: {detail}") }
}
