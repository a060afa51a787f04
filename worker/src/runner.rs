// SPDX-License-Identifier: GPL-3.0-or-later
//! The life of a worker.
//!
//! 1. Claim as many jobs as the available instances have room for, and deliver each in a task of its own ([`crate::scan`]).
//!    A scan takes room until its instance could begin another; its verdict is completed beside that.
//!    Where no instance is available nothing is claimed: jobs wait in the queue, and none of their deliveries is spent.
//!    Background work leaves a quarter of the room, so that mail never waits for the end of a long scan nobody waits for.
//! 2. Beside that, probe the farm, report it to the hub ([`crate::reporter`]) and renew what is being scanned.
//! 3. Drain: claim nothing more, finish what runs; what a claim still under way brings is handed back.
//! 4. Leave: stop what still runs and hand it back, so that another worker begins it at once.

use crate::{
    consumer::Consumer,
    containers::{Containers, Open},
    farm::{Farm, metrics::FarmMetrics},
    memory::Memory,
    metrics::{FarmState, WorkerMetrics, queue::QueueMetrics, redis::RedisMemory},
    oversee::{Canary, Overseer},
    renewer::{self, Running},
    reporter,
    scan::Scanning,
    suspects::Turns,
    thunderstorm::settings::SetupError,
};
use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    config,
    generation::FarmReport,
    hub::{self, Claim, Observer, Queue, Room},
    outage::outage,
    telemetry,
};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How long handing back may take at the end; after that the reclaim finds the jobs.
const HANDING_BACK: Duration = Duration::from_secs(2);

/// How often the hub is asked whether it takes writes.
const PULSE: Duration = Duration::from_secs(2);

/// A worker that has not begun yet.
pub struct Worker {
    name: String,
    hub: Arc<dyn hub::Worker>,
    observer: Arc<dyn Observer>,
    farm: Arc<Farm>,
    queue: Queue,
    memory: Memory,
    metrics: WorkerMetrics,
    seen: QueueMetrics,
    canary: Option<Canary>,
    turns: Arc<Turns>,
    containers: Arc<Containers>,
}

/// Why no instance takes a sample.
fn no_scanner(farm: &Farm) -> String {
    let report = FarmReport { instances: farm.reports(), ..FarmReport::default() };
    match outage(&[report]) {
        Some(reason) => format!("no scanner answers: {reason}"),
        None if farm.scans() => "all scanners are busy, or want to be left alone for a moment".to_owned(),
        None => "no scanner has answered yet".to_owned(),
    }
}

impl Worker {
    /// A worker between `hub` and `farm`, whose metrics tell what `observer` sees of the queue, whose samples take `memory` and are opened as `open` says, its metrics in `registry`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up.
    pub fn new(
        hub: Arc<dyn hub::Worker>,
        observer: Arc<dyn Observer>,
        farm: &config::Farm,
        queue: &Queue,
        memory: Memory,
        open: &Open,
        registry: &mut Registry,
    ) -> Result<Self, SetupError> {
        let containers = Arc::new(Containers::new(open, registry));
        let farm = Arc::new(Farm::new(farm, FarmMetrics::new(registry))?);
        registry.register_collector(Box::new(FarmState(Arc::clone(&farm))));
        registry.register_collector(Box::new(RedisMemory(Arc::clone(&hub))));
        let (metrics, seen) = (WorkerMetrics::new(registry), QueueMetrics::new(registry, queue));
        let (name, queue) = (telemetry::process_name(), queue.clone());
        let turns = Arc::new(Turns::new(Arc::clone(&hub), &name));
        Ok(Self { name, hub, observer, farm, queue, memory, metrics, seen, canary: None, turns, containers })
    }

    /// It looks after the instances for all workers, while it is the one that does, with this canary.
    #[must_use]
    pub fn overseeing(mut self, canary: &Canary) -> Self {
        if !canary.every.is_zero() {
            self.farm.expect_sizes();
        }
        self.canary = Some(canary.clone());
        self
    }

    /// Its scanners: [`Farm::available`] says whether samples would be scanned now.
    pub fn farm(&self) -> Arc<Farm> {
        Arc::clone(&self.farm)
    }

    /// Says whether it can do its work, or why not; for `/ready`.
    pub fn health(&self) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
        let (farm, hub, hub_up) = (self.farm(), Arc::clone(&self.hub), self.metrics.hub_up.clone());
        move || match (hub.trouble(), hub_up.get(), farm.available()) {
            (Some(trouble), ..) => Err(trouble.to_string()),
            (_, 0, _) => Err("the hub does not answer".to_owned()),
            (_, _, false) => Err(no_scanner(&farm)),
            _ => Ok(()),
        }
    }

    /// Works until `drain`, then finishes what runs, until `leave` at the latest.
    pub async fn run(self, drain: CancellationToken, leave: CancellationToken) {
        let running = Arc::new(Running::default());
        let ended = CancellationToken::new();
        let every = self.queue.lease_ttl.min(self.queue.reclaim_after) / 3;
        let work = async {
            let up = drain.run_until_cancelled(self.hub.ping()).await.is_some_and(|answer| answer.is_ok());
            self.metrics.hub_up.set(i64::from(up));
            self.work(&running, &drain, &leave).await;
            ended.cancel();
        };
        tokio::join!(
            self.farm.watch(ended.clone()),
            renewer::renew(&*self.hub, &self.name, &running, every, &self.metrics, &ended),
            reporter::report(&*self.hub, &self.name, &self.farm, &ended),
            self.seen.watch(&*self.observer, &ended),
            self.oversee(&ended),
            self.turns.watch(&self.farm, &ended),
            self.feel_pulse(&ended),
            work,
        );
    }

    /// Whether the hub takes what a worker writes; [`Worker::health`] tells of it.
    async fn feel_pulse(&self, ended: &CancellationToken) {
        loop {
            let Some(found) = ended.run_until_cancelled(self.hub.probe()).await else { return };
            let pause = if found.is_ok() { PULSE } else { PULSE / 5 };
            if ended.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn oversee(&self, ended: &CancellationToken) {
        let Some(canary) = self.canary.clone() else { return };
        let overseer = Overseer {
            hub: Arc::clone(&self.hub),
            observer: Arc::clone(&self.observer),
            worker: self.name.clone(),
            farm: Arc::clone(&self.farm),
            canary,
            memory: Mutex::default(),
        };
        overseer.watch(ended).await;
    }

    async fn work(&self, running: &Arc<Running>, drain: &CancellationToken, leave: &CancellationToken) {
        let mut scans = JoinSet::new();
        let places = Arc::new(Places::default());
        let mut consumer = Consumer::new(Arc::clone(&self.hub), &self.name, self.metrics.clone());
        let scanning = Arc::new(Scanning {
            hub: Arc::clone(&self.hub),
            farm: Arc::clone(&self.farm),
            memory: self.memory.clone(),
            turns: Arc::clone(&self.turns),
            containers: Arc::clone(&self.containers),
            max_deliveries: self.queue.max_deliveries,
            failed_ttl: self.queue.failed_ttl,
            metrics: self.metrics.clone(),
        });
        loop {
            self.metrics.in_flight.set(scans.len() as i64);
            let elsewhere = self.farm.suspects() + self.containers.deliveries();
            let beside_others = scans.len().saturating_sub(elsewhere);
            let room = room(self.farm.capacity(), places.taken(beside_others), running.background());
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                Some(_) = scans.join_next() => {}
                claims = consumer.claims(room), if room.most > 0 || consumer.is_claiming() => {
                    for claim in claims {
                        let number = running.insert(claim.clone());
                        let place = Places::take(&places);
                        scans.spawn(deliver(Arc::clone(&scanning), Arc::clone(running), claim, number, place));
                    }
                }
                () = places.freed.notified(), if room.most == 0 => {}
                () = self.farm.changed(), if room.most == 0 => {}
            }
        }
        self.drain(&mut scans, &mut consumer, leave).await;
        scans.shutdown().await;
        self.hand_back(running.take_all()).await;
        self.metrics.in_flight.set(0);
    }

    async fn drain(&self, scans: &mut JoinSet<()>, consumer: &mut Consumer, leave: &CancellationToken) {
        while !scans.is_empty() {
            self.metrics.in_flight.set(scans.len() as i64);
            tokio::select! {
                biased;
                () = leave.cancelled() => return,
                _ = scans.join_next() => {}
                // Dropping the claim would leave its jobs with a worker that does not look at them.
                claims = consumer.claims(room(0, 0, 0)), if consumer.is_claiming() => self.hand_back(claims).await,
            }
        }
    }

    async fn hand_back(&self, claims: Vec<Claim>) {
        if claims.is_empty() {
            return;
        }
        tracing::info!(claims = claims.len(), "Handing back jobs for other workers");
        let all = join_all(claims.iter().map(|claim| async {
            self.metrics.not_scanned("handed_back");
            if let Err(error) = self.hub.hand_back(claim).await {
                tracing::warn!(
                    sample.key = %claim.job.sample,
                    error = crate::farm::with_causes(&error),
                    "A job could not be handed back and waits until it is reclaimed"
                );
            }
        }));
        let _ = tokio::time::timeout(HANDING_BACK, all).await;
    }
}

/// How many jobs may be claimed.
fn room(capacity: usize, running: usize, background: usize) -> Room {
    let most = capacity.saturating_sub(running);
    let for_mail = if capacity > 1 { capacity.div_ceil(4) } else { 0 };
    Room { most, background: (capacity - for_mail).saturating_sub(background).min(most) }
}

/// A claim that is stopped half-way stays among the running ones, and is handed back from there.
async fn deliver(
    scanning: Arc<Scanning>,
    running: Arc<Running>,
    claim: Claim,
    number: u64,
    place: OccupiedPlace,
) {
    scanning.deliver(&claim, place).await;
    running.remove(number);
}

/// Places for scans: a delivery gives its own back before it is over.
#[derive(Default)]
struct Places {
    taken: AtomicUsize,
    freed: Notify,
}

/// One of them, until it is dropped.
struct OccupiedPlace(Arc<Places>);

impl Places {
    fn take(places: &Arc<Self>) -> OccupiedPlace {
        places.taken.fetch_add(1, Ordering::Relaxed);
        OccupiedPlace(Arc::clone(places))
    }

    /// How many count as taken where so many deliveries run: no more than half of those may be over but for their end, or
    /// they would pile up where that takes long.
    fn taken(&self, deliveries: usize) -> usize {
        self.taken.load(Ordering::Relaxed).max(deliveries.div_ceil(2))
    }
}

impl Drop for OccupiedPlace {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_work_leaves_room_for_mail() {
        let background = |capacity, running, background| room(capacity, running, background).background;
        assert_eq!([background(1, 0, 0), background(2, 0, 0), background(16, 0, 0)], [1, 1, 12]);
        assert_eq!([background(16, 12, 12), background(16, 14, 2), background(0, 0, 0)], [0, 2, 0]);
        assert_eq!(room(4, 6, 1), Room { most: 0, background: 0 });
    }
}
