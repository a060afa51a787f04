// SPDX-License-Identifier: GPL-3.0-or-later
//! What milters may be answered.

use super::{
    Job, Model, Outcome,
    sample::{Holder, Life},
};
use proptest::prelude::*;
use thundergate_common::{
    hub::{Admission, Reservation},
    job::Lane,
};

impl Model {
    /// One owner while a lease lives; who joins has somebody before it; what is known and not stale is said.
    pub fn reserve(&mut self, process: usize, sample: usize, lane: Lane, observed: &Reservation) -> Outcome {
        let now = self.now;
        let known = self.samples[sample].verdict.clone().filter(|(verdict, _)| !self.outdated(verdict, None));
        let (reserve_ttl, sample_ttl) = (self.queue.reserve_ttl.as_secs(), self.queue.sample_ttl.as_secs());
        let sample = &mut self.samples[sample];
        if lane == Lane::Mail {
            sample.awaited_by(process, now, now + sample_ttl);
        }
        if let Some((verdict, _)) = known {
            prop_assert_eq!(observed, &Reservation::Known(verdict), "reserve");
            sample.needs_no_reservation(process, lane);
            return Ok(());
        }
        let held = sample.lease.as_ref();
        // A job that nobody waits for is no reason to wait: it may never be its turn.
        let held = held.filter(|(holder, _)| !(*holder == Holder::Background && lane == Lane::Mail));
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

    /// Admitted as far as there is room, and never beyond; one job a sample and lane that nobody has claimed.
    pub fn submit(&mut self, process: usize, sample: usize, lane: Lane, observed: Admission) -> Outcome {
        let size = self.samples[sample].size;
        let unclaimed = self.jobs_of(sample, lane).any(|job| job.claimed.is_none());
        let share = if lane == Lane::Mail { 1 } else { 2 };
        let bytes = self.jobs.iter().map(|job| job.size).sum::<u64>();
        let fits = bytes + size <= self.queue.max_bytes.as_u64() / share as u64 || self.jobs.is_empty();
        let room = unclaimed || (self.jobs.len() < self.queue.max_jobs / share && fits);
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
            Lane::Background => (Holder::Background, sample_ttl),
        };
        let now = self.now;
        self.samples[sample].bytes = Life::until(now + sample_ttl);
        self.samples[sample].submitted(process, holder, Life::until(now + life), now);
        if !unclaimed {
            let needs = self.generation.signatures.clone();
            self.jobs.push(Job { sample, size, lane, needs, deliveries: 0, claimed: None });
        }
        Ok(())
    }
}
