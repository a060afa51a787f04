// SPDX-License-Identifier: GPL-3.0-or-later
//! One case: milters and workers that do what they are told and remember what real ones would, and the quiet period at
//! the end. Whatever the hub answers goes through the model.

mod milter;
mod operator;
mod quiet;
mod worker;

use crate::hub::random::{
    limits,
    model::{Model, Outcome},
    operations::{MILTERS, Operation, SAMPLES, WORKERS},
    stage::{End, Stage},
    ttls,
};
use bytes::Bytes;
use proptest::test_runner::TestCaseError;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use thundergate_common::{
    digest::Digest,
    hub::{Claim, HubError, Room, Ticket},
    job::Lane,
    sample::{NameHint, Sample, SampleKey},
    verdict::Answer,
};

/// Sizes of the samples: some do not fit beside each other, one only beside nothing in the background lane.
const SIZES: [usize; SAMPLES] = [100, 200, 300, 700];

/// One case under way.
pub struct Run {
    stage: Stage,
    model: Model,
    samples: Vec<Sample>,
    milters: Vec<Milter>,
    workers: Vec<Worker>,
    /// All answers that were announced, by sample.
    announced: Vec<Vec<Answer>>,
    scans: usize,
}

/// What a milter remembers.
#[derive(Default)]
struct Milter {
    /// What it waits for, and how many answers had been announced before it did.
    waits: BTreeMap<usize, (Ticket, usize)>,
    /// What it has reserved and not submitted.
    owns: BTreeMap<usize, Lane>,
}

/// What a worker remembers; of jobs that others have taken over, too.
#[derive(Default)]
struct Worker {
    held: Vec<Held>,
}

struct Held {
    claim: Claim,
    /// The signatures with which it is scanned, once it is.
    scanned_with: Option<Option<String>>,
}

impl Run {
    /// A case on an empty stage.
    pub fn new(stage: Stage) -> Self {
        let samples = SIZES.map(|size| {
            let bytes: Bytes = vec![b'x'; size].into();
            Sample { key: SampleKey { digest: Digest::of(&bytes), hint: NameHint::None }, bytes }
        });
        let sizes = SIZES.map(|size| size as u64);
        Self {
            model: Model::new(limits(), ttls(), &sizes, stage.is_one_process()),
            stage,
            samples: samples.into(),
            milters: (0..MILTERS).map(|_| Milter::default()).collect(),
            workers: (0..WORKERS).map(|_| Worker::default()).collect(),
            announced: vec![Vec::new(); SAMPLES],
            scans: 0,
        }
    }

    /// Does all `operations`, then grows quiet.
    pub async fn all(mut self, operations: &[Operation]) -> Outcome {
        for operation in operations {
            self.apply(operation).await.map_err(|error| because(error, &format!("at {operation:?}")))?;
            self.look_around().await.map_err(|error| because(error, &format!("after {operation:?}")))?;
        }
        self.grow_quiet().await.map_err(|error| because(error, "in the quiet period"))
    }

    async fn apply(&mut self, operation: &Operation) -> Outcome {
        match *operation {
            Operation::Ask { milter, sample, lane } => self.ask(milter, sample, lane).await,
            Operation::Submit { pick } => match self.owned(pick) {
                Some((milter, sample)) => self.submit(milter, sample).await.map(drop),
                None => Ok(()),
            },
            Operation::Leave { milter, sample } => self.leave(milter, sample).await,
            Operation::Owe { milter, sample } => self.owe(milter, sample).await,
            Operation::LookUp { milter } => self.look_up(milter).await,
            Operation::MilterCrashes { milter } => {
                self.milters[milter] = Milter::default();
                Ok(())
            }
            Operation::Claim { worker, most, background } => {
                self.claim(worker, Room { most, background }).await
            }
            Operation::Reclaim { worker, most, background } => {
                self.reclaim(worker, Room { most, background }).await
            }
            Operation::Begin { pick } => match self.held(pick, |_| true) {
                Some((worker, at)) => self.begin(worker, at).await,
                None => Ok(()),
            },
            Operation::Renew { worker } => self.renew(worker).await,
            Operation::Complete { pick, ending } => match self.held(pick, |held| held.may_end(ending)) {
                Some((worker, at)) => self.complete(worker, at, ending).await,
                None => Ok(()),
            },
            Operation::HandBack { pick } => match self.held(pick, |_| true) {
                Some((worker, at)) => self.hand_back(worker, at).await,
                None => Ok(()),
            },
            Operation::WorkerCrashes { worker } => {
                self.workers[worker] = Worker::default();
                Ok(())
            }
            Operation::Report { signatures } => self.report(&signatures.to_string()).await,
            Operation::Bump => self.bump().await,
            Operation::Forget { sample } => {
                let observed = said(self.stage.ends[0].forget(&self.samples[sample].key).await)?;
                self.model.forget(sample, observed)
            }
            Operation::RetryLetter { pick } => self.retry_letter(pick).await,
            Operation::DropLetter { pick } => self.drop_letter(pick).await,
            Operation::Jump(seconds) => self.jump(seconds).await,
            Operation::FlushScripts => {
                self.stage.flush_scripts().await;
                Ok(())
            }
            Operation::KillConnections => {
                self.stage.kill_connections().await;
                Ok(())
            }
        }
    }

    async fn look_around(&mut self) -> Outcome {
        let queue = said(self.stage.ends[0].queue().await)?;
        self.model.describes(&queue)?;
        self.look_up(0).await?;
        for milter in 0..MILTERS {
            self.hear(milter).await?;
        }
        Ok(())
    }

    async fn jump(&mut self, seconds: u64) -> Outcome {
        self.stage.jump(Duration::from_secs(seconds)).await;
        let over = self.model.jump(seconds);
        if self.stage.is_one_process() {
            // Verdicts go by the clock on the wall, which does not jump: they are forgotten instead.
            for sample in over {
                said(self.stage.ends[0].forget(&self.samples[sample].key).await)?;
            }
        }
        Ok(())
    }

    fn process(&self, milter: usize) -> usize {
        milter % self.stage.ends.len()
    }

    fn end(&self, milter: usize) -> Arc<dyn End> {
        self.stage.ends[self.process(milter)].clone()
    }

    fn worker_end(&self, worker: usize) -> Arc<dyn End> {
        self.stage.ends[worker % self.stage.ends.len()].clone()
    }
}

fn sample_of(samples: &[Sample], claim: &Claim) -> usize {
    samples.iter().position(|sample| sample.key == claim.job.sample).unwrap()
}

fn picked<T>(mut of: impl ExactSizeIterator<Item = T>, pick: usize) -> Option<T> {
    let at = pick.checked_rem(of.len())?;
    of.nth(at)
}

fn said<T>(answer: Result<T, HubError>) -> Outcome<T> {
    answer.map_err(|error| TestCaseError::fail(format!("{error:?}")))
}

fn because(error: TestCaseError, when: &str) -> TestCaseError {
    TestCaseError::fail(format!("{when}: {error}"))
}
