// SPDX-License-Identifier: GPL-3.0-or-later
//! What workers do.

use super::{Held, Run, Worker, picked, said, sample_of};
use crate::hub::random::{
    model::{Audience, Outcome},
    operations::{Ending, MILTERS},
    ttls,
};
use proptest::prelude::*;
use std::{sync::Arc, time::Duration};
use thundergate_common::{
    clock::now,
    hub::{Begin, Claim, Completion, Room},
    verdict::{Answer, Finding, SkipReason, Verdict},
};
use tokio::time::timeout;

/// How long an answer that is on its way may take.
const SOON: Duration = Duration::from_secs(5);

impl Run {
    pub async fn claim(&mut self, worker: usize, room: Room) -> Outcome {
        let claims = self.worker_end(worker).claim(&name(worker), 0, room, Duration::ZERO).await;
        let claims = said(claims)?;
        self.model.claim(worker, room, |claim| sample_of(&self.samples, claim), &claims)?;
        self.workers[worker].take(claims);
        Ok(())
    }

    pub async fn reclaim(&mut self, worker: usize, room: Room) -> Outcome {
        let claims = said(self.worker_end(worker).reclaim(&name(worker), 0, room).await)?;
        self.model.reclaim(worker, room, |claim| sample_of(&self.samples, claim), &claims)?;
        self.workers[worker].take(claims);
        Ok(())
    }

    pub async fn begin(&mut self, worker: usize, at: usize) -> Outcome {
        let hub = self.worker_end(worker);
        let claim = self.workers[worker].held[at].claim.clone();
        let sample = sample_of(&self.samples, &claim);
        let observed = said(hub.begin(&claim).await)?;
        let queue = said(hub.queue().await)?;
        let known = said(hub.look_up(std::slice::from_ref(&claim.job.sample)).await)?.remove(0);
        let audience = self.model.begin(&claim, sample, &observed, &queue)?;
        if let Begin::Scan { bytes, .. } = observed {
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

    pub async fn renew(&mut self, worker: usize) -> Outcome {
        let claims: Vec<_> = self.workers[worker].held.iter().map(|held| held.claim.clone()).collect();
        said(self.worker_end(worker).renew(&name(worker), &claims).await)?;
        for claim in &claims {
            self.model.renew(worker, claim, sample_of(&self.samples, claim));
        }
        Ok(())
    }

    pub async fn complete(&mut self, worker: usize, at: usize, ending: Ending) -> Outcome {
        let held = &self.workers[worker].held[at];
        let sample = sample_of(&self.samples, &held.claim);
        let completion = self.completion(held, sample, ending);
        self.scans += 1;
        let claim = self.workers[worker].held.remove(at).claim;
        said(self.worker_end(worker).complete(&claim, &completion).await)?;
        let answer = match &completion {
            Completion::Answered(answer) => answer.clone(),
            Completion::Failed(failed) => Answer::Failed(failed.reason.clone()),
            Completion::Dead(reason) => Answer::Failed(reason.clone()),
        };
        let audience = self.model.complete(&claim, sample, &completion);
        self.announced(sample, answer, audience).await
    }

    fn completion(&self, held: &Held, sample: usize, ending: Ending) -> Completion {
        let verdict = |verdict: Verdict| {
            let instance = format!("scan {}", self.scans);
            Completion::Answered(Answer::Verdict(Arc::new(Verdict { instance, ..verdict })))
        };
        let signatures = held.scanned_with.clone().flatten();
        // Times are in whole seconds, and who begins in the second of a bump counts as before it.
        let scanned_at = now().max(self.model.generation().bumped_at + 1);
        let clean = Verdict { signatures, scanned_at, ..Verdict::default() };
        // Where there is a verdict or another scan, hubs differ in what an answer that is over already does to these.
        let in_the_way = self.model.has_verdict(sample) || self.model.another_scans(&held.claim, sample);
        match ending {
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
            Ending::Dead => Completion::Dead(format!("scan {} failed", self.scans)),
        }
    }

    pub async fn hand_back(&mut self, worker: usize, at: usize) -> Outcome {
        let claim = self.workers[worker].held.remove(at).claim;
        said(self.worker_end(worker).hand_back(&claim).await)?;
        self.model.hand_back(&claim, sample_of(&self.samples, &claim));
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

    /// A worker, and which of its claims.
    pub(super) fn held(&self, pick: usize, which: impl Fn(&Held) -> bool) -> Option<(usize, usize)> {
        let which = &which;
        let of_one = |(worker, all): (usize, &Worker)| {
            let all = all.held.iter().enumerate().filter(|(_, held)| which(held));
            all.map(|(at, _)| (worker, at)).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.workers.iter().enumerate().flat_map(of_one).collect();
        picked(all.into_iter(), pick)
    }
}

impl Held {
    /// All that can be said of a job that was not begun is that it is dead.
    pub fn may_end(&self, ending: Ending) -> bool {
        self.scanned_with.is_some() || matches!(ending, Ending::Dead)
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
