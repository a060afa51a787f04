// SPDX-License-Identifier: GPL-3.0-or-later
//! What every program of thundergate exposes beside its own counts: which build it is, whether it is ready, how the
//! configuration was read last, what it takes of the machine ([`process`]). [`exposition`] writes all of it.
//!
//! Conventions: base units (seconds, bytes), `_total` for counters (added by the encoder), and every value of a label that
//! is known beforehand is there from the start with 0, so that the first event is an increase. No label is called
//! `instance` or `job`: those are what Prometheus calls the process it asks. All of them stand in `deploy/metrics.md`, and
//! a test compares.

pub(crate) mod exposition;
mod process;

use crate::telemetry;
use process::Process;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};
use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

/// A process has one configuration, so what is known of it is the process's.
static LAST_READ_FAILED: AtomicBool = AtomicBool::new(false);
/// When it was last read without an error, in seconds since the epoch; 0 as long as only the start has read it.
static READ_AT: AtomicU64 = AtomicU64::new(0);
/// How far the clock is ahead of Redis's, in seconds, as the bits of an `f64`: the bits of 0 at first.
static AHEAD: AtomicU64 = AtomicU64::new(0);
/// Values from the hub that did not open.
static UNSEALED: AtomicU64 = AtomicU64::new(0);

/// Samples of delivered messages that will not be scanned.
static NEVER_SCANNED: AtomicU64 = AtomicU64::new(0);

/// Requests to the API whose caller is not known or may not do that.
static ADMIN_REFUSED: AtomicU64 = AtomicU64::new(0);

/// Requests to the API that were not done, since they could not be written down.
static AUDIT_FAILED: AtomicU64 = AtomicU64::new(0);

/// A registry for `program`, with what all programs expose:
///
/// * `thundergate_build_info{program,version}`: always 1
/// * `thundergate_config_last_reload_successful`: 1 where the configuration that was read last is the one in use
/// * `thundergate_config_last_reload_success_timestamp_seconds`: when the one in use was read
/// * `thundergate_log_lines_dropped_total`: log lines that nobody read in time, or that could not be written
/// * `thundergate_unsealed_values_total`: values in Redis that were not sealed with one of our secrets
/// * `thundergate_clock_skew_seconds`: how far this machine's clock is ahead of Redis's, less than 0 where it is
///   behind; 0 as long as that is not known
/// * `thundergate_never_scanned_total`: samples of delivered messages that gave way in the queue and will not be scanned
/// * `thundergate_admin_refused_total`: requests to the API whose caller is not known or may not do that
/// * `thundergate_audit_failed_total`: requests to the API that were not done, since they could not be written down
/// * `process_…`: as Prometheus' own client libraries have them
pub fn registry(program: &'static str) -> Registry {
    let mut registry = Registry::default();
    let labels = vec![("program", program), ("version", env!("CARGO_PKG_VERSION"))];
    registry.register("thundergate_build", "The program and its version", Info::new(labels));
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    registry.register_collector(Box::new(Common { started }));
    registry.register_collector(Box::new(Process { started }));
    registry
}

/// The configuration was read again; `usable` where it is the one in use from now on.
pub(crate) fn configuration_was_read(usable: bool) {
    LAST_READ_FAILED.store(!usable, Relaxed);
    if usable {
        READ_AT.store(crate::clock::now(), Relaxed);
    }
}

/// This machine's clock is ahead of Redis's by so many seconds; behind where they are less than 0.
pub(crate) fn clock_is_ahead(seconds: f64) {
    AHEAD.store(seconds.to_bits(), Relaxed);
}

/// A value from the hub did not open.
pub(crate) fn unsealed() {
    UNSEALED.fetch_add(1, Relaxed);
}

/// A sample of a delivered message will not be scanned.
pub(crate) fn never_scanned() {
    NEVER_SCANNED.fetch_add(1, Relaxed);
}

/// A request to the API was refused.
pub(crate) fn admin_refused() {
    ADMIN_REFUSED.fetch_add(1, Relaxed);
}

/// A request to the API was not done, since it could not be written down.
pub(crate) fn audit_failed() {
    AUDIT_FAILED.fetch_add(1, Relaxed);
}

/// What all programs have.
#[derive(Debug)]
struct Common {
    /// When the process started, in seconds since the epoch.
    started: f64,
}

impl Collector for Common {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let successful = i64::from(!LAST_READ_FAILED.load(Relaxed));
        gauge(
            &mut encoder,
            "thundergate_config_last_reload_successful",
            "1 where the configuration that was read last is the one in use",
            successful as f64,
        )?;
        gauge(
            &mut encoder,
            "thundergate_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was read, in seconds since the epoch",
            self.started.max(READ_AT.load(Relaxed) as f64),
        )?;
        gauge(
            &mut encoder,
            "thundergate_clock_skew_seconds",
            "How far this machine's clock is ahead of Redis's, less than 0 where it is behind",
            f64::from_bits(AHEAD.load(Relaxed)),
        )?;
        counter(
            &mut encoder,
            "thundergate_log_lines_dropped",
            "Log lines that nobody read in time, or that could not be written",
            telemetry::lines_dropped(),
        )?;
        counter(
            &mut encoder,
            "thundergate_unsealed_values",
            "Values in Redis that were not sealed with one of our secrets",
            UNSEALED.load(Relaxed),
        )?;
        counter(
            &mut encoder,
            "thundergate_never_scanned",
            "Samples of delivered messages that gave way in the queue and will not be scanned",
            NEVER_SCANNED.load(Relaxed),
        )?;
        counter(
            &mut encoder,
            "thundergate_admin_refused",
            "Requests to the API whose caller is not known or may not do that",
            ADMIN_REFUSED.load(Relaxed),
        )?;
        counter(
            &mut encoder,
            "thundergate_audit_failed",
            "Requests to the API that were not done, since they could not be written down",
            AUDIT_FAILED.load(Relaxed),
        )
    }
}

/// Writes one counter without labels.
fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// Writes one gauge without labels.
fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use exposition::{Format, write};

    #[test]
    fn a_configuration_that_is_wrong_shows_until_a_good_one_is_read() {
        let registry = registry("test");
        let shows = |line: &str| write(&registry, true, Format::Prometheus).lines().any(|one| one == line);
        let version = env!("CARGO_PKG_VERSION");
        assert!(shows(&format!("thundergate_build_info{{program=\"test\",version=\"{version}\"}} 1")));
        assert!(shows("thundergate_config_last_reload_successful 1.0"));
        configuration_was_read(false);
        assert!(shows("thundergate_config_last_reload_successful 0.0"));
        configuration_was_read(true);
        assert!(shows("thundergate_config_last_reload_successful 1.0"));
        unsealed();
        assert!(!shows("thundergate_unsealed_values_total 0"));
    }
}
