// SPDX-License-Identifier: GPL-3.0-or-later
//! What a scan found out about one sample. Facts only: no policy in here.
//!
//! Wire form in Redis: [`Verdict::encode`], or the [`short`] form where it is clean. A version this program does not know
//! is treated as if there were no verdict, and so is one above [`bounds::LARGEST`].

pub mod bounds;
pub mod short;

use crate::{sealed::Sealed, wire::Versioned};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What one scan of one sample said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the scanner reported; none means clean.
    pub findings: Vec<Finding>,
    /// How many findings more there were, which are left out since there is a bound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
    /// Signature version of the instance at the time of the scan, as `/api/info` writes it (`2026/01/12-160550`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<String>,
    /// When the scan ended, in seconds since the epoch.
    pub scanned_at: u64,
    /// How long the scanner took, in milliseconds.
    pub scan_ms: u64,
    /// Name of the instance that scanned.
    pub instance: String,
    /// Whether the sample is a container that asks for a password.
    #[serde(default, skip_serializing_if = "Container::is_none")]
    pub container: Container,
}

/// Whether a sample asks for a password, and whether it was opened. The scanner sees nothing of what is in one that was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// It asks for none.
    #[default]
    None,
    /// A password opened it; what is in it was scanned, and is among the findings.
    Opened(Sealed),
    /// Nobody knows the password.
    Sealed(Sealed),
    /// It cannot be said whether a password fits: an unknown cipher, or damage.
    Unsupported(Sealed),
}

/// One thing the scanner reports about a sample. Field names are ours, one for every result shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// `Alert`, `Warning`, `Notice` or `Info`, as the scanner spelt it.
    pub level: String,
    /// The scanner's module, such as `Filescan`.
    pub module: String,
    /// The scanner's sentence, such as `Malware file found`.
    pub message: String,
    /// Total score: 0 to 100 since THOR 10.7, open-ended before.
    pub score: i64,
    /// What the scanner says of the file.
    pub file: FileFacts,
    /// How many rules matched in all; the scanner may list fewer.
    pub rules_total: u64,
    /// The rules that matched.
    pub rules: Vec<Rule>,
}

/// What the scanner says of the file that a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileFacts {
    /// The name it was submitted under, or its path inside an archive.
    pub name: String,
    /// Its extension.
    pub extension: String,
    /// Its type by content, such as `EXE`.
    pub kind: String,
    /// Size in bytes.
    pub size: u64,
    /// The first bytes, as the scanner prints them.
    pub first_bytes: String,
    /// MD5 in hexadecimal digits.
    pub md5: String,
    /// SHA-1 in hexadecimal digits.
    pub sha1: String,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// One rule that matched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// The rule's name.
    pub name: String,
    /// Its own score; negative for rules that mark false positives.
    pub subscore: i64,
    /// Why it matched, in words.
    pub reason: String,
    /// Who wrote it.
    pub author: String,
    /// Where it comes from.
    pub reference: String,
    /// Its date, `YYYY-MM-DD`.
    pub date: String,
    /// `YARA Rule`, `Filename IOC`, …
    pub class: String,
    /// `internal`, `custom` or `external`.
    pub origin: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The strings that matched.
    pub matched: Vec<String>,
}

/// How a sample's scan ended, for those who wait for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The scanner gave a verdict.
    Verdict(Arc<Verdict>),
    /// It was not scanned, on purpose.
    Skipped(SkipReason),
    /// It could not be scanned. Told to those who wait, never stored as a verdict.
    Failed(String),
}

/// Why a part is not scanned although nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A plain-text body that `scan.bodies` leaves out.
    PlainText,
    /// Above `limits.sample_bytes`, or above the size that the instances scan.
    TooLarge,
    /// The policy trusts the client or the sender.
    Trusted,
    /// A part without content.
    Empty,
    /// Encrypted (S/MIME, OpenPGP): what the recipient will see is not there to be scanned.
    Encrypted,
    /// The content is elsewhere (message/external-body), and only the client will fetch it.
    ExternalBody,
    /// A fragment of a message (message/partial), which only the client can put together.
    Partial,
}

impl Container {
    /// True where it asks for no password.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// Its name in logs and metrics; none where it asks for no password.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Opened(_) => Some("opened"),
            Self::Sealed(_) => Some("sealed"),
            Self::Unsupported(_) => Some("unsupported"),
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl SkipReason {
    /// Its name in logs, metrics and the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlainText => "plain_text",
            Self::TooLarge => "too_large",
            Self::Trusted => "trusted",
            Self::Empty => "empty",
            Self::Encrypted => "encrypted",
            Self::ExternalBody => "external_body",
            Self::Partial => "partial",
        }
    }
}

impl Verdict {
    /// True where the scanner reported nothing.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The highest score of its findings, 0 where there are none.
    pub fn score(&self) -> i64 {
        self.findings.iter().map(|finding| finding.score).max().unwrap_or(0)
    }

    /// When the scan began, in seconds since the epoch, rounded down.
    pub fn began_at(&self) -> u64 {
        self.scanned_at.saturating_sub(self.scan_ms.div_ceil(1000))
    }

    /// The same, of a scan that ended at `ended_at` by the hub's clock and began when its process knew of a bump at
    /// `bumped_at`: such a scan came after that bump, whatever the clocks say, so its verdict is never older.
    pub fn stamped(self, ended_at: u64, bumped_at: u64) -> Self {
        let took = self.scan_ms.div_ceil(1000);
        let after_the_bump = if bumped_at == 0 { 0 } else { bumped_at + took + 1 };
        Self { scanned_at: ended_at.max(after_the_bump), ..self }
    }

    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        Versioned::encode(self)
    }

    /// The verdict in `bytes`; none where they hold another version or none at all.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Versioned::decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::now, generation::Generation};

    #[test]
    fn a_scan_that_just_ended_is_never_older_than_the_bump_that_was_known_when_it_began() {
        for scan_ms in [0, 1, 1000, 1500, 60_000] {
            let bumped = Generation { bumped_at: 500, ..Generation::default() };
            let stamped =
                |ended_at, bumped_at| Verdict { scan_ms, ..Verdict::default() }.stamped(ended_at, bumped_at);
            assert!(!bumped.outdates(&stamped(380, 500)), "a clock that is behind: {scan_ms}");
            assert!(!bumped.outdates(&stamped(500, 500)), "in the second of the bump: {scan_ms}");
            assert!(bumped.outdates(&stamped(500, 0)), "a scan that knew of no bump: {scan_ms}");
            assert!(bumped.outdates(&stamped(500, 499)), "or of another: {scan_ms}");
            assert_eq!(stamped(900, 500).scanned_at, 900, "the clock is right: {scan_ms}");
        }
    }

    #[test]
    fn another_version_is_no_verdict() {
        let verdict = Verdict { scanned_at: now(), ..Verdict::default() };
        let wire = verdict.encode();
        assert_eq!(Verdict::decode(&wire), Some(verdict));
        let newer = String::from_utf8(wire).unwrap().replace("\"v\":1", "\"v\":2");
        assert_eq!(Verdict::decode(newer.as_bytes()), None);
        assert_eq!(Verdict::decode(b"{}"), None);
    }
}
