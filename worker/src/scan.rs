// SPDX-License-Identifier: GPL-3.0-or-later
//! One delivery of one job: begin, scan, complete.
//!
//! | what happened | what becomes of the job |
//! |---|---|
//! | a verdict, or the sample is above the size that the instances scan or take | completed with that answer |
//! | nothing left to do | the hub has acknowledged it |
//! | every attempt failed, or the scan panicked | left alone, so that it is reclaimed; a dead letter at the last delivery |
//! | no instance available | handed back; the delivery does not count |
//! | the hub failed | left alone, so that it is reclaimed |
//!
//! A sample is scanned only if its bytes have its digest: a scanner calls a sample that was cut short clean.

use crate::{
    farm::{Farm, ScanError, with_causes},
    memory::Memory,
    metrics::WorkerMetrics,
};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use thundergate_common::{
    clock::now_ms,
    digest::Digest,
    hub::{self, Begin, Claim, Completion},
    job::Job,
    sample::Sample,
    traces::{KeyValue, Span, SpanKind},
    verdict::{Answer, SkipReason, Verdict},
};

/// Above this size a digest is computed where it holds up no other task.
const LARGE: usize = 256 << 10;

/// What a delivery needs.
pub struct Scanning {
    /// Where jobs come from and verdicts go.
    pub hub: Arc<dyn hub::Worker>,
    /// The scanners.
    pub farm: Arc<Farm>,
    /// For the bytes of samples.
    pub memory: Memory,
    /// After so many deliveries a job is a dead letter.
    pub max_deliveries: u32,
    /// What is counted.
    pub(crate) metrics: WorkerMetrics,
}

/// How a delivery ended.
enum Ending {
    Answered(Answer),
    Nothing,
    Failed(String),
    NoInstance,
    HubFailed(String),
}

impl Ending {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Nothing => "nothing",
            Self::Failed(_) => "failed",
            Self::NoInstance => "no_instance",
            Self::HubFailed(_) => "hub_failed",
        }
    }
}

impl Scanning {
    /// Delivers `claim`. A panic in it is a failed delivery, no dead worker.
    /// `place` is dropped as soon as another one can be scanned in its place.
    pub async fn deliver<P>(&self, claim: &Claim, place: P) {
        let span = span(claim);
        let ending = AssertUnwindSafe(self.attempt(claim, place, &span)).catch_unwind().await;
        let ending = ending.unwrap_or_else(|_| Ending::Failed("the scan panicked".to_owned()));
        span.note(|| [KeyValue::new("outcome", ending.as_str())]);
        if let Ending::Failed(reason) | Ending::HubFailed(reason) = &ending {
            span.fail(|| reason.clone());
        }
        let _completing = matches!(ending, Ending::Answered(_)).then(|| completing(&span));
        match ending {
            Ending::Answered(answer) => self.complete(claim, Completion::Answered(answer)).await,
            Ending::Nothing => self.metrics.not_scanned("nothing"),
            Ending::Failed(reason) => self.failed(claim, reason).await,
            Ending::NoInstance => self.hand_back(claim).await,
            Ending::HubFailed(reason) => self.hub_failed(claim, &reason),
        }
    }

    async fn attempt<P>(&self, claim: &Claim, place: P, span: &Span) -> Ending {
        if claim.deliveries > self.max_deliveries {
            // Each of them ended without a word: perhaps the sample kills the workers.
            return Ending::Failed(format!("{} deliveries ended without an answer", claim.deliveries - 1));
        }
        let _memory = self.memory.take(claim.job.size).await;
        self.metrics.begun(claim.job.lane, waited(&claim.job));
        match self.hub.begin(claim).await {
            Ok(Begin::Scan(bytes)) => self.scan(&claim.job, bytes, place, span).await,
            Ok(Begin::Nothing) => Ending::Nothing,
            Err(error) => Ending::HubFailed(with_causes(&error)),
        }
    }

    async fn scan<P>(&self, job: &Job, bytes: Bytes, place: P, span: &Span) -> Ending {
        if bytes.len() as u64 > self.farm.largest() {
            self.metrics.not_scanned("skipped");
            return Ending::Answered(Answer::Skipped(SkipReason::TooLarge));
        }
        if digest(bytes.clone()).await != Some(job.sample.digest) {
            return Ending::Failed("the bytes in the hub do not have the sample's digest".to_owned());
        }
        let sample = Sample { key: job.sample.clone(), bytes };
        // Where the farm has gone back since, no instance could meet what the job needed.
        let known = self.hub.generation();
        let needs = job.needs.clone().min(known.signatures.clone());
        match self.farm.scan_until_free(&sample, &job.source, needs.as_deref(), span).await {
            Ok(scanned) => {
                let ended_at = self.hub.now();
                drop((place, sample));
                let verdict = scanned.verdict().await.stamped(ended_at, known.bumped_at);
                self.metrics.scanned(&verdict);
                log(job, &verdict);
                Ending::Answered(Answer::Verdict(Arc::new(verdict)))
            }
            Err(ScanError::NoInstance) => Ending::NoInstance,
            Err(ScanError::TooLarge) => {
                self.metrics.not_scanned("skipped");
                Ending::Answered(Answer::Skipped(SkipReason::TooLarge))
            }
            Err(error) => Ending::Failed(with_causes(&error)),
        }
    }

    async fn failed(&self, claim: &Claim, reason: String) {
        let last = claim.deliveries >= self.max_deliveries;
        tracing::warn!(
            sample.key = %claim.job.sample,
            sample.size_bytes = claim.job.size,
            queue.id = claim.job.queue_id,
            job.deliveries = claim.deliveries,
            error = reason,
            "{}",
            if last { "A sample could not be scanned and is given up" } else { "A sample could not be scanned yet" }
        );
        if last {
            self.metrics.dead();
            self.complete(claim, Completion::Dead(reason)).await;
        } else {
            self.metrics.not_scanned("failed");
        }
    }

    /// A verdict is too dear to be lost to a hiccup of the hub, so this tries for some seconds.
    async fn complete(&self, claim: &Claim, completion: Completion) {
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(8);
        let done = (|| self.hub.complete(claim, &completion)).retry(backoff).await;
        if let Err(error) = done {
            self.hub_failed(claim, &with_causes(&error));
        }
    }

    async fn hand_back(&self, claim: &Claim) {
        self.metrics.not_scanned("handed_back");
        if let Err(error) = self.hub.hand_back(claim).await {
            self.hub_failed(claim, &with_causes(&error));
        }
    }

    fn hub_failed(&self, claim: &Claim, reason: &str) {
        self.metrics.hub_errors.inc();
        tracing::warn!(
            sample.key = %claim.job.sample,
            queue.id = claim.job.queue_id,
            error = reason,
            "The hub failed during a scan; the job waits until it is reclaimed"
        );
    }
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

async fn digest(bytes: Bytes) -> Option<Digest> {
    if bytes.len() < LARGE {
        return Some(Digest::of(&bytes));
    }
    tokio::task::spawn_blocking(move || Digest::of(&bytes)).await.ok()
}

fn waited(job: &Job) -> Duration {
    Duration::from_millis(now_ms().saturating_sub(job.enqueued_ms))
}
