// SPDX-License-Identifier: GPL-3.0-or-later
//! What became of one message: the decision and the parts behind it. Made by [`crate::inspect`], read by replies, logs,
//! metrics, the ledger and the command line.

use crate::{
    decision::{Cause, Decision, Disposition, Failure, Source},
    policy::Action,
};
use std::time::Duration;
use thundergate_common::{sample::SampleKey, verdict::SkipReason};
use thundergate_extract::{Ambiguity, Exceeded, Skipped};

/// Bytes of a text of the sender's that logs and the ledger repeat; a name may have 128 KiB, and a message many.
const LONGEST_TEXT: usize = 1024;

/// Why something of a message may have been scanned by nobody, the worst first.
pub const UNSCANNED: [Cause; 11] = [
    Cause::Bug,
    Cause::Unavailable,
    Cause::ScanFailed,
    Cause::Pending,
    Cause::Overload,
    Cause::Oversize,
    Cause::Malformed,
    Cause::Encrypted,
    Cause::ExternalBody,
    Cause::Partial,
    Cause::Trusted,
];

/// One part of a message and how it ended.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The name a mail client would show, cut where it is endless.
    pub name: Option<String>,
    /// `type/subtype`, cut likewise.
    pub media_type: String,
    /// Decoded size in bytes; encoded where it was not decoded.
    pub size: u64,
    /// What the sample is known by; none where it is no sample.
    pub key: Option<SampleKey>,
    /// How it ended.
    pub disposition: Disposition,
    /// Where that comes from.
    pub source: Source,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What the policy decided.
    pub decision: Decision,
    /// What the MTA is told: the same, or accept in passive mode.
    pub action: Action,
    /// All its parts.
    pub parts: Vec<Inspected>,
    /// Which budget it exceeds, if any.
    pub malformed: Option<Exceeded>,
    /// Where readers could differ.
    pub ambiguities: Vec<Ambiguity>,
    /// Message-ID, for logs.
    pub message_id: Option<String>,
    /// Its trace, if there is one.
    pub trace_id: Option<String>,
    /// What it brought that only we may write.
    pub forged: Forged,
    /// How large the message is.
    pub size: u64,
    /// From the end of the message to the decision.
    pub duration: Duration,
}

/// How many header fields a message brought that only we may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forged {
    /// With the name of our tag.
    pub tags: usize,
    /// MIME-Ambiguity-Results.
    pub results: usize,
}

impl Inspection {
    /// Which of [`UNSCANNED`] are true of it, in that order.
    pub fn unscanned(&self) -> [bool; UNSCANNED.len()] {
        let mut unscanned = [false; UNSCANNED.len()];
        let of_parts = self.parts.iter().filter_map(Inspected::unscanned);
        // A message that was not kept has no parts, only the cause.
        let of_all = [self.malformed.map(|_| Cause::Malformed), Some(self.decision.cause)];
        for cause in of_parts.chain(of_all.into_iter().flatten()) {
            if let Some(place) = UNSCANNED.iter().position(|one| *one == cause) {
                unscanned[place] = true;
            }
        }
        unscanned
    }
}

impl Inspected {
    /// Why nobody has scanned it; none where somebody has, or it is no sample.
    fn unscanned(&self) -> Option<Cause> {
        match &self.disposition {
            Disposition::Clean | Disposition::Found(_) => None,
            Disposition::Pending => Some(Cause::Pending),
            Disposition::Failed(Failure::Scan(_)) => Some(Cause::ScanFailed),
            Disposition::Failed(Failure::Unavailable) => Some(Cause::Unavailable),
            Disposition::Failed(Failure::Overload) => Some(Cause::Overload),
            Disposition::Skipped(SkipReason::TooLarge) => Some(Cause::Oversize),
            Disposition::Skipped(SkipReason::Encrypted) => Some(Cause::Encrypted),
            Disposition::Skipped(SkipReason::ExternalBody) => Some(Cause::ExternalBody),
            Disposition::Skipped(SkipReason::Partial) => Some(Cause::Partial),
            Disposition::Skipped(SkipReason::Trusted) => Some(Cause::Trusted),
            Disposition::Skipped(SkipReason::PlainText | SkipReason::Empty) => None,
        }
    }

    /// A part that is no sample.
    pub fn skipped(part: &Skipped) -> Self {
        Self {
            name: part.name.as_deref().map(short),
            media_type: short(&part.media_type),
            size: part.size,
            key: None,
            disposition: Disposition::Skipped(part.reason),
            source: Source::None,
        }
    }
}

impl Inspection {
    /// A message of which nothing is known but the decision.
    pub fn of(decision: Decision) -> Self {
        Self {
            decision,
            action: decision.action,
            parts: Vec::new(),
            malformed: None,
            ambiguities: Vec::new(),
            message_id: None,
            trace_id: None,
            forged: Forged::default(),
            size: 0,
            duration: Duration::ZERO,
        }
    }

    /// A message that a bug kept from being inspected.
    pub fn of_a_bug() -> Self {
        Self::of(Decision::BUG)
    }
}

/// `text`, cut where it is longer than anybody would read.
pub fn short(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_common::verdict::SkipReason;

    #[test]
    fn a_sender_cannot_fill_logs_and_ledger_with_one_name() {
        let name = Some("ä".repeat(60_000));
        let part = Skipped { name, media_type: "x".repeat(60_000), size: 1, reason: SkipReason::Empty };
        let part = Inspected::skipped(&part);
        assert_eq!((part.name.unwrap().len(), part.media_type.len()), (LONGEST_TEXT, LONGEST_TEXT));
    }
}
