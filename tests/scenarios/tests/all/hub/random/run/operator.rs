// SPDX-License-Identifier: GPL-3.0-or-later
//! What operators do, and the farm.

use super::{Run, picked, said};
use crate::hub::random::model::Outcome;
use proptest::prelude::*;
use std::time::Duration;
use thundergate_common::{
    clock::now,
    generation::{FarmReport, InstanceReport},
    hub::DeadLetter,
};
use tokio::time::sleep;

impl Run {
    pub async fn report(&mut self, signatures: &str) -> Outcome {
        let signatures = Some(signatures.to_owned());
        let instance =
            InstanceReport { name: "storm1".into(), healthy: true, signatures, ..InstanceReport::default() };
        self.model.report(instance.signatures.as_deref().unwrap_or_default());
        self.tell_all(&FarmReport {
            worker: "farm".into(),
            at: now(),
            instances: vec![instance],
            doubt: None,
        })
        .await
    }

    pub async fn bump(&mut self) -> Outcome {
        let observed = said(self.stage.ends[0].bump().await)?;
        prop_assert!(now() - observed.bumped_at <= 1, "bumped {} s ago", now() - observed.bumped_at);
        self.model.bump(observed)?;
        self.tell_all(&FarmReport { worker: "no farm".into(), at: now(), instances: Vec::new(), doubt: None })
            .await
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

    pub async fn retry_letter(&mut self, pick: usize) -> Outcome {
        let Some(letter) = self.letter(pick).await? else { return Ok(()) };
        let sample = self.samples.iter().position(|sample| sample.key == letter.job.sample).unwrap();
        let hub = &self.stage.ends[0];
        let observed = said(hub.retry(&letter).await)?;
        let queue = said(hub.queue().await)?;
        self.model.retry(sample, letter.job.needs, observed, &queue)
    }

    pub async fn drop_letter(&mut self, pick: usize) -> Outcome {
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
}
