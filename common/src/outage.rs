// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm's outage: no instance scans, as all workers see it. Who waits for a verdict then waits in vain, and is told
//! why at once. Workers that have not heard of an instance yet know of no outage; nor does a site without a worker, where
//! one may start at any moment.

use crate::{
    causes::innermost,
    generation::{FarmReport, InstanceReport, InstanceState},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// An outage counts once it has lasted this long: a scanner that is restarted is back in seconds, and mail can wait for it.
const GRACE: Duration = Duration::from_secs(5);
/// Instances named in the reason.
const MOST_NAMED: usize = 5;
/// Bytes of one instance's name or error in the reason.
const LONGEST_TEXT: usize = 190;

/// An outage as this process knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outage(Option<(Arc<str>, Instant)>);

impl Outage {
    /// At `now` no instance scans, for this `reason`; none where one does.
    pub(crate) fn learn(&mut self, reason: Option<&str>, now: Instant) {
        let since = self.0.as_ref().map_or(now, |(_, since)| *since);
        self.0 = reason.map(|reason| (Arc::from(reason), since));
    }

    /// Whether no instance scans, for however short a time.
    pub(crate) fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Why no instance scans, where it has been so for a while.
    pub(crate) fn reason(&self, now: Instant) -> Option<Arc<str>> {
        let lasts = |since: &Instant| now.saturating_duration_since(*since) >= GRACE;
        self.0.as_ref().filter(|(_, since)| lasts(since)).map(|(reason, _)| Arc::clone(reason))
    }
}

/// Why no instance scans, `storm1 connection refused; storm2 drained`; none where one does, or that is not known.
pub fn outage(reports: &[FarmReport]) -> Option<String> {
    let mut newest: Vec<_> = reports.iter().collect();
    newest.sort_by_key(|report| report.at);
    let all = newest.iter().flat_map(|report| &report.instances);
    if all.clone().any(|one| one.healthy || one.state == InstanceState::Unheard) {
        return None;
    }
    let by_name: BTreeMap<&str, &InstanceReport> = all.map(|one| (one.name.as_str(), one)).collect();
    if by_name.is_empty() {
        return None;
    }
    let mut reasons: Vec<String> = by_name.values().take(MOST_NAMED).map(|one| reason(one)).collect();
    if by_name.len() > MOST_NAMED {
        reasons.push(format!("{} more", by_name.len() - MOST_NAMED));
    }
    Some(reasons.join("; "))
}

fn reason(one: &InstanceReport) -> String {
    match (one.state, &one.last_error) {
        (InstanceState::Open, Some(error)) => {
            format!("{} {}", short(&one.name), short(innermost(error)))
        }
        (state, _) => format!("{} {state}", short(&one.name)),
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(at: u64, instances: &[(&str, InstanceState, Option<&str>)]) -> FarmReport {
        let instances = instances.iter().map(|(name, state, error)| InstanceReport {
            name: (*name).to_owned(),
            healthy: matches!(state, InstanceState::Closed | InstanceState::Paused),
            state: *state,
            last_error: error.map(str::to_owned),
            ..InstanceReport::default()
        });
        FarmReport { worker: at.to_string(), at, instances: instances.collect(), doubt: None }
    }

    #[test]
    fn an_outage_is_when_no_worker_knows_an_instance_that_scans() {
        use InstanceState::{Closed, Open, Paused, Unheard};
        let refused = Some("the scanner cannot be reached: connection refused");
        let both = report(1, &[("b", Open, refused), ("a", Open, refused)]);
        let told = Some("a connection refused; b connection refused".to_owned());
        assert_eq!(outage(std::slice::from_ref(&both)), told);
        for other in [Closed, Paused, Unheard] {
            let reports = [both.clone(), report(2, &[("a", other, None)])];
            assert_eq!(outage(&reports), None, "another worker may have it scanned: {other}");
        }
        assert_eq!(outage(&[]), None);
        assert_eq!(outage(&[report(1, &[])]), None);
    }

    #[test]
    fn an_outage_counts_once_it_has_lasted_a_while() {
        let (mut outage, began) = (Outage::default(), Instant::now());
        outage.learn(Some("a"), began);
        assert_eq!(outage.reason(began), None);
        outage.learn(Some("b"), began + GRACE);
        assert_eq!(outage.reason(began + GRACE).as_deref(), Some("b"));
        outage.learn(None, began + GRACE);
        outage.learn(Some("a"), began + GRACE);
        assert_eq!(outage.reason(began + GRACE), None, "another one begins anew");
    }

    #[test]
    fn a_long_reason_is_cut() {
        let long = "é".repeat(300);
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let all: Vec<_> =
            names.iter().map(|name| (*name, InstanceState::Open, Some(long.as_str()))).collect();
        let told = outage(&[report(1, &all)]).unwrap();
        assert!(told.len() < 1100 && told.ends_with("; 2 more"), "{told}");
    }
}
