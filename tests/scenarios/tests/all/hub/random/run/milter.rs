// SPDX-License-Identifier: GPL-3.0-or-later
//! What milters do.

use super::{Run, picked, said};
use crate::hub::random::{model::Outcome, operations::SAMPLES};
use proptest::prelude::*;
use std::future::ready;
use thundergate_common::{
    clock::now,
    hub::{Admission, Reservation},
    job::{Job, Lane},
    verdict::Answer,
};

impl Run {
    pub async fn ask(&mut self, milter: usize, sample: usize, lane: Lane) -> Outcome {
        let (hub, key) = (self.end(milter), self.samples[sample].key.clone());
        if lane.is_awaited() && !self.milters[milter].waits.contains_key(&sample) {
            let ticket = hub.announcements().subscribe(&key);
            self.milters[milter].waits.insert(sample, (ticket, self.announced[sample].len()));
        }
        let observed = said(hub.reserve(&[key], lane).await)?.remove(0);
        self.model.reserve(self.process(milter), sample, lane, &observed)?;
        let milter = &mut self.milters[milter];
        match observed {
            Reservation::Known(_) | Reservation::Failed(_) if lane.is_awaited() => {
                drop(milter.waits.remove(&sample))
            }
            Reservation::Owner => drop(milter.owns.insert(sample, lane)),
            _ => {}
        }
        Ok(())
    }

    pub async fn submit(&mut self, milter: usize, sample: usize) -> Outcome<Admission> {
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
            traceparent: None,
        };
        let observed = said(self.end(milter).submit(&[(bytes, job)]).await)?[0];
        self.model.submit(self.process(milter), sample, lane, observed)?;
        Ok(observed)
    }

    /// As a real milter does it: only the last one of its process that gives up says so.
    pub async fn leave(&mut self, milter: usize, sample: usize) -> Outcome {
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

    pub async fn owe(&mut self, milter: usize, sample: usize) -> Outcome {
        said(self.end(milter).owe(std::slice::from_ref(&self.samples[sample].key), "4Bq").await)?;
        self.model.owe(sample);
        Ok(())
    }

    pub async fn look_up(&mut self, milter: usize) -> Outcome {
        let keys: Vec<_> = self.samples.iter().map(|sample| sample.key.clone()).collect();
        self.model.look_up(&said(self.end(milter).look_up(&keys).await)?)
    }

    /// The answers that have come. Others than the audience may hear one, too: a process that does not wait any more as
    /// far as Redis knows, and everybody in the same process.
    pub async fn hear(&mut self, milter: usize) -> Outcome {
        for sample in 0..SAMPLES {
            let Some((ticket, before)) = self.milters[milter].waits.get_mut(&sample) else { continue };
            let answer = tokio::select! {
                biased;
                answer = ticket.answer() => answer,
                () = ready(()) => continue,
            };
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

    /// A milter, and a sample that it believes to own.
    pub fn owned(&self, pick: usize) -> Option<(usize, usize)> {
        let milters = self.milters.iter().enumerate();
        let all = milters.flat_map(|(milter, all)| all.owns.keys().map(move |sample| (milter, *sample)));
        picked(all.collect::<Vec<_>>().into_iter(), pick)
    }
}
