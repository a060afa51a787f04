// SPDX-License-Identifier: GPL-3.0-or-later
//! What became of one message: the decision and the parts behind it. Made by [`crate::inspect::inspector`], read by replies, logs,
//! metrics, records and the command line.

use crate::mail::forged::Forged;
use std::{sync::Arc, time::Duration};
use thundergate_common::{
    sample::SampleKey,
    verdict::{Container, Verdict},
};
use thundergate_extract::{Ambiguity, Exceeded, Skipped};
use thundergate_policy::{Action, Cause, Decision, Disposition, Source, Trouble};

/// Bytes of a text of the sender's that logs and records repeat; a name may have 128 KiB, and a message many.
const LONGEST_TEXT: usize = 1024;

/// One part of a message and how it ended.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The name a mail client would show, cut where it is endless.
    pub name: Option<String>,
    /// The names of the files that it came in, cut likewise.
    pub within: Option<String>,
    /// `type/subtype`, cut likewise.
    pub media_type: String,
    /// The kind of an archive or image that nobody opens.
    pub unopened: Option<&'static str>,
    /// Decoded size in bytes; encoded where it was not decoded.
    pub size: u64,
    /// What the sample is known by; none where it is no sample.
    pub key: Option<SampleKey>,
    /// How it ended.
    pub disposition: Disposition,
    /// The verdict behind that; none where there was none.
    pub verdict: Option<Arc<Verdict>>,
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
    pub malformed: Option<Malformed>,
    /// Where readers could differ.
    pub ambiguities: Vec<Ambiguity>,
    /// What is wrong with it as a whole.
    pub troubles: Vec<Trouble>,
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

/// Why a message is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Taking it apart exceeds a budget.
    Exceeded(Exceeded),
    /// It has more header fields that only we may write than an MTA can remove in a short time.
    ForgedHeaders,
}

impl Malformed {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Exceeded::ALL.into_iter().map(Self::Exceeded).chain([Self::ForgedHeaders])
    }

    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exceeded(exceeded) => exceeded.as_str(),
            Self::ForgedHeaders => "forged_headers",
        }
    }
}

impl Inspection {
    /// Which of [`Cause::UNSCANNED`] are true of it, in that order.
    pub fn unscanned(&self) -> [bool; Cause::UNSCANNED.len()] {
        let mut unscanned = [false; Cause::UNSCANNED.len()];
        let of_parts = self.parts.iter().filter_map(Inspected::unscanned);
        let of_troubles = self.troubles.iter().map(|trouble| trouble.cause());
        // A message that was not kept has no parts, only the cause.
        for cause in of_parts.chain(of_troubles).chain([self.decision.cause]) {
            if let Some(place) = Cause::UNSCANNED.iter().position(|one| *one == cause) {
                unscanned[place] = true;
            }
        }
        unscanned
    }
}

impl Inspected {
    /// Why nobody has scanned it; none where somebody has, or it is no sample.
    fn unscanned(&self) -> Option<Cause> {
        Some(self.disposition.cause()).filter(|cause| Cause::UNSCANNED.contains(cause))
    }

    /// Whether it is a container that asks for a password.
    pub fn container(&self) -> Container {
        self.verdict.as_ref().map_or(Container::None, |verdict| verdict.container)
    }

    /// True where what is inside nobody has seen, whether for want of the password or of a way to open it: or a sender would
    /// only have to seal with a cipher that nobody knows.
    fn is_sealed(&self) -> bool {
        matches!(self.container(), Container::Sealed(_) | Container::Unsupported(_))
    }

    /// A part that is no sample.
    pub fn skipped(part: &Skipped) -> Self {
        Self {
            name: part.name.as_deref().map(short),
            within: None,
            media_type: short(&part.media_type),
            unopened: None,
            size: part.size,
            key: None,
            disposition: Disposition::Skipped(part.reason),
            verdict: None,
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
            troubles: Vec::new(),
            message_id: None,
            trace_id: None,
            forged: Forged::default(),
            size: 0,
            duration: Duration::ZERO,
        }
    }

    /// A message that a bug kept from being inspected.
    pub(crate) fn of_a_bug() -> Self {
        Self { troubles: vec![Trouble::Bug], ..Self::of(Decision::BUG) }
    }
}

/// What is wrong with a message as a whole.
pub fn troubles(
    malformed: Option<Malformed>,
    ambiguities: &[Ambiguity],
    parts: &[Inspected],
) -> Vec<Trouble> {
    let malformed = malformed.map(|_| Trouble::Malformed);
    let ambiguous = (!ambiguities.is_empty()).then_some(Trouble::Ambiguous);
    let sealed = parts.iter().any(Inspected::is_sealed).then_some(Trouble::Sealed);
    let unopened = parts.iter().any(|part| part.unopened.is_some()).then_some(Trouble::Unopened);
    [malformed, ambiguous, sealed, unopened].into_iter().flatten().collect()
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
    fn a_sender_cannot_fill_logs_and_records_with_one_name() {
        let name = Some("ä".repeat(60_000));
        let part = Skipped { name, media_type: "x".repeat(60_000), size: 1, reason: SkipReason::Empty };
        let part = Inspected::skipped(&part);
        assert_eq!((part.name.unwrap().len(), part.media_type.len()), (LONGEST_TEXT, LONGEST_TEXT));
    }
}
