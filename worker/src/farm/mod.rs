// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm: all Thunderstorm servers. It gives a sample to one of them and, where that fails, to another.
//!
//! 1. Among the available instances with room, [`balance`] chooses one; none has room: wait until one has.
//! 2. A verdict: done. 503: the instance pauses, the sample goes elsewhere at once, and nothing has failed.
//! 3. Anything else is a failed attempt. After `farm.attempts` of them the delivery failed.
//! 4. No instance is available for [`PATIENCE`]: [`ScanError::NoInstance`]; nobody's fault, so the job goes back.
//!
//! Whether an instance is available is the [`breaker`]'s business; [`Farm::watch`] probes them all.
//!
//! Metrics: `thundergate_farm_*`, see [`metrics`](crate::metrics).

pub mod balance;
pub mod breaker;
pub mod instance;

pub use instance::with_causes;

use crate::{
    metrics::FarmMetrics,
    thunderstorm::client::{CallError, SetupError},
};
use futures_util::future::join_all;
use instance::{Instance, InstanceState};
use std::time::{Duration, Instant};
use thundergate_common::{config, sample::Sample, verdict::Verdict};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

/// How long a sample waits for an instance before its job goes back to the queue, where another worker finds it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses and slow starts end without a word: look again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Assumed of all instances before the first scan of any.
const ASSUMED: Duration = Duration::from_millis(50);

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No instance took the sample. It was never scanned.
    #[error("no instance is available")]
    NoInstance,
    /// All attempts failed; the last one like this.
    #[error("{attempts} attempts failed, the last at {instance}")]
    Failed {
        /// How many.
        attempts: u32,
        /// Where the last one was.
        instance: String,
        /// How it failed.
        #[source]
        last: CallError,
    },
}

/// All instances.
#[derive(Debug)]
pub struct Farm {
    instances: Vec<Instance>,
    attempts: u32,
    patience: Duration,
    probe_interval: Duration,
    largest: u64,
    changed: watch::Sender<()>,
    metrics: FarmMetrics,
}

/// A place at one instance; whoever waits for one is told when it is free again.
struct Slot<'a> {
    permit: Option<OwnedSemaphorePermit>,
    farm: &'a Farm,
    index: usize,
}

impl Farm {
    /// The farm that `configured` describes. Nothing is sent yet.
    pub fn new(configured: &config::Farm, metrics: FarmMetrics) -> Result<Self, SetupError> {
        let instances = configured.instances.iter().map(|instance| Instance::new(instance, configured));
        Ok(Self {
            instances: instances.collect::<Result<_, _>>()?,
            attempts: configured.attempts.max(1),
            patience: PATIENCE.min(configured.timeout),
            probe_interval: configured.probe_interval,
            largest: configured.max_file_bytes.as_u64(),
            changed: watch::Sender::new(()),
            metrics,
        })
    }

    /// Whether a sample would be scanned now.
    pub fn available(&self) -> bool {
        self.capacity() > 0
    }

    /// How many scans the available instances run at a time.
    pub fn capacity(&self) -> usize {
        let now = Instant::now();
        self.instances.iter().map(|instance| instance.capacity(now)).sum()
    }

    /// The largest sample in bytes that the instances scan; above it they would answer "nothing found".
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// All instances as they stand.
    pub fn instances(&self) -> Vec<InstanceState> {
        self.instances.iter().map(Instance::state).collect()
    }

    /// Waits until an instance may have become available or free; at most a moment.
    pub async fn changed(&self) {
        let mut changed = self.changed.subscribe();
        let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
    }

    /// Has one of the instances scan `sample`; `source` is the host that its log shall name.
    pub async fn scan(&self, sample: &Sample, source: &str) -> Result<Verdict, ScanError> {
        let mut tried = Vec::new();
        let mut failure = ScanError::NoInstance;
        let mut give_up = Instant::now() + self.patience;
        while (tried.len() as u32) < self.attempts {
            let Some(slot) = self.slot(&tried, give_up).await else { break };
            let instance = &self.instances[slot.index];
            let first = !tried.contains(&slot.index);
            if !tried.is_empty() {
                self.metrics.retries.inc();
            }
            let result = instance.scan(sample, source, first).await;
            self.metrics.attempt(instance.name(), &result);
            match result {
                Ok(verdict) => return Ok(verdict),
                Err(CallError::Busy(_)) => continue,
                Err(last) => {
                    tried.push(slot.index);
                    failure = self.failed(sample, instance, tried.len() as u32, last);
                    give_up = Instant::now() + self.patience;
                }
            }
        }
        Err(failure)
    }

    /// Probes every instance at once.
    pub async fn probe(&self) {
        join_all(self.instances.iter().map(Instance::probe)).await;
        self.changed.send_replace(());
    }

    /// Probes every instance again and again, until `shutdown`.
    pub async fn watch(&self, shutdown: CancellationToken) {
        let watch_one = |instance| async move {
            loop {
                // How it went is in the instance's state, and logged where that changes.
                let _ = Instance::probe(instance).await;
                self.changed.send_replace(());
                // A tenth of jitter: the workers of a site shall not all probe in the same moment.
                tokio::time::sleep(self.probe_interval.mul_f64(0.95 + fastrand::f64() / 10.0)).await;
            }
        };
        let all = join_all(self.instances.iter().map(watch_one));
        shutdown.run_until_cancelled(all).await;
    }

    fn failed(&self, sample: &Sample, instance: &Instance, attempts: u32, last: CallError) -> ScanError {
        tracing::debug!(
            sample.key = %sample.key,
            farm.instance = instance.name(),
            scan.attempts = attempts,
            error = instance::with_causes(&last),
            "An attempt to scan failed"
        );
        ScanError::Failed { attempts, instance: instance.name().to_owned(), last }
    }

    /// A place at an instance, one not yet `tried` if there is any; none where there is no place until `give_up`.
    async fn slot(&self, tried: &[usize], give_up: Instant) -> Option<Slot<'_>> {
        loop {
            let mut changed = self.changed.subscribe();
            if let Some(slot) = self.choose(tried) {
                if tried.contains(&slot.index) {
                    // The same one again: give it a moment, or all attempts are over in one hiccup.
                    tokio::time::sleep(LOOK_AGAIN.mul_f64(tried.len() as f64 * (0.5 + fastrand::f64())))
                        .await;
                }
                return Some(slot);
            }
            if Instant::now() >= give_up {
                return None;
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
        }
    }

    fn choose(&self, tried: &[usize]) -> Option<Slot<'_>> {
        let now = Instant::now();
        let available = |index: &usize| self.instances[*index].capacity(now) > 0;
        let mut candidates: Vec<usize> =
            (0..self.instances.len()).filter(|index| !tried.contains(index)).filter(available).collect();
        if candidates.is_empty() {
            candidates = (0..self.instances.len()).filter(available).collect();
        }
        candidates.retain(|index| self.instances[*index].in_flight() < self.instances[*index].capacity(now));
        let quickest = self.instances.iter().filter_map(Instance::latency).min().unwrap_or(ASSUMED);
        loop {
            let index = balance::choose(&candidates, |index| self.instances[index].cost(quickest, now))?;
            if let Some(permit) = self.instances[index].take(now) {
                return Some(Slot { permit: Some(permit), farm: self, index });
            }
            candidates.retain(|other| *other != index);
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.farm.changed.send_replace(());
    }
}
