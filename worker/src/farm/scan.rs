// SPDX-License-Identifier: GPL-3.0-or-later
//! One sample's way through the farm: [`Farm::scan_until_free`] beside others, [`Farm::scan_alone`] for a suspect.

use super::{
    Farm, LOOK_AGAIN, ScanError,
    alone::{ClaimFor, Turn},
    instance::{Instance, Scanned, Unscanned, Whose},
    roster::{Place, Wish},
    with_causes,
};
use crate::thunderstorm::error::{CallError, Meaning};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_common::{
    sample::Sample,
    traces::{KeyValue, Span, SpanKind},
    verdict::Verdict,
};

/// So long may all instances be unavailable before those who wait go back to the queue: another worker may have one.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// So often a sample that scanners refuse is uploaded, and so often it is alone with one that it may have killed.
const UPLOADS: u32 = 2;

/// A sample of so many bytes every instance scans.
const LEAST_SIZE: u64 = 1 << 20;

/// A place at one instance; once it is free again, the next in the line gets it.
struct Slot<'a, P> {
    place: Option<P>,
    farm: &'a Farm,
}

/// One sample on its way through the farm.
struct Journey<'a> {
    sample: &'a Sample,
    source: &'a str,
    needs: Option<&'a str>,
    span: &'a Span,
    /// Whether somebody finds out how large a file each instance scans.
    waits_for_size: bool,
    /// Where it has failed.
    tried: Vec<Arc<Instance>>,
    /// How often it was sent.
    sent: usize,
}

/// What the failed attempts of one sample come to.
#[derive(Debug, Default)]
struct Tally {
    /// Answers that were no verdict, from instances that scan.
    refused: u32,
    /// One of those instances scanned the known sample afterwards.
    proven: bool,
    /// Instances that could not be reached, or did not scan.
    away: u32,
    /// Attempts that were given up because the instance failed meanwhile.
    moved: u32,
}

impl Farm {
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
        let span = Span::default();
        match self.scan_until_free(sample, source, needs, &span).await {
            Err(ScanError::Suspect { instance, .. }) => {
                let _turn = self.turn().await;
                let alone =
                    self.scan_alone(sample, source, needs, &instance, &span, &|_| Box::pin(async { true }));
                Ok(alone.await?.verdict().await)
            }
            outcome => Ok(outcome?.verdict().await),
        }
    }

    /// The same beside other samples and up to where its place at the instance is free again. Each attempt is a part of
    /// `span`.
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
        let mut journey = self.journey(sample, source, needs, span);
        let mut tally = Tally::default();
        let end = Instant::now() + roster.longest;
        let mut give_up = Instant::now() + roster.patience;
        while tally.away < roster.attempts && Instant::now() < end {
            if self.roster().refuses(journey.bytes(), Instant::now()) {
                return Err(ScanError::TooLarge);
            }
            let Some((slot, instance)) = self.slot(journey.wish(), give_up.min(end)).await else { break };
            if journey.has_tried(&instance) {
                // The same one again: give it a moment, or all attempts are over in one hiccup.
                let pause = journey.tried.len() as f64 * (0.5 + fastrand::f64());
                tokio::time::sleep(LOOK_AGAIN.mul_f64(pause)).await;
            }
            let unscanned = match self.attempt(&mut journey, &instance, slot).await {
                Ok(scanned) => return Ok(scanned),
                Err(unscanned) => unscanned,
            };
            if !matches!(unscanned.error.meaning(), Meaning::Busy | Meaning::TooLarge) {
                tally.note(instance.name(), unscanned, self.roster().is_only(&instance))?;
                journey.tried.push(instance);
                give_up = Instant::now() + roster.patience;
            }
        }
        Err(ScanError::NoInstance)
    }

    /// Waits until a suspect may be scanned alone: one at a time.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        self.suspects.turn().await
    }

    /// How many suspects wait for their turn or have it.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects.count()
    }

    /// Has a suspect scanned on an instance that does nothing else meanwhile, rather not on `lost`, where it was before.
    /// The caller has its turn; `claim` says whether all workers leave the
    /// instance of that name alone from now on.
    ///
    /// # Errors
    ///
    /// [`ScanError`], never a suspect: what is lost alone has failed.
    pub(crate) async fn scan_alone(
        &self,
        sample: &Sample,
        source: &str,
        needs: Option<&str>,
        lost: &str,
        span: &Span,
        claim: ClaimFor<'_>,
    ) -> Result<Scanned, ScanError> {
        let roster = self.roster();
        let mut journey = self.journey(sample, source, needs, span);
        journey.tried = roster.instances.iter().filter(|one| one.name() == lost).cloned().collect();
        let mut attempts = 0;
        let end = Instant::now() + roster.longest;
        while attempts < roster.attempts && Instant::now() < end {
            if self.roster().refuses(journey.bytes(), Instant::now()) {
                return Err(ScanError::TooLarge);
            }
            let give_up = end.min(Instant::now() + roster.patience);
            let wish = journey.wish();
            let place = self.suspects.place(|| self.roster(), &wish, give_up, claim).await;
            let Some(place) = place else { break };
            let instance = place.instance();
            let slot = Slot { place: Some(place), farm: self };
            let Unscanned { error, whose } = match self.attempt(&mut journey, &instance, slot).await {
                Ok(scanned) => return Ok(scanned),
                Err(unscanned) => unscanned,
            };
            match (error.meaning(), whose) {
                (Meaning::Busy | Meaning::TooLarge, _) => continue,
                // It was alone when the second one was lost.
                (Meaning::Lost | Meaning::Moved, _) | (Meaning::Refused, Whose::Sample) => {
                    let instance = instance.name().to_owned();
                    return Err(ScanError::Failed { instance, proven: true, last: error });
                }
                (Meaning::Refused | Meaning::Unreachable, _) => attempts += 1,
            }
            journey.tried.push(instance);
        }
        Err(ScanError::NoInstance)
    }

    fn journey<'a>(
        &self,
        sample: &'a Sample,
        source: &'a str,
        needs: Option<&'a str>,
        span: &'a Span,
    ) -> Journey<'a> {
        let waits_for_size = self.sizes_are_tried();
        Journey { sample, source, needs, span, waits_for_size, tried: Vec::new(), sent: 0 }
    }

    /// Sends the sample to `instance`, and counts how that went.
    async fn attempt<P>(
        &self,
        journey: &mut Journey<'_>,
        instance: &Arc<Instance>,
        slot: Slot<'_, P>,
    ) -> Result<Scanned, Unscanned> {
        if journey.sent > 0 {
            self.metrics.retries.inc();
        }
        let (sample, name) = (journey.sample, instance.name());
        let upload = journey.span.child(SpanKind::Client, "upload");
        let result = instance.scan(sample, journey.source, slot).await;
        note(&upload, sample, name, journey.sent, &result);
        drop(upload);
        journey.sent += 1;
        self.metrics.attempt(name, sample.bytes.len(), &result);
        match &result {
            Ok(_) => self.busy.scanned(),
            Err(unscanned) if unscanned.error.meaning() == Meaning::Busy => self.busy.refused(Instant::now()),
            Err(_) => {}
        }
        if let Err(unscanned) = &result {
            tracing::debug!(
                sample.key = %sample.key,
                farm.instance = name,
                scan.attempts = journey.sent,
                error = with_causes(&unscanned.error),
                "An attempt to scan failed"
            );
        }
        result
    }

    /// A place at an instance as `wish` has it; none where there is no such place until `give_up`, or no instance is
    /// available for a while.
    async fn slot(&self, wish: Wish, give_up: Instant) -> Option<(Slot<'_, Place>, Arc<Instance>)> {
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

impl Tally {
    /// Takes note of an attempt that failed at `instance`, which is perhaps the only one. An error where the sample is
    /// tried no more beside others.
    fn note(&mut self, instance: &str, unscanned: Unscanned, is_only: bool) -> Result<(), ScanError> {
        let Unscanned { error: last, whose } = unscanned;
        let instance = instance.to_owned();
        match last.meaning() {
            // It may still be scanned there, and it is never scanned beside itself.
            Meaning::Lost if is_only && matches!(last, CallError::Timeout) && whose != Whose::Instance => {
                return Err(ScanError::Failed { instance, proven: whose == Whose::Sample, last });
            }
            Meaning::Lost => return Err(ScanError::Suspect { instance, last }),
            Meaning::Moved => {
                self.moved += 1;
                if self.moved >= UPLOADS {
                    return Err(ScanError::Suspect { instance, last });
                }
            }
            Meaning::Refused if whose != Whose::Instance => {
                self.refused += 1;
                self.proven |= whose == Whose::Sample;
                if self.refused >= UPLOADS {
                    return Err(ScanError::Failed { instance, proven: self.proven, last });
                }
            }
            Meaning::Refused | Meaning::Unreachable => self.away += 1,
            Meaning::Busy | Meaning::TooLarge => {}
        }
        Ok(())
    }
}

impl Journey<'_> {
    fn bytes(&self) -> u64 {
        self.sample.bytes.len() as u64
    }

    fn wish(&self) -> Wish {
        let needs = self.needs.map(str::to_owned);
        let waits_for_size = self.waits_for_size && self.bytes() > LEAST_SIZE;
        Wish { tried: self.tried.clone(), needs, bytes: self.bytes(), waits_for_size }
    }

    fn has_tried(&self, instance: &Instance) -> bool {
        self.tried.iter().any(|tried| tried.name() == instance.name())
    }
}

impl<P> Drop for Slot<'_, P> {
    fn drop(&mut self) {
        drop(self.place.take());
        self.farm.announce();
    }
}

fn note(upload: &Span, sample: &Sample, instance: &str, resent: usize, result: &Result<Scanned, Unscanned>) {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    upload.note(|| {
        [
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.request.body.size", number(sample.bytes.len())),
            KeyValue::new("http.request.resend_count", number(resent)),
            KeyValue::new("farm.instance", instance.to_owned()),
        ]
    });
    let error = result.as_ref().err().map(|unscanned| &unscanned.error);
    let status = match error {
        None => Some(200),
        Some(CallError::TooLarge) => Some(413),
        Some(CallError::Busy { status, .. } | CallError::Refused(status)) => Some(*status),
        Some(_) => None,
    };
    if let Some(status) = status {
        upload.note(|| [KeyValue::new("http.response.status_code", i64::from(status))]);
    }
    if let Some(error) = error {
        upload.fail(|| with_causes(error));
    }
}
