// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a decision was made, and what can be wrong with a message as a whole.

use crate::disposition::{Disposition, Failure};
use thundergate_common::{
    admin::status::{Level, Reason},
    verdict::SkipReason,
};

/// Why a decision was made; the label `cause` in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Every sample is clean, or there is none.
    Clean,
    /// An expression of the policy holds, or none does although something was found.
    Found,
    /// A verdict is still pending.
    Pending,
    /// A scan failed for good.
    ScanFailed,
    /// The hub is unreachable, or no instance scans.
    Unavailable,
    /// Queue or memory is full.
    Overload,
    /// The message or a part is too large.
    Oversize,
    /// The message cannot be taken apart.
    Malformed,
    /// Readers could differ on it.
    Ambiguous,
    /// A part is encrypted.
    Encrypted,
    /// A part asks for a password that nobody knows.
    Sealed,
    /// A part is an archive or image that nobody opens.
    Unopened,
    /// The content of a part is elsewhere.
    ExternalBody,
    /// The message is a fragment of another one, or holds one.
    Partial,
    /// The policy trusts client or sender.
    Trusted,
    /// A bug of ours.
    Bug,
}

/// What is wrong with a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Larger than `limits.message_bytes`.
    Oversize,
    /// No memory for it.
    Overload,
    /// It cannot be taken apart within its budget.
    Malformed,
    /// Readers could differ on it.
    Ambiguous,
    /// A part asks for a password that nobody knows.
    Sealed,
    /// A part is an archive or image that nobody opens.
    Unopened,
    /// A bug of ours.
    Bug,
}

impl Cause {
    /// All of them, in their order.
    pub const ALL: [Self; 16] = [
        Self::Clean,
        Self::Found,
        Self::Pending,
        Self::ScanFailed,
        Self::Unavailable,
        Self::Overload,
        Self::Oversize,
        Self::Malformed,
        Self::Ambiguous,
        Self::Encrypted,
        Self::Sealed,
        Self::Unopened,
        Self::ExternalBody,
        Self::Partial,
        Self::Trusted,
        Self::Bug,
    ];

    /// Why something of a message may have been scanned by nobody, the worst first.
    pub const UNSCANNED: [Self; 13] = [
        Self::Bug,
        Self::Unavailable,
        Self::ScanFailed,
        Self::Pending,
        Self::Overload,
        Self::Oversize,
        Self::Malformed,
        Self::Encrypted,
        Self::Sealed,
        Self::Unopened,
        Self::ExternalBody,
        Self::Partial,
        Self::Trusted,
    ];

    /// Its name in logs, metrics and the failure table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Found => "found",
            Self::Pending => "pending",
            Self::ScanFailed => "scan_failed",
            Self::Unavailable => "unavailable",
            Self::Overload => "overload",
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::Encrypted => "encrypted",
            Self::Sealed => "sealed",
            Self::Unopened => "unopened",
            Self::ExternalBody => "external_body",
            Self::Partial => "partial",
            Self::Trusted => "trusted",
            Self::Bug => "bug",
        }
    }

    /// What the status page says of mails that were not scanned for this cause; nothing of those that shall not be.
    pub fn reason(self) -> Option<Reason> {
        let (level, why) = match self {
            Self::Trusted => return None,
            Self::Pending => (Level::Bad, "scans take too long"),
            Self::ScanFailed => (Level::Bad, "scans fail"),
            Self::Unavailable => (Level::Bad, "the hub does not answer"),
            Self::Overload => (Level::Bad, "queue or memory is full"),
            Self::Bug => (Level::Bad, "a bug; please report what the log says"),
            Self::Oversize => (Level::Note, "too large"),
            Self::Malformed => (Level::Note, "too deep or too many parts"),
            Self::Encrypted => (Level::Note, "encrypted"),
            Self::Sealed => (Level::Note, "sealed with a password"),
            Self::Unopened => (Level::Note, "archives that nobody opens"),
            Self::ExternalBody => (Level::Note, "the content is elsewhere"),
            Self::Partial => (Level::Note, "fragments of a mail"),
            Self::Clean | Self::Found | Self::Ambiguous => (Level::Note, self.as_str()),
        };
        Some(Reason {
            level,
            why,
            takes_scanner: matches!(self, Self::Pending | Self::ScanFailed | Self::Unavailable),
        })
    }
}

impl Disposition {
    /// Why a message with this part might not be accepted.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Clean => Cause::Clean,
            Self::Found(_) => Cause::Found,
            Self::Pending => Cause::Pending,
            Self::Skipped(reason) => of_skipped(*reason),
            Self::Failed(Failure::Scan(_)) => Cause::ScanFailed,
            Self::Failed(Failure::Unavailable | Failure::NoScanner(_)) => Cause::Unavailable,
            Self::Failed(Failure::Overload) => Cause::Overload,
        }
    }
}

/// A part that holds nothing to scan is as good as a clean one.
fn of_skipped(reason: SkipReason) -> Cause {
    match reason {
        SkipReason::PlainText | SkipReason::Empty => Cause::Clean,
        SkipReason::TooLarge => Cause::Oversize,
        SkipReason::Encrypted => Cause::Encrypted,
        SkipReason::ExternalBody => Cause::ExternalBody,
        SkipReason::Partial => Cause::Partial,
        SkipReason::Trusted => Cause::Trusted,
    }
}

impl Trouble {
    /// Why a message with this trouble might not be accepted.
    pub fn cause(self) -> Cause {
        match self {
            Self::Oversize => Cause::Oversize,
            Self::Overload => Cause::Overload,
            Self::Malformed => Cause::Malformed,
            Self::Ambiguous => Cause::Ambiguous,
            Self::Sealed => Cause::Sealed,
            Self::Unopened => Cause::Unopened,
            Self::Bug => Cause::Bug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_in_words_and_a_wanted_one_is_not() {
        assert_eq!(Cause::Trusted.reason(), None);
        let told =
            |cause: Cause| cause.reason().map(|reason| (reason.level, reason.why, reason.takes_scanner));
        assert_eq!(told(Cause::Pending), Some((Level::Bad, "scans take too long", true)));
        assert_eq!(told(Cause::ScanFailed), Some((Level::Bad, "scans fail", true)));
        assert_eq!(told(Cause::Unavailable), Some((Level::Bad, "the hub does not answer", true)));
        assert_eq!(told(Cause::Encrypted), Some((Level::Note, "encrypted", false)));
        assert_eq!(told(Cause::Ambiguous), Some((Level::Note, "ambiguous", false)));
    }
}
