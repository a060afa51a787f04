// SPDX-License-Identifier: GPL-3.0-or-later
//! What was counted and measured, by one thread or by all of them.

use super::connection::{Decision, Failure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Messages by what was decided about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// Accepted as they are.
    pub accept: u64,
    /// Accepted with a header field more.
    pub tag: u64,
    /// Accepted and held.
    pub quarantine: u64,
    /// Refused for good.
    pub reject: u64,
    /// Refused for now.
    pub tempfail: u64,
    /// Taken and forgotten.
    pub discard: u64,
}

/// Connections that were lost, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// They did not come about.
    pub connect: u64,
    /// They ended before an answer.
    pub lost: u64,
    /// No answer came in time.
    pub late: u64,
    /// The answer was none.
    pub protocol: u64,
}

/// Counts and times.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Of messages that count.
    pub decisions: Decisions,
    /// Of all that happened.
    pub errors: Errors,
    /// Messages that were given up in their middle.
    pub aborted: u64,
    /// Messages with an answer that do not count: sent to prepare, to warm up, or too late.
    pub outside: u64,
    /// Messages with new attachments that got an answer, whether they count or not.
    pub new: u64,
    /// Bytes written for the messages that count.
    pub bytes: u64,
    /// Connections opened, the first ones left out.
    pub reconnects: u64,
    /// When the last message that counts got its answer.
    pub last: Option<Instant>,
    /// From the end of a message to its decision, in nanoseconds.
    pub after_end: Histogram<u64>,
    /// From when a message was due, or began, to its decision, in nanoseconds.
    pub whole: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram = || Histogram::new(3).expect("three digits are possible");
        Self {
            decisions: Decisions::default(),
            errors: Errors::default(),
            aborted: 0,
            outside: 0,
            new: 0,
            bytes: 0,
            reconnects: 0,
            last: None,
            after_end: histogram(),
            whole: histogram(),
        }
    }
}

impl Tally {
    /// A message that counts.
    pub fn count(&mut self, decision: Decision, after_end: Option<Duration>, whole: Duration) {
        self.decisions.count(decision);
        record(&mut self.whole, whole);
        if let Some(after_end) = after_end {
            record(&mut self.after_end, after_end);
        }
    }

    /// A message that counts and never began: it took longer than this.
    pub fn waited(&mut self, waited: Duration) {
        record(&mut self.whole, waited);
    }

    /// Adds what another has.
    pub fn add(&mut self, other: &Self) {
        self.decisions.add(&other.decisions);
        self.errors.add(&other.errors);
        self.aborted += other.aborted;
        self.outside += other.outside;
        self.new += other.new;
        self.bytes += other.bytes;
        self.reconnects += other.reconnects;
        self.last = self.last.max(other.last);
        self.after_end.add(&other.after_end).expect("histograms grow as they must");
        self.whole.add(&other.whole).expect("histograms grow as they must");
    }
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    histogram.record(nanoseconds).expect("histograms grow as they must");
}

impl Decisions {
    fn count(&mut self, decision: Decision) {
        let count = match decision {
            Decision::Accept => &mut self.accept,
            Decision::Tag => &mut self.tag,
            Decision::Quarantine => &mut self.quarantine,
            Decision::Reject => &mut self.reject,
            Decision::Tempfail => &mut self.tempfail,
            Decision::Discard => &mut self.discard,
        };
        *count += 1;
    }

    fn add(&mut self, other: &Self) {
        self.accept += other.accept;
        self.tag += other.tag;
        self.quarantine += other.quarantine;
        self.reject += other.reject;
        self.tempfail += other.tempfail;
        self.discard += other.discard;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.accept + self.tag + self.quarantine + self.reject + self.tempfail + self.discard
    }
}

impl Errors {
    /// One more.
    pub fn count(&mut self, failure: &Failure) {
        let count = match failure {
            Failure::Connect(_) => &mut self.connect,
            Failure::Lost(_) => &mut self.lost,
            Failure::Late => &mut self.late,
            Failure::Protocol(_) => &mut self.protocol,
        };
        *count += 1;
    }

    fn add(&mut self, other: &Self) {
        self.connect += other.connect;
        self.lost += other.lost;
        self.late += other.late;
        self.protocol += other.protocol;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.connect + self.lost + self.late + self.protocol
    }
}
