// SPDX-License-Identifier: GPL-3.0-or-later
//! How a message asks for scans: it reserves its samples, each in the lane where they belong, and submits those that nobody
//! else owns.

use super::{Asked, Asking, SUBMITTING, Wanted};
use crate::{
    inspect::{
        answers::{Answers, fail},
        blink::Blink,
    },
    observe::spans,
};
use thundergate_common::{
    clock::now_ms,
    freshness::Stale,
    hub::{Admission, HubError, Reservation},
    job::{Job, Lane},
    sample::{Sample, SampleKey},
    sealed::maybe_sealed,
    traces::Span,
};
use thundergate_policy::{Failure, Source};
use tokio::time::Instant;

/// A message that joins a scan offers words of its own for samples up to this size.
const JOINED_BYTES: u64 = 1 << 20;

impl Asking<'_> {
    /// Reserves and submits, again where the hub blinks: what it did without an answer does no harm twice.
    pub(super) async fn reserve_patiently(
        &self,
        mut blink: Blink<'_>,
        asked: &mut Asked,
        answers: &mut Answers,
    ) -> Result<(), HubError> {
        loop {
            match self.reserve(asked, answers).await {
                Err(error) => blink.pause(error).await?,
                reserved => return reserved,
            }
        }
    }

    /// Reserves what has no answer and submits what this message owns. Before it is time to ask for all again, that is what
    /// may move up.
    async fn reserve(&self, asked: &mut Asked, answers: &mut Answers) -> Result<(), HubError> {
        let is_time = Instant::now() >= asked.poll_at;
        let mut missing = Vec::new();
        for want in self.unresolved(answers) {
            if asked.placing.moves_up(&want.key) || is_time {
                missing.push(want);
            }
        }
        if missing.is_empty() {
            return Ok(()); // somebody else had that place
        }
        let keys: Vec<_> = missing.iter().map(|want| want.key.clone()).collect();
        let (mut jobs, mut joined) = (Vec::new(), 0);
        let span = spans::enqueueing(self.asker.span, Lane::Mail);
        let lanes = asked.placing.asks(&keys);
        let reserved = self.reserve_in_lanes(&keys, &lanes).await;
        self.resolver.outages.absence.note(&reserved);
        for ((want, reservation), lane) in missing.into_iter().zip(reserved?).zip(lanes) {
            match reservation {
                Reservation::Known(verdict) => self.learn(&want.key, verdict, Source::Hub, answers),
                Reservation::Failed(failed) => {
                    fail(&want.key, Failure::Scan(failed.reason.clone()), answers);
                }
                Reservation::Joined => {
                    joined += 1;
                    // Many may join with the same attachment: what they take of it has to be little, and is given back at once.
                    if want.part.size <= JOINED_BYTES {
                        self.offer(want, &want.part.content.bytes()).await;
                    }
                    asked.placing.joined(&want.key, lane);
                    // Who joined its own scan again still owns it.
                    asked.sources.entry(want.key.clone()).or_insert(Source::Joined);
                    continue;
                }
                Reservation::Owner => match self.job(want, asked.placing.place(&want.key), &span) {
                    Some(job) => {
                        self.offer(want, &job.0.bytes).await;
                        asked.sources.insert(want.key.clone(), Source::Scan);
                        jobs.push(job);
                        continue;
                    }
                    None => fail(&want.key, Failure::Overload, answers),
                },
            }
            asked.placing.answered(&want.key);
        }
        spans::enqueued(&span, jobs.len(), joined);
        let direct = self.resolver.direct.is_some();
        let mut full = false;
        let admissions = if jobs.is_empty() { Vec::new() } else { self.submit(&jobs).await? };
        for ((sample, _), admission) in jobs.iter().zip(admissions) {
            match admission {
                Admission::Queued => {}
                Admission::OutOfMemory if direct => full = true,
                Admission::Full | Admission::OutOfMemory => {
                    fail(&sample.key, Failure::Overload, answers);
                    asked.placing.answered(&sample.key);
                }
            }
            self.resolver.outages.queue(admission, direct);
        }
        if full {
            return Err(HubError::Full);
        }
        if is_time {
            asked.poll_at = Instant::now() + self.resolver.poll;
        }
        Ok(())
    }

    /// Those in the lane for mail first, at the same time as those in bulk.
    async fn reserve_in_lanes(
        &self,
        keys: &[SampleKey],
        lanes: &[Lane],
    ) -> Result<Vec<Reservation>, HubError> {
        let of_lane = |lane| keys.iter().zip(lanes).filter(move |(_, one)| **one == lane);
        let [mail, bulk] = [Lane::Mail, Lane::Bulk].map(|lane| of_lane(lane).map(|(key, _)| key.clone()));
        let (mail, bulk): (Vec<_>, Vec<_>) = (mail.collect(), bulk.collect());
        if bulk.is_empty() {
            return self.hub.reserve(keys, Lane::Mail).await;
        }
        let (mail, bulk) =
            tokio::try_join!(self.hub.reserve(&mail, Lane::Mail), self.hub.reserve(&bulk, Lane::Bulk))?;
        let (mut mail, mut bulk) = (mail.into_iter(), bulk.into_iter());
        let found = lanes.iter().filter_map(|lane| match lane {
            Lane::Mail => mail.next(),
            Lane::Bulk | Lane::Background => bulk.next(),
        });
        Ok(found.collect())
    }

    /// Many messages with large samples share the way to the hub: none waits there much beyond its deadline.
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        let submitted = tokio::time::timeout_at(self.deadline + SUBMITTING, self.hub.submit(jobs)).await;
        submitted.unwrap_or_else(|late| Err(HubError::Unavailable(late.into())))
    }

    /// Has samples scanned again in the background. The message has its answers, so what fails is left to the next one.
    pub(super) async fn refresh(&self, stale: &[SampleKey]) {
        let due =
            |want: &&Wanted<'_>| stale.contains(&want.key) && self.resolver.cache.refresh_is_due(&want.key);
        let due: Vec<_> = self.wanted.iter().filter(due).collect();
        let keys: Vec<_> = due.iter().map(|want| want.key.clone()).collect();
        let Ok(reserved) = self.hub.reserve(&keys, Lane::Background).await else { return };
        let owned = due.into_iter().zip(reserved).filter(|(_, found)| *found == Reservation::Owner);
        let span = spans::enqueueing(self.asker.span, Lane::Background);
        let jobs: Vec<_> = owned.filter_map(|(want, _)| self.job(want, Lane::Background, &span)).collect();
        spans::enqueued(&span, jobs.len(), keys.len() - jobs.len());
        if !jobs.is_empty() {
            let _ = self.submit(&jobs).await;
        }
    }

    /// Offers what of the message may be the password of a sample that asks for one. What cannot be offered is not tried, and
    /// nothing else fails.
    async fn offer(&self, want: &Wanted<'_>, bytes: &[u8]) {
        if maybe_sealed(bytes).is_some() {
            let _ = self.hub.offer(&want.key, (self.asker.passwords)()).await;
        }
    }

    /// A sample with its job; none where there is no memory for it.
    fn job(&self, want: &Wanted<'_>, lane: Lane, span: &Span) -> Option<(Sample, Job)> {
        let bytes = (self.asker.bytes_of)(want.part)?;
        let matters = self.resolver.cache.config().stale != Stale::Ignore;
        let job = Job {
            sample: want.key.clone(),
            size: want.part.size,
            lane,
            source: self.asker.client.mta.clone(),
            queue_id: self.asker.envelope.queue_id.clone(),
            enqueued_ms: now_ms(),
            needs: matters.then(|| self.hub.generation().signatures.clone()).flatten(),
            reads_short: true,
            traceparent: span.traceparent(),
        };
        Some((Sample { key: want.key.clone(), bytes }, job))
    }
}
