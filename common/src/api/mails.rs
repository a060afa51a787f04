// SPDX-License-Identifier: GPL-3.0-or-later
//! Which mails held a sample, and why a mail was decided as it was: from the records of the last two days.

use super::verdicts::{Failed, Verdict};
use serde::{Deserialize, Serialize};

/// Which mails held a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The mails, newest first.
    pub mails: Vec<Sighting>,
    /// Whether there may be more mails than these.
    pub at_least: bool,
    /// How far back the records reach; none where there is none.
    pub since_ms: Option<u64>,
    /// Whether older records were there and are dropped.
    pub dropped: bool,
    /// Whether there are more mails than one answer has room for.
    pub more: bool,
    /// Mails that may have held it in a part that their records leave out.
    pub unsure: usize,
}

/// A mail that held the sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// When it was decided.
    pub at_ms: u64,
    /// The MTA's queue id.
    pub queue_id: String,
    /// Envelope sender; empty for a bounce.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// How many recipients there were, where some are left out.
    pub recipients_total: Option<usize>,
    /// The name that the part had.
    pub name: Option<String>,
    /// `DIGEST` or `DIGEST.EXTENSION`.
    pub sample: String,
    /// How the part ended: `clean`, `found`, `pending`, `skipped`, `failed`.
    pub disposition: Option<String>,
    /// What the MTA was told.
    pub decision: String,
    /// The record's id.
    pub id: Option<String>,
}

/// A mail that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The MTA's queue id.
    pub queue_id: String,
}

/// Every decision about mails with a queue id, newest first: hosts use the same ids, and one uses an id again after months.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The mails.
    pub mails: Vec<Mail>,
    /// How far back the records reach; none where there is none.
    pub since_ms: Option<u64>,
    /// Whether older records were there and are dropped.
    pub dropped: bool,
}

/// One decision about one mail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// When.
    pub at_ms: u64,
    /// The host of the milter.
    pub host: String,
    /// The MTA's queue id.
    pub queue_id: String,
    /// Message-ID.
    pub message_id: Option<String>,
    /// Envelope sender; empty for a bounce.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// What the policy decided: `accept`, `tag`, `quarantine`, `tempfail`, `reject` or `discard`.
    pub decision: String,
    /// Why, in the words of the log.
    pub cause: String,
    /// Whether the MTA was told to accept all the same.
    pub passive: bool,
    /// What was wrong with the message as a whole.
    pub troubles: Vec<String>,
    /// From the end of the message to the decision.
    pub total_ms: u64,
    /// How its parts ended.
    pub parts: Vec<Part>,
    /// How many parts there were, where some are left out.
    pub parts_total: Option<usize>,
}

/// One part of a mail: how it ended then, and what is known of its sample now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The name a mail client would show.
    pub name: Option<String>,
    /// `DIGEST` or `DIGEST.EXTENSION`; none where it is no sample.
    pub sample: Option<String>,
    /// Decoded, in bytes.
    pub size: u64,
    /// `clean`, `found`, `pending`, `skipped` or `failed`.
    pub disposition: String,
    /// Why it was skipped or failed, or why it is pending where the milter knew.
    pub reason: Option<String>,
    /// The verdict that there is now.
    pub verdict_now: Option<Verdict>,
    /// The failure that is held against the sample now.
    pub failed_now: Option<Failed>,
}
