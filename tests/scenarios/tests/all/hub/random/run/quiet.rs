// SPDX-License-Identifier: GPL-3.0-or-later
//! The quiet period: nothing more happens but what is needed for everybody to get an answer, and time.

use super::{Run, Worker, said};
use crate::hub::random::{
    limits,
    model::Outcome,
    operations::{Ending, MILTERS, SAMPLES},
};
use proptest::prelude::*;
use thundergate_common::{hub::Room, job::Lane};

/// In so many rounds of ten seconds everybody has an answer.
const ROUNDS: usize = 40;

impl Run {
    /// Workers die but for a healthy one, milters ask until they have answers. Then nothing is left.
    pub async fn grow_quiet(&mut self) -> Outcome {
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
}
