// SPDX-License-Identifier: GPL-3.0-or-later
//! From samples to dispositions: what is known decides at once, what is not is scanned and waited for.
//!
//! 1. The verdicts this process remembers.
//! 2. One round trip to the hub for all others.
//! 3. What is still unknown is reserved; the samples that nobody else owns are submitted with a job.
//! 4. The announcements are awaited until the deadline, if there is a seat: at most `wait.sessions` messages wait, for
//!    each holds one of the MTA's processes. Without a seat the scans go on and the parts are pending.
//! 5. From time to time a waiter reserves again, since an announcement can be missed and an owner can die.
//!
//! Where the hub is unreachable, the same is done with the scanner in this process, if there is one; else the parts
//! failed as unavailable.

use crate::{
    decision::{Disposition, Failure, Source},
    extract::Part,
    metrics::Metrics,
    outage::Outage,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use thundergate_common::{
    cache::VerdictCache,
    hub::{Admission, Hub, HubError, Reservation, Ticket},
    job::{Job, Lane},
    sample::{Sample, SampleKey},
    verdict::{Answer, Verdict},
};
use tokio::{sync::Semaphore, time::Instant};

/// A sample whose verdict is wanted.
pub struct Wanted<'a> {
    /// What it is known by; no two in one request have the same.
    pub key: SampleKey,
    /// Where its bytes are; they are decoded only if nobody knows the sample.
    pub part: &'a Part,
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The MTA's queue id.
    pub queue_id: &'a str,
    /// The MTA, for the scanner's own log.
    pub source: &'a str,
    /// Decodes a sample that has to be scanned; none where there is no memory for it.
    pub bytes_of: &'a (dyn Fn(&Part) -> Option<Bytes> + Sync),
}

/// How one sample ended.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its disposition.
    pub disposition: Disposition,
    /// Where it comes from.
    pub source: Source,
}

/// Looks up, submits, waits.
pub struct Resolver {
    /// The verdicts this process remembers.
    pub cache: VerdictCache,
    /// What all milters and workers share.
    pub hub: Arc<dyn Hub>,
    /// The hub of the scanner inside this process, where [`Resolver::hub`] is another one.
    pub direct: Option<Arc<dyn Hub>>,
    /// Seats for messages that wait.
    pub seats: Semaphore,
    /// How long a message waits.
    pub deadline: Duration,
    /// How often a waiter asks again.
    pub poll: Duration,
    /// Counts look-ups.
    pub metrics: Arc<Metrics>,
    /// What has been told of troubles.
    pub outages: Outages,
}

/// Troubles that many messages meet.
#[derive(Debug, Default)]
pub struct Outages {
    hub: Outage,
    seats: Outage,
    queue: Outage,
}

type Answers = HashMap<SampleKey, Resolved>;

impl Resolver {
    /// Resolves every one of `wanted`; the answer holds each of their keys.
    pub async fn resolve(&self, wanted: &[Wanted<'_>], asker: Asker<'_>) -> Answers {
        let deadline = Instant::now() + self.deadline;
        let mut answers = self.remembered(wanted);
        let asking = answers.len() < wanted.len();
        let mut outcome = self.ask(&*self.hub, wanted, asker, deadline, &mut answers).await;
        if asking {
            self.tell_of_hub(outcome.as_ref().err());
        }
        if let (Err(_), Some(direct)) = (&outcome, &self.direct) {
            outcome = self.ask(&**direct, wanted, asker, deadline, &mut answers).await;
        }
        let rest = match outcome {
            Ok(()) => Disposition::Pending,
            Err(_) => Disposition::Failed(Failure::Unavailable),
        };
        let rest = Resolved { disposition: rest, source: Source::None };
        for want in wanted {
            answers.entry(want.key.clone()).or_insert_with(|| rest.clone());
        }
        answers
    }

    fn remembered(&self, wanted: &[Wanted<'_>]) -> Answers {
        let known = wanted.iter().filter_map(|want| Some((want, self.cache.get(&want.key)?)));
        let answers: Answers =
            known.map(|(want, verdict)| (want.key.clone(), of_verdict(verdict, Source::Local))).collect();
        self.metrics.looked_up("local", answers.len(), wanted.len());
        answers
    }

    /// Asks one hub for all that has no answer yet. What has none at the end is pending.
    async fn ask(
        &self,
        hub: &dyn Hub,
        wanted: &[Wanted<'_>],
        asker: Asker<'_>,
        deadline: Instant,
        answers: &mut Answers,
    ) -> Result<(), HubError> {
        let missing: Vec<_> = unresolved(wanted, answers).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = missing.iter().map(|want| want.key.clone()).collect();
        let before = answers.len();
        for (key, verdict) in keys.iter().zip(hub.look_up(&keys).await?) {
            self.learn(key, verdict, Source::Hub, answers);
        }
        self.metrics.looked_up("hub", answers.len() - before, missing.len());

        // Subscribe before reserving: an answer in between would be missed.
        let mut tickets: Vec<Ticket> =
            unresolved(wanted, answers).map(|want| hub.announcements().subscribe(&want.key)).collect();
        if tickets.is_empty() {
            return Ok(());
        }
        let mut sources = self.reserve(hub, wanted, asker, answers).await?;
        if unresolved(wanted, answers).next().is_none() {
            return Ok(());
        }
        let Ok(_seat) = self.seats.try_acquire() else {
            self.metrics.no_seat();
            if self.outages.seats.begins(Instant::now().into_std()) {
                tracing::warn!(
                    "All seats for waiting messages are taken; more messages get policy.on.pending at once"
                );
            }
            return Ok(());
        };
        if self.outages.seats.ends(Instant::now().into_std()) {
            tracing::info!("There are seats for waiting messages again");
        }
        let _waiting = self.metrics.waiting();
        loop {
            tickets.retain(|ticket| !answers.contains_key(ticket.key()));
            let patience = deadline.min(Instant::now() + self.poll);
            self.wait(&mut tickets, patience, &sources, answers).await;
            if unresolved(wanted, answers).next().is_none() || Instant::now() >= deadline {
                return Ok(());
            }
            // Who joined its own scan again still owns it.
            let again = self.reserve(hub, wanted, asker, answers).await?;
            sources.extend(again.into_iter().filter(|(_, source)| *source == Source::Scan));
        }
    }

    /// Reserves what has no answer and submits what this message owns. Says who scans what.
    async fn reserve(
        &self,
        hub: &dyn Hub,
        wanted: &[Wanted<'_>],
        asker: Asker<'_>,
        answers: &mut Answers,
    ) -> Result<HashMap<SampleKey, Source>, HubError> {
        let missing: Vec<_> = unresolved(wanted, answers).collect();
        let keys: Vec<_> = missing.iter().map(|want| want.key.clone()).collect();
        let mut sources = HashMap::new();
        let mut jobs = Vec::new();
        for (want, reservation) in missing.into_iter().zip(hub.reserve(&keys).await?) {
            match reservation {
                Reservation::Known(verdict) => self.learn(&want.key, Some(verdict), Source::Hub, answers),
                Reservation::Joined => drop(sources.insert(want.key.clone(), Source::Joined)),
                Reservation::Owner => match (asker.bytes_of)(want.part) {
                    Some(bytes) => {
                        sources.insert(want.key.clone(), Source::Scan);
                        jobs.push((Sample { key: want.key.clone(), bytes }, job(want, asker)));
                    }
                    None => fail(&want.key, Failure::Overload, answers),
                },
            }
        }
        if !jobs.is_empty() {
            for ((sample, _), admission) in jobs.iter().zip(hub.submit(&jobs).await?) {
                if admission == Admission::Full {
                    fail(&sample.key, Failure::Overload, answers);
                }
                self.tell_of_queue(admission);
            }
        }
        Ok(sources)
    }

    /// Collects announcements until all are there or `until` has come.
    async fn wait(
        &self,
        tickets: &mut [Ticket],
        until: Instant,
        sources: &HashMap<SampleKey, Source>,
        answers: &mut Answers,
    ) {
        let awaited = tickets.iter_mut().map(|ticket| async {
            let key = ticket.key().clone();
            (key, ticket.answer().await)
        });
        let mut awaited: FuturesUnordered<_> = awaited.collect();
        while let Ok(Some((key, answer))) = tokio::time::timeout_at(until, awaited.next()).await {
            let source = sources.get(&key).copied().unwrap_or(Source::Joined);
            match answer {
                Answer::Verdict(verdict) => self.learn(&key, Some(verdict), source, answers),
                Answer::Skipped(reason) => {
                    answers.insert(key, Resolved { disposition: Disposition::Skipped(reason), source });
                }
                Answer::Failed(reason) => fail(&key, Failure::Scan(reason), answers),
            }
        }
    }

    fn tell_of_hub(&self, error: Option<&HubError>) {
        match error {
            Some(error) if self.outages.hub.begins(Instant::now().into_std()) => {
                let error = error as &dyn std::error::Error;
                if self.direct.is_some() {
                    tracing::warn!(
                        error,
                        "The hub does not serve; samples are scanned directly until it does"
                    );
                } else {
                    tracing::warn!(
                        error,
                        "The hub does not serve; messages get policy.on.unavailable until it does"
                    );
                }
            }
            None if self.outages.hub.ends(Instant::now().into_std()) => {
                tracing::info!("The hub serves again")
            }
            _ => {}
        }
    }

    fn tell_of_queue(&self, admission: Admission) {
        if admission == Admission::Full {
            if self.outages.queue.begins(Instant::now().into_std()) {
                tracing::warn!("The queue is full; messages with new samples get policy.on.overload");
            }
        } else if self.outages.queue.ends(Instant::now().into_std()) {
            tracing::info!("The queue takes samples again");
        }
    }

    fn learn(&self, key: &SampleKey, verdict: Option<Arc<Verdict>>, source: Source, answers: &mut Answers) {
        if let Some(verdict) = verdict {
            self.cache.insert(key, Arc::clone(&verdict));
            answers.insert(key.clone(), of_verdict(verdict, source));
        }
    }
}

fn unresolved<'w, 'a>(wanted: &'w [Wanted<'a>], answers: &Answers) -> impl Iterator<Item = &'w Wanted<'a>> {
    wanted.iter().filter(|want| !answers.contains_key(&want.key))
}

fn of_verdict(verdict: Arc<Verdict>, source: Source) -> Resolved {
    let disposition = if verdict.is_clean() { Disposition::Clean } else { Disposition::Found(verdict) };
    Resolved { disposition, source }
}

fn fail(key: &SampleKey, failure: Failure, answers: &mut Answers) {
    answers.insert(key.clone(), Resolved { disposition: Disposition::Failed(failure), source: Source::None });
}

fn job(want: &Wanted<'_>, asker: Asker<'_>) -> Job {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Job {
        sample: want.key.clone(),
        size: want.part.size,
        lane: Lane::Mail,
        source: asker.source.to_owned(),
        queue_id: asker.queue_id.to_owned(),
        enqueued_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        needs: None,
    }
}
