// SPDX-License-Identifier: GPL-3.0-or-later
//! What a hub promises, without how it keeps it. A call of the model takes what the hub answered, says whether the hub
//! may answer that, and goes on from there.
//!
//! The hubs need not agree in everything: one knows which *process* waits and the other has only one, one keeps the
//! bytes of dead letters and the other does not. Where the contract leaves that open, a [`Life`] is open too: it ends
//! between two moments, and until the hub shows which, both are right. What is certain stays certain: that is where a
//! second owner, a second scan, a lost job or a wrong verdict is seen.

use proptest::{prelude::*, test_runner::TestCaseError};
use std::{collections::BTreeMap, sync::Arc};
use thundergate_common::{
    config,
    generation::Generation,
    hub::{Admission, Begin, Claim, Completion, QueueState, Reservation, Retried, Room},
    job::Lane,
    verdict::{Answer, Verdict},
};

/// What holds, or why it does not.
pub type Outcome<T = ()> = Result<T, TestCaseError>;
/// Who in any case hears an answer: processes.
pub type Audience = Vec<usize>;
/// A queue entry's name.
type Id = (Lane, String);

/// Everything that a hub is to know.
pub struct Model {
    now: u64,
    queue: config::Queue,
    cache: config::Cache,
    generation: Generation,
    samples: Vec<Sample>,
    jobs: Vec<Job>,
    letters: u64,
    one_process: bool,
}

/// Something that certainly lives until one moment, and no longer than until another one, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    surely: u64,
    at_most: u64,
}

/// Who answers for a sample while the lease lives.
#[derive(Clone, Debug, PartialEq)]
enum Holder {
    /// A process that has reserved it.
    Owner(usize),
    /// A job in the queue; by whom it was submitted.
    Queue(usize),
    /// A job that was handed back.
    Returned,
    /// A job that nobody waits for.
    Background,
    /// A worker with this job.
    Scan(Id),
}

struct Sample {
    size: u64,
    lease: Option<(Holder, Life)>,
    bytes: Life,
    waiters: BTreeMap<usize, Life>,
    verdict: Option<(Arc<Verdict>, u64)>,
}

#[derive(Debug)]
struct Job {
    sample: usize,
    size: u64,
    lane: Lane,
    needs: Option<String>,
    deliveries: u32,
    claimed: Option<Claimed>,
}

#[derive(Debug)]
struct Claimed {
    id: String,
    worker: usize,
    renewed: u64,
}

/// How a worker's beginning may end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beginning {
    Busy,
    Known,
    Gone,
    Idle,
    Scan,
}

impl Life {
    fn until(moment: u64) -> Self {
        Self { surely: moment, at_most: moment }
    }

    /// It may have ended by now.
    fn doubted(self) -> Self {
        Self { surely: 0, ..self }
    }
}

impl Model {
    /// A hub that knows nothing, and samples of these sizes.
    pub fn new(queue: config::Queue, cache: config::Cache, sizes: &[u64], one_process: bool) -> Self {
        let sample = |&size| Sample {
            size,
            lease: None,
            bytes: Life::default(),
            waiters: BTreeMap::new(),
            verdict: None,
        };
        let samples = sizes.iter().map(sample).collect();
        let generation = Generation::default();
        Self { now: 0, queue, cache, generation, samples, jobs: Vec::new(), letters: 0, one_process }
    }

    /// So many seconds pass. Gives the samples whose verdicts are over.
    pub fn jump(&mut self, seconds: u64) -> Vec<usize> {
        self.now += seconds;
        let now = self.now;
        for sample in &mut self.samples {
            sample.waiters.retain(|_, life| now < life.at_most);
            sample.lease.take_if(|(_, life)| now >= life.at_most);
        }
        let samples = self.samples.iter_mut().enumerate();
        let over =
            samples.filter_map(|(at, sample)| sample.verdict.take_if(|(_, until)| now >= *until).map(|_| at));
        over.collect()
    }

    /// What every process is to know of the farm.
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// The farm has these signatures now.
    pub fn report(&mut self, signatures: &str) {
        self.generation.signatures = Some(signatures.to_owned());
    }

    /// What the hub answered to a bump.
    pub fn bump(&mut self, generation: Generation) -> Outcome {
        prop_assert_eq!(&generation.signatures, &self.generation.signatures);
        prop_assert!(generation.bumped_at >= self.generation.bumped_at);
        self.generation = generation;
        Ok(())
    }

    /// Whether whoever needs the farm's generation, or `needs` where that is newer, cannot do with `verdict`.
    pub fn outdated(&self, verdict: &Verdict, needs: Option<&str>) -> bool {
        let least = self.generation.signatures.as_deref().max(needs);
        let began = verdict.scanned_at - verdict.scan_ms / 1000;
        verdict.is_clean() && (verdict.signatures.as_deref() < least || began <= self.generation.bumped_at)
    }

    /// A verdict is what was stored, until it is over, forgotten or replaced.
    pub fn look_up(&self, observed: &[Option<Arc<Verdict>>]) -> Outcome {
        let stored =
            self.samples.iter().map(|sample| sample.verdict.as_ref().map(|(verdict, _)| verdict.clone()));
        prop_assert_eq!(observed, &stored.collect::<Vec<_>>()[..], "look-up");
        Ok(())
    }

    /// True where there was a verdict.
    pub fn forget(&mut self, sample: usize, observed: bool) -> Outcome {
        prop_assert_eq!(observed, self.samples[sample].verdict.take().is_some(), "forget");
        Ok(())
    }

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
        if let Begin::Scan(_) = observed {
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

    /// Whether there is a verdict.
    pub fn has_verdict(&self, sample: usize) -> bool {
        self.samples[sample].verdict.is_some()
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
        let stored = stored.filter(|(_, life)| !life.is_zero());
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

    /// How many dead letters there are.
    pub fn letters(&self) -> u64 {
        self.letters
    }

    /// Scanned once more in the background, where the bytes are still there.
    pub fn retry(
        &mut self,
        sample: usize,
        needs: Option<String>,
        observed: Retried,
        queue: &QueueState,
    ) -> Outcome {
        let now = self.now;
        let bytes = self.samples[sample].bytes;
        match observed {
            Retried::Unknown => prop_assert!(false, "there is such a letter"),
            // Within one process nobody can ask for it, so a letter keeps no bytes.
            Retried::BytesGone => {
                prop_assert!(self.one_process || now >= bytes.surely, "the bytes are there")
            }
            Retried::Queued => {
                prop_assert!(now < bytes.at_most, "the bytes are gone");
                self.letters -= 1;
                let size = self.samples[sample].size;
                let waits = self.jobs_of(sample, Lane::Background).any(|job| job.claimed.is_none());
                let any = self.jobs_of(sample, Lane::Background).next().is_some();
                let before = self.jobs.iter().filter(|job| job.lane == Lane::Background).count() as u64;
                let grown = total(queue, Lane::Background) > before;
                prop_assert!(if grown { !waits } else { any }, "one job, and not more");
                if grown {
                    let lane = Lane::Background;
                    self.jobs.push(Job { sample, size, lane, needs, deliveries: 0, claimed: None });
                }
            }
        }
        Ok(())
    }

    /// The letter goes, and the bytes unless somebody is about to scan them.
    pub fn drop_letter(&mut self, sample: usize) {
        self.letters -= 1;
        let (now, kept) = (self.now, &mut self.samples[sample]);
        if kept.lease.as_ref().is_none_or(|(_, life)| now >= life.surely) {
            kept.bytes = kept.bytes.doubted();
        }
    }

    /// Counts and bytes are those of the jobs there are.
    pub fn describes(&self, queue: &QueueState) -> Outcome {
        for lane in &queue.lanes {
            let of_lane = self.jobs.iter().filter(|job| job.lane == lane.lane);
            let (claimed, waiting): (Vec<_>, Vec<_>) = of_lane.partition(|job| job.claimed.is_some());
            let expected = (waiting.len() as u64, claimed.len() as u64);
            prop_assert_eq!((lane.waiting, lane.claimed), expected, "{:?}: {:?}", lane.lane, self.jobs);
        }
        let bytes = self.jobs.iter().map(|job| job.size).sum::<u64>();
        prop_assert_eq!(queue.sample_bytes, bytes, "{:?}", self.jobs);
        prop_assert_eq!(queue.dead_letters, self.letters, "dead letters");
        Ok(())
    }

    fn jobs_of(&self, sample: usize, lane: Lane) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(move |job| job.sample == sample && job.lane == lane)
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

impl Sample {
    /// Who certainly waits.
    fn audience(&self, now: u64) -> Audience {
        self.waiters.iter().filter(|(_, life)| now < life.surely).map(|(process, _)| *process).collect()
    }

    fn scanned_by_another(&self, job: &Id, now: u64) -> bool {
        matches!(&self.lease, Some((Holder::Scan(other), life)) if other != job && now < life.surely)
    }

    /// Waiters are forgotten together, so one who comes keeps the others.
    fn awaited_by(&mut self, process: usize, now: u64, until: u64) {
        self.waiters.insert(process, Life::until(until));
        for life in self.waiters.values_mut() {
            *life = Life { surely: if now < life.surely { until } else { 0 }, at_most: until };
        }
    }

    /// Over Redis who learns a verdict leaves for its whole process and gives back what it owned; within one process it
    /// touches nothing. Neither matters to anybody: the verdict is there.
    fn needs_no_reservation(&mut self, process: usize, lane: Lane) {
        if let Some(life) = self.waiters.get_mut(&process) {
            *life = life.doubted();
        }
        if let Some((holder, life)) = &mut self.lease
            && (matches!(holder, Holder::Owner(owner) | Holder::Queue(owner) if *owner == process)
                || (*holder == Holder::Background && lane == Lane::Mail))
        {
            *life = life.doubted();
        }
    }

    /// The queue is full: the sample is free for whoever asks next, unless it is another one's.
    fn refused(&mut self, process: usize, now: u64, until: u64) {
        match &mut self.lease {
            Some((Holder::Owner(owner), _)) if *owner == process => self.given_back(),
            None => self.given_back(),
            // Submitted by this process before: whether that counts as its reservation is the hub's affair.
            Some((Holder::Queue(owner), life)) if *owner == process => {
                *life = life.doubted();
                self.bytes = self.bytes.doubted();
            }
            // Bytes come before the job that is refused; another one's stay.
            Some((_, life)) if now < life.surely => self.bytes.at_most = until,
            Some(_) => self.bytes = Life { surely: 0, at_most: until },
        }
    }

    fn given_back(&mut self) {
        (self.lease, self.bytes) = (None, Life::default());
        // Within one process who waits is forgotten as well; whoever still does asks again.
        self.waiters.values_mut().for_each(|life| *life = life.doubted());
    }

    /// The lease goes on from its holder to the queue.
    fn submitted(&mut self, process: usize, holder: Holder, life: Life, now: u64) {
        self.lease = match self.lease.take() {
            None | Some((Holder::Returned, _)) => Some((holder, life)),
            Some((Holder::Owner(owner) | Holder::Queue(owner), _)) if owner == process => {
                Some((holder, life))
            }
            Some((other, before)) if now < before.surely => Some((other, before)),
            Some((_, before)) => {
                Some((holder, Life { surely: 0, at_most: life.at_most.max(before.at_most) }))
            }
        };
    }

    /// The lease goes on from its worker to the queue. A job that was not begun has another one, which may go on longer.
    fn handed_back(&mut self, job: &Id, now: u64, until: u64) {
        let returned = Some((Holder::Returned, Life::until(until)));
        self.lease = match self.lease.take() {
            None | Some((Holder::Returned, _)) => returned,
            Some((Holder::Scan(scanned), _)) if scanned == *job => returned,
            Some((Holder::Queue(owner), life)) => {
                Some((Holder::Queue(owner), Life { at_most: life.at_most.max(until), ..life }))
            }
            Some((other, life)) if now < life.surely => Some((other, life)),
            Some((_, life)) => Some((Holder::Returned, Life { surely: 0, at_most: life.at_most.max(until) })),
        };
    }
}

fn id(claim: &Claim) -> Id {
    (claim.job.lane, claim.id.clone())
}

fn total(queue: &QueueState, lane: Lane) -> u64 {
    queue.lanes.iter().filter(|state| state.lane == lane).map(|state| state.waiting + state.claimed).sum()
}
