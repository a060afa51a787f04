// SPDX-License-Identifier: GPL-3.0-or-later
//! The part of a status that comes from the hub: queue, farm and dead letters. A milter's user at Redis need not be
//! allowed to read them: what is refused once is not asked for again, and the workers' pages show it.

use super::status::{Dead, Instance, Status, short};
use crate::{
    generation::{FarmReport, InstanceReport},
    hub::{DeadLetter, HubError, Observer},
    licence::days_left,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

/// Dead letters shown.
const LETTERS: usize = 20;

/// What the hub tells of queue, farm and dead letters.
pub struct HubView {
    hub: Arc<dyn Observer>,
    refused: [AtomicBool; 3],
}

impl HubView {
    /// Of `hub`.
    pub fn new(hub: Arc<dyn Observer>) -> Self {
        Self { hub, refused: Default::default() }
    }

    /// Adds what the hub tells to `status`. Where it tells nothing of the farm, `own` is what this process sees.
    pub async fn describe(&self, status: &mut Status, own: Option<FarmReport>) {
        let [queue, farm, letters] = &self.refused;
        let (queue, farm, letters, ping) = tokio::join!(
            unless_refused(queue, self.hub.queue()),
            unless_refused(farm, self.hub.farm()),
            unless_refused(letters, self.hub.dead_letters(LETTERS)),
            self.hub.ping()
        );
        let trouble = self.hub.trouble().map(|trouble| trouble.to_string());
        status.hub_error = trouble.or_else(|| ping.err().map(|error| error.to_string()));
        status.outage = self.hub.outage().map(|reason| reason.to_string());
        status.queue = queue;
        let reports = farm.filter(|reports| !reports.is_empty()).or_else(|| own.map(|own| vec![own]));
        let doubts = reports.iter().flatten().filter_map(|report| report.doubt);
        status.canary_in_doubt_since = doubts.min();
        status.farm = reports.map(|reports| instances(&reports, SystemTime::now()));
        status.signatures = self.hub.generation().signatures.clone();
        status.dead_letters = letters.map(|letters| letters.iter().map(Dead::from).collect());
    }
}

async fn unless_refused<T>(
    refused: &AtomicBool,
    asking: impl Future<Output = Result<T, HubError>>,
) -> Option<T> {
    if refused.load(Ordering::Relaxed) {
        return None;
    }
    let answer = asking.await;
    refused.store(matches!(answer, Err(HubError::Unusable(_))), Ordering::Relaxed);
    answer.ok()
}

/// Every instance once, in the order of their names.
fn instances(reports: &[FarmReport], now: SystemTime) -> Vec<Instance> {
    let mut seen: BTreeMap<&str, Vec<&InstanceReport>> = BTreeMap::new();
    for instance in reports.iter().flat_map(|report| &report.instances) {
        seen.entry(&instance.name).or_default().push(instance);
    }
    seen.into_iter().map(|(name, seen)| instance(name, &seen, now)).collect()
}

fn instance(name: &str, seen: &[&InstanceReport], now: SystemTime) -> Instance {
    let count = |state| seen.iter().filter(|one| one.state == state).count();
    let state = seen.iter().map(|one| one.state).max_by_key(|state| count(*state)).unwrap_or_default();
    let first =
        |field: fn(&InstanceReport) -> Option<&String>| seen.iter().find_map(|one| field(one)).cloned();
    let latencies = || seen.iter().filter_map(|one| one.latency_ms);
    let licence = first(|one| one.licence_ends.as_ref());
    Instance {
        name: short(name),
        state,
        workers: seen.len(),
        healthy: seen.iter().filter(|one| one.healthy).count(),
        thor: first(|one| one.thor.as_ref()),
        signatures: first(|one| one.signatures.as_ref()),
        threads: seen.iter().find_map(|one| one.threads),
        in_flight: seen.iter().map(|one| one.in_flight).sum(),
        capacity: seen.iter().map(|one| one.capacity).sum(),
        latency_ms: latencies().min().zip(latencies().max()),
        licence_days: licence.and_then(|words| days_left(&words, now)),
        last_error: first(|one| one.last_error.as_ref()).map(|error| short(&error)),
        max_file_bytes: seen.iter().filter_map(|one| one.max_file_bytes).min(),
        size_proved: seen.iter().filter_map(|one| one.size_proved).min(),
    }
}

impl From<&DeadLetter> for Dead {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            at_ms: letter.buried_at * 1000,
            sample: short(&letter.job.sample.to_string()),
            reason: short(&letter.reason),
            tries: letter.deliveries,
            id: letter.id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::InstanceState;

    fn report(state: InstanceState, in_flight: usize, latency_ms: u64) -> FarmReport {
        let instance = InstanceReport {
            name: "storm1".to_owned(),
            state,
            healthy: state == InstanceState::Closed,
            in_flight,
            capacity: 4,
            latency_ms: Some(latency_ms),
            licence_ends: Some("1970-01-08".to_owned()),
            ..InstanceReport::default()
        };
        FarmReport { instances: vec![instance], ..FarmReport::default() }
    }

    #[test]
    fn an_instance_is_what_all_workers_see_of_it() {
        let reports = [
            report(InstanceState::Closed, 1, 30),
            report(InstanceState::Open, 0, 90),
            report(InstanceState::Closed, 2, 40),
        ];
        let expected = Instance {
            name: "storm1".to_owned(),
            state: InstanceState::Closed,
            workers: 3,
            healthy: 2,
            in_flight: 3,
            capacity: 12,
            latency_ms: Some((30, 90)),
            licence_days: Some(7),
            ..Instance::default()
        };
        assert_eq!(instances(&reports, SystemTime::UNIX_EPOCH), [expected]);
    }

    #[tokio::test]
    async fn what_is_refused_is_not_asked_for_again() {
        let refused = AtomicBool::default();
        let unavailable = async { Err::<(), _>(HubError::Unavailable("away".into())) };
        assert_eq!(unless_refused(&refused, unavailable).await, None);
        assert_eq!(unless_refused(&refused, async { Ok(1) }).await, Some(1));
        let no = async { Err::<(), _>(HubError::Unusable("NOPERM".into())) };
        assert_eq!(unless_refused(&refused, no).await, None);
        assert_eq!(unless_refused(&refused, async { Ok(1) }).await, None);
    }
}
