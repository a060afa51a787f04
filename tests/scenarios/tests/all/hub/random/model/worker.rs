// SPDX-License-Identifier: GPL-3.0-or-later
//! What workers may be answered.

use super::{
    Audience, Claimed, Id, Job, Model, Outcome,
    sample::{Holder, Life},
    total,
};
use proptest::prelude::*;
use std::collections::VecDeque;
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
    Failed,
    Gone,
    Idle,
    Scan,
}

impl Model {
    /// As much as there is room for: three of mail and one of bulk while both wait, then background; each lane in its order,
    /// each delivery counted.
    pub fn claim(
        &mut self,
        worker: usize,
        room: Room,
        sample_of: impl Fn(&Claim) -> usize,
        observed: &[Claim],
    ) -> Outcome {
        let jobs = &self.jobs;
        let [mut mail, mut bulk, background] = Lane::ALL.map(|lane| {
            let free = |at: &usize| jobs[*at].lane == lane && jobs[*at].claimed.is_none();
            (0..jobs.len()).filter(free).collect::<VecDeque<_>>()
        });
        let process = worker % self.mail_since_bulk.len();
        let mut since = self.mail_since_bulk[process];
        let mut due = Vec::new();
        while due.len() < room.most && !(mail.is_empty() && bulk.is_empty()) {
            let turn_of_bulk = mail.is_empty() || (since >= 3 && !bulk.is_empty());
            since = if turn_of_bulk { 0 } else { (since + 1).min(3) };
            let lane = if turn_of_bulk { &mut bulk } else { &mut mail };
            due.extend(lane.pop_front());
        }
        let left = room.background.min(room.most - due.len());
        due.extend(background.into_iter().take(left));
        self.mail_since_bulk[process] = since;
        self.hand_out(worker, due, sample_of, observed)
    }

    /// What was not renewed, the better lanes first.
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
        let mut due = Vec::new();
        for lane in Lane::ALL {
            let left = room.most - due.len();
            let most = if lane.is_awaited() { left } else { left.min(room.background) };
            let of_lane = (0..self.jobs.len()).filter(|at| self.jobs[*at].lane == lane);
            due.extend(of_lane.filter(|at| abandoned(&self.jobs[*at])).take(most));
        }
        self.hand_out(worker, due, sample_of, observed)
    }

    fn hand_out(
        &mut self,
        worker: usize,
        due: Vec<usize>,
        sample_of: impl Fn(&Claim) -> usize,
        observed: &[Claim],
    ) -> Outcome {
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

    /// One scan of a sample while its lease lives, of its own bytes, and for somebody. Gives who hears what is known, and
    /// the reason where that is that it failed.
    pub fn begin(
        &mut self,
        claim: &Claim,
        sample: usize,
        observed: &Begin,
        queue: &QueueState,
    ) -> Outcome<(Audience, Option<String>)> {
        let possible = self.beginnings(claim, sample);
        if let Begin::Scan { failed, .. } = observed {
            prop_assert!(possible.contains(&Beginning::Scan), "a scan, but it is {:?}", possible);
            let life = Life::until(self.now + self.queue.lease_ttl.as_secs());
            let kept = &mut self.samples[sample];
            prop_assert_eq!(failed.as_ref(), kept.failed.as_ref().map(|(failed, _)| failed));
            kept.lease = Some((Holder::Scan(id(claim)), life));
            return Ok((Vec::new(), None));
        }
        let nothing: Vec<_> = possible.iter().filter(|beginning| **beginning != Beginning::Scan).collect();
        match nothing[..] {
            [] => prop_assert!(false, "nothing to do, but {:?}", self.samples[sample].lease),
            [Beginning::Busy] => drop(self.remove(claim)),
            [Beginning::Known] => {
                self.settle(claim, sample);
                return Ok((self.answered(sample), None));
            }
            [Beginning::Failed] => {
                self.settle(claim, sample);
                let reason = self.samples[sample].failed.as_ref().map(|(failed, _)| failed.reason.clone());
                let bytes = self.samples[sample].bytes;
                let audience = self.answered(sample);
                self.samples[sample].bytes = bytes.doubted();
                return Ok((audience, reason));
            }
            [Beginning::Gone] => self.bytes_gone(claim, sample),
            // A job that went to the background lane is seen there, unless that has one already.
            [Beginning::Gone, ..] if self.looks_without(claim, queue) => {
                self.bytes_gone(claim, sample);
                self.samples[sample].lease = Some((Holder::Background, self.background_life().doubted()));
            }
            _ => self.demote(claim, sample),
        }
        Ok((Vec::new(), None))
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
        if self.failed(sample, needs).is_some() {
            return vec![Beginning::Failed];
        }
        let mut possible = Vec::new();
        if now >= kept.bytes.surely {
            possible.push(Beginning::Gone);
        }
        if now < kept.bytes.at_most {
            let awaited = claim.job.lane.is_awaited();
            if awaited && kept.audience(now).is_empty() {
                possible.push(Beginning::Idle);
            }
            if !awaited || kept.waiters.values().any(|life| now < life.at_most) {
                possible.push(Beginning::Scan);
            }
        }
        possible
    }

    /// Whether the queue is as it would be without the claim's job.
    fn looks_without(&self, claim: &Claim, queue: &QueueState) -> bool {
        let removed = self.position(claim);
        let others =
            || self.jobs.iter().enumerate().filter(|(at, _)| Some(*at) != removed).map(|(_, job)| job);
        let same = |lane| others().filter(|job| job.lane == lane).count() as u64 == total(queue, lane);
        Lane::ALL.into_iter().all(same) && others().map(|job| job.size).sum::<u64>() == queue.sample_bytes
    }

    fn bytes_gone(&mut self, claim: &Claim, sample: usize) {
        self.settle(claim, sample);
        let kept = &mut self.samples[sample];
        (kept.lease, kept.bytes) = (None, kept.bytes.doubted());
        // In one process who waits is forgotten with the bytes; whoever still does asks again.
        kept.waiters.values_mut().for_each(|life| *life = life.doubted());
    }

    /// To the end of the background lane, unless that has a job of this sample. Older ones give way, or it does.
    fn demote(&mut self, claim: &Claim, sample: usize) {
        self.samples[sample].lease = Some((Holder::Background, self.background_life()));
        let Some(job) = self.remove(claim) else { return };
        if self.has_job(sample, Some(Lane::Background)) {
            return;
        }
        while self.behind() >= self.queue.max_jobs / 2 {
            let Some(at) = self.dispensable(self.samples[sample].owed) else {
                return self.gone(sample);
            };
            self.give_way(at);
        }
        let deliveries = claim.deliveries - 1;
        self.push(Job { lane: Lane::Background, deliveries, claimed: None, ..job });
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

    /// The job is done. Only a verdict is stored, and what failed; who waits hears the answer, unless another job's is to come.
    pub fn complete(&mut self, claim: &Claim, sample: usize, completion: &Completion) -> Audience {
        let removed = self.settle(claim, sample);
        let dead = matches!(completion, Completion::Dead(_) | Completion::Failed(_));
        // One letter a sample; it goes with a verdict.
        match completion {
            Completion::Answered(Answer::Verdict(_)) => self.samples[sample].letter = false,
            _ => self.samples[sample].letter |= dead && removed.is_some(),
        }
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
            self.samples[sample].failed = None;
        }
        if let Completion::Failed(failed) = completion
            && !(late && self.has_verdict(sample))
        {
            let until = self.now + self.queue.failed_ttl.as_secs();
            self.samples[sample].failed = Some((failed.clone(), until));
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
        self.push(Job { deliveries: claim.deliveries - 1, claimed: None, ..job });
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

    /// Nothing is owed any longer once the job has ended.
    fn settle(&mut self, claim: &Claim, sample: usize) -> Option<Job> {
        let removed = self.remove(claim)?;
        self.samples[sample].owed = false;
        Some(removed)
    }

    fn remove(&mut self, claim: &Claim) -> Option<Job> {
        self.position(claim).map(|at| self.jobs.remove(at))
    }
}

fn id(claim: &Claim) -> Id {
    (claim.job.lane, claim.id.clone())
}
