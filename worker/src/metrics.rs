// SPDX-License-Identifier: GPL-3.0-or-later
//! The worker's and the farm's metrics, each defined and explained here.
//!
//! Counters get their `_total` from the encoder. Names of instances are the only labels with free values, and their
//! number is that of the configured instances.

use crate::{
    farm::{Farm, licence},
    thunderstorm::client::CallError,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use thundergate_common::{generation::InstanceReport, job::Lane, verdict::Verdict};

/// How a delivery of a job ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ScanLabels {
    /// `clean`, `found`, `skipped`, `nothing` (no longer needed), `failed` (will be tried again), `dead`, `handed_back`.
    result: &'static str,
    /// Where it was scanned; empty where it was not.
    instance: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AttemptLabels {
    instance: String,
    /// `ok`, `busy` (503), `failed`.
    result: &'static str,
}

/// What the worker counts.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    scans: Family<ScanLabels, Counter>,
    scan_duration: Histogram,
    queue_wait: Family<LaneLabels, Histogram>,
    /// Jobs in this worker's hands.
    pub in_flight: Gauge,
    dead_letters: Counter,
    /// 1 where the hub answered last time, else 0.
    pub hub_up: Gauge,
    /// Calls to the hub that failed.
    pub hub_errors: Counter,
}

/// What the farm counts.
#[derive(Clone, Debug, Default)]
pub struct FarmMetrics {
    attempts: Family<AttemptLabels, Counter>,
    /// Attempts after one that failed.
    pub retries: Counter,
}

impl WorkerMetrics {
    /// Registers them as `thundergate_worker_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            scans: Family::default(),
            scan_duration: Histogram::new([
                0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
            ]),
            queue_wait: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 60.0, 300.0])
            }),
            in_flight: Gauge::default(),
            dead_letters: Counter::default(),
            hub_up: Gauge::default(),
            hub_errors: Counter::default(),
        };
        let seconds = Unit::Seconds;
        registry.register(
            "thundergate_worker_scans",
            "Deliveries of jobs that ended, by result and instance",
            metrics.scans.clone(),
        );
        registry.register_with_unit(
            "thundergate_worker_scan_duration",
            "How long the scanner took for a sample",
            seconds.clone(),
            metrics.scan_duration.clone(),
        );
        registry.register_with_unit(
            "thundergate_worker_queue_wait",
            "How long a job stood in the queue before it was begun",
            seconds,
            metrics.queue_wait.clone(),
        );
        registry.register(
            "thundergate_worker_in_flight_jobs",
            "Jobs in this worker's hands",
            metrics.in_flight.clone(),
        );
        registry.register("thundergate_worker_dead_letters", "Jobs given up", metrics.dead_letters.clone());
        registry.register(
            "thundergate_worker_hub_up",
            "1 where the hub answered last time",
            metrics.hub_up.clone(),
        );
        registry.register(
            "thundergate_worker_hub_errors",
            "Calls to the hub that failed",
            metrics.hub_errors.clone(),
        );
        metrics
    }

    /// A sample has its verdict.
    pub fn scanned(&self, verdict: &Verdict) {
        let result = if verdict.is_clean() { "clean" } else { "found" };
        self.ended(result, &verdict.instance);
        self.scan_duration.observe(Duration::from_millis(verdict.scan_ms).as_secs_f64());
    }

    /// A delivery ended without a verdict, see the label `result`.
    pub fn not_scanned(&self, result: &'static str) {
        self.ended(result, "");
    }

    /// A job was given up.
    pub fn dead(&self) {
        self.ended("dead", "");
        self.dead_letters.inc();
    }

    /// A job was begun after `wait` in its lane.
    pub fn begun(&self, lane: Lane, wait: Duration) {
        let labels = LaneLabels { lane: lane.as_str() };
        self.queue_wait.get_or_create(&labels).observe(wait.as_secs_f64());
    }

    fn ended(&self, result: &'static str, instance: &str) {
        self.scans.get_or_create(&ScanLabels { result, instance: instance.to_owned() }).inc();
    }
}

impl FarmMetrics {
    /// Registers them as `thundergate_farm_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "thundergate_farm_attempts",
            "Samples sent to an instance, retries included, by result",
            metrics.attempts.clone(),
        );
        registry.register(
            "thundergate_farm_retries",
            "Samples sent once more after an attempt that failed",
            metrics.retries.clone(),
        );
        metrics
    }

    /// A sample was sent to `instance`.
    pub fn attempt<T>(&self, instance: &str, result: &Result<T, CallError>) {
        let result = match result {
            Ok(_) => "ok",
            Err(CallError::Busy(_)) => "busy",
            Err(_) => "failed",
        };
        self.attempts.get_or_create(&AttemptLabels { instance: instance.to_owned(), result }).inc();
    }
}

/// Reads the state of each instance when somebody asks for it.
///
/// * `thundergate_farm_instance_available`: 1 where it gets samples, 0 where not
/// * `thundergate_farm_instance_state`: 0 closed (gets samples), 1 paused (503), 2 open (failed too often), 3 unheard
/// * `thundergate_farm_in_flight_scans`, `thundergate_farm_capacity_scans`: of this process
/// * `thundergate_farm_latency_seconds`: moving average of the scans
/// * `thundergate_farm_instance_licence_expiry_timestamp_seconds`: when its licence ends, in seconds since the epoch;
///   absent where it does not say
pub struct FarmState(pub Arc<Farm>);

impl fmt::Debug for FarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FarmState")
    }
}

impl Collector for FarmState {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let instances = self.0.reports();
        let state = |state: &str| match state {
            "closed" => 0.0,
            "paused" => 1.0,
            "open" => 2.0,
            _ => 3.0,
        };
        let mut gauge = |name, help, values: Vec<Option<f64>>| {
            let mut family =
                encoder.encode_descriptor(name, help, None, prometheus_client::metrics::MetricType::Gauge)?;
            for (instance, value) in instances.iter().zip(values) {
                let Some(value) = value else { continue };
                let labels = [("instance", instance.name.as_str())];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
            Ok(())
        };
        let available = instances.iter().map(|i| Some(if i.capacity > 0 { 1.0 } else { 0.0 }));
        gauge(
            "thundergate_farm_instance_available",
            "1 where the instance gets samples",
            available.collect(),
        )?;
        gauge(
            "thundergate_farm_instance_state",
            "0 closed (gets samples), 1 paused (503), 2 open (failed too often), 3 unheard",
            instances.iter().map(|instance| Some(state(&instance.state))).collect(),
        )?;
        gauge(
            "thundergate_farm_in_flight_scans",
            "Scans that run at the instance for this process",
            instances.iter().map(|instance| Some(instance.in_flight as f64)).collect(),
        )?;
        gauge(
            "thundergate_farm_capacity_scans",
            "Scans that may run at the instance for this process now",
            instances.iter().map(|instance| Some(instance.capacity as f64)).collect(),
        )?;
        gauge(
            "thundergate_farm_latency_seconds",
            "Moving average of how long a scan takes",
            instances.iter().map(|one| Some(one.latency_ms.unwrap_or(0) as f64 / 1000.0)).collect(),
        )?;
        let licence = |one: &InstanceReport| {
            let ends = licence::ends(one.licence_ends.as_deref()?)?;
            Some(ends.duration_since(UNIX_EPOCH).ok()?.as_secs() as f64)
        };
        gauge(
            "thundergate_farm_instance_licence_expiry_timestamp_seconds",
            "When the licence of the instance ends, in seconds since the epoch",
            instances.iter().map(licence).collect(),
        )
    }
}
