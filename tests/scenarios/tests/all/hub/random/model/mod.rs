// SPDX-License-Identifier: GPL-3.0-or-later
//! What a hub promises, without how it keeps it. A call of the model takes what the hub answered, says whether the hub
//! may answer that, and goes on from there.
//!
//! The hubs need not agree in everything: one knows which *process* waits and the other has only one, one keeps the
//! bytes of dead letters and the other does not. Where the contract leaves that open, a [`Life`] is open too: it ends
//! between two moments, and until the hub shows which, both are right. What is certain stays certain: that is where a
//! second owner, a second scan, a lost job or a wrong verdict is seen.

mod milter;
mod operator;
mod sample;
mod worker;

use proptest::{prelude::*, test_runner::TestCaseError};
use sample::Sample;
use std::sync::Arc;
use thundergate_common::{
    failed::FailedSample,
    freshness::Cache,
    generation::Generation,
    hub::{Queue, QueueState},
    job::Lane,
    verdict::Verdict,
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
    queue: Queue,
    cache: Cache,
    generation: Generation,
    samples: Vec<Sample>,
    jobs: Vec<Job>,
    one_process: bool,
    /// How many jobs of mail each process has taken since the last one of bulk.
    mail_since_bulk: Vec<usize>,
    /// Until when it is kept what is owed.
    owed_until: u64,
}

#[derive(Debug)]
struct Job {
    sample: usize,
    size: u64,
    lane: Lane,
    needs: Option<String>,
    deliveries: u32,
    claimed: Option<Claimed>,
    /// Whether it is the newest of its sample and lane.
    newest: bool,
}

#[derive(Debug)]
struct Claimed {
    id: String,
    worker: usize,
    renewed: u64,
}

impl Model {
    /// A hub that knows nothing, and samples of these sizes.
    pub fn new(queue: Queue, cache: Cache, sizes: &[u64], one_process: bool) -> Self {
        let samples = sizes.iter().copied().map(Sample::new).collect();
        let generation = Generation::default();
        let mail_since_bulk = vec![0; if one_process { 1 } else { 2 }];
        let jobs = Vec::new();
        Self { now: 0, queue, cache, generation, samples, jobs, one_process, mail_since_bulk, owed_until: 0 }
    }

    /// So many seconds pass. Gives the samples whose verdicts are over.
    pub fn jump(&mut self, seconds: u64) -> Vec<usize> {
        self.now += seconds;
        let now = self.now;
        let forgotten = !self.one_process && now >= self.owed_until;
        for sample in &mut self.samples {
            sample.owed &= !forgotten;
            sample.waiters.retain(|_, life| now < life.at_most);
            sample.lease.take_if(|(_, life)| now >= life.at_most);
            sample.failed.take_if(|(_, until)| now >= *until);
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

    /// What is held against a sample and still counts for whoever needs the farm's generation, or `needs`.
    fn failed(&self, sample: usize, needs: Option<&str>) -> Option<&FailedSample> {
        let least = self.generation.signatures.as_deref().max(needs);
        let (failed, _) = self.samples[sample].failed.as_ref()?;
        let then = &failed.generation;
        let same = then.signatures.as_deref() == least && then.bumped_at == self.generation.bumped_at;
        same.then_some(failed)
    }

    /// Whether there is a verdict.
    pub fn has_verdict(&self, sample: usize) -> bool {
        self.samples[sample].verdict.is_some()
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
        prop_assert_eq!(queue.dead_letters, self.letters(), "dead letters");
        Ok(())
    }

    /// At the end of its lane.
    fn push(&mut self, job: Job) {
        let others =
            self.jobs.iter_mut().filter(|other| (other.sample, other.lane) == (job.sample, job.lane));
        others.for_each(|other| other.newest = false);
        self.jobs.push(Job { newest: true, ..job });
    }

    /// Whether it is known that a sample has a job: over Redis that is an index, which knows the newest of each lane.
    fn has_job(&self, sample: usize, lane: Option<Lane>) -> bool {
        let of_sample = self.jobs.iter().filter(|job| job.sample == sample);
        let mut of_lane = of_sample.filter(|job| lane.is_none_or(|lane| job.lane == lane));
        of_lane.any(|job| job.newest || self.one_process)
    }

    fn jobs_of(&self, sample: usize, lane: Lane) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(move |job| job.sample == sample && job.lane == lane)
    }
}

fn total(queue: &QueueState, lane: Lane) -> u64 {
    queue.lanes.iter().filter(|state| state.lane == lane).map(|state| state.waiting + state.claimed).sum()
}
