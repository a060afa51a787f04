// SPDX-License-Identifier: GPL-3.0-or-later
//! What is known of a sample, and the generation that makes clean verdicts stale.

use crate::{
    failed::FailedSample,
    generation,
    sample::SampleKey,
    verdict::{self, Finding},
};
use serde::{Deserialize, Serialize};

/// A sample that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sought {
    /// `DIGEST` (SHA-256, under any name) or `DIGEST.EXTENSION`.
    pub sample: String,
}

/// What is known of a sample under every name that was sought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// What scans said, one a name.
    pub verdicts: Vec<Verdict>,
    /// Where the last scan failed by the sample's own fault, one a name.
    pub failed: Vec<Failed>,
}

/// What a scan said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `DIGEST` or `DIGEST.EXTENSION`.
    pub sample: String,
    /// Whether the scanner reported nothing.
    pub clean: bool,
    /// A clean verdict that is not believed any more: from before the generation, or of a blind instance. The next mail has
    /// the sample scanned again.
    pub outdated: bool,
    /// The highest score of its findings.
    pub score: i64,
    /// When the scan ended.
    pub scanned_at_ms: u64,
    /// How long it took.
    pub scan_ms: u64,
    /// The instance that scanned.
    pub instance: String,
    /// Its signature version then; none where that is unknown.
    pub signatures: Option<String>,
    /// What the scanner reported.
    pub findings: Vec<Finding>,
    /// How many findings more there were.
    pub omitted: u64,
}

/// A scan that failed and is not tried again before a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// `DIGEST` or `DIGEST.EXTENSION`.
    pub sample: String,
    /// Why, in the worker's words.
    pub reason: String,
    /// The instance that could not scan it last; empty where that is unknown.
    pub instance: String,
    /// When.
    pub failed_at_ms: u64,
    /// Until when its mails are `scan_failed` without another upload.
    pub until_ms: u64,
}

/// A sample to forget the verdict of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// `DIGEST` (under any name) or `DIGEST.EXTENSION`.
    pub sample: String,
    /// The caller's reason, for the audit.
    #[serde(default)]
    pub reason: String,
}

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// How many verdicts.
    pub forgotten: usize,
}

/// What clean verdicts must have seen to be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The signature version that the farm as a whole has reached; none as long as that is unknown.
    pub signatures: Option<String>,
    /// When an operator last made clean verdicts stale; none: never.
    pub bumped_at_ms: Option<u64>,
}

impl Verdict {
    /// `verdict` of `sample`, at `generation`.
    pub fn of(sample: &SampleKey, verdict: &verdict::Verdict, generation: &generation::Generation) -> Self {
        Self {
            sample: sample.to_string(),
            clean: verdict.is_clean(),
            outdated: generation.outdates(verdict),
            score: verdict.score(),
            scanned_at_ms: verdict.scanned_at * 1000,
            scan_ms: verdict.scan_ms,
            instance: verdict.instance.clone(),
            signatures: verdict.signatures.clone(),
            findings: verdict.findings.clone(),
            omitted: verdict.omitted,
        }
    }
}

impl Failed {
    /// `failed` of `sample`.
    pub fn of(sample: &SampleKey, failed: &FailedSample) -> Self {
        Self {
            sample: sample.to_string(),
            reason: failed.reason.clone(),
            instance: failed.instance.clone(),
            failed_at_ms: failed.failed_at * 1000,
            until_ms: failed.until * 1000,
        }
    }
}

impl From<&generation::Generation> for Generation {
    fn from(generation: &generation::Generation) -> Self {
        let bumped_at_ms = Some(generation.bumped_at * 1000).filter(|at| *at > 0);
        Self { signatures: generation.signatures.clone(), bumped_at_ms }
    }
}
