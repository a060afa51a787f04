// SPDX-License-Identifier: GPL-3.0-or-later
//! The instances that the configuration names and what holds for all of them. It never changes: a new configuration
//! makes a new roster, which takes over the instances that stay, with all that is known of them.

use super::{balance, instance::Instance};
use crate::thunderstorm::settings::{Settings, SetupError};
use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_common::config;
use tokio::sync::OwnedSemaphorePermit;

/// How long a sample waits for an instance before its job goes back to the queue, where another worker finds it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Assumed of all instances before the first scan of any.
const ASSUMED: Duration = Duration::from_millis(50);

/// All instances, at one moment.
#[derive(Debug)]
pub(crate) struct Roster {
    /// Those that get samples.
    pub instances: Vec<Arc<Instance>>,
    /// Tries before a delivery counts as failed.
    pub attempts: u32,
    /// How long a sample waits for a place.
    pub patience: Duration,
    /// After this time a delivery begins no further attempt.
    pub longest: Duration,
    /// Between two probes of an instance.
    pub probe_interval: Duration,
    /// The largest sample in bytes that the instances scan.
    pub largest: u64,
    /// See [`config::Farm::quorum`].
    pub quorum: Option<NonZeroUsize>,
    /// See [`config::Farm::lag`].
    pub lag: Duration,
}

/// What a new configuration did to the instances; their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub added: Vec<String>,
    /// Those that get no more samples.
    pub removed: Vec<String>,
    /// Those of the same name that are reached in another way, or run another number of scans.
    pub changed: Vec<String>,
    /// Those that stay as they are.
    pub kept: Vec<String>,
}

/// What a sample asks of the instance that scans it.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Where it has failed already: rather not there.
    pub tried: Vec<Arc<Instance>>,
    /// The least signature version.
    pub needs: Option<String>,
    /// How large it is.
    pub bytes: u64,
    /// Whether it waits until it is known how large a file an instance scans.
    pub waits_for_size: bool,
}

impl Wish {
    fn has_tried(&self, instance: &Instance) -> bool {
        self.tried.iter().any(|tried| tried.name() == instance.name())
    }
}

/// A place at one instance.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where.
    pub instance: Arc<Instance>,
    /// Holds it, as long as it lives.
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl Roster {
    /// The instances that `farm` names.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up as configured.
    pub(crate) fn new(farm: &config::Farm) -> Result<Self, SetupError> {
        Self::after(&[], farm).map(|(roster, _)| roster)
    }

    /// The instances that `farm` names, those among them that this roster has too with what is known of them.
    ///
    /// # Errors
    ///
    /// As [`Roster::new`].
    pub(crate) fn next(&self, farm: &config::Farm) -> Result<(Self, Changes), SetupError> {
        Self::after(&self.instances, farm)
    }

    fn after(before: &[Arc<Instance>], farm: &config::Farm) -> Result<(Self, Changes), SetupError> {
        let mut changes = Changes::default();
        let mut instances = Vec::with_capacity(farm.instances.len());
        for configured in &farm.instances {
            let settings = Settings::read(configured, farm)?;
            let name = configured.name();
            let old = before.iter().find(|old| old.name() == name);
            instances.push(match old {
                Some(old) if old.is_set(&settings) => {
                    changes.kept.push(name);
                    Arc::clone(old)
                }
                _ => {
                    let names = if old.is_some() { &mut changes.changed } else { &mut changes.added };
                    names.push(name.clone());
                    Arc::new(Instance::new(name, settings, old.map(|old| &**old))?)
                }
            });
        }
        let stays = |old: &&Arc<Instance>| instances.iter().any(|new| new.name() == old.name());
        changes.removed = before.iter().filter(|old| !stays(old)).map(|old| old.name().to_owned()).collect();
        let attempts = farm.attempts.max(1);
        let roster = Self {
            instances,
            attempts,
            patience: PATIENCE.min(farm.timeout),
            longest: farm.timeout.saturating_mul(attempts),
            probe_interval: farm.probe_interval,
            largest: farm.max_file_bytes.as_u64(),
            quorum: farm.quorum,
            lag: farm.lag,
        };
        Ok((roster, changes))
    }

    /// How many scans the available instances run at a time.
    pub(crate) fn capacity(&self, now: Instant) -> usize {
        self.instances.iter().map(|instance| instance.capacity(now)).sum()
    }

    /// Whether any instance has room for one more scan.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        self.instances.iter().any(|instance| instance.has_room(now))
    }

    /// Whether a sample of so many bytes is too large for every instance that scans, or soon will again.
    pub(crate) fn refuses(&self, bytes: u64, now: Instant) -> bool {
        let mut healthy = self.instances.iter().filter(|one| one.is_healthy(now)).peekable();
        healthy.peek().is_some() && healthy.all(|one| !one.takes(bytes, now))
    }

    /// Whether `instance` is the only one that may get samples.
    pub(crate) fn is_only(&self, instance: &Instance) -> bool {
        self.instances.iter().all(|one| one.name() == instance.name() || !one.is_member())
    }

    /// Whether no more than one instance scans.
    pub(crate) fn is_last(&self, now: Instant) -> bool {
        self.instances.iter().filter(|one| one.is_healthy(now)).count() < 2
    }

    /// The instance that a suspect gets to itself: of those that `wish` allows the one with the least in flight. With
    /// `spares_the_last` not the only one left of several.
    pub(crate) fn choose_for_suspect(
        &self,
        wish: &Wish,
        spares_the_last: bool,
        now: Instant,
    ) -> Option<Arc<Instance>> {
        let several = self.instances.iter().filter(|one| one.is_member()).count() > 1;
        if spares_the_last && several && self.is_last(now) {
            return None;
        }
        let able =
            || self.able(wish, now).into_iter().min_by_key(|one| (one.in_flight(), one.name().to_owned()));
        let untried = self.able(wish, now).into_iter().filter(|one| !wish.has_tried(one));
        let untried = untried.min_by_key(|one| (one.in_flight(), one.name().to_owned()));
        // Where the others may come back, it does not return to the one where it failed so soon.
        let may_return = !(spares_the_last && several);
        untried.or_else(|| may_return.then(able).flatten()).cloned()
    }

    /// The instances that scan and that `wish` allows, those where it was tried as well.
    fn able(&self, wish: &Wish, now: Instant) -> Vec<&Arc<Instance>> {
        let needs = wish.needs.as_deref();
        let is_able = |one: &&Arc<Instance>| {
            one.capacity(now) > 0
                && one.has_signatures(needs)
                && one.takes(wish.bytes, now)
                && (!wish.waits_for_size || one.knows_its_size(now))
        };
        self.instances.iter().filter(is_able).collect()
    }

    /// A place at an instance that `wish` allows, rather one that was not tried; none where there is none.
    pub(crate) fn choose(&self, wish: &Wish, now: Instant) -> Option<Place> {
        let able = self.able(wish, now);
        let mut candidates: Vec<_> = able.iter().copied().filter(|one| !wish.has_tried(one)).collect();
        if candidates.is_empty() {
            candidates = able;
        }
        candidates.retain(|one| one.has_room(now));
        let quickest = self.instances.iter().filter_map(|one| one.latency()).min().unwrap_or(ASSUMED);
        loop {
            let instance = balance::choose(&candidates, |one| one.cost(quickest, now))?;
            if let Some(permit) = instance.take(now) {
                return Some(Place { instance: Arc::clone(instance), _permit: permit });
            }
            candidates.retain(|other| !Arc::ptr_eq(other, instance));
        }
    }
}
