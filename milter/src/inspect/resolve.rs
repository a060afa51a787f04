// SPDX-License-Identifier: GPL-3.0-or-later
//! From samples to dispositions: what is known decides at once, what is not is scanned and waited for.
//!
//! 1. The verdicts this process remembers. A clean one from before the farm's generation counts as `cache.stale` says.
//! 2. One round trip to the hub for all others.
//! 3. What is still unknown is reserved; the samples that nobody else owns are submitted with a job.
//! 4. The announcements are awaited until the deadline, if there is a seat: at most `wait.sessions` messages wait, for
//!    each holds one of the MTA's processes. Without a seat the scans go on and the parts are pending.
//! 5. From time to time a waiter reserves again, since an announcement can be missed and an owner can die.
//! 6. Where no instance scans, nobody waits: the samples are submitted, and the parts failed as unavailable.
//! 7. Who gives up leaves, so that its jobs make way for those that somebody waits for.
//! 8. With `cache.stale = "serve"` samples whose verdicts are stale are scanned again in the background.
//!
//! Where the hub is unreachable or full, the same is done with the scanner in this process, if there is one. Else a hub
//! that is away for a moment is waited for ([`Blink`]), and the parts failed as unavailable where it does not come back;
//! where it is full, new samples failed as overload.

use crate::{
    inspect::{blink::Blink, outage::Outages},
    mail::permits::Permits,
    observe::{observer::Observer, spans},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{collections::HashMap, sync::Arc, time::Duration};
use thundergate_common::{
    cache::{Layer, VerdictCache},
    clock::now_ms,
    freshness::Stale,
    hub::{self, Admission, HubError, Reservation, Ticket},
    job::{Job, Lane},
    sample::{Sample, SampleKey},
    traces::Span,
    verdict::{Answer, Verdict},
};
use thundergate_extract::Part;
use thundergate_policy::{Disposition, Failure, Source};
use tokio::time::Instant;

/// A sample whose verdict is wanted.
pub(crate) struct Wanted<'a> {
    /// What it is known by; no two in one request have the same.
    pub key: SampleKey,
    /// Where its bytes are; they are decoded only if nobody knows the sample.
    pub part: &'a Part,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// The MTA's queue id.
    pub queue_id: &'a str,
    /// The MTA, for the scanner's own log.
    pub source: &'a str,
    /// The trace of the message.
    pub span: &'a Span,
    /// Decodes a sample that has to be scanned; none where there is no memory for it.
    pub bytes_of: &'a (dyn Fn(&Part) -> Option<Bytes> + Sync),
}

/// How one sample ended.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// Its disposition.
    pub disposition: Disposition,
    /// The verdict behind it, if there is one.
    pub verdict: Option<Arc<Verdict>>,
    /// Where it comes from.
    pub source: Source,
}

/// What submitting may take beyond the deadline, and what a message that is decided may be held up for a re-scan.
const SUBMITTING: Duration = Duration::from_secs(1);

/// Looks up, submits, waits.
#[derive(Clone)]
pub struct Resolver {
    /// The verdicts this process remembers.
    pub cache: VerdictCache,
    /// What all milters and workers share.
    pub hub: Arc<dyn hub::Milter>,
    /// The hub of the scanner inside this process, where [`Resolver::hub`] is another one.
    pub direct: Option<Arc<dyn hub::Milter>>,
    /// Seats for messages that wait.
    pub seats: Arc<Permits>,
    /// How long a message waits.
    pub deadline: Duration,
    /// How often a waiter asks again.
    pub poll: Duration,
    /// Is told of look-ups and waits.
    pub observer: Arc<Observer>,
    /// What has been told of troubles.
    pub outages: Arc<Outages>,
}

/// What is known so far.
#[derive(Default)]
struct Answers {
    known: HashMap<SampleKey, Resolved>,
    /// Samples decided on verdicts that are stale.
    stale: Vec<SampleKey>,
    /// Why no instance scans the rest.
    outage: Option<Arc<str>>,
}

/// One message's questions to one hub.
struct Asking<'a> {
    resolver: &'a Resolver,
    hub: &'a dyn hub::Milter,
    wanted: &'a [Wanted<'a>],
    asker: Asker<'a>,
    deadline: Instant,
}

impl Resolver {
    /// Resolves every one of `wanted`; the answer holds each of their keys.
    pub(crate) async fn resolve(
        &self,
        wanted: &[Wanted<'_>],
        asker: Asker<'_>,
    ) -> HashMap<SampleKey, Resolved> {
        let deadline = Instant::now() + self.deadline;
        let asking = |hub| Asking { resolver: self, hub, wanted, asker, deadline };
        let shared = asking(&*self.hub);
        let mut answers = self.remembered(wanted);
        let all_known = answers.known.len() == wanted.len();
        let mut outcome = shared.ask(&mut answers).await;
        if !all_known {
            self.outages.hub(outcome.as_ref().err(), self.direct.is_some());
        }
        if let (Err(error), Some(direct)) = (&outcome, &self.direct) {
            if matches!(error, HubError::Full) {
                // What it took is waited for no longer.
                shared.leave(&answers).await;
            }
            outcome = asking(&**direct).ask(&mut answers).await;
        }
        if !answers.stale.is_empty() {
            let _ = tokio::time::timeout(SUBMITTING, shared.refresh(&answers.stale)).await;
        }
        let rest = match (outcome, answers.outage.take()) {
            (Ok(()), None) => Disposition::Pending,
            (Ok(()), Some(reason)) => {
                Disposition::Failed(Failure::NoScanner(format!("no scanner answers: {reason}").into()))
            }
            (Err(_), _) => Disposition::Failed(Failure::Unavailable),
        };
        let rest = Resolved { disposition: rest, verdict: None, source: Source::None };
        for want in wanted {
            answers.known.entry(want.key.clone()).or_insert_with(|| rest.clone());
        }
        answers.known
    }

    fn remembered(&self, wanted: &[Wanted<'_>]) -> Answers {
        let (mut answers, generation) = (Answers::default(), self.hub.generation());
        for want in wanted {
            if let Some(verdict) = self.cache.get(&want.key)
                && self.cache.believes(&verdict, &generation)
            {
                answers.add(&want.key, verdict.clone(), Source::Local, generation.outdates(&verdict));
            }
        }
        self.observer.looked_up(Layer::Local, answers.known.len(), wanted.len());
        answers
    }
}

impl Asking<'_> {
    /// Asks for all that has no answer yet. What has none at the end is pending.
    async fn ask(&self, answers: &mut Answers) -> Result<(), HubError> {
        if self.unresolved(answers).next().is_none() {
            return Ok(());
        }
        let mut blink = self.blink();
        while let Err(error) = self.look_up(answers).await {
            blink.pause(error).await?;
        }
        // Subscribe before reserving: an answer in between would be missed.
        let mut tickets: Vec<Ticket> =
            self.unresolved(answers).map(|want| self.hub.announcements().subscribe(&want.key)).collect();
        if tickets.is_empty() {
            return Ok(());
        }
        let sources = self.reserve_patiently(blink, answers).await?;
        if self.unresolved(answers).next().is_some() && !self.nobody_scans(answers) {
            self.wait(&mut tickets, sources, answers).await?;
        }
        drop(tickets);
        self.leave(answers).await;
        Ok(())
    }

    /// The patience of a message that has no seat yet.
    fn blink(&self) -> Blink<'_> {
        let Resolver { outages, seats, direct, .. } = self.resolver;
        Blink::at_first(&outages.absence, self.deadline, seats, direct.is_some())
    }

    /// Reserves and submits, again where the hub blinks: what it did without an answer does no harm twice.
    async fn reserve_patiently(
        &self,
        mut blink: Blink<'_>,
        answers: &mut Answers,
    ) -> Result<HashMap<SampleKey, Source>, HubError> {
        loop {
            match self.reserve(answers).await {
                Err(error) => blink.pause(error).await?,
                reserved => return reserved,
            }
        }
    }

    async fn look_up(&self, answers: &mut Answers) -> Result<(), HubError> {
        let keys: Vec<_> = self.unresolved(answers).map(|want| want.key.clone()).collect();
        let before = answers.known.len();
        let generation = self.hub.generation();
        let span = spans::looking_up(self.asker.span, keys.len());
        let found = self.hub.look_up(&keys).await;
        self.resolver.outages.absence.note(&found);
        let found = found.inspect_err(|error| span.fail(|| error.to_string()))?;
        drop(span);
        for (key, verdict) in keys.iter().zip(found) {
            if let Some(verdict) = verdict.filter(|it| self.resolver.cache.believes(it, &generation)) {
                self.learn(key, verdict, Source::Hub, answers);
            }
        }
        self.resolver.observer.looked_up(Layer::Hub, answers.known.len() - before, keys.len());
        Ok(())
    }

    /// Waits until all answers are there or the deadline has come, if there is a seat.
    async fn wait(
        &self,
        tickets: &mut Vec<Ticket>,
        mut sources: HashMap<SampleKey, Source>,
        answers: &mut Answers,
    ) -> Result<(), HubError> {
        let seat = self.resolver.seats.free().try_acquire();
        self.resolver.outages.seat(seat.is_ok());
        let Ok(_seat) = seat else {
            self.resolver.observer.no_seat();
            return Ok(());
        };
        let _waiting = self.resolver.observer.waits();
        let _span = spans::waiting(self.asker.span, self.unresolved(answers).map(|want| want.key.digest));
        loop {
            tickets.retain(|ticket| !answers.known.contains_key(ticket.key()));
            let patience = self.deadline.min(Instant::now() + self.resolver.poll);
            self.hear(tickets, patience, &sources, answers).await;
            if self.unresolved(answers).next().is_none()
                || Instant::now() >= self.deadline
                || self.nobody_scans(answers)
            {
                return Ok(());
            }
            // Who joined its own scan again still owns it.
            let again = self.reserve_patiently(self.blink().seated(), answers).await?;
            sources.extend(again.into_iter().filter(|(_, source)| *source == Source::Scan));
        }
    }

    /// Whether no instance scans. The samples are submitted all the same: they are scanned once one is back.
    fn nobody_scans(&self, answers: &mut Answers) -> bool {
        answers.outage = self.hub.outage();
        self.resolver.outages.scanners(answers.outage.as_deref());
        answers.outage.is_some()
    }

    /// Reserves what has no answer and submits what this message owns. Says who scans what.
    async fn reserve(&self, answers: &mut Answers) -> Result<HashMap<SampleKey, Source>, HubError> {
        let missing: Vec<_> = self.unresolved(answers).collect();
        let keys: Vec<_> = missing.iter().map(|want| want.key.clone()).collect();
        let mut sources = HashMap::new();
        let mut jobs = Vec::new();
        let span = spans::enqueueing(self.asker.span, Lane::Mail);
        let reserved = self.hub.reserve(&keys, Lane::Mail).await;
        self.resolver.outages.absence.note(&reserved);
        for (want, reservation) in missing.into_iter().zip(reserved?) {
            match reservation {
                Reservation::Known(verdict) => self.learn(&want.key, verdict, Source::Hub, answers),
                Reservation::Failed(failed) => {
                    fail(&want.key, Failure::Scan(failed.reason.clone()), answers);
                }
                Reservation::Joined => drop(sources.insert(want.key.clone(), Source::Joined)),
                Reservation::Owner => match self.job(want, Lane::Mail, &span) {
                    Some(job) => {
                        sources.insert(want.key.clone(), Source::Scan);
                        jobs.push(job);
                    }
                    None => fail(&want.key, Failure::Overload, answers),
                },
            }
        }
        let joined = sources.values().filter(|source| **source == Source::Joined).count();
        spans::enqueued(&span, jobs.len(), joined);
        if !jobs.is_empty() {
            let direct = self.resolver.direct.is_some();
            let mut full = false;
            for ((sample, _), admission) in jobs.iter().zip(self.submit(&jobs).await?) {
                match admission {
                    Admission::Queued => {}
                    Admission::OutOfMemory if direct => full = true,
                    Admission::Full | Admission::OutOfMemory => fail(&sample.key, Failure::Overload, answers),
                }
                self.resolver.outages.queue(admission, direct);
            }
            if full {
                return Err(HubError::Full);
            }
        }
        Ok(sources)
    }

    /// Many messages with large samples share the way to the hub: none waits there much beyond its deadline.
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        let submitted = tokio::time::timeout_at(self.deadline + SUBMITTING, self.hub.submit(jobs)).await;
        submitted.unwrap_or_else(|late| Err(HubError::Unavailable(late.into())))
    }

    /// Collects announcements until all are there or `until` has come.
    async fn hear(
        &self,
        tickets: &mut [Ticket],
        until: Instant,
        sources: &HashMap<SampleKey, Source>,
        answers: &mut Answers,
    ) {
        let awaited = tickets.iter_mut().map(|ticket| self.answer(ticket));
        let mut awaited: FuturesUnordered<_> = awaited.collect();
        while let Ok(Some((key, answer))) = tokio::time::timeout_at(until, awaited.next()).await {
            let source = sources.get(&key).copied().unwrap_or(Source::Joined);
            match answer {
                Answer::Verdict(verdict) => self.learn(&key, verdict, source, answers),
                Answer::Skipped(reason) => {
                    let disposition = Disposition::Skipped(reason);
                    answers.known.insert(key, Resolved { disposition, verdict: None, source });
                }
                Answer::Failed(reason) => fail(&key, Failure::Scan(reason), answers),
            }
        }
    }

    /// The first answer that can be believed. The signatures may have changed while the scan ran: its verdict is then
    /// stale already, and the sample is reserved anew when it is time to ask again.
    async fn answer(&self, ticket: &mut Ticket) -> (SampleKey, Answer) {
        loop {
            match ticket.answer().await {
                Answer::Verdict(verdict)
                    if !self.resolver.cache.believes(&verdict, &self.hub.generation()) =>
                {
                    *ticket = self.hub.announcements().subscribe(ticket.key());
                }
                answer => return (ticket.key().clone(), answer),
            }
        }
    }

    /// Says which samples nobody in this process waits for any more. Without that word they count as awaited for longer.
    async fn leave(&self, answers: &Answers) {
        let keys = self.unresolved(answers).map(|want| want.key.clone());
        let left: Vec<_> = keys.filter(|key| !self.hub.announcements().is_awaited(key)).collect();
        if !left.is_empty() {
            let _ = self.hub.leave(&left).await;
        }
    }

    /// Has samples scanned again in the background. The message has its answers, so what fails is left to the next one.
    async fn refresh(&self, stale: &[SampleKey]) {
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

    fn learn(&self, key: &SampleKey, verdict: Arc<Verdict>, source: Source, answers: &mut Answers) {
        self.resolver.cache.insert(key, Arc::clone(&verdict));
        let stale = self.hub.generation().outdates(&verdict);
        answers.add(key, verdict, source, stale);
    }

    fn unresolved(&self, answers: &Answers) -> impl Iterator<Item = &Wanted<'_>> {
        self.wanted.iter().filter(|want| !answers.known.contains_key(&want.key))
    }

    /// A sample with its job; none where there is no memory for it.
    fn job(&self, want: &Wanted<'_>, lane: Lane, span: &Span) -> Option<(Sample, Job)> {
        let bytes = (self.asker.bytes_of)(want.part)?;
        let matters = self.resolver.cache.config().stale != Stale::Ignore;
        let job = Job {
            sample: want.key.clone(),
            size: want.part.size,
            lane,
            source: self.asker.source.to_owned(),
            queue_id: self.asker.queue_id.to_owned(),
            enqueued_ms: now_ms(),
            needs: matters.then(|| self.hub.generation().signatures.clone()).flatten(),
            traceparent: span.traceparent(),
        };
        Some((Sample { key: want.key.clone(), bytes }, job))
    }
}

impl Answers {
    fn add(&mut self, key: &SampleKey, verdict: Arc<Verdict>, source: Source, stale: bool) {
        if stale {
            self.stale.push(key.clone());
        }
        let clean = verdict.is_clean();
        let disposition = if clean { Disposition::Clean } else { Disposition::Found(Arc::clone(&verdict)) };
        self.known.insert(key.clone(), Resolved { disposition, verdict: Some(verdict), source });
    }
}

fn fail(key: &SampleKey, failure: Failure, answers: &mut Answers) {
    let disposition = Disposition::Failed(failure);
    let resolved = Resolved { disposition, verdict: None, source: Source::None };
    answers.known.insert(key.clone(), resolved);
}
