// SPDX-License-Identifier: GPL-3.0-or-later
//! Samples of a [`super::MemoryHub`], and its [`Jobs`]. Each method is one of Redis's scripts.

use super::jobs::{Entry, Gone, Jobs};
use crate::{
    clock::now,
    failed::FailedSample,
    hub::{Claim, Queue, QueueState, Room, never_scanned},
    job::{Job, Lane},
    record::seen::Sought,
    sample::{Sample, SampleKey},
};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use tokio::time::Instant;

/// Reservations that nobody came back for are swept once there are so many more than after the last sweep.
const SWEEP: usize = 1024;

/// How many samples are remembered as failed. One more is not: it is scanned each time.
const FAILED: usize = 10_000;

/// Everything behind the hub's lock.
pub(super) struct State {
    limits: Queue,
    samples: HashMap<SampleKey, Kept>,
    /// What is held against samples, and until when it is kept.
    failed: HashMap<SampleKey, (FailedSample, Instant)>,
    sweep_at: usize,
    jobs: Jobs,
}

/// What is known of a sample without a verdict.
#[derive(Default)]
struct Kept {
    lease: Option<(Lease, Instant)>,
    bytes: Option<(Bytes, Instant)>,
    /// Until when somebody may wait for it.
    awaited: Option<Instant>,
}

/// Who scans a sample or will.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lease {
    /// A milter that has reserved it, and its job in the queue.
    Milter,
    /// A job that was handed back.
    Returned,
    /// The worker that has this entry.
    Job(String),
    /// A job waits in bulk.
    Bulk,
    /// A job waits that nobody waits for.
    Background,
}

/// What [`State::begin`] found.
pub(super) enum Taken {
    /// The lease is taken.
    Bytes(Bytes),
    /// Another job scans this sample.
    Busy,
    /// Nobody waits for it; the job went to the background lane.
    Idle,
    /// There are no bytes.
    Gone,
}

impl Lease {
    /// While the claim's job is being scanned.
    pub(super) fn of(claim: &Claim) -> Self {
        Self::Job(claim.id.clone())
    }

    /// The lane that the job waits in.
    fn lane(&self) -> Lane {
        match self {
            Self::Milter | Self::Returned | Self::Job(_) => Lane::Mail,
            Self::Bulk => Lane::Bulk,
            Self::Background => Lane::Background,
        }
    }
}

impl Kept {
    fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(lease, _)| lease)
    }

    fn is_awaited(&self) -> bool {
        self.awaited.is_some_and(|until| Instant::now() < until)
    }

    fn bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(bytes, _)| bytes)
    }
}

impl State {
    /// No samples, no jobs.
    pub(super) fn new(limits: &Queue) -> Self {
        let limits = limits.clone();
        Self {
            limits,
            samples: HashMap::new(),
            failed: HashMap::new(),
            sweep_at: SWEEP,
            jobs: Jobs::default(),
        }
    }

    /// Takes the lease for a milter; false where somebody has it. In mail and bulk the milter waits.
    pub(super) fn reserve(&mut self, key: &SampleKey, lane: Lane) -> bool {
        self.sweep();
        let (now, limits) = (Instant::now(), &self.limits);
        let kept = self.samples.entry(key.clone()).or_default();
        if lane.is_awaited() {
            kept.awaited = Some(now + limits.sample_ttl);
        }
        match kept.lease() {
            // A job in a lane behind the caller's is no reason to wait: it may never be its turn.
            Some(lease) if lease.lane() <= lane => return false,
            _ => {}
        }
        kept.lease = Some((Lease::Milter, now + limits.reserve_ttl));
        true
    }

    /// Nobody waits for a sample any more.
    pub(super) fn leave(&mut self, key: &SampleKey) {
        if let Some(kept) = self.samples.get_mut(key) {
            kept.awaited = None;
        }
    }

    /// Keeps the bytes and a job, unless the limits are reached. A lane holds one unclaimed job a sample: one that is
    /// claimed may be about to end, and the two never scan at the same time.
    pub(super) fn submit(&mut self, sample: &Sample, job: &Job) -> bool {
        let size = sample.bytes.len() as u64;
        let queued = self.jobs.has_unclaimed(&sample.key, job.lane);
        if !queued {
            let (has_room, gone) = self.jobs.make_room(job.lane, size, &self.limits);
            self.gave_way(gone);
            if !has_room {
                self.give_back(&sample.key);
                return false;
            }
        }
        let until = Instant::now() + self.limits.sample_ttl;
        // A copy: the sample may be a slice, which would keep the whole message alive beyond what is counted here.
        let bytes = Bytes::copy_from_slice(&sample.bytes);
        self.samples.entry(sample.key.clone()).or_default().bytes = Some((bytes, until));
        let next = match job.lane {
            Lane::Mail => Lease::Milter,
            Lane::Bulk => Lease::Bulk,
            Lane::Background => Lease::Background,
        };
        self.pass_lease(&sample.key, &Lease::Milter, next);
        if !queued {
            self.jobs.push(Entry { job: job.clone(), size, deliveries: 0, claimed: None });
        }
        true
    }

    /// A message was delivered although this sample was not scanned.
    pub(super) fn owe(&mut self, key: &SampleKey, queue_id: &str) {
        self.jobs.owe(key, queue_id);
    }

    /// The bytes of jobs that gave way, unless somebody is about to scan them.
    fn gave_way(&mut self, gone: Gone) {
        for key in gone {
            let lease = self.samples.get(&key).and_then(Kept::lease);
            if lease.is_none_or(|lease| matches!(lease, Lease::Background | Lease::Returned)) {
                self.samples.remove(&key);
            }
        }
    }

    /// Hands unclaimed jobs to `worker`.
    pub(super) fn claim(&mut self, worker: &str, room: Room) -> Vec<Claim> {
        self.jobs.claim(worker, room)
    }

    /// Hands jobs to `worker` whose workers have not renewed them.
    pub(super) fn reclaim(&mut self, worker: &str, room: Room) -> Vec<Claim> {
        self.jobs.reclaim(worker, room, self.limits.reclaim_after)
    }

    /// Takes the lease for a claim.
    pub(super) fn begin(&mut self, claim: &Claim) -> Taken {
        let (key, lease) = (&claim.job.sample, Lease::of(claim));
        if self.another_scans(key, &lease) {
            return Taken::Busy;
        }
        let (now, limits) = (Instant::now(), &self.limits);
        match self.samples.get_mut(key) {
            Some(kept) if kept.bytes().is_some() => {
                if claim.job.lane.is_awaited() && !kept.is_awaited() {
                    kept.lease = Some((Lease::Background, now + limits.sample_ttl));
                    let gone = self.jobs.demote(claim, &self.limits);
                    self.gave_way(gone);
                    return Taken::Idle;
                }
                kept.lease = Some((lease, now + limits.lease_ttl));
                Taken::Bytes(kept.bytes().cloned().unwrap_or_default())
            }
            _ => {
                self.samples.remove(key);
                Taken::Gone
            }
        }
    }

    /// Whether `lease` is the sample's.
    pub(super) fn is_held(&self, key: &SampleKey, lease: &Lease) -> bool {
        self.samples.get(key).and_then(Kept::lease) == Some(lease)
    }

    /// Whether a job other than `lease` scans the sample.
    pub(super) fn another_scans(&self, key: &SampleKey, lease: &Lease) -> bool {
        let current = self.samples.get(key).and_then(Kept::lease);
        current.is_some_and(|current| matches!(current, Lease::Job(_)) && current != lease)
    }

    /// Keeps lease and claim alive, as far as they are still this worker's.
    pub(super) fn renew(&mut self, worker: &str, claim: &Claim) {
        let until = Instant::now() + self.limits.lease_ttl;
        if let Some(kept) = self.samples.get_mut(&claim.job.sample)
            && kept.lease() == Some(&Lease::of(claim))
        {
            kept.lease = Some((Lease::of(claim), until));
        }
        self.jobs.renew(worker, claim);
    }

    /// What is held against a sample.
    pub(super) fn failed(&self, key: &SampleKey) -> Option<FailedSample> {
        let (failed, until) = self.failed.get(key)?;
        (Instant::now() < *until).then(|| failed.clone())
    }

    /// Samples that are sought and against which something may be held.
    pub(super) fn failed_keys(&self, sought: &Sought) -> BTreeSet<SampleKey> {
        self.failed.keys().filter(|key| sought.is_of(key)).cloned().collect()
    }

    /// Holds something against a sample, in place of what was before.
    pub(super) fn hold_against(&mut self, key: &SampleKey, failed: &FailedSample) {
        let current = Instant::now();
        if self.failed.len() >= FAILED {
            self.failed.retain(|_, (_, until)| current < *until);
        }
        let until = current.checked_add(failed.life(now()));
        if let Some(until) = until.filter(|_| self.failed.len() < FAILED || self.failed.contains_key(key)) {
            self.failed.insert(key.clone(), (failed.clone(), until));
        }
    }

    /// Holds nothing against a sample any longer.
    pub(super) fn forgive(&mut self, key: &SampleKey) {
        self.failed.remove(key);
    }

    /// Forgets bytes and lease of a sample.
    pub(super) fn forget_sample(&mut self, key: &SampleKey) {
        self.samples.remove(key);
    }

    /// Acknowledges an entry whose sample has its answer. True where there was one.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let removed = self.jobs.take(id);
        if let Some(entry) = &removed {
            self.jobs.settle(&entry.job.sample);
        }
        removed.is_some()
    }

    /// Acknowledges an entry whose sample another one scans.
    pub(super) fn remove_second(&mut self, id: &str) {
        self.jobs.take(id);
    }

    /// Acknowledges an entry whose sample's bytes are gone.
    pub(super) fn remove_without_bytes(&mut self, id: &str) {
        let Some(entry) = self.jobs.take(id) else { return };
        let key = &entry.job.sample;
        if let Some(queue_id) = self.jobs.settle(key) {
            never_scanned(&key.to_string(), &queue_id);
        }
    }

    /// Puts a claimed job at the end of its lane, unless it is done, or another worker's by now, who may be scanning.
    pub(super) fn hand_back(&mut self, claim: &Claim) -> bool {
        let held = self.jobs.get(&claim.id);
        if held.is_none_or(|entry| entry.claimed.is_none() || entry.deliveries != claim.deliveries) {
            return false;
        }
        let Some(entry) = self.jobs.take(&claim.id) else { return false };
        self.pass_lease(&claim.job.sample, &Lease::of(claim), Lease::Returned);
        self.jobs.push(Entry { deliveries: claim.deliveries.saturating_sub(1), claimed: None, ..entry });
        true
    }

    /// The queue as it stands, without dead letters.
    pub(super) fn describe(&self) -> QueueState {
        self.jobs.describe()
    }

    /// The lease goes on from its holder. A job that nobody waits for takes no place but its submitter's.
    fn pass_lease(&mut self, key: &SampleKey, holder: &Lease, next: Lease) {
        let life = if next == Lease::Background { self.limits.sample_ttl } else { self.limits.reserve_ttl };
        let kept = self.samples.entry(key.clone()).or_default();
        let free = kept.lease().is_none_or(|lease| *lease == Lease::Returned);
        if kept.lease() == Some(holder) || (free && next != Lease::Background) {
            kept.lease = Some((next, Instant::now() + life));
        }
    }

    /// The queue is full: the sample is free for whoever asks next.
    fn give_back(&mut self, key: &SampleKey) {
        let lease = self.samples.get(key).and_then(Kept::lease);
        if lease.is_none_or(|lease| *lease == Lease::Milter) {
            self.samples.remove(key);
        }
    }

    fn sweep(&mut self) {
        if self.samples.len() >= self.sweep_at {
            self.samples
                .retain(|_, kept| kept.lease().is_some() || kept.bytes().is_some() || kept.is_awaited());
            self.sweep_at = self.samples.len() + SWEEP;
        }
    }
}
