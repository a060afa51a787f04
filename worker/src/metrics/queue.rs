// SPDX-License-Identifier: GPL-3.0-or-later
//! The queue's metrics. The queue is one for the whole site and every worker reports it: take the `max` over workers, not
//! the `sum`. While the hub does not answer they are absent, all but the limits.
//!
//! * `thundergate_queue_jobs{lane,state}`: jobs in a lane that are `waiting` or `claimed` (in a worker's hands, which
//!   holds a lease for each)
//! * `thundergate_queue_oldest_job_age_seconds{lane}`: how long the oldest job has been there; 0 where there is none
//! * `thundergate_queue_sample_bytes`: bytes of the samples that belong to these jobs
//! * `thundergate_queue_dead_letters`: dead letters that are kept
//! * `thundergate_queue_jobs_limit`, `thundergate_queue_sample_bytes_limit`: `queue.max_jobs` and `queue.max_bytes`, as the
//!   configuration of this process has them

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use thundergate_common::hub::{Observer, Queue, QueueState};
use tokio_util::sync::CancellationToken;

/// How often the hub is asked: more often than anybody looks.
const EVERY: Duration = Duration::from_secs(5);

/// The queue as it was last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueMetrics(Arc<Mutex<Option<QueueState>>>);

#[derive(Debug)]
struct Seen {
    queue: QueueMetrics,
    limits: [(&'static str, &'static str, u64); 2],
}

impl QueueMetrics {
    /// Registers them all.
    pub(crate) fn new(registry: &mut Registry, queue: &Queue) -> Self {
        let metrics = Self::default();
        let limits = [
            ("thundergate_queue_jobs_limit", "Jobs that may wait", queue.max_jobs as u64),
            (
                "thundergate_queue_sample_bytes_limit",
                "Bytes of samples that may wait",
                queue.max_bytes.as_u64(),
            ),
        ];
        registry.register_collector(Box::new(Seen { queue: metrics.clone(), limits }));
        metrics
    }

    /// Looks at the queue again and again, until `ended`. That the hub is away, those say who need it for jobs.
    pub(crate) async fn watch(&self, hub: &dyn Observer, ended: &CancellationToken) {
        while let Some(state) = ended.run_until_cancelled(hub.queue()).await {
            self.set(state.ok());
            // Jitter: the workers of a site shall not all ask in the same moment.
            let pause = tokio::time::sleep(EVERY.mul_f64(0.9 + fastrand::f64() / 5.0));
            if ended.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    fn set(&self, state: Option<QueueState>) {
        *self.0.lock().expect("nothing panics while it holds the state") = state;
    }

    fn get(&self) -> Option<QueueState> {
        self.0.lock().expect("nothing panics while it holds the state").clone()
    }
}

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for (name, help, limit) in self.limits {
            gauge(&mut encoder, name, help, limit as f64)?;
        }
        let Some(state) = self.queue.get() else { return Ok(()) };
        let (name, help) = ("thundergate_queue_jobs", "Jobs in the queue, by lane and state");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for lane in &state.lanes {
            for (state, jobs) in [("waiting", lane.waiting), ("claimed", lane.claimed)] {
                let labels = [("lane", lane.lane.as_str()), ("state", state)];
                ConstGauge::new(jobs as f64).encode(family.encode_family(&labels)?)?;
            }
        }
        let name = "thundergate_queue_oldest_job_age_seconds";
        let help = "How long the oldest job has been in the queue";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for lane in &state.lanes {
            let age = lane.oldest_ms.unwrap_or(0) as f64 / 1000.0;
            ConstGauge::new(age).encode(family.encode_family(&[("lane", lane.lane.as_str())])?)?;
        }
        let (name, help) = ("thundergate_queue_sample_bytes", "Bytes of the samples that belong to jobs");
        gauge(&mut encoder, name, help, state.sample_bytes as f64)?;
        let (name, help) = ("thundergate_queue_dead_letters", "Dead letters that are kept");
        gauge(&mut encoder, name, help, state.dead_letters as f64)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}
