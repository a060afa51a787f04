// SPDX-License-Identifier: GPL-3.0-or-later
//! Samples and jobs of a [`super::MemoryHub`]. Each method is one of Redis's scripts.

use crate::{
    clock::{now, now_ms},
    failed::FailedSample,
    hub::{Claim, LaneState, Queue, QueueState, Room},
    job::{Job, Lane},
    sample::{Sample, SampleKey},
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
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
    jobs: BTreeMap<u64, Entry>,
    last_id: u64,
    bytes: u64,
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

struct Entry {
    job: Job,
    size: u64,
    deliveries: u32,
    claimed: Option<(String, Instant)>,
}

impl Lease {
    /// While the claim's job is being scanned.
    pub(super) fn of(claim: &Claim) -> Self {
        Self::Job(claim.id.clone())
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
            jobs: BTreeMap::new(),
            last_id: 0,
            bytes: 0,
        }
    }

    /// Takes the lease for a milter; false where somebody has it. In the mail lane the milter waits.
    pub(super) fn reserve(&mut self, key: &SampleKey, lane: Lane) -> bool {
        self.sweep();
        let (now, limits) = (Instant::now(), &self.limits);
        let kept = self.samples.entry(key.clone()).or_default();
        if lane == Lane::Mail {
            kept.awaited = Some(now + limits.sample_ttl);
        }
        match kept.lease() {
            // A job that nobody waits for is no reason to wait: it may never be its turn.
            Some(Lease::Background) if lane == Lane::Mail => {}
            Some(_) => return false,
            None => {}
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

    /// Keeps the bytes and a job, unless the limits are reached. A lane holds one job a sample; background work may
    /// fill half of the limits.
    pub(super) fn submit(&mut self, sample: &Sample, job: &Job) -> bool {
        let size = sample.bytes.len() as u64;
        let share = match job.lane {
            Lane::Mail => 1,
            Lane::Background => 2,
        };
        let queued = self.jobs.values().any(|entry| {
            // One that is claimed may be about to end; the two never scan at the same time.
            entry.job.lane == job.lane && entry.job.sample == sample.key && entry.claimed.is_none()
        });
        let full = self.jobs.len() >= self.limits.max_jobs / share
            || (!self.jobs.is_empty() && self.bytes + size > self.limits.max_bytes.as_u64() / share as u64);
        if full && !queued {
            self.give_back(&sample.key);
            return false;
        }
        let until = Instant::now() + self.limits.sample_ttl;
        // A copy: the sample may be a slice, which would keep the whole message alive beyond what is counted here.
        let bytes = Bytes::copy_from_slice(&sample.bytes);
        self.samples.entry(sample.key.clone()).or_default().bytes = Some((bytes, until));
        match job.lane {
            Lane::Mail => self.pass_lease(&sample.key, &Lease::Milter, Lease::Milter),
            Lane::Background => self.pass_lease(&sample.key, &Lease::Milter, Lease::Background),
        }
        if !queued {
            self.push(Entry { job: job.clone(), size, deliveries: 0, claimed: None });
        }
        true
    }

    /// Hands unclaimed jobs to `worker`, the mail lane first.
    pub(super) fn claim(&mut self, worker: &str, room: Room) -> Vec<Claim> {
        self.hand_out(worker, room, |entry| entry.claimed.is_none())
    }

    /// Hands jobs to `worker` whose workers have not renewed them.
    pub(super) fn reclaim(&mut self, worker: &str, room: Room) -> Vec<Claim> {
        let after = self.limits.reclaim_after;
        self.hand_out(worker, room, |entry| {
            entry.claimed.as_ref().is_some_and(|(_, renewed)| renewed.elapsed() >= after)
        })
    }

    fn hand_out(&mut self, worker: &str, room: Room, which: impl Fn(&Entry) -> bool) -> Vec<Claim> {
        let mut claims = Vec::new();
        for lane in Lane::ALL {
            let left = room.most - claims.len();
            let most = if lane == Lane::Mail { left } else { left.min(room.background) };
            let free = self.jobs.iter_mut().filter(|(_, entry)| entry.job.lane == lane && which(entry));
            claims.extend(free.take(most).map(|(id, entry)| entry.hand_to(worker, *id)));
        }
        claims
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
                if claim.job.lane == Lane::Mail && !kept.is_awaited() {
                    kept.lease = Some((Lease::Background, now + limits.sample_ttl));
                    self.demote(claim);
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

    fn demote(&mut self, claim: &Claim) {
        let Some(entry) = self.take(&claim.id) else { return };
        let there =
            |other: &Entry| other.job.lane == Lane::Background && other.job.sample == entry.job.sample;
        if self.jobs.values().any(there) {
            return;
        }
        let job = Job { lane: Lane::Background, ..entry.job };
        self.push(Entry {
            job,
            size: entry.size,
            deliveries: claim.deliveries.saturating_sub(1),
            claimed: None,
        });
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
        if let Some(entry) = entry_id(&claim.id).and_then(|id| self.jobs.get_mut(&id))
            && let Some((holder, renewed)) = &mut entry.claimed
            && holder == worker
        {
            *renewed = Instant::now();
        }
    }

    /// What is held against a sample.
    pub(super) fn failed(&self, key: &SampleKey) -> Option<FailedSample> {
        let (failed, until) = self.failed.get(key)?;
        (Instant::now() < *until).then(|| failed.clone())
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

    /// Acknowledges an entry. True where there was one.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.take(id).is_some()
    }

    /// Puts a claimed job at the end of its lane, unless it is done, or another worker's by now, who may be scanning.
    pub(super) fn hand_back(&mut self, claim: &Claim) -> bool {
        let held = entry_id(&claim.id).and_then(|id| self.jobs.get(&id));
        if held.is_none_or(|entry| entry.claimed.is_none() || entry.deliveries != claim.deliveries) {
            return false;
        }
        let Some(entry) = self.take(&claim.id) else { return false };
        self.pass_lease(&claim.job.sample, &Lease::of(claim), Lease::Returned);
        self.push(Entry { deliveries: claim.deliveries.saturating_sub(1), claimed: None, ..entry });
        true
    }

    /// The queue as it stands, without dead letters.
    pub(super) fn describe(&self) -> QueueState {
        let lanes = Lane::ALL.map(|lane| {
            let jobs = || self.jobs.values().filter(|entry| entry.job.lane == lane);
            let claimed = jobs().filter(|entry| entry.claimed.is_some()).count() as u64;
            LaneState {
                lane,
                waiting: jobs().count() as u64 - claimed,
                claimed,
                oldest_ms: jobs().next().map(|entry| now_ms().saturating_sub(entry.job.enqueued_ms)),
            }
        });
        QueueState { lanes: lanes.into(), dead_letters: 0, sample_bytes: self.bytes }
    }

    fn push(&mut self, entry: Entry) {
        self.last_id += 1;
        self.bytes += entry.size;
        self.jobs.insert(self.last_id, entry);
    }

    fn take(&mut self, id: &str) -> Option<Entry> {
        let entry = self.jobs.remove(&entry_id(id)?)?;
        self.bytes -= entry.size;
        Some(entry)
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

impl Entry {
    fn hand_to(&mut self, worker: &str, id: u64) -> Claim {
        self.deliveries = self.deliveries.saturating_add(1);
        self.claimed = Some((worker.to_owned(), Instant::now()));
        Claim { id: id.to_string(), job: self.job.clone(), deliveries: self.deliveries }
    }
}

fn entry_id(id: &str) -> Option<u64> {
    id.parse().ok()
}
