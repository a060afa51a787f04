// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm's metrics, by instance: the label `farm_instance` has its name. They are what this process sees; several
//! workers see the same instance, each with a part of its load.
//!
//! They are read when somebody asks for them; what is counted is in [`crate::farm::metrics`].
//!
//! * `thundergate_farm_instance_available{farm_instance}`: 1 where it gets samples, 0 where not
//! * `thundergate_farm_instance_state{farm_instance,state}`: 1 for its state, 0 for the others. `closed` (gets samples),
//!   `paused` (503), `open` (cannot be reached or failed its proof), `unheard` (has not scanned its first proof
//!   yet), `drained` (by the configuration), `blind`
//!   (does not find the canary), `late` (too long behind with signatures)
//! * `thundergate_farm_instance_max_file_bytes{farm_instance}`: the largest file that it gets; absent where it was not tried
//!   yet what it scans
//! * `thundergate_farm_canary_in_doubt`: 1 where all instances that answered missed the canary
//! * `thundergate_farm_in_flight_scans{farm_instance}`, `thundergate_farm_capacity_scans{farm_instance}`
//! * `thundergate_farm_latency_seconds{farm_instance}`: moving average of the scans; absent before the first one
//! * `thundergate_farm_instance_info{farm_instance,signatures,thor}`: always 1; the versions that it says it has
//! * `thundergate_farm_instance_signatures_timestamp_seconds{farm_instance}`: from when its signatures are, in seconds
//!   since the epoch; absent where their version is no date
//! * `thundergate_farm_instance_licence_expiry_timestamp_seconds{farm_instance}`: when its licence ends, in seconds since
//!   the epoch; absent where it does not say

use crate::farm::Farm;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
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

/// Reads the state of each instance when somebody asks for it.
pub(crate) struct FarmState(pub Arc<Farm>);

impl fmt::Debug for FarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FarmState")
    }
}

impl Collector for FarmState {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let instances = self.0.reports();
        type Value = fn(&InstanceReport) -> Option<f64>;
        let gauges: [(&str, &str, Value); 7] = [
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
            ("instance_max_file_bytes", "The largest file that the instance gets, in bytes", |one| {
                Some(one.max_file_bytes? as f64)
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
        let (name, help) =
            ("thundergate_farm_canary_in_doubt", "1 where all instances that answered missed the canary");
        let doubt = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(self.0.doubt().is_some())).encode(doubt)?;
        encode_states(&mut encoder, &instances)?;
        encode_versions(&mut encoder, &instances)
    }
}

fn encode_states(encoder: &mut DescriptorEncoder<'_>, instances: &[InstanceReport]) -> fmt::Result {
    let (name, help) = ("thundergate_farm_instance_state", "1 for the state of the instance");
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
