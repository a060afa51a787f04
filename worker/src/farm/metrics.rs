// SPDX-License-Identifier: GPL-3.0-or-later
//! What the farm counts, by instance: the label `farm_instance` has its name. It is what this process sees; several workers
//! see the same instance, each with a part of its load.
//!
//! * `thundergate_farm_attempts_total{farm_instance,result}`: samples sent, retries included; `ok`, `busy` (503, 429),
//!   `too_large` (413), `moved` (given up because the instance failed meanwhile) or `failed`
//! * `thundergate_farm_faults_total{farm_instance,whose}`: whose fault the failed ones were: `sample` (the instance scans a
//!   known sample), `instance`, or `unknown` (too busy to tell)
//! * `thundergate_farm_sample_bytes_total{farm_instance}`: their bytes
//! * `thundergate_farm_retries_total`: samples sent once more after an attempt that failed
//! * `thundergate_farm_scan_duration_seconds{farm_instance}`: how long the scanner took, where it gave a verdict

use super::instance::{Scanned, Unscanned, Whose};
use crate::thunderstorm::error::Meaning;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

const RESULTS: [&str; 5] = ["ok", "busy", "too_large", "moved", "failed"];
const WHOSE: [&str; 3] = ["sample", "instance", "unknown"];
/// From what a small clean sample takes to the scanner's own time-out.
const SCAN: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Attempt {
    farm_instance: String,
    /// One of [`RESULTS`].
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Fault {
    farm_instance: String,
    /// One of [`WHOSE`].
    whose: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct At {
    farm_instance: String,
}

/// What the farm counts.
#[derive(Clone, Debug)]
pub struct FarmMetrics {
    attempts: Family<Attempt, Counter>,
    faults: Family<Fault, Counter>,
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
            faults: Family::default(),
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
        registry.register("faults", "Scans that failed, by whose fault that was", metrics.faults.clone());
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
            for whose in WHOSE {
                drop(self.faults.get_or_create(&Fault { farm_instance: name.to_owned(), whose }));
            }
            drop(self.sample_bytes.get_or_create(&at));
            drop(self.scan_duration.get_or_create(&at));
        }
    }

    /// A sample of so many `bytes` was sent to the instance `name`.
    pub(crate) fn attempt(&self, name: &str, bytes: usize, result: &Result<Scanned, Unscanned>) {
        let farm_instance = name.to_owned();
        let at = At { farm_instance: farm_instance.clone() };
        self.sample_bytes.get_or_create(&at).inc_by(bytes as u64);
        let result = match result {
            Ok(scanned) => {
                self.scan_duration.get_or_create(&at).observe(scanned.took().as_secs_f64());
                "ok"
            }
            Err(unscanned) => {
                self.fault(name, unscanned.whose);
                match unscanned.error.meaning() {
                    Meaning::Busy => "busy",
                    Meaning::TooLarge => "too_large",
                    Meaning::Moved => "moved",
                    Meaning::Unreachable | Meaning::Lost | Meaning::Refused => "failed",
                }
            }
        };
        self.attempts.get_or_create(&Attempt { farm_instance, result }).inc();
    }

    fn fault(&self, name: &str, whose: Whose) {
        let whose = match whose {
            Whose::Nobody => return,
            Whose::Sample => "sample",
            Whose::Instance => "instance",
            Whose::Unknown => "unknown",
        };
        self.faults.get_or_create(&Fault { farm_instance: name.to_owned(), whose }).inc();
    }
}
