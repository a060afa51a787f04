// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm: all Thunderstorm servers. It gives a sample to one of them and, where that fails, to another.
//!
//! 1. Among the available instances with room, and with the signatures that the sample needs, [`balance`] chooses one.
//!    None has room: the sample stands in [`line`](mod@line) until one has.
//! 2. A verdict: done. 503 or 429: the instance gets fewer samples ([`limit`]) or none for a while, this one goes elsewhere at
//!    once, and nothing has failed.
//! 3. 413: the sample goes to an instance that is not known to refuse its size; where all do, it is
//!    [`ScanError::TooLarge`]. That is no failure of an instance either.
//! 4. Anything else is a failed attempt. After `farm.attempts` of them the delivery failed.
//! 5. No instance is available for some seconds: [`ScanError::NoInstance`]; nobody's fault, so the job goes back.
//!
//! Nothing hangs: every call to a server has a time-out, which covers its answer to the last byte; a sample stands in
//! the line for a bounded time; and once a delivery has taken `farm.timeout` × `farm.attempts`, it begins no further
//! attempt, whether the ones before failed or were refused. A sample whose sender has given up is scanned all the same:
//! the sender's next try finds the verdict.
//!
//! Whether an instance is available is the [`breaker`]'s business; [`Farm::watch`] probes them all. Which ones there
//! are can change while it runs ([`Farm::reconfigure`]).
//!
//! Metrics: `thundergate_farm_*`, see [`metrics`] and, for what is read when somebody asks, `metrics::farm` beside it.

pub(crate) mod balance;
pub mod breaker;
pub mod instance;
pub mod limit;
pub mod line;
pub mod metrics;
pub(crate) mod roster;
mod standing;

pub use instance::with_causes;
pub use roster::Changes;

use crate::thunderstorm::{client::CallError, settings::SetupError};
use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use instance::{Instance, Scanned};
use line::Line;
use metrics::FarmMetrics;
use roster::{Place, Roster, Wish};
use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_common::{
    config,
    generation::InstanceReport,
    sample::Sample,
    traces::{KeyValue, Span, SpanKind},
    verdict::Verdict,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pauses and slow starts end without a word: look again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// So long may all instances be unavailable before those who wait go back to the queue: another worker may have one.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// No instance took the sample. It was never scanned.
    #[error("no instance is available")]
    NoInstance,
    /// Every instance that scans refuses a sample of this size.
    #[error("the sample is larger than the scanners take")]
    TooLarge,
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
    roster: watch::Sender<Arc<Roster>>,
    line: Line,
    changed: watch::Sender<()>,
    metrics: FarmMetrics,
}

/// A place at one instance; once it is free again, the next in the line gets it.
struct Slot<'a> {
    place: Option<Place>,
    farm: &'a Farm,
}

impl Farm {
    /// The farm that `configured` describes. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up as configured: a certificate or a password file, say.
    pub fn new(configured: &config::Farm, metrics: FarmMetrics) -> Result<Self, SetupError> {
        let roster = Roster::new(configured)?;
        metrics.know(roster.instances.iter().map(|instance| instance.name()));
        Ok(Self {
            roster: watch::Sender::new(Arc::new(roster)),
            line: Line::default(),
            changed: watch::Sender::new(()),
            metrics,
        })
    }

    /// From now on it is the farm that `configured` describes. Instances that stay keep their breaker, latency and
    /// scans in flight; removed ones finish their scans and get no more; new ones get samples once [`Farm::watch`]
    /// has heard of them. Certificates and passwords are read again.
    ///
    /// # Errors
    ///
    /// As [`Farm::new`]; then all stays as it is.
    pub fn reconfigure(&self, configured: &config::Farm) -> Result<Changes, SetupError> {
        let (next, changes) = self.roster().next(configured)?;
        self.metrics.know(next.instances.iter().map(|instance| instance.name()));
        self.roster.send_replace(Arc::new(next));
        self.announce();
        tracing::info!(
            farm.added = changes.added.join(","),
            farm.removed = changes.removed.join(","),
            farm.changed = changes.changed.join(","),
            farm.kept = changes.kept.join(","),
            "The farm is what the configuration says now"
        );
        Ok(changes)
    }

    /// Whether a sample would be scanned now.
    pub fn available(&self) -> bool {
        self.capacity() > 0
    }

    /// How many scans the available instances run at a time.
    pub fn capacity(&self) -> usize {
        self.roster().capacity(Instant::now())
    }

    /// The largest sample in bytes that the instances scan; above it they would answer "nothing found".
    pub fn largest(&self) -> u64 {
        self.roster().largest
    }

    /// How many healthy instances must have reached a signature version before the farm has; none: all of them.
    pub fn quorum(&self) -> Option<NonZeroUsize> {
        self.roster().quorum
    }

    /// All instances as they stand, in the order of the configuration.
    pub fn reports(&self) -> Vec<InstanceReport> {
        self.roster().instances.iter().map(|instance| instance.report()).collect()
    }

    /// Waits until an instance may have become available or free; at most a moment.
    pub async fn changed(&self) {
        let mut changed = self.changed.subscribe();
        let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
    }

    /// Has one of the instances scan `sample`; `source` is the host that its log shall name. Only instances whose
    /// signature version is `needs` or newer are asked, and while there is none it is as if none were available. Where
    /// an instance turns out to have gone back to older ones, the verdict says so.
    ///
    /// # Errors
    ///
    /// [`ScanError`].
    pub async fn scan(
        &self,
        sample: &Sample,
        source: &str,
        needs: Option<&str>,
    ) -> Result<Verdict, ScanError> {
        Ok(self.scan_until_free(sample, source, needs, &Span::default()).await?.verdict().await)
    }

    /// The same, up to where its place at the instance is free again. Each attempt is a part of `span`.
    ///
    /// # Errors
    ///
    /// [`ScanError`].
    pub(crate) async fn scan_until_free(
        &self,
        sample: &Sample,
        source: &str,
        needs: Option<&str>,
        span: &Span,
    ) -> Result<Scanned, ScanError> {
        let roster = self.roster();
        let mut tried: Vec<Arc<Instance>> = Vec::new();
        let mut failure = ScanError::NoInstance;
        let end = Instant::now() + roster.longest;
        let mut give_up = Instant::now() + roster.patience;
        let bytes = sample.bytes.len() as u64;
        while (tried.len() as u32) < roster.attempts && Instant::now() < end {
            if self.roster().refuses(bytes, Instant::now()) {
                return Err(ScanError::TooLarge);
            }
            let wish = Wish { tried: tried.clone(), needs: needs.map(str::to_owned), bytes };
            let Some((slot, instance)) = self.slot(wish, give_up.min(end)).await else { break };
            let first = !tried.iter().any(|tried| tried.name() == instance.name());
            if !first {
                // The same one again: give it a moment, or all attempts are over in one hiccup.
                tokio::time::sleep(LOOK_AGAIN.mul_f64(tried.len() as f64 * (0.5 + fastrand::f64()))).await;
            }
            if !tried.is_empty() {
                self.metrics.retries.inc();
            }
            let upload = span.child(SpanKind::Client, "upload");
            let result = instance.scan(sample, source, first, slot).await;
            note(&upload, sample, instance.name(), tried.len(), &result);
            drop(upload);
            self.metrics.attempt(instance.name(), sample.bytes.len(), &result);
            match result {
                Ok(scanned) => return Ok(scanned),
                Err(CallError::Busy { .. } | CallError::TooLarge) => continue,
                Err(last) => {
                    failure = failed(sample, &instance, 1 + tried.len() as u32, last);
                    tried.push(instance);
                    give_up = Instant::now() + roster.patience;
                }
            }
        }
        Err(failure)
    }

    /// Probes every instance at once.
    pub async fn probe(&self) {
        join_all(self.roster().instances.iter().map(|instance| instance.probe())).await;
        self.announce();
    }

    /// Probes every instance again and again, and new ones at once, until `shutdown`.
    pub async fn watch(&self, shutdown: CancellationToken) {
        let all = async {
            let mut rosters = self.roster.subscribe();
            let mut watched: Vec<Arc<Instance>> = Vec::new();
            let mut probing = FuturesUnordered::new();
            loop {
                let roster = Arc::clone(&rosters.borrow_and_update());
                let new = |one: &&Arc<Instance>| !watched.iter().any(|old| Arc::ptr_eq(old, one));
                probing
                    .extend(roster.instances.iter().filter(new).map(|one| self.watch_one(Arc::clone(one))));
                watched.clone_from(&roster.instances);
                loop {
                    tokio::select! {
                        _ = rosters.changed() => break,
                        _ = probing.next(), if !probing.is_empty() => {}
                    }
                }
            }
        };
        shutdown.run_until_cancelled(all).await;
    }

    /// Probes `instance` until it is no longer part of the farm.
    async fn watch_one(&self, instance: Arc<Instance>) {
        loop {
            // How it went is in the instance's state, and logged where that changes.
            let _ = instance.probe().await;
            self.announce();
            // A tenth of jitter: the workers of a site shall not all probe in the same moment.
            let interval = self.roster().probe_interval.mul_f64(0.95 + fastrand::f64() / 10.0);
            tokio::time::sleep(interval).await;
            if !self.roster().instances.iter().any(|one| Arc::ptr_eq(one, &instance)) {
                return;
            }
        }
    }

    fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster.borrow())
    }

    /// There may be room where there was none.
    fn announce(&self) {
        self.line.serve(&self.roster(), Instant::now());
        self.changed.send_replace(());
    }

    /// A place at an instance as `wish` has it; none where there is no such place until `give_up`, or no instance is
    /// available for a while.
    async fn slot(&self, wish: Wish, give_up: Instant) -> Option<(Slot<'_>, Arc<Instance>)> {
        let mut place = self.line.join(wish);
        let mut available = Instant::now();
        let place = loop {
            let (roster, now) = (self.roster(), Instant::now());
            self.line.serve(&roster, now);
            if roster.capacity(now) > 0 {
                available = now;
            }
            let left = give_up.min(available + UNAVAILABLE).saturating_duration_since(now);
            match tokio::time::timeout(LOOK_AGAIN.min(left), &mut place).await {
                Ok(place) => break place.ok()?,
                Err(_) if left.is_zero() => {
                    place.close();
                    break place.try_recv().ok()?;
                }
                Err(_) => {}
            }
        };
        let instance = Arc::clone(&place.instance);
        Some((Slot { place: Some(place), farm: self }, instance))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        drop(self.place.take());
        self.farm.announce();
    }
}

fn note(upload: &Span, sample: &Sample, instance: &str, resent: usize, result: &Result<Scanned, CallError>) {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    upload.note(|| {
        [
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.request.body.size", number(sample.bytes.len())),
            KeyValue::new("http.request.resend_count", number(resent)),
            KeyValue::new("farm.instance", instance.to_owned()),
        ]
    });
    let status = match result {
        Ok(_) => Some(200),
        Err(CallError::TooLarge) => Some(413),
        Err(CallError::Busy { status, .. } | CallError::Refused(status)) => Some(*status),
        Err(_) => None,
    };
    if let Some(status) = status {
        upload.note(|| [KeyValue::new("http.response.status_code", i64::from(status))]);
    }
    if let Err(error) = result {
        upload.fail(|| instance::with_causes(error));
    }
}

fn failed(sample: &Sample, instance: &Instance, attempts: u32, last: CallError) -> ScanError {
    tracing::debug!(
        sample.key = %sample.key,
        farm.instance = instance.name(),
        scan.attempts = attempts,
        error = instance::with_causes(&last),
        "An attempt to scan failed"
    );
    ScanError::Failed { attempts, instance: instance.name().to_owned(), last }
}
