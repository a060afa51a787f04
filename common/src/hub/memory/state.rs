// SPDX-License-Identifier: GPL-3.0-or-later
//! Samples and jobs of a [`super::MemoryHub`]. Each method is one of Redis's scripts.

use crate::{
    config,
    hub::{Claim, LaneState, QueueState},
    job::{Job, Lane},
    sample::{Sample, SampleKey},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// Reservations that nobody came back for are swept once there are so many more than after the last sweep.
const SWEEP: usize = 1024;

/// Everything behind the hub's lock.
pub struct State {
    limits: config::Queue,
    samples: HashMap<SampleKey, Kept>,
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
}

/// Who scans a sample or will.
#[derive(Clone, Debug, PartialEq)]
pub enum Lease {
    /// A milter that has not submitted it.
    Milter,
    /// The queue.
    Queued,
    /// The worker that has this entry.
    Job(String),
}

/// What [`State::begin`] found.
pub enum Taken {
    /// The lease is taken.
    Bytes(Bytes),
    /// Another job scans this sample.
    Busy,
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
    pub fn of(claim: &Claim) -> Self {
        Self::Job(claim.id.clone())
    }
}

impl Kept {
    fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(lease, _)| lease)
    }

    fn bytes(&self) -> Option<&Bytes> {
        self.bytes.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(bytes, _)| bytes)
    }
}

impl State {
    /// No samples, no jobs.
    pub fn new(limits: &config::Queue) -> Self {
        let limits = limits.clone();
        Self { limits, samples: HashMap::new(), sweep_at: SWEEP, jobs: BTreeMap::new(), last_id: 0, bytes: 0 }
    }

    /// Takes the lease for a milter; false where somebody has it.
    pub fn reserve(&mut self, key: &SampleKey) -> bool {
        if self.samples.get(key).and_then(Kept::lease).is_some() {
            return false;
        }
        self.sweep();
        let until = Instant::now() + self.limits.reserve_ttl;
        self.samples.entry(key.clone()).or_default().lease = Some((Lease::Milter, until));
        true
    }

    /// Keeps the bytes and a job, unless the limits are reached. A lane holds one job a sample; background work may
    /// fill half of the limits.
    pub fn submit(&mut self, sample: &Sample, job: &Job) -> bool {
        let size = sample.bytes.len() as u64;
        let share = match job.lane {
            Lane::Mail => 1,
            Lane::Background => 2,
        };
        let queued =
            self.jobs.values().any(|entry| entry.job.lane == job.lane && entry.job.sample == sample.key);
        let full = self.jobs.len() >= self.limits.max_jobs / share
            || self.bytes + size > self.limits.max_bytes.as_u64() / share as u64;
        if full && !queued {
            self.give_back(&sample.key);
            return false;
        }
        let until = Instant::now() + self.limits.sample_ttl;
        // A copy: the sample may be a slice, which would keep the whole message alive beyond what is counted here.
        let bytes = Bytes::copy_from_slice(&sample.bytes);
        self.samples.entry(sample.key.clone()).or_default().bytes = Some((bytes, until));
        self.lease_to_queue(&sample.key, &Lease::Milter);
        if !queued {
            self.push(Entry { job: job.clone(), size, deliveries: 0, claimed: None });
        }
        true
    }

    /// Hands at most `most` unclaimed jobs to `worker`, the mail lane first.
    pub fn claim(&mut self, worker: &str, most: usize) -> Vec<Claim> {
        let mut claims = Vec::new();
        for lane in Lane::ALL {
            let free =
                self.jobs.iter_mut().filter(|(_, entry)| entry.job.lane == lane && entry.claimed.is_none());
            claims.extend(free.take(most - claims.len()).map(|(id, entry)| entry.hand_to(worker, *id)));
        }
        claims
    }

    /// Hands at most `most` jobs to `worker` whose workers have not renewed them.
    pub fn reclaim(&mut self, worker: &str, most: usize) -> Vec<Claim> {
        let after = self.limits.reclaim_after;
        let abandoned = self.jobs.iter_mut().filter(|(_, entry)| {
            entry.claimed.as_ref().is_some_and(|(_, renewed)| renewed.elapsed() >= after)
        });
        abandoned.take(most).map(|(id, entry)| entry.hand_to(worker, *id)).collect()
    }

    /// Takes the lease for a claim.
    pub fn begin(&mut self, claim: &Claim) -> Taken {
        let (key, lease) = (&claim.job.sample, Lease::of(claim));
        if self.another_scans(key, &lease) {
            return Taken::Busy;
        }
        let until = Instant::now() + self.limits.lease_ttl;
        match self.samples.get_mut(key) {
            Some(kept) if kept.bytes().is_some() => {
                kept.lease = Some((lease, until));
                Taken::Bytes(kept.bytes().cloned().unwrap_or_default())
            }
            _ => {
                self.samples.remove(key);
                Taken::Gone
            }
        }
    }

    /// Whether a job other than `lease` scans the sample.
    pub fn another_scans(&self, key: &SampleKey, lease: &Lease) -> bool {
        let current = self.samples.get(key).and_then(Kept::lease);
        current.is_some_and(|current| matches!(current, Lease::Job(_)) && current != lease)
    }

    /// Keeps lease and claim alive, as far as they are still this worker's.
    pub fn renew(&mut self, worker: &str, claim: &Claim) {
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

    /// Forgets bytes and lease of a sample.
    pub fn forget_sample(&mut self, key: &SampleKey) {
        self.samples.remove(key);
    }

    /// Acknowledges an entry. True where there was one.
    pub fn remove(&mut self, id: &str) -> bool {
        self.take(id).is_some()
    }

    /// Puts a claimed job at the end of its lane.
    pub fn hand_back(&mut self, claim: &Claim) -> bool {
        let Some(entry) = self.take(&claim.id) else { return false };
        self.lease_to_queue(&claim.job.sample, &Lease::of(claim));
        self.push(Entry { deliveries: claim.deliveries.saturating_sub(1), claimed: None, ..entry });
        true
    }

    /// The queue as it stands, without dead letters.
    pub fn describe(&self) -> QueueState {
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

    /// The lease goes from its holder to the queue.
    fn lease_to_queue(&mut self, key: &SampleKey, holder: &Lease) {
        let until = Instant::now() + self.limits.reserve_ttl;
        let kept = self.samples.entry(key.clone()).or_default();
        if kept.lease().is_none_or(|lease| lease == holder || *lease == Lease::Queued) {
            kept.lease = Some((Lease::Queued, until));
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
            self.samples.retain(|_, kept| kept.lease().is_some() || kept.bytes().is_some());
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

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
