// SPDX-License-Identifier: GPL-3.0-or-later
//! The worker's metrics, each defined and explained here; those of its scanners are in [`farm`], those of the queue in
//! [`queue`]. The encoder adds `_total` to the names of counters.
//!
//! * `thundergate_worker_scans_total{result}`: deliveries of jobs that ended. `clean`, `found`; `suspect` (an instance was
//!   lost with it: it is scanned once more, alone), `skipped` (above the size
//!   that the instances scan), `nothing` (no longer needed), `failed` (will be tried again), `dead` (given up),
//!   `handed_back` (for another worker)
//! * `thundergate_worker_queue_wait_seconds{lane}`: from a job's arrival in the queue to its beginning
//! * `thundergate_worker_in_flight_jobs`: jobs in this worker's hands; it holds a lease for each
//! * `thundergate_worker_reclaimed_jobs_total`: jobs taken over because their lease was not renewed
//! * `thundergate_worker_lease_renewal_failures_total`: calls that should have renewed all leases
//! * `thundergate_worker_dead_letters_total`: jobs that this worker has given up
//! * `thundergate_worker_hub_up`: 1 where the hub answered last time
//! * `thundergate_worker_hub_errors_total`: calls to the hub that failed

pub mod farm;
pub mod queue;
pub(crate) mod redis;

pub(crate) use farm::FarmState;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Duration;
use thundergate_common::{job::Lane, verdict::Verdict};

/// How a delivery of a job can end.
const RESULTS: [&str; 8] =
    ["clean", "found", "skipped", "nothing", "suspect", "failed", "dead", "handed_back"];

/// Around `wait.deadline`, after which nobody waits any more, finer.
const QUEUE_WAIT: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 60.0, 300.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Scan {
    /// One of [`RESULTS`].
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InLane {
    lane: &'static str,
}

/// What the worker counts.
#[derive(Clone, Debug)]
pub(crate) struct WorkerMetrics {
    scans: Family<Scan, Counter>,
    queue_wait: Family<InLane, Histogram>,
    /// Jobs in this worker's hands.
    pub in_flight: Gauge,
    /// Jobs taken over.
    pub reclaimed: Counter,
    /// Calls that should have renewed leases and failed.
    pub renewal_failures: Counter,
    dead_letters: Counter,
    /// 1 where the hub answered last time, else 0.
    pub hub_up: Gauge,
    /// Calls to the hub that failed.
    pub hub_errors: Counter,
}

impl WorkerMetrics {
    /// Registers them all.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            scans: Family::default(),
            queue_wait: Family::new_with_constructor(|| Histogram::new(QUEUE_WAIT)),
            in_flight: Gauge::default(),
            reclaimed: Counter::default(),
            renewal_failures: Counter::default(),
            dead_letters: Counter::default(),
            hub_up: Gauge::default(),
            hub_errors: Counter::default(),
        };
        RESULTS.iter().for_each(|result| drop(metrics.scans.get_or_create(&Scan { result })));
        for lane in Lane::ALL {
            drop(metrics.queue_wait.get_or_create(&InLane { lane: lane.as_str() }));
        }
        let registry = registry.sub_registry_with_prefix("thundergate_worker");
        registry.register("scans", "Deliveries of jobs that ended, by result", metrics.scans.clone());
        registry.register_with_unit(
            "queue_wait",
            "From a job's arrival in the queue to its beginning",
            Unit::Seconds,
            metrics.queue_wait.clone(),
        );
        registry.register(
            "in_flight_jobs",
            "Jobs in this worker's hands, with a lease each",
            metrics.in_flight.clone(),
        );
        registry.register(
            "reclaimed_jobs",
            "Jobs taken over because their lease was not renewed",
            metrics.reclaimed.clone(),
        );
        registry.register(
            "lease_renewal_failures",
            "Calls that should have renewed all leases and failed",
            metrics.renewal_failures.clone(),
        );
        registry.register("dead_letters", "Jobs that this worker has given up", metrics.dead_letters.clone());
        registry.register("hub_up", "1 where the hub answered last time", metrics.hub_up.clone());
        registry.register("hub_errors", "Calls to the hub that failed", metrics.hub_errors.clone());
        metrics
    }

    /// A sample has its verdict.
    pub(crate) fn scanned(&self, verdict: &Verdict) {
        self.not_scanned(if verdict.is_clean() { "clean" } else { "found" });
    }

    /// A delivery ended without a verdict: one of [`RESULTS`].
    pub(crate) fn not_scanned(&self, result: &'static str) {
        self.scans.get_or_create(&Scan { result }).inc();
    }

    /// A job was given up.
    pub(crate) fn dead(&self) {
        self.not_scanned("dead");
        self.dead_letters.inc();
    }

    /// A job was begun after `wait` in its lane.
    pub(crate) fn begun(&self, lane: Lane, wait: Duration) {
        self.queue_wait.get_or_create(&InLane { lane: lane.as_str() }).observe(wait.as_secs_f64());
    }
}
