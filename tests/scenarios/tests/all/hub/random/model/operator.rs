// SPDX-License-Identifier: GPL-3.0-or-later
//! What operators may be answered, and the farm.

use super::{Job, Model, Outcome, total};
use proptest::prelude::*;
use thundergate_common::{
    generation::Generation,
    hub::{QueueState, Retried},
    job::Lane,
};

impl Model {
    /// True where there was a verdict.
    pub fn forget(&mut self, sample: usize, observed: bool) -> Outcome {
        prop_assert_eq!(observed, self.samples[sample].verdict.take().is_some(), "forget");
        Ok(())
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

    /// How many dead letters there are.
    pub fn letters(&self) -> u64 {
        self.samples.iter().filter(|sample| sample.letter).count() as u64
    }

    /// Scanned once more in the background, where the bytes are still there. Nothing is held against it any longer.
    pub fn retry(
        &mut self,
        sample: usize,
        needs: Option<String>,
        observed: Retried,
        queue: &QueueState,
    ) -> Outcome {
        let now = self.now;
        self.samples[sample].failed = None;
        let bytes = self.samples[sample].bytes;
        match observed {
            Retried::Unknown => prop_assert!(false, "there is such a letter"),
            // Within one process nobody can ask for it, so a letter keeps no bytes.
            Retried::BytesGone => {
                prop_assert!(self.one_process || now >= bytes.surely, "the bytes are there")
            }
            Retried::Queued => {
                prop_assert!(now < bytes.at_most, "the bytes are gone");
                self.samples[sample].letter = false;
                let size = self.samples[sample].size;
                let waits = self.jobs_of(sample, Lane::Background).any(|job| job.claimed.is_none());
                let any = self.jobs_of(sample, Lane::Background).next().is_some();
                let before = self.jobs.iter().filter(|job| job.lane == Lane::Background).count() as u64;
                let grown = total(queue, Lane::Background) > before;
                prop_assert!(if grown { !waits } else { any }, "one job, and not more");
                if grown {
                    let lane = Lane::Background;
                    self.push(Job { sample, size, lane, needs, deliveries: 0, claimed: None, newest: true });
                }
            }
        }
        Ok(())
    }

    /// The letter goes, and the bytes unless somebody is about to scan them.
    pub fn drop_letter(&mut self, sample: usize) {
        let (now, kept) = (self.now, &mut self.samples[sample]);
        kept.letter = false;
        if kept.lease.as_ref().is_none_or(|(_, life)| now >= life.surely) {
            kept.bytes = kept.bytes.doubted();
        }
    }
}
