// SPDX-License-Identifier: GPL-3.0-or-later
//! One instance: its client, how many scans it runs, its breaker, its latency, and what it says of itself.
//!
//! Results carry no signature version, so `info` is read before and after each scan and the older version is stored:
//! a server may take new signatures into use at any moment. One read serves every scan that it lies on the right side
//! of, so a busy instance is asked a few times a second, not twice a scan.

use super::{
    balance::Latency,
    breaker::{Breaker, State},
};
use crate::thunderstorm::{
    client::{CallError, Client, SetupError},
    facts::Info,
};
use serde::Serialize;
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use thundergate_common::{
    config,
    sample::Sample,
    verdict::{self, Verdict},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Scans at a time until the instance has said how many threads it has.
const ASSUMED_THREADS: usize = 4;
/// No instance runs more scans at a time, whatever it says.
const MOST_SCANS: usize = 4096;
/// Back-pressure lasts at least this long: `Retry-After: 0` would be asked again without end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Signatures read this long before a scan count as read before it. They only ever become newer, so this can make a
/// verdict look older than it is, never newer.
const BEFORE: Duration = Duration::from_secs(1);

/// One instance of the farm.
#[derive(Debug)]
pub struct Instance {
    name: String,
    url: String,
    client: Client,
    /// Always of the same size: a permit is a scan in flight, and the limit moves with `info` and the breaker.
    slots: Arc<Semaphore>,
    configured: Option<usize>,
    condition: Mutex<Condition>,
    /// Held while `info` is read, so that one read serves many.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Condition {
    breaker: Breaker,
    latency: Latency,
    info: Info,
    /// When the request for `info` was sent.
    asked: Option<Instant>,
    /// How long it took to answer `info`.
    info_took: Option<Duration>,
    last_error: Option<String>,
}

/// An instance as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceState {
    /// Its name.
    pub name: String,
    /// Where it is, without a password.
    pub url: String,
    /// Whether it gets samples.
    pub state: State,
    /// What it says of itself.
    #[serde(flatten)]
    pub info: Info,
    /// Scans it runs for this process.
    pub in_flight: usize,
    /// Scans it may run for this process now.
    pub capacity: usize,
    /// Recent latency in milliseconds; none before the first scan.
    pub latency_ms: Option<u64>,
    /// How long it took to answer `/api/info`, in milliseconds.
    pub info_ms: Option<u64>,
    /// Why the last call failed; none where it did not.
    pub last_error: Option<String>,
}

impl Instance {
    /// The instance that `configured` describes. Nothing is sent yet.
    pub fn new(configured: &config::Instance, farm: &config::Farm) -> Result<Self, SetupError> {
        Ok(Self {
            name: configured.name(),
            url: without_password(&configured.url),
            client: Client::new(configured, farm)?,
            slots: Arc::new(Semaphore::new(MOST_SCANS)),
            configured: configured.concurrency.map(Into::into),
            condition: Mutex::new(Condition {
                breaker: Breaker::new(farm.breaker_failures, farm.probe_interval),
                latency: Latency::default(),
                info: Info::default(),
                asked: None,
                info_took: None,
                last_error: None,
            }),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many scans it may run at `now`; 0 where it is not available.
    pub fn capacity(&self, now: Instant) -> usize {
        self.allowance(&self.lock(), now)
    }

    /// Scans it runs for this process.
    pub fn in_flight(&self) -> usize {
        MOST_SCANS - self.slots.available_permits()
    }

    /// Recent latency; none before the first scan.
    pub fn latency(&self) -> Option<Duration> {
        self.lock().latency.average()
    }

    /// What one more scan would cost, where `quickest` is the lowest latency in the farm.
    pub fn cost(&self, quickest: Duration, now: Instant) -> f64 {
        self.lock().latency.cost(self.in_flight(), quickest, now)
    }

    /// A permit for one more scan; none where it runs as many as it may.
    pub fn take(&self, now: Instant) -> Option<OwnedSemaphorePermit> {
        // Under the lock, or two could both see the last place.
        let condition = self.lock();
        let room = self.in_flight() < self.allowance(&condition, now);
        room.then(|| Arc::clone(&self.slots).try_acquire_owned().ok()).flatten()
    }

    /// Scans, and takes note of how it went. `first` says whether this instance gets the sample for the first time:
    /// a sample that no scanner survives must not look like several failures of the scanner.
    pub async fn scan(&self, sample: &Sample, source: &str, first: bool) -> Result<Verdict, CallError> {
        let before = self.signatures(Instant::now().checked_sub(BEFORE)).await;
        let started = Instant::now();
        let result = self.client.scan(sample, source).await;
        let ended = Instant::now();
        let took = ended.saturating_duration_since(started);
        self.note(&result, took, first);
        let findings = result?;
        let after = self.signatures(Some(ended)).await;
        Ok(Verdict {
            findings,
            signatures: older(before, after),
            scanned_at: verdict::now(),
            scan_ms: took.as_millis() as u64,
            instance: self.name.clone(),
        })
    }

    /// Asks the instance how it is. What it says of its threads and signatures holds until the next time.
    pub async fn probe(&self) -> Result<Info, CallError> {
        let _reading = self.reading.lock().await;
        self.read().await
    }

    /// The instance as it stands.
    pub fn state(&self) -> InstanceState {
        let now = Instant::now();
        let condition = self.lock();
        InstanceState {
            name: self.name.clone(),
            url: self.url.clone(),
            state: condition.breaker.state(now),
            info: condition.info.clone(),
            in_flight: self.in_flight(),
            capacity: self.allowance(&condition, now),
            latency_ms: condition.latency.average().map(|average| average.as_millis() as u64),
            info_ms: condition.info_took.map(|took| took.as_millis() as u64),
            last_error: condition.last_error.clone(),
        }
    }

    /// The signature version as read at or after `since`; none where it cannot be read.
    async fn signatures(&self, since: Option<Instant>) -> Option<String> {
        let known = || {
            let condition = self.lock();
            (condition.asked.is_some() && condition.asked >= since).then(|| condition.info.signatures.clone())
        };
        if let Some(signatures) = known() {
            return signatures;
        }
        let _reading = self.reading.lock().await;
        match known() {
            Some(signatures) => signatures,
            None => self.read().await.ok().and_then(|info| info.signatures),
        }
    }

    async fn read(&self) -> Result<Info, CallError> {
        let asked = Instant::now();
        let answer = self.client.info().await;
        let mut condition = self.lock();
        match &answer {
            Ok(info) => {
                condition.info = info.clone();
                condition.asked = Some(asked);
                condition.info_took = Some(asked.elapsed());
                if condition.breaker.answered(Instant::now()) {
                    condition.last_error = None;
                    tracing::info!(farm.instance = self.name, "An instance is available");
                }
            }
            // Too busy to say how it is: alive, and no worse than busy.
            Err(CallError::Busy(pause)) => {
                condition.breaker.answered(Instant::now());
                condition.breaker.busy((*pause).max(SHORTEST_PAUSE), Instant::now());
            }
            Err(error) => {
                let opened = condition.breaker.unanswered(Instant::now());
                self.failed(&mut condition, error, opened);
            }
        }
        answer
    }

    fn allowance(&self, condition: &Condition, now: Instant) -> usize {
        let limit = self.configured.or(condition.info.threads).unwrap_or(ASSUMED_THREADS);
        condition.breaker.allowance(limit.min(MOST_SCANS), now)
    }

    fn note<T>(&self, result: &Result<T, CallError>, took: Duration, first: bool) {
        let now = Instant::now();
        let mut condition = self.lock();
        match result {
            Ok(_) => {
                condition.breaker.succeeded();
                condition.latency.record(took, now);
                condition.last_error = None;
            }
            Err(CallError::Busy(pause)) => condition.breaker.busy((*pause).max(SHORTEST_PAUSE), now),
            Err(error) => {
                let opened = first && condition.breaker.failed(now);
                self.failed(&mut condition, error, opened);
            }
        }
    }

    fn failed(&self, condition: &mut Condition, error: &CallError, opened: bool) {
        let reason = with_causes(error);
        if opened {
            tracing::warn!(
                farm.instance = self.name,
                error = reason,
                "An instance failed too often and gets no samples until it answers again"
            );
        }
        condition.last_error = Some(reason);
    }

    fn lock(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().expect("nothing panics while it holds the condition")
    }
}

/// An error and what caused it, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Signature versions sort as text. An unknown one says nothing about the other.
fn older(before: Option<String>, after: Option<String>) -> Option<String> {
    match (before, after) {
        (Some(before), Some(after)) => Some(before.min(after)),
        (before, after) => before.or(after),
    }
}

fn without_password(url: &url::Url) -> String {
    let mut url = url.clone();
    // Both fail only where there is no host, and then there are no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
