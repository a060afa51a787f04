// SPDX-License-Identifier: GPL-3.0-or-later
//! The hub inside one process: no Redis, the same semantics, nothing survives the process (the MTA still has the mail).
//!
//! [`state`] holds samples and jobs behind one lock that is never held across an await; verdicts live in a cache of
//! `cache.local_bytes`. Bounded: jobs and bytes by `[queue]`, reservations by their short life, records of
//! mails by `queue.records_bytes`, dead letters and failures by number.

mod jobs;
mod operator;
mod passwords;
mod records;
mod state;

use crate::{
    cache::VerdictCache,
    clock::{now, now_ms},
    failed::FailedSample,
    freshness::Cache,
    generation::{FarmReport, Generation, reached},
    hub::{
        Admission, Announcements, Begin, Claim, Completion, DeadLetter, Hub, HubError, Milter, Observer,
        Queue, QueueState, Reservation, Room, Worker,
    },
    job::{Job, Lane},
    outage::{Outage, outage},
    oversight::Oversight,
    record::MailRecord,
    sample::{Sample, SampleKey},
    verdict::{Answer, Verdict},
};
use async_trait::async_trait;
use passwords::Passwords;
use records::Records;
use secrecy::SecretString;
use state::{Lease, State, Taken};
use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tracing::warn;

/// How many dead letters are kept.
const LETTERS: usize = 1000;

/// The hub of one process.
pub struct MemoryHub {
    state: Mutex<State>,
    cache: Cache,
    generation: Mutex<Arc<Generation>>,
    /// The one worker's.
    report: Mutex<Option<FarmReport>>,
    outage: Mutex<Outage>,
    oversight: Mutex<Oversight>,
    leader: Mutex<Option<(String, Instant)>>,
    verdicts: VerdictCache,
    announcements: Announcements,
    work: Notify,
    letters: Mutex<VecDeque<DeadLetter>>,
    records: Mutex<Records>,
    passwords: Passwords,
}

impl MemoryHub {
    /// An empty hub within the limits of `queue` and `cache`.
    pub fn new(queue: &Queue, cache: &Cache) -> Arc<Self> {
        // These are not copies of somebody else's verdicts: they live as long as verdicts do.
        let cache = Cache { local_ttl: Duration::MAX, ..cache.clone() };
        Arc::new(Self {
            state: Mutex::new(State::new(queue)),
            verdicts: VerdictCache::new(&cache),
            cache,
            generation: Mutex::default(),
            report: Mutex::default(),
            outage: Mutex::default(),
            oversight: Mutex::default(),
            leader: Mutex::default(),
            announcements: Announcements::default(),
            work: Notify::new(),
            letters: Mutex::default(),
            records: Mutex::new(Records::new(queue.records_bytes.as_u64(), queue.records_ttl)),
            passwords: Passwords::new(queue.sample_ttl),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn reserve_one(&self, key: &SampleKey, lane: Lane) -> Reservation {
        // Under the lock, or a scan that ends in between would be missed and repeated.
        let mut state = self.state();
        let verdict = self.verdicts.get(key);
        let generation = self.generation();
        if let Some(verdict) = verdict.filter(|verdict| self.cache.believes(verdict, &generation, lane)) {
            return Reservation::Known(verdict);
        }
        if let Some(failed) = state.failed(key).filter(|failed| failed.holds(&generation, now())) {
            return Reservation::Failed(Arc::new(failed));
        }
        if state.reserve(key, lane) { Reservation::Owner } else { Reservation::Joined }
    }

    /// Stores what an answer says. Gives whether the job was still there.
    fn finish(&self, claim: &Claim, answer: Answer, failed: Option<&FailedSample>) -> bool {
        let answer = answer.bounded();
        self.passwords.forget(&claim.job.sample);
        let mut state = self.state();
        let (key, lease) = (&claim.job.sample, Lease::of(claim));
        // A scan whose lease ran out clears no sample of which something is known: that may be a finding. Nor does it hold
        // anything against such a sample.
        let in_vain = self.verdicts.get(key).is_some() && !state.is_held(key, &lease);
        if let Answer::Verdict(verdict) = &answer
            && !(in_vain && verdict.is_clean())
        {
            self.verdicts.insert(key, verdict.clone());
            state.forgive(key);
        } else if state.another_scans(key, &lease) {
            return state.remove(&claim.id); // its answer counts
        }
        if let Some(failed) = failed.filter(|_| !in_vain) {
            state.hold_against(key, failed);
        }
        self.tell(&mut state, claim, answer)
    }

    /// Tells those who wait and forgets the bytes. Gives whether the job was still there.
    fn tell(&self, state: &mut State, claim: &Claim, answer: Answer) -> bool {
        state.forget_sample(&claim.job.sample);
        self.announcements.announce(&claim.job.sample, answer);
        state.remove(&claim.id)
    }

    /// The answer of a failure, and a dead letter.
    fn fail(&self, claim: &Claim, reason: &str, instance: &str, failed: Option<&FailedSample>) {
        if self.finish(claim, Answer::Failed(reason.to_owned()), failed) {
            self.bury(DeadLetter {
                id: claim.id.clone(),
                job: claim.job.clone(),
                reason: reason.to_owned(),
                instance: instance.to_owned(),
                deliveries: claim.deliveries,
                buried_at: now(),
            });
        }
    }

    /// In place of the letter that the sample has.
    fn bury(&self, letter: DeadLetter) {
        self.unbury(&letter.job.sample);
        let mut letters = lock(&self.letters);
        letters.push_back(letter);
        let excess = letters.len().saturating_sub(LETTERS);
        letters.drain(..excess);
    }

    fn unbury(&self, key: &SampleKey) {
        lock(&self.letters).retain(|letter| letter.job.sample != *key);
    }
}

#[async_trait]
impl Hub for MemoryHub {
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
        Ok(keys.iter().map(|key| self.verdicts.get(key)).collect())
    }

    fn generation(&self) -> Arc<Generation> {
        lock(&self.generation).clone()
    }

    fn outage(&self) -> Option<Arc<str>> {
        lock(&self.outage).reason(std::time::Instant::now())
    }

    async fn ping(&self) -> Result<(), HubError> {
        Ok(())
    }
}

#[async_trait]
impl Milter for MemoryHub {
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError> {
        Ok(keys.iter().map(|key| self.reserve_one(key, lane)).collect())
    }

    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        let submit = |(sample, job): &(Sample, Job)| {
            let admitted = self.state().submit(sample, job);
            if admitted {
                self.work.notify_one();
            }
            if admitted { Admission::Queued } else { Admission::Full }
        };
        Ok(jobs.iter().map(submit).collect())
    }

    fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    async fn offer(&self, key: &SampleKey, passwords: Vec<SecretString>) -> Result<(), HubError> {
        self.passwords.offer(key, passwords);
        Ok(())
    }

    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError> {
        let mut state = self.state();
        keys.iter().for_each(|key| state.leave(key));
        Ok(())
    }

    async fn owe(&self, keys: &[SampleKey], queue_id: &str) -> Result<(), HubError> {
        let mut state = self.state();
        keys.iter().for_each(|key| state.owe(key, queue_id));
        Ok(())
    }

    async fn record(&self, records: &[MailRecord]) -> Result<(), HubError> {
        lock(&self.records).add(records, now_ms());
        Ok(())
    }
}

#[async_trait]
impl Worker for MemoryHub {
    fn shards(&self) -> usize {
        1
    }

    async fn claim(
        &self,
        worker: &str,
        _shard: usize,
        room: Room,
        patience: Duration,
    ) -> Result<Vec<Claim>, HubError> {
        let deadline = Instant::now() + patience;
        loop {
            // Before the look, so that a job which comes after it wakes us.
            let work = self.work.notified();
            let claims = self.state().claim(worker, room);
            if !claims.is_empty() || room.most == 0 || timeout_at(deadline, work).await.is_err() {
                return Ok(claims);
            }
        }
    }

    async fn reclaim(&self, worker: &str, _shard: usize, room: Room) -> Result<Vec<Claim>, HubError> {
        Ok(self.state().reclaim(worker, room))
    }

    async fn begin(&self, claim: &Claim) -> Result<Begin, HubError> {
        let generation = self.generation().at_least(claim.job.needs.as_deref());
        let mut state = self.state();
        // Where another job is being scanned, for a better verdict, that one's answer counts.
        let busy = state.another_scans(&claim.job.sample, &Lease::of(claim));
        let known = self.verdicts.get(&claim.job.sample).filter(|_| !busy);
        if let Some(verdict) = known.filter(|verdict| !generation.outdates(verdict)) {
            self.tell(&mut state, claim, Answer::Verdict(verdict));
            return Ok(Begin::Nothing);
        }
        let failed = state.failed(&claim.job.sample);
        // Queued before that was known.
        if let Some(failed) = failed.as_ref().filter(|failed| !busy && failed.holds(&generation, now())) {
            self.tell(&mut state, claim, Answer::Failed(failed.reason.clone()));
            return Ok(Begin::Nothing);
        }
        match state.begin(claim) {
            Taken::Bytes(bytes) => return Ok(Begin::Scan { bytes, failed }),
            Taken::Idle => {
                drop(state);
                self.work.notify_one();
                return Ok(Begin::Nothing);
            }
            Taken::Busy => state.remove_second(&claim.id),
            Taken::Gone => {
                let (sample, queue_id) = (&claim.job.sample, &claim.job.queue_id);
                warn!(event = "sample_gone", %sample, queue.id = queue_id, "the bytes of a job are gone; it is dropped");
                state.remove_without_bytes(&claim.id);
            }
        }
        Ok(Begin::Nothing)
    }

    async fn offered(&self, claim: &Claim) -> Result<Vec<SecretString>, HubError> {
        Ok(self.passwords.of(&claim.job.sample))
    }

    async fn renew(&self, worker: &str, claims: &[Claim]) -> Result<(), HubError> {
        let mut state = self.state();
        claims.iter().for_each(|claim| state.renew(worker, claim));
        Ok(())
    }

    async fn suspect(&self, claim: &Claim, failed: &FailedSample) -> Result<(), HubError> {
        self.state().hold_against(&claim.job.sample, failed);
        Ok(())
    }

    async fn complete(&self, claim: &Claim, completion: &Completion) -> Result<(), HubError> {
        match completion {
            Completion::Answered(answer) => {
                self.finish(claim, answer.clone(), None);
                if matches!(answer, Answer::Verdict(_)) {
                    self.unbury(&claim.job.sample);
                }
            }
            Completion::Failed(failed) => self.fail(claim, &failed.reason, &failed.instance, Some(failed)),
            Completion::Dead(reason) => self.fail(claim, reason, "", None),
        }
        Ok(())
    }

    async fn hand_back(&self, claim: &Claim) -> Result<(), HubError> {
        if self.state().hand_back(claim) {
            self.work.notify_one();
        }
        Ok(())
    }

    async fn report(&self, report: &FarmReport, quorum: Option<NonZeroUsize>) -> Result<Oversight, HubError> {
        *lock(&self.report) = Some(report.clone());
        let reason = outage(std::slice::from_ref(report));
        lock(&self.outage).learn(reason.as_deref(), std::time::Instant::now());
        let oversight = lock(&self.oversight).clone();
        let reached = reached(std::slice::from_ref(report), quorum, &oversight.all_excluded());
        if let Some(signatures) = reached {
            let mut generation = lock(&self.generation);
            if generation.signatures != signatures {
                let next = Generation { signatures, ..Generation::clone(&generation) };
                generation.tell_of(&next);
                *generation = Arc::new(next);
            }
        }
        Ok(oversight)
    }

    async fn lead(&self, worker: &str, ttl: Duration) -> Result<bool, HubError> {
        let mut leader = lock(&self.leader);
        let leads = leader.as_ref().is_none_or(|(name, until)| name == worker || Instant::now() >= *until);
        if leads {
            *leader = Some((worker.to_owned(), Instant::now() + ttl));
        }
        Ok(leads)
    }

    /// There is no other worker.
    async fn take_turn(&self, _worker: &str, _instance: &str, _ttl: Duration) -> Result<bool, HubError> {
        Ok(true)
    }

    async fn turn(&self) -> Result<Option<(String, String)>, HubError> {
        Ok(None)
    }

    async fn end_turn(&self, _worker: &str) -> Result<(), HubError> {
        Ok(())
    }

    async fn oversight(&self) -> Result<Oversight, HubError> {
        Ok(lock(&self.oversight).clone())
    }

    async fn oversee(&self, oversight: &Oversight) -> Result<(), HubError> {
        let mut oversight = oversight.clone();
        oversight.prune(now(), self.cache.clean_ttl);
        let mut generation = lock(&self.generation);
        if generation.blind != oversight.spans {
            let blind = oversight.spans.clone();
            *generation = Arc::new(Generation { blind, ..Generation::clone(&generation) });
        }
        *lock(&self.oversight) = oversight;
        Ok(())
    }
}

#[async_trait]
impl Observer for MemoryHub {
    async fn queue(&self) -> Result<QueueState, HubError> {
        let dead_letters = lock(&self.letters).len() as u64;
        Ok(QueueState { dead_letters, ..self.state().describe() })
    }

    async fn farm(&self) -> Result<Vec<FarmReport>, HubError> {
        Ok(lock(&self.report).iter().cloned().collect())
    }

    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, HubError> {
        Ok(lock(&self.letters).iter().rev().take(most).cloned().collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds a lock of the hub")
}
