// SPDX-License-Identifier: GPL-3.0-or-later
//! One case: milters and workers that do what they are told and remember what real ones would, and the quiet period at
//! the end. Whatever the hub answers goes through the model.

use crate::{
    limits,
    model::{Audience, Model, Outcome},
    operations::{Ending, MILTERS, Operation, SAMPLES, WORKERS},
    stage::Stage,
    ttls,
};
use bytes::Bytes;
use proptest::{prelude::*, test_runner::TestCaseError};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use thundergate_common::{
    digest::Digest,
    generation::{FarmReport, InstanceReport},
    hub::{Admission, Begin, Claim, Completion, DeadLetter, Hub, HubError, Reservation, Room, Ticket},
    job::{Job, Lane},
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Finding, SkipReason, Verdict, now},
};
use tokio::time::{sleep, timeout};

/// Sizes of the samples: some do not fit beside each other, one only beside nothing in the background lane.
const SIZES: [usize; SAMPLES] = [100, 200, 300, 700];
/// How long an answer that is on its way may take.
const SOON: Duration = Duration::from_secs(5);
/// In so many rounds of ten seconds everybody has an answer.
const ROUNDS: usize = 40;

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
            Operation::Submit { milter, pick } => {
                let owned = picked(self.milters[milter].owns.keys(), pick).copied();
                if let Some(sample) = owned { self.submit(milter, sample).await.map(drop) } else { Ok(()) }
            }
            Operation::Leave { milter, sample } => self.leave(milter, sample).await,
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
            Operation::Begin { worker, pick } => match self.held(worker, pick) {
                Some(at) => self.begin(worker, at).await,
                None => Ok(()),
            },
            Operation::Renew { worker } => self.renew(worker).await,
            Operation::Complete { worker, pick, ending } => match self.held(worker, pick) {
                Some(at) => self.complete(worker, at, ending).await,
                None => Ok(()),
            },
            Operation::HandBack { worker, pick } => match self.held(worker, pick) {
                Some(at) => self.hand_back(worker, at).await,
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
        for milter in 0..MILTERS {
            self.hear(milter).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, milter: usize, sample: usize, lane: Lane) -> Outcome {
        let (hub, key) = (self.end(milter), self.samples[sample].key.clone());
        if lane == Lane::Mail && !self.milters[milter].waits.contains_key(&sample) {
            let ticket = hub.announcements().subscribe(&key);
            self.milters[milter].waits.insert(sample, (ticket, self.announced[sample].len()));
        }
        let observed = said(hub.reserve(&[key], lane).await)?.remove(0);
        self.model.reserve(self.process(milter), sample, lane, &observed)?;
        let milter = &mut self.milters[milter];
        match observed {
            Reservation::Known(_) if lane == Lane::Mail => drop(milter.waits.remove(&sample)),
            Reservation::Owner => drop(milter.owns.insert(sample, lane)),
            _ => {}
        }
        Ok(())
    }

    async fn submit(&mut self, milter: usize, sample: usize) -> Outcome<Admission> {
        let Some(lane) = self.milters[milter].owns.remove(&sample) else { return Ok(Admission::Full) };
        let bytes = self.samples[sample].clone();
        let job = Job {
            sample: bytes.key.clone(),
            size: bytes.bytes.len() as u64,
            lane,
            source: "mx1".to_owned(),
            queue_id: "4Bq".to_owned(),
            enqueued_ms: now() * 1000,
            needs: self.model.generation().signatures.clone(),
        };
        let observed = said(self.end(milter).submit(&[(bytes, job)]).await)?[0];
        self.model.submit(self.process(milter), sample, lane, observed)?;
        Ok(observed)
    }

    /// As a real milter does it: only the last one of its process that gives up says so.
    async fn leave(&mut self, milter: usize, sample: usize) -> Outcome {
        if self.milters[milter].waits.remove(&sample).is_none() {
            return Ok(());
        }
        let (hub, key) = (self.end(milter), &self.samples[sample].key);
        if !hub.announcements().is_awaited(key) {
            said(hub.leave(std::slice::from_ref(key)).await)?;
            self.model.leave(self.process(milter), sample);
        }
        Ok(())
    }

    async fn look_up(&mut self, milter: usize) -> Outcome {
        let keys: Vec<_> = self.samples.iter().map(|sample| sample.key.clone()).collect();
        self.model.look_up(&said(self.end(milter).look_up(&keys).await)?)
    }

    async fn claim(&mut self, worker: usize, room: Room) -> Outcome {
        let claims = self.worker_end(worker).claim(&name(worker), 0, room, Duration::ZERO).await;
        let claims = said(claims)?;
        self.model.claim(worker, room, |claim| sample_of(&self.samples, claim), &claims)?;
        self.workers[worker].take(claims);
        Ok(())
    }

    async fn reclaim(&mut self, worker: usize, room: Room) -> Outcome {
        let claims = said(self.worker_end(worker).reclaim(&name(worker), 0, room).await)?;
        self.model.reclaim(worker, room, |claim| sample_of(&self.samples, claim), &claims)?;
        self.workers[worker].take(claims);
        Ok(())
    }

    async fn begin(&mut self, worker: usize, at: usize) -> Outcome {
        let hub = self.worker_end(worker);
        let claim = self.workers[worker].held[at].claim.clone();
        let sample = sample_of(&self.samples, &claim);
        let observed = said(hub.begin(&claim).await)?;
        let queue = said(hub.queue().await)?;
        let known = said(hub.look_up(std::slice::from_ref(&claim.job.sample)).await)?.remove(0);
        let audience = self.model.begin(&claim, sample, &observed, &queue)?;
        if let Begin::Scan(bytes) = observed {
            prop_assert_eq!(bytes, self.samples[sample].bytes.clone(), "bytes of another sample");
            let signatures = self.model.generation().signatures.clone();
            self.workers[worker].held[at].scanned_with = Some(signatures);
        } else {
            self.workers[worker].held.remove(at);
        }
        match known {
            Some(verdict) => self.announced(sample, Answer::Verdict(verdict), audience).await,
            None => Ok(()),
        }
    }

    async fn renew(&mut self, worker: usize) -> Outcome {
        let claims: Vec<_> = self.workers[worker].held.iter().map(|held| held.claim.clone()).collect();
        said(self.worker_end(worker).renew(&name(worker), &claims).await)?;
        for claim in &claims {
            self.model.renew(worker, claim, sample_of(&self.samples, claim));
        }
        Ok(())
    }

    async fn complete(&mut self, worker: usize, at: usize, ending: Ending) -> Outcome {
        let held = &self.workers[worker].held[at];
        let sample = sample_of(&self.samples, &held.claim);
        let Some(completion) = self.completion(held, sample, ending) else { return Ok(()) };
        self.scans += 1;
        let claim = self.workers[worker].held.remove(at).claim;
        said(self.worker_end(worker).complete(&claim, &completion).await)?;
        let answer = match &completion {
            Completion::Answered(answer) => answer.clone(),
            Completion::Dead(reason) => Answer::Failed(reason.clone()),
        };
        let audience = self.model.complete(&claim, sample, &completion);
        self.announced(sample, answer, audience).await
    }

    /// None for a job that was not begun: all that can be said of it is that it is dead.
    fn completion(&self, held: &Held, sample: usize, ending: Ending) -> Option<Completion> {
        let dead = || Completion::Dead(format!("scan {} failed", self.scans));
        let verdict = |verdict: Verdict| {
            let instance = format!("scan {}", self.scans);
            Completion::Answered(Answer::Verdict(Arc::new(Verdict { instance, ..verdict })))
        };
        let Some(signatures) = held.scanned_with.clone() else {
            return matches!(ending, Ending::Dead).then(dead);
        };
        // Times are in whole seconds, and who begins in the second of a bump counts as before it.
        let scanned_at = now().max(self.model.generation().bumped_at + 1);
        let clean = Verdict { signatures, scanned_at, ..Verdict::default() };
        // Where there is a verdict or another scan, hubs differ in what an answer that is over already does to these.
        let in_the_way = self.model.has_verdict(sample) || self.model.another_scans(&held.claim, sample);
        Some(match ending {
            Ending::Clean => verdict(clean),
            Ending::CleanLate => verdict(Verdict { scan_ms: 3_600_000, scanned_at: now(), ..clean }),
            Ending::Expired if in_the_way => verdict(clean),
            Ending::Expired => {
                verdict(Verdict { scanned_at: now() - ttls().clean_ttl.as_secs() - 60, ..clean })
            }
            Ending::Found => {
                verdict(Verdict { findings: vec![Finding { score: 95, ..Finding::default() }], ..clean })
            }
            Ending::Skipped => Completion::Answered(Answer::Skipped(SkipReason::TooLarge)),
            Ending::Dead => dead(),
        })
    }

    async fn hand_back(&mut self, worker: usize, at: usize) -> Outcome {
        let claim = self.workers[worker].held.remove(at).claim;
        said(self.worker_end(worker).hand_back(&claim).await)?;
        self.model.hand_back(&claim, sample_of(&self.samples, &claim));
        Ok(())
    }

    async fn report(&mut self, signatures: &str) -> Outcome {
        let signatures = Some(signatures.to_owned());
        let instance =
            InstanceReport { name: "storm1".into(), healthy: true, signatures, ..InstanceReport::default() };
        self.model.report(instance.signatures.as_deref().unwrap_or_default());
        self.tell_all(&FarmReport { worker: "farm".into(), at: now(), instances: vec![instance] }).await
    }

    async fn bump(&mut self) -> Outcome {
        let observed = said(self.stage.ends[0].bump().await)?;
        prop_assert!(now() - observed.bumped_at <= 1, "bumped {} s ago", now() - observed.bumped_at);
        self.model.bump(observed)?;
        self.tell_all(&FarmReport { worker: "no farm".into(), at: now(), instances: Vec::new() }).await
    }

    /// A process that reports learns the generation at once, the others within seconds. So that the model need not
    /// guess who knows what, all of them report.
    async fn tell_all(&self, report: &FarmReport) -> Outcome {
        for hub in &self.stage.ends {
            let mut patience = 100;
            loop {
                said(hub.report(report, None).await)?;
                if *hub.generation() == *self.model.generation() {
                    break;
                }
                patience -= 1;
                prop_assert!(patience > 0, "{:?} is not {:?}", hub.generation(), self.model.generation());
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    async fn retry_letter(&mut self, pick: usize) -> Outcome {
        let Some(letter) = self.letter(pick).await? else { return Ok(()) };
        let sample = self.samples.iter().position(|sample| sample.key == letter.job.sample).unwrap();
        let hub = &self.stage.ends[0];
        let observed = said(hub.retry(&letter).await)?;
        let queue = said(hub.queue().await)?;
        self.model.retry(sample, letter.job.needs, observed, &queue)
    }

    async fn drop_letter(&mut self, pick: usize) -> Outcome {
        let Some(letter) = self.letter(pick).await? else { return Ok(()) };
        let sample = self.samples.iter().position(|sample| sample.key == letter.job.sample).unwrap();
        let hub = &self.stage.ends[0];
        prop_assert!(said(hub.drop_letter(&letter).await)?, "there is such a letter");
        self.model.drop_letter(sample);
        Ok(())
    }

    async fn letter(&self, pick: usize) -> Outcome<Option<DeadLetter>> {
        let letters = said(self.stage.ends[0].dead_letters(1000).await)?;
        prop_assert_eq!(letters.len() as u64, self.model.letters());
        Ok(picked(letters.into_iter(), pick))
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

    /// An answer was announced: `audience` hears it.
    async fn announced(&mut self, sample: usize, answer: Answer, audience: Audience) -> Outcome {
        self.announced[sample].push(answer.clone());
        for milter in 0..MILTERS {
            if !audience.contains(&self.process(milter)) {
                continue;
            }
            let Some((ticket, _)) = self.milters[milter].waits.get_mut(&sample) else { continue };
            let heard = timeout(SOON, ticket.answer()).await;
            prop_assert_eq!(heard.as_ref(), Ok(&answer), "milter {} waits for sample {}", milter, sample);
        }
        Ok(())
    }

    /// The answers that have come. Others than the audience may hear one, too: a process that does not wait any more as
    /// far as Redis knows, and everybody in the same process.
    async fn hear(&mut self, milter: usize) -> Outcome {
        for sample in 0..SAMPLES {
            let Some((ticket, before)) = self.milters[milter].waits.get_mut(&sample) else { continue };
            let Ok(answer) = timeout(Duration::ZERO, ticket.answer()).await else { continue };
            prop_assert!(
                self.announced[sample][*before..].contains(&answer),
                "nobody announced {:?}",
                answer
            );
            let stale = matches!(&answer, Answer::Verdict(verdict) if self.model.outdated(verdict, None));
            self.milters[milter].waits.remove(&sample);
            if stale {
                // As a real milter does it: it goes on waiting, and asks again when it is time to.
                let ticket = self.end(milter).announcements().subscribe(&self.samples[sample].key);
                self.milters[milter].waits.insert(sample, (ticket, self.announced[sample].len()));
            }
        }
        Ok(())
    }

    /// Workers die but for a healthy one, milters ask until they have answers. Then nothing is left.
    async fn grow_quiet(&mut self) -> Outcome {
        self.workers[1..].fill_with(Worker::default);
        self.milters.iter_mut().for_each(|milter| milter.owns.clear());
        let mut rounds = 0;
        while self.somebody_waits() || self.jobs().await? > 0 {
            rounds += 1;
            prop_assert!(rounds < ROUNDS, "milters wait for ever");
            for milter in 0..MILTERS {
                self.ask_again(milter).await?;
            }
            self.work().await?;
            self.jump(10).await?;
        }
        self.jump(limits().sample_ttl.as_secs() + 5).await?;
        let left = self.stage.left_over().await;
        prop_assert!(left.is_empty(), "left over: {:?}", left);
        for sample in 0..SAMPLES {
            self.ask(0, sample, Lane::Background).await?;
        }
        Ok(())
    }

    fn somebody_waits(&self) -> bool {
        self.milters.iter().any(|milter| !milter.waits.is_empty())
    }

    async fn jobs(&self) -> Outcome<u64> {
        let queue = said(self.stage.ends[0].queue().await)?;
        Ok(queue.lanes.iter().map(|lane| lane.waiting + lane.claimed).sum())
    }

    async fn ask_again(&mut self, milter: usize) -> Outcome {
        let waits: Vec<_> = self.milters[milter].waits.keys().copied().collect();
        for sample in waits {
            self.ask(milter, sample, Lane::Mail).await?;
            if self.milters[milter].owns.contains_key(&sample) {
                self.submit(milter, sample).await?;
            }
            self.look_around().await?;
        }
        Ok(())
    }

    async fn work(&mut self) -> Outcome {
        self.renew(0).await?;
        self.reclaim(0, Room { most: 10, background: 10 }).await?;
        self.claim(0, Room { most: 10, background: 10 }).await?;
        while !self.workers[0].held.is_empty() {
            let before = self.workers[0].held.len();
            self.begin(0, 0).await?;
            if self.workers[0].held.len() == before {
                self.workers[0].held[0].scanned_with = Some(self.model.generation().signatures.clone());
                self.complete(0, 0, Ending::Clean).await?;
            }
            self.look_around().await?;
        }
        Ok(())
    }

    fn held(&self, worker: usize, pick: usize) -> Option<usize> {
        picked(0..self.workers[worker].held.len(), pick)
    }

    fn process(&self, milter: usize) -> usize {
        milter % self.stage.ends.len()
    }

    fn end(&self, milter: usize) -> Arc<dyn Hub> {
        self.stage.ends[self.process(milter)].clone()
    }

    fn worker_end(&self, worker: usize) -> Arc<dyn Hub> {
        self.stage.ends[worker % self.stage.ends.len()].clone()
    }
}

impl Worker {
    /// A job that comes again is the same job.
    fn take(&mut self, claims: Vec<Claim>) {
        let same =
            |held: &Held, claim: &Claim| (held.claim.job.lane, &held.claim.id) == (claim.job.lane, &claim.id);
        self.held.retain(|held| !claims.iter().any(|claim| same(held, claim)));
        self.held.extend(claims.into_iter().map(|claim| Held { claim, scanned_with: None }));
    }
}

fn name(worker: usize) -> String {
    format!("worker {worker}")
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
