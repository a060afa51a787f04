// SPDX-License-Identifier: GPL-3.0-or-later
//! What happened in a run, as it happens: every attempt to send a mail, every scan on the wire, every fault. The checker
//! reads a [`Record`] of it afterwards and needs nothing else. Times are milliseconds since the beginning of the run.

use super::{corpus::Item, hostile, kind::Kind};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// Milliseconds since the beginning of the run.
pub type Millis = u64;

/// How an attempt to send a mail ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Accepted, to be delivered.
    Accepted,
    /// Accepted, to be held in quarantine.
    Held,
    /// Postfix took it; whether it delivers or holds it is seen at the end.
    Taken,
    /// Anything else that is final: a rejection, a discard, a tag.
    Other(String),
    /// Refused for now.
    Tempfailed(String),
    /// The connection was refused or broke.
    Broken(String),
    /// The sender gave up on purpose.
    Aborted,
    /// No answer in time, and the connection lived on.
    Hung,
}

/// One attempt to send a mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The mail's number, which also says whether it is hostile: see [`hostile::kind_of`].
    pub mail: u32,
    /// Through which milter; none: through Postfix.
    pub milter: Option<usize>,
    /// The queue id that the milter logs; empty where Postfix gave one.
    pub queue_id: String,
    /// From the first command on.
    pub began: Millis,
    /// Up to the answer.
    pub ended: Millis,
    /// How.
    pub end: End,
}

/// What a scanner answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing found.
    Clean,
    /// Findings about the sample.
    Found,
    /// 503.
    Busy,
    /// Another status.
    Refused(u16),
    /// 200, but no findings about the sample.
    Lie,
}

/// One upload on the wire between a worker and an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Who sent it.
    pub worker: usize,
    /// To whom.
    pub instance: usize,
    /// Under which name.
    pub name: String,
    /// When all of it had been sent.
    pub began: Millis,
    /// When it was answered or the connection ended; none: neither.
    pub ended: Option<Millis>,
    /// The answer; none: there was none.
    pub answer: Option<Answer>,
}

/// A fault that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Which milter, worker or instance.
    pub target: usize,
    /// From.
    pub from: Millis,
    /// To; the end of time while it lasts.
    pub to: Millis,
}

/// Something that had to happen in a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What, in words.
    pub what: String,
    /// When it began.
    pub at: Millis,
    /// How long it took; none: it did not happen.
    pub took: Option<Duration>,
    /// How long it may take.
    pub limit: Duration,
}

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// In the order of their ends.
    pub attempts: Vec<Attempt>,
    /// In the order of their beginnings.
    pub scans: Vec<Scan>,
    /// In the order of their beginnings.
    pub faults: Vec<Fault>,
    /// In any order.
    pub measured: Vec<Measured>,
    /// What went wrong with a program or with the run itself, in words.
    pub troubles: Vec<(Millis, String)>,
    /// Whether Redis has replicas that take over.
    pub replicated: bool,
    /// What is attached to the mails that were tried.
    pub contents: BTreeMap<u32, Vec<Arc<Item>>>,
    /// How often a worker's breaker opened during faults of each kind that sends hostile mails.
    pub breakers: BTreeMap<Kind, usize>,
}

impl Record {
    /// Whether this mail must be held; else it must be accepted.
    pub fn must_be_held(&self, mail: u32) -> bool {
        self.contents.get(&mail).is_some_and(|items| items.iter().any(|item| item.bad))
    }

    /// The samples of hostile mails, by their upload names.
    pub fn hostile_samples(&self) -> BTreeMap<&str, Kind> {
        let hostile =
            self.contents.iter().filter_map(|(mail, items)| Some((hostile::kind_of(*mail)?, items)));
        let samples = hostile.flat_map(|(kind, items)| items.iter().map(move |item| (item, kind)));
        samples.map(|(item, kind)| (item.upload_name.as_str(), kind)).collect()
    }
}

/// Writes a [`Record`]; shared by everybody in a run.
#[derive(Default)]
pub struct Journal {
    began: OnceLock<Instant>,
    record: Mutex<Record>,
}

impl Journal {
    /// Time begins now. Until then it stands at zero.
    pub fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// The time.
    pub fn now(&self) -> Millis {
        let elapsed = self.began.get().map(Instant::elapsed).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment that is `at` after the beginning.
    pub fn moment(&self, at: Duration) -> tokio::time::Instant {
        (self.began.get().copied().unwrap_or_else(Instant::now) + at).into()
    }

    /// What happened so far.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt is over.
    pub fn attempted(&self, attempt: Attempt) {
        self.record().attempts.push(attempt);
    }

    /// A scan begins; says which.
    pub fn scan_begins(&self, worker: usize, instance: usize, name: String) -> usize {
        let scan = Scan { worker, instance, name, began: self.now(), ended: None, answer: None };
        let mut record = self.record();
        record.scans.push(scan);
        record.scans.len() - 1
    }

    /// A scan ends.
    pub fn scan_ends(&self, scan: usize, answer: Option<Answer>) {
        let now = self.now();
        let scan = &mut self.record().scans[scan];
        (scan.ended, scan.answer) = (Some(now), answer);
    }

    /// A fault begins; says which.
    pub fn fault_begins(&self, kind: Kind, target: usize) -> usize {
        let fault = Fault { kind, target, from: self.now(), to: Millis::MAX };
        let mut record = self.record();
        record.faults.push(fault);
        record.faults.len() - 1
    }

    /// A fault ends.
    pub fn fault_ends(&self, fault: usize) {
        let now = self.now();
        self.record().faults[fault].to = now;
    }

    /// Something was measured.
    pub fn measured(&self, measured: Measured) {
        self.record().measured.push(measured);
    }

    /// Something went wrong that is none of the planned faults.
    pub fn trouble(&self, what: String) {
        let now = self.now();
        self.record().troubles.push((now, what));
    }
}

impl Scan {
    /// It was answered with findings about this sample, or with none.
    pub fn is_answered(&self) -> bool {
        matches!(self.answer, Some(Answer::Clean | Answer::Found))
    }

    /// No instance took it: 503.
    pub fn was_turned_away(&self) -> bool {
        self.answer == Some(Answer::Busy)
    }

    /// An instance worked on it, as far as can be seen from outside.
    pub fn is_upload(&self) -> bool {
        !matches!(self.answer, Some(Answer::Busy | Answer::Refused(_)))
    }
}

impl Fault {
    /// Whether it was active at any time between these.
    pub fn overlaps(&self, from: Millis, to: Millis) -> bool {
        self.from <= to && self.to >= from
    }
}
