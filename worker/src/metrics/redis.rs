// SPDX-License-Identifier: GPL-3.0-or-later
//! What Redis holds, as every worker measures it: take the `max` over workers, not the `sum`. All 0 where it was not
//! measured, and in one process.
//!
//! * `thundergate_redis_used_bytes`, `thundergate_redis_max_bytes`: what it holds, and `maxmemory` (0: no bound); of the
//!   fullest server of a cluster
//! * `thundergate_redis_held_bytes`, `thundergate_redis_held_bytes_limit`: all but the samples that wait, and its bound
//!   (`cache.redis_bytes`)
//! * `thundergate_redis_clean_verdict_life_seconds`: how long a clean verdict lives that is stored now

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::{fmt, sync::Arc};
use thundergate_common::hub;

/// What this hub has measured.
pub(crate) struct RedisMemory(pub Arc<dyn hub::Worker>);

impl fmt::Debug for RedisMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisMemory")
    }
}

impl Collector for RedisMemory {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let memory = self.0.memory().unwrap_or_default();
        let life = memory.clean_life.as_secs_f64();
        for (name, help, value) in [
            ("thundergate_redis_used_bytes", "What Redis holds", memory.used_bytes as f64),
            (
                "thundergate_redis_max_bytes",
                "maxmemory of Redis, 0 where it has none",
                memory.most_bytes as f64,
            ),
            (
                "thundergate_redis_held_bytes",
                "What Redis holds but samples that wait",
                memory.held_bytes() as f64,
            ),
            (
                "thundergate_redis_held_bytes_limit",
                "What Redis may hold but samples that wait, 0 where there is no bound",
                memory.bound_bytes as f64,
            ),
            ("thundergate_redis_clean_verdict_life_seconds", "How long a new clean verdict lives", life),
        ] {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(family)?;
        }
        Ok(())
    }
}
