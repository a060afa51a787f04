// SPDX-License-Identifier: GPL-3.0-or-later
//! From samples to dispositions: what is known decides at once, what is not is scanned and waited for.
//!
//! 1. The verdicts this process remembers. A clean one from before the farm's generation counts as `cache.stale` says.
//! 2. One round trip to the hub for all others.
//! 3. What is still unknown is reserved; the samples that nobody else owns are submitted with a job, some of them in the
//!    lane for mail and the others in bulk ([`shares`](super::shares)).
//! 4. The announcements are awaited until the deadline, if there is a seat: at most `wait.sessions` messages wait, for
//!    each holds one of the MTA's processes ([`seats`](super::seats)). Without a seat the scans go on and the parts are pending.
//! 5. What waits in bulk is asked for in mail as soon as there is a place. From time to time a waiter reserves all again, since an announcement can be missed and an owner can die.
//! 6. Where no instance scans, nobody waits: the samples are submitted, and the parts failed as unavailable.
//! 7. Who gives up leaves, so that its jobs make way for those that somebody waits for.
//! 8. With `cache.stale = "serve"` samples whose verdicts are stale are scanned again in the background.
//!
//! Where the hub is unreachable or full, the same is done with the scanner in this process, if there is one. Else a hub
//! that is away for a moment is waited for ([`Blink`]), and the parts failed as unavailable where it does not come back;
//! where it is full, new samples failed as overload.

mod reserve;

use crate::{
    inspect::{
        answers::{Answers, Resolved, fail},
        blink::Blink,
        outage::Outages,
        seats::{NoSeat, Seat, Seats},
        shares::{Placing, Shares},
    },
    mail::{
        envelope::{Client, Envelope},
        party::Party,
    },
    observe::{observer::Observer, spans},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use secrecy::SecretString;
use std::{collections::HashMap, sync::Arc, time::Duration};
use thundergate_common::{
    cache::{Layer, VerdictCache},
    hub::{self, HubError, Ticket},
    sample::SampleKey,
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
    /// The MTA, for the scanner's own log, and who sends by it.
    pub client: &'a Client,
    /// From whom the message is.
    pub envelope: &'a Envelope,
    /// The trace of the message.
    pub span: &'a Span,
    /// Decodes a sample that has to be scanned; none where there is no memory for it.
    pub bytes_of: &'a (dyn Fn(&Part) -> Option<Bytes> + Sync),
    /// What of the message may be a password, the likeliest first.
    pub passwords: &'a (dyn Fn() -> Vec<SecretString> + Sync),
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
    pub seats: Arc<Seats>,
    /// What one sender may have before others.
    pub shares: Shares,
    /// How long a message waits.
    pub deadline: Duration,
    /// How often a waiter asks again.
    pub poll: Duration,
    /// Is told of look-ups and waits.
    pub observer: Arc<Observer>,
    /// What has been told of troubles.
    pub outages: Arc<Outages>,
}

/// What one message has asked a hub for.
struct Asked {
    /// Who scans what.
    sources: HashMap<SampleKey, Source>,
    /// Which lanes its samples are in.
    placing: Placing,
    /// When it asks for all of them again.
    poll_at: Instant,
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

    /// A message with this queue id is delivered although `keys` were not scanned. Without that word their jobs give way
    /// with others.
    pub(crate) async fn owe(&self, keys: &[SampleKey], queue_id: &str) {
        for hub in self.direct.iter().chain([&self.hub]) {
            let _ = tokio::time::timeout(SUBMITTING, hub.owe(keys, queue_id)).await;
        }
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
        let placing = self.resolver.shares.placing(self.parties());
        let mut asked = Asked { sources: HashMap::new(), placing, poll_at: Instant::now() };
        self.reserve_patiently(blink, &mut asked, answers).await?;
        if self.unresolved(answers).next().is_some() && !self.nobody_scans(answers) {
            self.wait(&mut tickets, &mut asked, answers).await?;
        }
        drop((tickets, asked));
        self.leave(answers).await;
        Ok(())
    }

    fn parties(&self) -> Vec<Party> {
        let Asker { client, envelope, .. } = self.asker;
        Party::all_of(client, envelope, self.resolver.shares.relays())
    }

    /// The patience of a message that has no seat yet.
    fn blink(&self) -> Blink<'_> {
        let Resolver { outages, seats, direct, .. } = self.resolver;
        Blink::at_first(&outages.absence, self.deadline, seats.permits(), direct.is_some())
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
        asked: &mut Asked,
        answers: &mut Answers,
    ) -> Result<(), HubError> {
        let Some(_seat) = self.seat() else { return Ok(()) };
        let _waiting = self.resolver.observer.waits();
        let _span = spans::waiting(self.asker.span, self.unresolved(answers).map(|want| want.key.digest));
        loop {
            tickets.retain(|ticket| !answers.known.contains_key(ticket.key()));
            self.hear(tickets, self.deadline.min(asked.poll_at), asked, answers).await;
            if self.unresolved(answers).next().is_none()
                || Instant::now() >= self.deadline
                || self.nobody_scans(answers)
            {
                return Ok(());
            }
            self.reserve_patiently(self.blink().seated(), asked, answers).await?;
        }
    }

    fn seat(&self) -> Option<Seat<'_>> {
        let Resolver { seats, outages, observer, .. } = self.resolver;
        let client = self.parties().swap_remove(0);
        let seat = seats.take(client.clone());
        match seat {
            Err(NoSeat::Share) => outages.crowd(Some(&client)),
            _ => {
                outages.seat(seat.is_ok());
                outages.crowd(None);
            }
        }
        if seat.is_err() {
            observer.no_seat();
        }
        seat.ok()
    }

    /// Whether no instance scans. The samples are submitted all the same: they are scanned once one is back.
    fn nobody_scans(&self, answers: &mut Answers) -> bool {
        answers.outage = self.hub.outage();
        self.resolver.outages.scanners(answers.outage.as_deref());
        answers.outage.is_some()
    }

    /// Collects announcements until all are there, `until` has come, or a sample may move up.
    async fn hear(&self, tickets: &mut [Ticket], until: Instant, asked: &mut Asked, answers: &mut Answers) {
        let awaited = tickets.iter_mut().map(|ticket| self.answer(ticket));
        let mut awaited: FuturesUnordered<_> = awaited.collect();
        loop {
            let heard = tokio::select! {
                biased;
                heard = tokio::time::timeout_at(until, awaited.next()) => heard,
                () = asked.placing.may_move_up() => return,
            };
            let Ok(Some((key, answer))) = heard else { return };
            asked.placing.answered(&key);
            let source = asked.sources.get(&key).copied().unwrap_or(Source::Joined);
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

    fn learn(&self, key: &SampleKey, verdict: Arc<Verdict>, source: Source, answers: &mut Answers) {
        self.resolver.cache.insert(key, Arc::clone(&verdict));
        let stale = self.hub.generation().outdates(&verdict);
        answers.add(key, verdict, source, stale);
    }

    fn unresolved(&self, answers: &Answers) -> impl Iterator<Item = &Wanted<'_>> {
        self.wanted.iter().filter(|want| !answers.known.contains_key(&want.key))
    }
}
