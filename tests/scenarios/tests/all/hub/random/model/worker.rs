// SPDX-License-Identifier: GPL-3.0-or-later
//! What workers may be answered.

use super::{
    Audience, Claimed, Id, Job, Model, Outcome,
    sample::{Holder, Life},
    total,
};
use proptest::prelude::*;
use thundergate_common::{
    hub::{Begin, Claim, Completion, QueueState, Room},
    job::Lane,
    verdict::{Answer, Verdict},
};

/// How a worker's beginning may end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beginning {
    Busy,
    Known,
    Gone,
    Idle,
    Scan,
}

impl Model {
    /// As much as there is room for, the mail lane first, each lane in its order, each delivery counted.
    pub fn claim(
        &mut self,
        worker: usize,
        room: Room,
        sample_of: impl Fn(&Claim) -> usize,
        observed: &[Claim],
    ) -> Outcome {
        self.hand_out(worker, room, |job| job.claimed.is_none(), sample_of, observed)
    }

    /// The same for what was not renewed.
    pub fn reclaim(
        &mut self,
        worker: usize,
        room: Room,
        sample_of: impl Fn(&Claim) -> usize,
        observed: &[Claim],
    ) -> Outcome {
        let since = self.now.checked_sub(self.queue.reclaim_after.as_secs());
        let abandoned =
            |job: &Job| job.claimed.as_ref().is_some_and(|it| since.is_some_and(|since| it.renewed <= since));
        self.hand_out(worker, room, abandoned, sample_of, observed)
    }

    fn hand_out(
        &mut self,
        worker: usize,
        room: Room,
        which: impl Fn(&Job) -> bool,
        sample_of: impl Fn(&Claim) -> usize,
        observed: &[Claim],
    ) -> Outcome {
        let jobs = &self.jobs;
        let of = |lane| (0..jobs.len()).filter(move |at| jobs[*at].lane == lane);
        let mut due: Vec<usize> = of(Lane::Mail).filter(|at| which(&jobs[*at])).take(room.most).collect();
        let background = room.background.min(room.most - due.len());
        due.extend(of(Lane::Background).filter(|at| which(&jobs[*at])).take(background).collect::<Vec<_>>());
        let expected: Vec<_> = due
            .iter()
            .map(|at| &self.jobs[*at])
            .map(|job| (job.lane, job.sample, job.size, job.needs.clone(), job.deliveries + 1))
            .collect();
        let handed = observed.iter().map(|claim| {
            let job = &claim.job;
            (job.lane, sample_of(claim), job.size, job.needs.clone(), claim.deliveries)
        });
        prop_assert_eq!(handed.collect::<Vec<_>>(), expected, "handed out of {:?}", self.jobs);
        for (at, claim) in due.into_iter().zip(observed) {
            let job = &mut self.jobs[at];
            let before = job.claimed.replace(Claimed { id: claim.id.clone(), worker, renewed: self.now });
            prop_assert!(before.is_none_or(|before| before.id == claim.id), "an entry has one name");
            job.deliveries = claim.deliveries;
        }
        Ok(())
    }

    /// One scan of a sample while its lease lives, of its own bytes, and for somebody. Gives who hears what is known.
    pub fn begin(
        &mut self,
        claim: &Claim,
        sample: usize,
        observed: &Begin,
        queue: &QueueState,
    ) -> Outcome<Audience> {
        let possible = self.beginnings(claim, sample);
        if let Begin::Scan { .. } = observed {
            prop_assert!(possible.contains(&Beginning::Scan), "a scan, but it is {:?}", possible);
            let life = Life::until(self.now + self.queue.lease_ttl.as_secs());
            let kept = &mut self.samples[sample];
            kept.lease = Some((Holder::Scan(id(claim)), life));
            return Ok(Vec::new());
        }
        let nothing: Vec<_> = possible.iter().filter(|beginning| **beginning != Beginning::Scan).collect();
        let grown = total(queue, Lane::Background)
            > self.jobs.iter().filter(|job| job.lane == Lane::Background).count() as u64;
        match nothing[..] {
            [] => prop_assert!(false, "nothing to do, but {:?}", self.samples[sample].lease),
            [Beginning::Busy] => drop(self.remove(claim)),
            [Beginning::Known] => {
                self.remove(claim);
                return Ok(self.answered(sample));
            }
            [Beginning::Gone] => self.gone(claim, sample),
            // A job that went to the background lane is seen there, unless that has one already.
            [Beginning::Gone, ..] if !grown => {
                self.gone(claim, sample);
                self.samples[sample].lease = Some((Holder::Background, self.background_life().doubted()));
            }
            _ => self.demote(claim, sample, grown)?,
        }
        Ok(Vec::new())
    }

    fn beginnings(&self, claim: &Claim, sample: usize) -> Vec<Beginning> {
        let (now, kept) = (self.now, &self.samples[sample]);
        if kept.scanned_by_another(&id(claim), now) {
            return vec![Beginning::Busy];
        }
        let needs = claim.job.needs.as_deref();
        if kept.verdict.as_ref().is_some_and(|(verdict, _)| !self.outdated(verdict, needs)) {
            return vec![Beginning::Known];
        }
        let mut possible = Vec::new();
        if now >= kept.bytes.surely {
            possible.push(Beginning::Gone);
        }
        if now < kept.bytes.at_most {
            let mail = claim.job.lane == Lane::Mail;
            if mail && kept.audience(now).is_empty() {
                possible.push(Beginning::Idle);
            }
            if !mail || kept.waiters.values().any(|life| now < life.at_most) {
                possible.push(Beginning::Scan);
            }
        }
        possible
    }

    fn gone(&mut self, claim: &Claim, sample: usize) {
        self.remove(claim);
        let kept = &mut self.samples[sample];
        (kept.lease, kept.bytes) = (None, kept.bytes.doubted());
        // In one process who waits is forgotten with the bytes; whoever still does asks again.
        kept.waiters.values_mut().for_each(|life| *life = life.doubted());
    }

    /// To the end of the background lane, unless that has a job of this sample, or one that is under way.
    fn demote(&mut self, claim: &Claim, sample: usize, grown: bool) -> Outcome {
        self.samples[sample].lease = Some((Holder::Background, self.background_life()));
        let removed = self.remove(claim);
        let unclaimed = self.jobs_of(sample, Lane::Background).any(|job| job.claimed.is_none());
        let any = self.jobs_of(sample, Lane::Background).next().is_some();
        prop_assert!(grown || any || removed.is_none(), "a job that nobody waits for is lost");
        prop_assert!(!grown || (!unclaimed && removed.is_some()), "one job more than there is work");
        if let (true, Some(job)) = (grown, removed) {
            let deliveries = claim.deliveries - 1;
            self.jobs.push(Job { lane: Lane::Background, deliveries, claimed: None, ..job });
        }
        Ok(())
    }

    fn background_life(&self) -> Life {
        Life::until(self.now + self.queue.sample_ttl.as_secs())
    }

    /// Leases and claims of `worker` go on, as far as they are still its own.
    pub fn renew(&mut self, worker: usize, claim: &Claim, sample: usize) {
        let (now, ttl) = (self.now, self.queue.lease_ttl.as_secs());
        if let Some((Holder::Scan(job), life)) = &mut self.samples[sample].lease
            && *job == id(claim)
            && now < life.surely
        {
            *life = Life::until(now + ttl);
        }
        if let Some(claimed) = self.claimed(claim).filter(|claimed| claimed.worker == worker) {
            claimed.renewed = now;
        }
    }

    /// Whether another job than the claim's is being scanned for its sample.
    pub fn another_scans(&self, claim: &Claim, sample: usize) -> bool {
        self.samples[sample].scanned_by_another(&id(claim), self.now)
    }

    /// The job is done. Only a verdict is stored; who waits hears the answer, unless another job's is to come.
    pub fn complete(&mut self, claim: &Claim, sample: usize, completion: &Completion) -> Audience {
        let removed = self.remove(claim);
        let dead = matches!(completion, Completion::Dead(_));
        self.letters += u64::from(dead && removed.is_some());
        let stored = match completion {
            Completion::Answered(Answer::Verdict(verdict)) => {
                Some((verdict.clone(), verdict.fresh_for(self.cache.ttl(verdict))))
            }
            _ => None,
        };
        // A scan whose lease ran out clears no sample of which something is known: that may be a finding.
        let lease = self.samples[sample].lease.as_ref();
        let late = lease.is_none_or(|(holder, _)| *holder != Holder::Scan(id(claim)));
        let in_vain = |verdict: &Verdict| late && verdict.is_clean() && self.has_verdict(sample);
        let stored = stored.filter(|(verdict, life)| !life.is_zero() && !in_vain(verdict));
        if stored.is_none() && self.another_scans(claim, sample) {
            return Vec::new();
        }
        if let Some((verdict, _)) = stored {
            let until = self.now + self.cache.ttl(&verdict).as_secs();
            self.samples[sample].verdict = Some((verdict, until));
        }
        let bytes = self.samples[sample].bytes;
        let audience = self.answered(sample);
        if dead {
            // A dead letter keeps them where there is room, for an operator who tries again; within one process nobody can.
            self.samples[sample].bytes = bytes.doubted();
        }
        audience
    }

    fn answered(&mut self, sample: usize) -> Audience {
        let kept = &mut self.samples[sample];
        let audience = kept.audience(self.now);
        (kept.lease, kept.bytes) = (None, Life::default());
        kept.waiters.clear();
        audience
    }

    /// At the end of its lane, as often delivered as before. Who has lost a claim to another worker gives nothing back.
    pub fn hand_back(&mut self, claim: &Claim, sample: usize) {
        let Some(at) = self.position(claim).filter(|at| self.jobs[*at].deliveries == claim.deliveries) else {
            return;
        };
        let job = self.jobs.remove(at);
        self.jobs.push(Job { deliveries: claim.deliveries - 1, claimed: None, ..job });
        let until = self.now + self.queue.reserve_ttl.as_secs();
        self.samples[sample].handed_back(&id(claim), self.now, until);
    }

    fn position(&self, claim: &Claim) -> Option<usize> {
        self.jobs.iter().position(|job| {
            job.lane == claim.job.lane && job.claimed.as_ref().is_some_and(|claimed| claimed.id == claim.id)
        })
    }

    fn claimed(&mut self, claim: &Claim) -> Option<&mut Claimed> {
        let at = self.position(claim)?;
        self.jobs[at].claimed.as_mut()
    }

    fn remove(&mut self, claim: &Claim) -> Option<Job> {
        self.position(claim).map(|at| self.jobs.remove(at))
    }
}

fn id(claim: &Claim) -> Id {
    (claim.job.lane, claim.id.clone())
}
