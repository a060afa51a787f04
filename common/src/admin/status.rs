// SPDX-License-Identifier: GPL-3.0-or-later
//! What `/status` says, one shape for both programs: what a program does not know is absent. Nothing in it says who wrote
//! to whom; a file's name is in it only where `scan.name_hint` makes it part of the sample's key.

use crate::{generation::InstanceState, hub::QueueState, reload::Refused};
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::collections::BTreeMap;

/// Characters of a text that others chose.
const LONGEST: usize = 200;

/// A program that can say how it is.
pub trait Subject: Send + Sync {
    /// All but readiness, a refused configuration and remarks, which the admin server adds. Asked once a second at most.
    fn status(&self) -> BoxFuture<'_, Status>;
}

/// How a program is.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Status {
    /// Who speaks.
    pub program: Program,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Why it is not ready; none where it is.
    pub not_ready: Option<String>,
    /// The same in sentences, the worst first.
    pub remarks: Vec<Remark>,
    /// Mails by decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// Mails of which something was not scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unscanned: Option<Vec<Unscanned>>,
    /// Where the answers for attachments came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// Mails that wait for a verdict now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The newest findings, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<Found>>,
    /// Why the hub does not answer; none where it does.
    pub hub_error: Option<String>,
    /// Why no instance scans, as all workers see it; none where one does, or that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<String>,
    /// The configuration that was read last, where it was refused: the one before holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_refused: Option<Refused>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueState>,
    /// The scanners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub farm: Option<Vec<Instance>>,
    /// Since when no scanner that answers finds the canary, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_in_doubt_since: Option<u64>,
    /// The signature version that the farm as a whole has reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<String>,
    /// The newest samples that were given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<Vec<Dead>>,
}

/// Who speaks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Program {
    /// `milter` or `worker`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Host and process.
    pub process: String,
    /// Since when, in milliseconds since the epoch.
    pub started_ms: u64,
    /// `redis` or `in-process`.
    pub hub: &'static str,
    /// Decisions are only logged.
    pub passive: bool,
}

/// How much a remark matters, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Somebody must act.
    Bad,
    /// Somebody should look.
    Warn,
    /// All is well.
    Good,
    /// Worth knowing.
    Note,
}

/// A sentence about the state.
#[derive(Debug, PartialEq, Serialize)]
pub struct Remark {
    /// How much it matters.
    pub level: Level,
    /// The sentence.
    pub text: String,
}

/// Mails by the policy's decision, also in passive mode.
#[derive(Debug, Default, Serialize)]
pub struct Flow {
    /// Seconds between two points of `history`.
    pub step_seconds: u64,
    /// By decision.
    pub decisions: BTreeMap<&'static str, Counted>,
}

/// Mails with one decision.
#[derive(Debug, Default, Serialize)]
pub struct Counted {
    /// Since the start.
    pub total: u64,
    /// In the last minute.
    pub last_minute: u64,
    /// In each step of the last ten minutes, oldest first.
    pub history: Vec<u64>,
}

/// Mails of which something was not scanned, for one reason and with one outcome.
#[derive(Debug, Default, Serialize)]
pub struct Unscanned {
    /// As the label `cause` in logs and metrics.
    pub cause: &'static str,
    /// What the MTA was told.
    pub action: &'static str,
    /// In the last minute.
    pub last_minute: u64,
    /// In the last ten minutes.
    pub last_ten_minutes: u64,
    /// Since the start.
    pub total: u64,
    /// What became of one mail, and of several: `is deferred`, `are deferred`.
    #[serde(skip)]
    pub outcome: [&'static str; 2],
    /// What a person is told of the cause; none where that is nothing to speak of.
    #[serde(skip)]
    pub reason: Option<Reason>,
}

/// How a person is told why something was not scanned. Whose the cause is finds the words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// How much it matters.
    pub level: Level,
    /// The end of a sentence: `scans take too long`.
    pub why: &'static str,
    /// It takes a scanner to do better: where none answers, that is why.
    pub takes_scanner: bool,
}

/// Where the answers for attachments came from.
#[derive(Debug, Default, Serialize)]
pub struct Answers {
    /// In the last ten minutes.
    pub last_ten_minutes: Sources,
    /// Since the start.
    pub total: Sources,
}

/// Attachments by where their answer came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sources {
    /// The memory of the process.
    pub local: u64,
    /// The hub.
    pub hub: u64,
    /// A scan for another mail that was under way.
    pub joined: u64,
    /// A scan.
    pub scan: u64,
}

/// Mails that wait for a verdict now.
#[derive(Debug, Default, Serialize)]
pub struct Waiting {
    /// How many.
    pub mails: usize,
    /// How many may.
    pub seats: usize,
    /// How long the first of them has waited, in milliseconds.
    pub oldest_ms: Option<u64>,
}

/// One attachment with findings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Its sample's key.
    pub sample: String,
    /// The highest score.
    pub score: i64,
    /// The level that goes with it.
    pub level: String,
    /// Some of the rules that matched.
    pub rules: Vec<String>,
    /// How many matched.
    pub rules_total: u64,
    /// What became of the mail.
    pub decision: &'static str,
    /// The MTA's name of the mail, to find it in the log.
    pub queue_id: String,
}

/// One scanner as the workers see it.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// As most workers have it.
    pub state: InstanceState,
    /// Workers that report it.
    pub workers: usize,
    /// Those of them for which it would scan.
    pub healthy: usize,
    /// THOR's version.
    pub thor: Option<String>,
    /// Signature version.
    pub signatures: Option<String>,
    /// Scans at a time, as it says.
    pub threads: Option<usize>,
    /// Scans that run.
    pub in_flight: usize,
    /// Scans that may run now.
    pub capacity: usize,
    /// How long a scan takes, from the least to the most that a worker sees.
    pub latency_ms: Option<(u64, u64)>,
    /// Days until its licence ends; below 0 once it has ended.
    pub licence_days: Option<i64>,
    /// Why the last call failed.
    pub last_error: Option<String>,
    /// The largest file in bytes that it gets; none where it was not tried yet what it scans.
    pub max_file_bytes: Option<u64>,
    /// Whether something was found in a file of that size.
    pub size_proved: Option<bool>,
}

/// A sample that was given up.
#[derive(Debug, Default, Serialize)]
pub struct Dead {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The sample's key.
    pub sample: String,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// The hub's name of it, for `queue retry` and `queue drop`.
    pub id: String,
}

/// `text`, cut where it is longer than a page has room for.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(short(&"ä".repeat(300)).chars().count(), LONGEST + 1);
        assert_eq!(short("short"), "short");
    }
}
