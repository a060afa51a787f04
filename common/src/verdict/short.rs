// SPDX-License-Identifier: GPL-3.0-or-later
//! The short form of a clean verdict: most verdicts are clean, and there is one for each attachment that ever came. What
//! repeats, the instance's name and its signatures, stands once in a table ([`Names`]); the verdict refers to it. An
//! entry's id follows from its contents, so workers need not agree on ids, and none ever means something else.
//!
//! ```text
//! "c1"     id       scanned_at         scan_ms
//! 2 bytes  6 bytes  5, big-endian, s   4, big-endian
//! ```
//!
//! A verdict with more to say has the long form, JSON, which begins otherwise.

use super::Verdict;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the short form begins with: what it is, and its version.
const MARK: &[u8; 2] = b"c1";
const ID: usize = 6;
const SECONDS: usize = 5;
/// How long a short form is.
pub const LENGTH: usize = MARK.len() + ID + SECONDS + size_of::<u32>();

/// What clean verdicts of one instance with one version of signatures have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// [`Verdict::instance`].
    pub instance: String,
    /// [`Verdict::signatures`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<String>,
}

/// Which [`Names`]: the first bytes of their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamesId([u8; ID]);

/// A clean verdict without its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// Which names it has.
    pub names: NamesId,
    scanned_at: u64,
    scan_ms: u32,
}

impl Names {
    /// The names in `verdict`.
    pub fn of(verdict: &Verdict) -> Self {
        Self { instance: verdict.instance.clone(), signatures: verdict.signatures.clone() }
    }

    /// Their id.
    pub fn id(&self) -> NamesId {
        let signatures = self.signatures.as_deref().map_or(String::new(), |version| format!("\0{version}"));
        let digest = Digest::of(format!("{}{signatures}", self.instance).as_bytes());
        let mut id = [0; ID];
        id.copy_from_slice(&digest.as_bytes()[..ID]);
        NamesId(id)
    }
}

impl fmt::Display for NamesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Short {
    /// The short form of `verdict`; none where it says more than that has room for.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        // Every field by its name: one that is added is not lost in here.
        let Verdict { findings, omitted, signatures: _, scanned_at, scan_ms, instance: _, container } =
            verdict;
        let says_more = !findings.is_empty() || *omitted > 0 || !container.is_none();
        let fits = !says_more && *scanned_at < 1 << (8 * SECONDS);
        let scan_ms = u32::try_from(*scan_ms).ok().filter(|_| fits)?;
        Some(Self { names: Names::of(verdict).id(), scanned_at: *scanned_at, scan_ms })
    }

    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        let seconds = self.scanned_at.to_be_bytes();
        let seconds = &seconds[seconds.len() - SECONDS..];
        [MARK.as_slice(), &self.names.0, seconds, &self.scan_ms.to_be_bytes()].concat()
    }

    /// The short verdict in `bytes`; none where they are something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MARK).filter(|_| bytes.len() == LENGTH)?;
        let (names, rest) = rest.split_first_chunk::<ID>()?;
        let (seconds, rest) = rest.split_first_chunk::<SECONDS>()?;
        let scanned_at = seconds.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let scan_ms = u32::from_be_bytes(rest.try_into().ok()?);
        Some(Self { names: NamesId(*names), scanned_at, scan_ms })
    }

    /// The whole verdict, where `names` are its own.
    pub fn with(self, names: &Names) -> Verdict {
        Verdict {
            signatures: names.signatures.clone(),
            scanned_at: self.scanned_at,
            scan_ms: self.scan_ms.into(),
            instance: names.instance.clone(),
            ..Verdict::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Finding;

    fn clean() -> Verdict {
        Verdict {
            signatures: Some("2026/01/12-160550".to_owned()),
            scanned_at: 1_764_376_590,
            scan_ms: 152,
            instance: "storm1".to_owned(),
            ..Verdict::default()
        }
    }

    #[test]
    fn a_clean_verdict_is_short_and_comes_back_with_its_names() {
        for verdict in [
            clean(),
            Verdict::default(),
            Verdict { signatures: None, ..clean() },
            Verdict { scan_ms: u64::from(u32::MAX), scanned_at: (1 << 40) - 1, ..clean() },
        ] {
            let wire = Short::of(&verdict).unwrap().encode();
            assert!(wire.len() == LENGTH && LENGTH <= 64);
            let short = Short::decode(&wire).unwrap();
            assert_eq!(short.names, Names::of(&verdict).id());
            assert_eq!(short.with(&Names::of(&verdict)), verdict);
        }
    }

    #[test]
    fn what_has_more_to_say_is_not_shortened() {
        let found = Verdict { findings: vec![Finding::default()], ..clean() };
        let late = Verdict { scanned_at: 1 << 40, ..clean() };
        let slow = Verdict { scan_ms: 1 << 32, ..clean() };
        for verdict in [found, late, slow] {
            assert_eq!(Short::of(&verdict), None);
        }
    }

    #[test]
    fn what_is_no_short_form_is_none() {
        let wire = Short::of(&clean()).unwrap().encode();
        assert_eq!(Verdict::decode(&wire), None, "an older program takes it for no verdict");
        for other in [&wire[..LENGTH - 1], &[&wire[..], b"x"].concat(), b"c2", b"", &clean().encode()] {
            assert_eq!(Short::decode(other), None);
        }
    }

    #[test]
    fn different_names_have_different_ids() {
        let ids: std::collections::HashSet<String> = (0..1000)
            .flat_map(|number| {
                let instance = format!("storm{number}");
                [None, Some(String::new()), Some("1".to_owned())]
                    .map(|signatures| Names { instance: instance.clone(), signatures }.id().to_string())
            })
            .collect();
        assert_eq!(ids.len(), 3000);
    }
}
