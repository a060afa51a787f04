// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm's metrics, by instance: the label `farm_instance` has its name. They are what this process sees; several
//! workers see the same instance, each with a part of its load.
//!
//! * `thundergate_farm_attempts_total{farm_instance,result}`: samples sent, retries included; `ok`, `busy` (503) or `failed`
//! * `thundergate_farm_sample_bytes_total{farm_instance}`: their bytes
//! * `thundergate_farm_retries_total`: samples sent once more after an attempt that failed
//! * `thundergate_farm_scan_duration_seconds{farm_instance}`: how long the scanner took, where it gave a verdict
//!
//! Read when somebody asks for them:
//!
//! * `thundergate_farm_instance_available{farm_instance}`: 1 where it gets samples, 0 where not
//! * `thundergate_farm_instance_state{farm_instance,state}`: 1 for the state of its breaker, 0 for the others. `closed`
//!   (gets samples), `paused` (503), `open` (failed too often), `unheard` (has not answered yet)
//! * `thundergate_farm_in_flight_scans{farm_instance}`, `thundergate_farm_capacity_scans{farm_instance}`
//! * `thundergate_farm_latency_seconds{farm_instance}`: moving average of the scans; absent before the first one
//! * `thundergate_farm_instance_info{farm_instance,signatures,thor}`: always 1; the versions that it says it has
//! * `thundergate_farm_instance_signatures_timestamp_seconds{farm_instance}`: from when its signatures are, in seconds
//!   since the epoch; absent where their version is no date
//! * `thundergate_farm_instance_licence_expiry_timestamp_seconds{farm_instance}`: when its licence ends, in seconds since
//!   the epoch; absent where it does not say

use crate::{
    farm::{Farm, instance::Scanned},
    thunderstorm::client::CallError,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use thundergate_common::{
    generation::{InstanceReport, InstanceState},
    licence,
};

const RESULTS: [&str; 3] = ["ok", "busy", "failed"];
/// From what a small clean sample takes to the scanner's own time-out.
const SCAN: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Attempt {
    farm_instance: String,
    /// One of [`RESULTS`].
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct At {
    farm_instance: String,
}

/// What the farm counts.
#[derive(Clone, Debug)]
pub struct FarmMetrics {
    attempts: Family<Attempt, Counter>,
    sample_bytes: Family<At, Counter>,
    scan_duration: Family<At, Histogram>,
    /// Attempts after one that failed.
    pub retries: Counter,
}

impl Default for FarmMetrics {
    /// Counted for nobody.
    fn default() -> Self {
        Self::new(&mut Registry::default())
    }
}

impl FarmMetrics {
    /// Registers them all.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            attempts: Family::default(),
            sample_bytes: Family::default(),
            scan_duration: Family::new_with_constructor(|| Histogram::new(SCAN)),
            retries: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("thundergate_farm");
        registry.register(
            "attempts",
            "Samples sent to an instance, retries included, by result",
            metrics.attempts.clone(),
        );
        registry.register(
            "sample_bytes",
            "Bytes of the samples sent to an instance",
            metrics.sample_bytes.clone(),
        );
        registry.register(
            "retries",
            "Samples sent once more after an attempt that failed",
            metrics.retries.clone(),
        );
        registry.register_with_unit(
            "scan_duration",
            "How long the scanner took for a sample",
            Unit::Seconds,
            metrics.scan_duration.clone(),
        );
        metrics
    }

    /// Instances of these names may get samples: their counters begin with 0.
    pub fn know<'a>(&self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            let at = At { farm_instance: name.to_owned() };
            for result in RESULTS {
                drop(self.attempts.get_or_create(&Attempt { farm_instance: name.to_owned(), result }));
            }
            drop(self.sample_bytes.get_or_create(&at));
            drop(self.scan_duration.get_or_create(&at));
        }
    }

    /// A sample of so many `bytes` was sent to the instance `name`.
    pub fn attempt(&self, name: &str, bytes: usize, result: &Result<Scanned, CallError>) {
        let at = At { farm_instance: name.to_owned() };
        self.sample_bytes.get_or_create(&at).inc_by(bytes as u64);
        if let Ok(scanned) = result {
            self.scan_duration.get_or_create(&at).observe(scanned.took().as_secs_f64());
        }
        let result = match result {
            Ok(_) => "ok",
            Err(CallError::Busy(_)) => "busy",
            Err(_) => "failed",
        };
        self.attempts.get_or_create(&Attempt { farm_instance: at.farm_instance, result }).inc();
    }
}

/// Reads the state of each instance when somebody asks for it.
pub struct FarmState(pub Arc<Farm>);

impl fmt::Debug for FarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FarmState")
    }
}

impl Collector for FarmState {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let instances = self.0.reports();
        type Value = fn(&InstanceReport) -> Option<f64>;
        let gauges: [(&str, &str, Value); 6] = [
            ("instance_available", "1 where the instance gets samples", |one| {
                Some(if one.capacity > 0 { 1.0 } else { 0.0 })
            }),
            ("in_flight_scans", "Scans that run at the instance for this process", |one| {
                Some(one.in_flight as f64)
            }),
            ("capacity_scans", "Scans that may run at the instance for this process now", |one| {
                Some(one.capacity as f64)
            }),
            ("latency_seconds", "Moving average of how long a scan takes", |one| {
                Some(one.latency_ms? as f64 / 1000.0)
            }),
            (
                "instance_signatures_timestamp_seconds",
                "From when the signatures of the instance are, in seconds since the epoch",
                |one| since_the_epoch(licence::ends(one.signatures.as_deref()?)?),
            ),
            (
                "instance_licence_expiry_timestamp_seconds",
                "When the licence of the instance ends, in seconds since the epoch",
                |one| since_the_epoch(licence::ends(one.licence_ends.as_deref()?)?),
            ),
        ];
        for (name, help, value) in gauges {
            let name = format!("thundergate_farm_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for one in &instances {
                let Some(value) = value(one) else { continue };
                ConstGauge::new(value).encode(family.encode_family(&[("farm_instance", &*one.name)])?)?;
            }
        }
        encode_states(&mut encoder, &instances)?;
        encode_versions(&mut encoder, &instances)
    }
}

fn encode_states(encoder: &mut DescriptorEncoder<'_>, instances: &[InstanceReport]) -> fmt::Result {
    let (name, help) = ("thundergate_farm_instance_state", "1 for the state of the instance's breaker");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for one in instances {
        for state in InstanceState::ALL {
            let labels = [("farm_instance", &*one.name), ("state", state.as_str())];
            ConstGauge::new(i64::from(one.state == state)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_versions(encoder: &mut DescriptorEncoder<'_>, instances: &[InstanceReport]) -> fmt::Result {
    let (name, help) = ("thundergate_farm_instance", "The versions that the instance says it has");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Info)?;
    for one in instances {
        let labels = [
            ("farm_instance", &*one.name),
            ("signatures", one.signatures.as_deref().unwrap_or_default()),
            ("thor", one.thor.as_deref().unwrap_or_default()),
        ];
        family.encode_info(&labels)?;
    }
    Ok(())
}

fn since_the_epoch(time: SystemTime) -> Option<f64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs() as f64)
}
