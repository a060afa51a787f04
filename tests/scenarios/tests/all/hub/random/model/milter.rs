// SPDX-License-Identifier: GPL-3.0-or-later
//! What milters may be answered.

use super::{
    Job, Model, Outcome,
    sample::{Holder, Life},
};
use proptest::prelude::*;
use std::sync::Arc;
use thundergate_common::{
    hub::{Admission, Reservation},
    job::Lane,
};

impl Model {
    /// One owner while a lease lives; who joins has somebody before it; what is known and not stale is said, and what failed
    /// and still counts.
    pub fn reserve(&mut self, process: usize, sample: usize, lane: Lane, observed: &Reservation) -> Outcome {
        let now = self.now;
        let known = self.samples[sample].verdict.clone().filter(|(verdict, _)| !self.outdated(verdict, None));
        let failed = self.failed(sample, None).cloned();
        let (reserve_ttl, sample_ttl) = (self.queue.reserve_ttl.as_secs(), self.queue.sample_ttl.as_secs());
        let sample = &mut self.samples[sample];
        if lane.is_awaited() {
            sample.awaited_by(process, now, now + sample_ttl);
        }
        if let Some((verdict, _)) = known {
            prop_assert_eq!(observed, &Reservation::Known(verdict), "reserve");
            sample.needs_no_reservation(process, lane);
            return Ok(());
        }
        if let Some(failed) = failed {
            prop_assert_eq!(observed, &Reservation::Failed(Arc::new(failed)), "reserve");
            sample.needs_no_reservation(process, lane);
            return Ok(());
        }
        let held = sample.lease.as_ref();
        // A job in a lane behind the caller's is no reason to wait: it may never be its turn.
        let held = held.filter(|(holder, _)| holder.lane() <= lane);
        let (surely, perhaps) =
            held.map_or((false, false), |(_, life)| (now < life.surely, now < life.at_most));
        match observed {
            Reservation::Owner => prop_assert!(!surely, "a second owner beside {:?}", held),
            Reservation::Joined => prop_assert!(perhaps, "joined, and nobody is there: {:?}", sample.lease),
            Reservation::Failed(failed) => prop_assert!(false, "nothing failed, but {:?}", failed),
            Reservation::Known(_) => prop_assert!(false, "known, but {:?}", sample.verdict),
        }
        if *observed == Reservation::Owner {
            sample.lease = Some((Holder::Owner(process), Life::until(now + reserve_ttl)));
        }
        Ok(())
    }

    /// Nobody in `process` waits for it.
    pub fn leave(&mut self, process: usize, sample: usize) {
        self.samples[sample].waiters.remove(&process);
    }

    /// Admitted as far as there is room beside mail and bulk, and never beyond; one job a sample and lane that nobody has
    /// claimed. Background gives way.
    pub fn submit(&mut self, process: usize, sample: usize, lane: Lane, observed: Admission) -> Outcome {
        let size = self.samples[sample].size;
        let unclaimed = self.jobs_of(sample, lane).any(|job| job.claimed.is_none());
        let room = unclaimed || self.make_room(lane, size);
        let expected = if room { Admission::Queued } else { Admission::Full };
        prop_assert_eq!(observed, expected, "{:?}", self.jobs);
        if !room {
            let until = self.now + self.queue.sample_ttl.as_secs();
            self.samples[sample].refused(process, self.now, until);
            return Ok(());
        }
        let (reserve_ttl, sample_ttl) = (self.queue.reserve_ttl.as_secs(), self.queue.sample_ttl.as_secs());
        let (holder, life) = match lane {
            Lane::Mail => (Holder::Queue(process), reserve_ttl),
            Lane::Bulk => (Holder::Bulk, reserve_ttl),
            Lane::Background => (Holder::Background, sample_ttl),
        };
        let now = self.now;
        self.samples[sample].bytes = Life::until(now + sample_ttl);
        self.samples[sample].submitted(process, holder, Life::until(now + life), now);
        if !unclaimed {
            let needs = self.generation.signatures.clone();
            self.push(Job { sample, size, lane, needs, deliveries: 0, claimed: None, newest: true });
        }
        Ok(())
    }

    fn make_room(&mut self, lane: Lane, size: u64) -> bool {
        if self.jobs.iter().filter(|job| job.lane.is_awaited()).count() >= self.queue.max_jobs {
            return false;
        }
        while !self.fits(lane, size) {
            let Some(at) = self.dispensable(lane.is_awaited()) else { break };
            self.give_way(at);
        }
        self.fits(lane, size) || (lane.is_awaited() && self.has_bytes(size))
    }

    fn fits(&self, lane: Lane, size: u64) -> bool {
        let own = lane.is_awaited() || self.behind() < self.queue.max_jobs / 2;
        own && self.jobs.len() < self.queue.max_jobs && self.has_bytes(size)
    }

    fn has_bytes(&self, size: u64) -> bool {
        let bytes = self.jobs.iter().map(|job| job.size).sum::<u64>();
        self.jobs.is_empty() || bytes + size <= self.queue.max_bytes.as_u64()
    }

    /// How many jobs background has.
    pub fn behind(&self) -> usize {
        self.jobs.iter().filter(|job| !job.lane.is_awaited()).count()
    }

    /// The job that gives way next.
    pub fn dispensable(&self, owed_too: bool) -> Option<usize> {
        let unclaimed = |job: &Job| !job.lane.is_awaited() && job.claimed.is_none();
        let is_owed = |job: &Job| self.samples[job.sample].owed;
        let first = self.jobs.iter().position(|job| unclaimed(job) && !is_owed(job));
        first.or_else(|| self.jobs.iter().position(|job| owed_too && unclaimed(job)))
    }

    /// Its bytes go with it, unless another job or a dead letter needs them, or somebody is about to scan them.
    pub fn give_way(&mut self, at: usize) {
        let sample = self.jobs.remove(at).sample;
        self.gone(sample);
    }

    /// A sample's job is gone from background.
    pub fn gone(&mut self, sample: usize) {
        if self.has_job(sample, None) {
            return;
        }
        let (now, kept) = (self.now, &mut self.samples[sample]);
        kept.owed = false;
        match &mut kept.lease {
            Some((Holder::Background | Holder::Returned, life)) => *life = life.doubted(),
            Some((_, life)) if now < life.surely => return,
            Some((_, life)) => *life = life.doubted(),
            None => {}
        }
        kept.bytes = kept.bytes.doubted();
        // Within one process who waits is forgotten as well; whoever still does asks again.
        kept.waiters.values_mut().for_each(|life| *life = life.doubted());
    }

    /// A message was delivered although this sample was not scanned: that counts where there is a job.
    pub fn owe(&mut self, sample: usize) {
        if self.has_job(sample, None) {
            self.samples[sample].owed = true;
            self.owed_until = self.now + 2 * self.queue.sample_ttl.as_secs();
        }
    }
}
