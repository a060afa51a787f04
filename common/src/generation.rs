// SPDX-License-Identifier: GPL-3.0-or-later
//! What the workers know of the farm, and what follows from it: the generation, the signature version that the farm as
//! a whole has reached. A clean verdict from before it is stale, because the farm might find something today.
//!
//! 1. Every worker reports its instances every few seconds.
//! 2. The generation is the newest version that every healthy instance has reached, or as many as `farm.quorum` says.
//!    While no instance is healthy it stays what it was. It can go back, with instances that went back.
//! 3. Every milter learns of it within seconds. What it wants scanned again goes to instances that have that version.
//!
//! Custom rules have no version: after a change of theirs the operator bumps the generation, and every clean verdict
//! whose scan began before that is stale.

use crate::{blind::BlindSpan, verdict::Verdict};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroUsize,
};

/// One instance as one worker sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// Its name; workers that use the same name mean the same instance.
    pub name: String,
    /// Where it is, without a password.
    pub url: String,
    /// Whether it gets samples or would, were it not busy.
    pub healthy: bool,
    /// Whether it gets samples, and if not, why.
    pub state: InstanceState,
    /// THOR's version.
    pub thor: Option<String>,
    /// Signature version, such as `2026/01/12-160550`; these sort as text.
    pub signatures: Option<String>,
    /// Scans at a time, as it says.
    pub threads: Option<usize>,
    /// When its licence ends, as it says.
    pub licence_ends: Option<String>,
    /// Scans it runs for this worker.
    pub in_flight: usize,
    /// Scans it may run for this worker now.
    pub capacity: usize,
    /// Recent latency of scans in milliseconds; none before the first one.
    pub latency_ms: Option<u64>,
    /// How long it took to answer `/api/info`, in milliseconds.
    pub info_ms: Option<u64>,
    /// Why the last call failed; none where it did not.
    pub last_error: Option<String>,
    /// The largest file in bytes that it gets; none where it was not tried yet what it scans.
    pub max_file_bytes: Option<u64>,
    /// Whether something was found in a file of that size; none where that was not tried.
    pub size_proved: Option<bool>,
}

/// Whether an instance gets samples, as its breaker has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum InstanceState {
    /// No probe has ended yet; or it is a state that this version does not know.
    #[default]
    Unheard,
    /// Gets samples.
    Closed,
    /// Wants to be left alone for a while.
    Paused,
    /// Failed too often.
    Open,
    /// Shall get none, by the configuration.
    Drained,
    /// Does not find the canary.
    Blind,
    /// Has been behind with signatures for too long.
    Late,
}

/// The instances of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmReport {
    /// The worker's process.
    pub worker: String,
    /// When, in seconds since the epoch.
    pub at: u64,
    /// What it sees.
    pub instances: Vec<InstanceReport>,
    /// Since when the canary is in doubt, in seconds since the epoch, as far as it knows; none where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<u64>,
}

/// What a clean verdict must have seen to be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The signature version that the farm has reached; none as long as that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<String>,
    /// When an operator last bumped it, in seconds since the epoch; 0 for never.
    #[serde(default)]
    pub bumped_at: u64,
    /// When instances were blind: what they called clean then is not to be believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blind: Vec<BlindSpan>,
}

impl InstanceState {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Closed, Self::Paused, Self::Open, Self::Unheard, Self::Drained, Self::Blind, Self::Late];

    /// Its name in logs, metrics and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Closed => "closed",
            Self::Paused => "paused",
            Self::Open => "open",
            Self::Drained => "drained",
            Self::Blind => "blind",
            Self::Late => "late",
        }
    }
}

impl From<String> for InstanceState {
    fn from(name: String) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == name).unwrap_or_default()
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Generation {
    /// The same, with signatures at least as new as `needs`.
    pub fn at_least(&self, needs: Option<&str>) -> Self {
        let newer = needs.filter(|needs| Some(*needs) > self.signatures.as_deref());
        let signatures = newer.map_or_else(|| self.signatures.clone(), |needs| Some(needs.to_owned()));
        Self { signatures, ..self.clone() }
    }

    /// Whether it asks for the same signatures and the same bump. Who was blind says nothing of what the others see.
    pub fn is_as_new_as(&self, other: &Self) -> bool {
        self.signatures == other.signatures && self.bumped_at == other.bumped_at
    }

    /// Tells the log that `next` follows.
    pub(crate) fn tell_of(&self, next: &Self) {
        if self.is_as_new_as(next) {
            // Who was blind is told by those who find out, and by those who have believed them.
            return;
        }
        if next.signatures < self.signatures {
            tracing::warn!(
                event = "generation",
                farm.signatures = next.signatures,
                farm.signatures_before = self.signatures,
                farm.bumped_at = next.bumped_at,
                "The farm's signatures went back; clean verdicts of older signatures count again"
            );
        } else {
            tracing::info!(
                event = "generation",
                farm.signatures = next.signatures,
                farm.bumped_at = next.bumped_at,
                "The farm has reached another generation; clean verdicts from before it are stale"
            );
        }
    }

    /// Whether `verdict` is clean and from before this generation, or from an instance that was blind. One without a known
    /// version counts as older than any.
    pub fn outdates(&self, verdict: &Verdict) -> bool {
        verdict.is_clean()
            && (verdict.signatures < self.signatures
                || verdict.began_at() <= self.bumped_at
                || self.blind.iter().any(|span| span.covers(verdict)))
    }
}

/// The signature version that `quorum` of the healthy instances have reached (none: all of them), as the newest of
/// `reports` tell; the outer none where no instance is healthy. Those that are `excluded` do not count.
pub fn reached(
    reports: &[FarmReport],
    quorum: Option<NonZeroUsize>,
    excluded: &BTreeSet<&str>,
) -> Option<Option<String>> {
    let mut newest = reports.iter().collect::<Vec<_>>();
    newest.sort_by_key(|report| report.at);
    let healthy = |report: &&FarmReport| -> Vec<(String, Option<String>)> {
        let counts =
            |instance: &&InstanceReport| instance.healthy && !excluded.contains(instance.name.as_str());
        let healthy = report.instances.iter().filter(counts);
        healthy.map(|instance| (instance.name.clone(), instance.signatures.clone())).collect()
    };
    let versions: BTreeMap<_, _> = newest.iter().flat_map(healthy).collect();
    let mut versions: Vec<_> = versions.into_values().collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let enough = quorum.map_or(versions.len(), |quorum| quorum.get().min(versions.len()));
    versions.into_iter().nth(enough.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(at: u64, instances: &[(&str, Option<&str>)]) -> FarmReport {
        let instances = instances.iter().map(|(name, signatures)| InstanceReport {
            name: (*name).to_owned(),
            healthy: true,
            signatures: signatures.map(str::to_owned),
            ..InstanceReport::default()
        });
        FarmReport { worker: at.to_string(), at, instances: instances.collect(), doubt: None }
    }

    fn reached_by(reports: &[FarmReport], quorum: usize) -> Option<Option<String>> {
        reached(reports, NonZeroUsize::new(quorum), &BTreeSet::new())
    }

    #[test]
    fn a_state_reads_as_it_is_written_and_one_of_a_later_version_as_unheard() {
        for state in InstanceState::ALL {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(text, format!("\"{state}\""));
            assert_eq!(serde_json::from_str::<InstanceState>(&text).unwrap(), state);
        }
        assert_eq!(serde_json::from_str::<InstanceState>("\"resting\"").unwrap(), InstanceState::Unheard);
    }

    #[test]
    fn every_healthy_instance_has_reached_the_generation() {
        let mut reports = [report(1, &[("a", Some("2")), ("b", Some("3"))]), report(2, &[("c", Some("1"))])];
        assert_eq!(reached_by(&reports, 0), Some(Some("1".into())));
        assert_eq!(reached_by(&reports, 2), Some(Some("2".into())));
        assert_eq!(reached_by(&reports, 9), Some(Some("1".into())));
        reports[1].instances[0].healthy = false;
        assert_eq!(reached_by(&reports, 0), Some(Some("2".into())));
        assert_eq!(reached_by(&[], 0), None);
    }

    #[test]
    fn who_is_blind_or_late_does_not_count() {
        let reports = [report(1, &[("a", Some("2")), ("b", Some("1")), ("c", Some("1"))])];
        let without = |names: &[&'static str]| reached(&reports, None, &names.iter().copied().collect());
        assert_eq!(without(&["b"]), Some(Some("1".into())));
        assert_eq!(without(&["b", "c"]), Some(Some("2".into())));
        assert_eq!(without(&["a", "b", "c"]), None, "the generation stays what it was");
    }

    #[test]
    fn what_a_blind_instance_called_clean_is_outdated() {
        let scan =
            |instance: &str| Verdict { instance: instance.into(), scanned_at: 150, ..Verdict::default() };
        let span = BlindSpan { instance: "a".into(), from: 100, to: Some(200) };
        let generation = Generation { blind: vec![span], ..Generation::default() };
        assert!(generation.outdates(&scan("a")));
        assert!(!generation.outdates(&scan("b")));
        assert!(!Generation::default().outdates(&scan("a")));
        let found = Verdict { findings: vec![crate::verdict::Finding::default()], ..scan("a") };
        assert!(!generation.outdates(&found), "what it did find is there");
        let old: Generation = serde_json::from_str(r#"{"signatures":"1","bumped_at":7}"#).unwrap();
        assert_eq!(serde_json::to_string(&old).unwrap(), r#"{"signatures":"1","bumped_at":7}"#);
    }

    #[test]
    fn an_instance_without_a_version_has_reached_none() {
        assert_eq!(reached_by(&[report(1, &[("a", Some("2")), ("b", None)])], 0), Some(None));
    }

    #[test]
    fn the_newest_report_of_an_instance_counts() {
        let reports = [report(2, &[("a", Some("2"))]), report(1, &[("a", Some("1"))])];
        assert_eq!(reached_by(&reports, 0), Some(Some("2".into())));
    }

    #[test]
    fn clean_verdicts_are_outdated_by_newer_signatures_and_by_bumps() {
        let verdict = |signatures: Option<&str>| Verdict {
            signatures: signatures.map(str::to_owned),
            scanned_at: 100,
            scan_ms: 1500,
            ..Verdict::default()
        };
        let at = |signatures: Option<&str>, bumped_at| Generation {
            signatures: signatures.map(str::to_owned),
            bumped_at,
            blind: Vec::new(),
        };
        assert!(!at(Some("2"), 0).outdates(&verdict(Some("2"))));
        assert!(at(Some("3"), 0).outdates(&verdict(Some("2"))));
        assert!(at(Some("3"), 0).outdates(&verdict(None)));
        assert!(!at(None, 0).outdates(&verdict(None)));
        assert!(at(None, 99).outdates(&verdict(None)), "the scan began before the bump");
        assert!(!at(None, 97).outdates(&verdict(None)));
        let found = Verdict { findings: vec![crate::verdict::Finding::default()], ..verdict(None) };
        assert!(!at(Some("3"), 200).outdates(&found));
    }
}
