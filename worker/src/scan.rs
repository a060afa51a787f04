// SPDX-License-Identifier: GPL-3.0-or-later
//! One delivery of one job: begin, scan, complete.
//!
//! | what happened | what becomes of the job |
//! |---|---|
//! | a verdict, or the sample is above the size that the instances scan or take | completed with that answer |
//! | nothing left to do | the hub has acknowledged it |
//! | the sample cannot be scanned | completed as failed: remembered where that is proven, and a dead letter |
//! | an instance was lost with it | a suspect: once more, alone, with a place and memory of its own |
//! | no instance available | handed back; the delivery does not count |
//! | the hub failed | handed back once the hub answers again, or reclaimed |
//! | the scan panicked, the bytes are not the sample's, or the worker died | left alone, so that it is reclaimed; a dead letter after too many of those |
//!
//! A sample is scanned only if its bytes have its digest: a scanner calls a sample that was cut short clean.

mod inside;

use crate::{
    containers::Containers,
    farm::{Farm, ScanError, Scanned, with_causes},
    memory::Memory,
    metrics::WorkerMetrics,
    suspects::Turns,
};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use thundergate_common::{
    clock::now_ms,
    digest::Digest,
    failed::{self, FailedSample},
    generation::Generation,
    hub::{self, Begin, Claim, Completion},
    job::Job,
    sample::Sample,
    sealed::{Sealed, maybe_sealed},
    traces::{KeyValue, Span, SpanKind},
    verdict::{Answer, SkipReason, Verdict},
};

/// A sample above this size is looked at where it holds up no other task.
const LARGE: usize = 256 << 10;

/// What a delivery needs.
pub struct Scanning {
    /// Where jobs come from and verdicts go.
    pub hub: Arc<dyn hub::Worker>,
    /// The scanners.
    pub farm: Arc<Farm>,
    /// For the bytes of samples.
    pub memory: Memory,
    /// Its turns to scan suspects.
    pub(crate) turns: Arc<Turns>,
    /// Opens what asks for a password.
    pub(crate) containers: Arc<Containers>,
    /// After so many deliveries that ended without a word a job is a dead letter.
    pub max_deliveries: u32,
    /// How long a sample that cannot be scanned is remembered.
    pub failed_ttl: Duration,
    /// What is counted.
    pub(crate) metrics: WorkerMetrics,
}

/// What a delivery begins with.
struct Begun {
    bytes: Bytes,
    /// What is held against the sample.
    failed: Option<FailedSample>,
    /// What it is, if it may ask for a password.
    sealed: Option<Sealed>,
}

/// How a delivery ended.
enum Ending {
    Answered(Answer),
    Nothing,
    /// It may have killed its scanner.
    Suspect(FailedSample),
    /// It cannot be scanned, which is proven.
    Failed(FailedSample),
    /// It cannot be scanned, for a reason that may be gone the next time.
    Dead(String),
    /// A fault of ours, or of the hub's: the next delivery may do better.
    Unfinished(String),
    NoInstance,
    HubFailed(String),
}

impl Ending {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Nothing => "nothing",
            Self::Suspect(_) => "suspect",
            Self::Failed(_) | Self::Dead(_) | Self::Unfinished(_) => "failed",
            Self::NoInstance => "no_instance",
            Self::HubFailed(_) => "hub_failed",
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(failed) | Self::Suspect(failed) => Some(&failed.reason),
            Self::Dead(reason) | Self::Unfinished(reason) | Self::HubFailed(reason) => Some(reason),
            Self::Answered(_) | Self::Nothing | Self::NoInstance => None,
        }
    }
}

impl Scanning {
    /// Delivers `claim`. A panic in it is a failed delivery, no dead worker.
    /// `place` is dropped as soon as another one can be scanned in its place.
    pub async fn deliver<P>(&self, claim: &Claim, place: P) {
        let span = span(claim);
        let ending = AssertUnwindSafe(self.attempts(claim, place, &span)).catch_unwind().await;
        let ending = ending.unwrap_or_else(|_| Ending::Unfinished("the scan panicked".to_owned()));
        span.note(|| [KeyValue::new("outcome", ending.as_str())]);
        if let Some(error) = ending.error() {
            span.fail(|| error.to_owned());
        }
        let _completing = matches!(ending, Ending::Answered(_)).then(|| completing(&span));
        match ending {
            Ending::Answered(answer) => self.complete(claim, Completion::Answered(answer)).await,
            Ending::Nothing => self.metrics.not_scanned("nothing"),
            Ending::Failed(failed) | Ending::Suspect(failed) => {
                self.given_up(claim, &failed.reason);
                self.complete(claim, Completion::Failed(failed)).await;
            }
            Ending::Dead(reason) => {
                self.given_up(claim, &reason);
                self.complete(claim, Completion::Dead(reason)).await;
            }
            Ending::Unfinished(reason) => self.unfinished(claim, reason).await,
            Ending::NoInstance => self.hand_back(claim).await,
            Ending::HubFailed(reason) => self.hub_failed(claim, &reason).await,
        }
    }

    /// Beside other samples, and once more alone where that made a suspect of it.
    async fn attempts<P>(&self, claim: &Claim, place: P, span: &Span) -> Ending {
        if claim.deliveries > self.max_deliveries {
            // Each of them ended without a word: perhaps the sample kills the workers.
            return Ending::Dead(format!("{} deliveries ended without an answer", claim.deliveries - 1));
        }
        let mut sealed = None;
        let ending = self.beside_others(claim, place, span, &mut sealed).await;
        let Ending::Suspect(suspicion) = ending else {
            return self.with_what_is_inside(claim, sealed, ending, span).await;
        };
        self.metrics.not_scanned("suspect");
        if let Err(error) = self.hub.suspect(claim, &suspicion).await {
            return Ending::HubFailed(with_causes(&error));
        }
        // Neither its bytes nor a place wait with it: many suspects cost other mail nothing.
        let turn = self.farm.turn().await;
        let ending = self.turns.keep(self.alone(claim, suspicion, span)).await;
        self.turns.scanned(self.farm.suspects() > 1 && !self.farm.has_one_left()).await;
        drop(turn);
        self.with_what_is_inside(claim, sealed, ending, span).await
    }

    async fn beside_others<P>(
        &self,
        claim: &Claim,
        place: P,
        span: &Span,
        sealed: &mut Option<Sealed>,
    ) -> Ending {
        let _memory = self.memory.take(claim.job.size).await;
        self.metrics.begun(claim.job.lane, waited(&claim.job));
        let begun = match self.begin(claim).await {
            Ok(begun) => begun,
            Err(ending) => return ending,
        };
        let Begun { bytes, failed, .. } = begun;
        *sealed = begun.sealed;
        if let Some(suspicion) = failed.filter(|failed| failed.suspect) {
            return Ending::Suspect(suspicion);
        }
        let job = &claim.job;
        let (sample, needs) = (Sample { key: job.sample.clone(), bytes }, self.needs(job));
        let bumped_at = self.hub.generation().bumped_at;
        let scanned = self.farm.scan_until_free(&sample, &job.source, needs.as_deref(), span).await;
        drop((place, sample));
        self.ending(job, scanned, bumped_at, None).await
    }

    async fn alone(&self, claim: &Claim, suspicion: FailedSample, span: &Span) -> Ending {
        let _memory = self.memory.take(claim.job.size).await;
        let bytes = match self.begin(claim).await {
            Ok(Begun { bytes, .. }) => bytes,
            Err(ending) => return ending,
        };
        let job = &claim.job;
        let (sample, needs) = (Sample { key: job.sample.clone(), bytes }, self.needs(job));
        let bumped_at = self.hub.generation().bumped_at;
        let lost = &suspicion.instance;
        let turns = &self.turns;
        let claim = move |instance: String| -> BoxFuture<'_, bool> {
            Box::pin(async move { turns.claim(&instance).await })
        };
        let scanned = self.farm.scan_alone(&sample, &job.source, needs.as_deref(), lost, span, &claim).await;
        self.ending(job, scanned, bumped_at, Some(&suspicion)).await
    }

    /// The sample's bytes and what is held against it; or how the delivery ends without a scan.
    async fn begin(&self, claim: &Claim) -> Result<Begun, Ending> {
        let (bytes, failed) = match self.hub.begin(claim).await {
            Ok(Begin::Scan { bytes, failed }) => (bytes, failed),
            Ok(Begin::Nothing) => return Err(Ending::Nothing),
            Err(error) => return Err(Ending::HubFailed(with_causes(&error))),
        };
        if bytes.len() as u64 > self.farm.largest() {
            self.metrics.not_scanned("skipped");
            return Err(Ending::Answered(Answer::Skipped(SkipReason::TooLarge)));
        }
        let (digest, sealed) = look_at(bytes.clone()).await.unzip();
        if digest != Some(claim.job.sample.digest) {
            let reason = "the bytes in the hub do not have the sample's digest";
            return Err(Ending::Unfinished(reason.to_owned()));
        }
        Ok(Begun { bytes, failed, sealed: sealed.flatten() })
    }

    /// Where the farm has gone back since, no instance could meet what the job needed.
    fn needs(&self, job: &Job) -> Option<String> {
        job.needs.clone().min(self.hub.generation().signatures.clone())
    }

    /// What a scan that has just ended makes of the delivery; it began when a bump at `bumped_at` was known.
    async fn ending(
        &self,
        job: &Job,
        scanned: Result<Scanned, ScanError>,
        bumped_at: u64,
        suspicion: Option<&FailedSample>,
    ) -> Ending {
        let ended_at = self.hub.now();
        match scanned {
            Ok(scanned) => {
                let verdict = scanned.verdict().await.stamped(ended_at, bumped_at);
                self.metrics.scanned(&verdict);
                log(job, &verdict);
                Ending::Answered(Answer::Verdict(Arc::new(verdict)))
            }
            Err(ScanError::NoInstance) => Ending::NoInstance,
            Err(ScanError::TooLarge) => {
                self.metrics.not_scanned("skipped");
                Ending::Answered(Answer::Skipped(SkipReason::TooLarge))
            }
            Err(error @ ScanError::Failed { proven: false, .. }) => Ending::Dead(with_causes(&error)),
            Err(error) => self.held_against(&error, suspicion),
        }
    }

    /// What the hub shall remember of a sample with this `error`.
    fn held_against(&self, error: &ScanError, suspicion: Option<&FailedSample>) -> Ending {
        let suspect = matches!(error, ScanError::Suspect { .. });
        let times = suspicion.map_or(0, |suspicion| suspicion.times) + u32::from(!suspect);
        let lost = suspect || error.is_lost();
        let pause = if lost { failed::pause(self.failed_ttl, times) } else { self.failed_ttl };
        let failed = FailedSample {
            reason: with_causes(error),
            instance: error.instance().to_owned(),
            failed_at: self.hub.now(),
            until: if suspect { 0 } else { self.hub.now() + pause.as_secs() },
            suspect: lost,
            times,
            generation: Generation { blind: Vec::new(), ..Generation::clone(&self.hub.generation()) },
        };
        if suspect { Ending::Suspect(failed) } else { Ending::Failed(failed) }
    }

    fn given_up(&self, claim: &Claim, reason: &str) {
        self.metrics.dead();
        tracing::warn!(
            sample.key = %claim.job.sample,
            sample.size_bytes = claim.job.size,
            queue.id = claim.job.queue_id,
            job.deliveries = claim.deliveries,
            error = reason,
            "A sample could not be scanned and is given up"
        );
    }

    async fn unfinished(&self, claim: &Claim, reason: String) {
        if claim.deliveries >= self.max_deliveries {
            self.given_up(claim, &reason);
            self.complete(claim, Completion::Dead(reason)).await;
            return;
        }
        self.metrics.not_scanned("failed");
        tracing::warn!(
            sample.key = %claim.job.sample,
            sample.size_bytes = claim.job.size,
            queue.id = claim.job.queue_id,
            job.deliveries = claim.deliveries,
            error = reason,
            "A sample could not be scanned yet"
        );
    }

    /// A verdict is too dear to be lost to a hiccup of the hub, so this tries for some seconds.
    async fn complete(&self, claim: &Claim, completion: Completion) {
        let done = (|| self.hub.complete(claim, &completion)).retry(backoff()).await;
        if let Err(error) = done {
            self.hub_failed(claim, &with_causes(&error)).await;
        }
    }

    async fn hand_back(&self, claim: &Claim) {
        self.metrics.not_scanned("handed_back");
        if let Err(error) = self.hub.hand_back(claim).await {
            self.hub_failed(claim, &with_causes(&error)).await;
        }
    }

    /// The hub's failure is no delivery of the sample's: the job goes back once the hub answers again.
    async fn hub_failed(&self, claim: &Claim, reason: &str) {
        self.metrics.hub_errors.inc();
        tracing::warn!(
            sample.key = %claim.job.sample,
            queue.id = claim.job.queue_id,
            error = reason,
            "The hub failed during a scan; the job waits until it is reclaimed"
        );
        // Where that fails as well, the job is reclaimed.
        let _ = (|| self.hub.hand_back(claim)).retry(backoff()).await;
    }
}

/// Some seconds of tries.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(8)
}

/// One delivery, as a part of the trace of the mail that asked first.
fn span(claim: &Claim) -> Span {
    let job = &claim.job;
    let span = Span::begin(SpanKind::Consumer, "scan", job.traceparent.as_deref());
    span.note(|| {
        [
            KeyValue::new("messaging.system", "redis"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.operation.name", "scan"),
            KeyValue::new("messaging.destination.name", job.lane.as_str()),
            KeyValue::new("messaging.message.id", claim.id.clone()),
            KeyValue::new("messaging.message.body.size", i64::try_from(job.size).unwrap_or(i64::MAX)),
            KeyValue::new("queue.id", job.queue_id.clone()),
            KeyValue::new("digest", job.sample.digest.to_string()),
            KeyValue::new("job.deliveries", i64::from(claim.deliveries)),
            KeyValue::new("job.waited_ms", i64::try_from(waited(job).as_millis()).unwrap_or(i64::MAX)),
        ]
    });
    span
}

fn completing(scan: &Span) -> Span {
    let span = scan.child(SpanKind::Client, "complete");
    span.note(|| [KeyValue::new("db.system.name", "redis")]);
    span
}

fn log(job: &Job, verdict: &Verdict) {
    if verdict.is_clean() {
        tracing::debug!(
            sample.key = %job.sample,
            queue.id = job.queue_id,
            farm.instance = verdict.instance,
            scan.duration_ms = verdict.scan_ms,
            "A sample is clean"
        );
        return;
    }
    let rules = verdict.findings.iter().flat_map(|finding| &finding.rules).map(|rule| rule.name.as_str());
    tracing::info!(
        sample.key = %job.sample,
        sample.size_bytes = job.size,
        queue.id = job.queue_id,
        farm.instance = verdict.instance,
        scan.duration_ms = verdict.scan_ms,
        scan.score = verdict.score(),
        scan.rules = rules.take(8).collect::<Vec<_>>().join(","),
        "The scanner found something in a sample"
    );
}

/// The digest of a sample, and what it is if it may ask for a password.
async fn look_at(bytes: Bytes) -> Option<(Digest, Option<Sealed>)> {
    // An archive may have archives in it, which are unpacked to see.
    let long = bytes.len() > LARGE || bytes.starts_with(b"PK");
    let look = move || (Digest::of(&bytes), maybe_sealed(&bytes));
    if long { tokio::task::spawn_blocking(look).await.ok() } else { Some(look()) }
}

fn waited(job: &Job) -> Duration {
    Duration::from_millis(now_ms().saturating_sub(job.enqueued_ms))
}
