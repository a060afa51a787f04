// SPDX-License-Identifier: GPL-3.0-or-later
//! What an operator asks of the hub inside one process.

use super::{MemoryHub, lock};
use crate::{
    clock::now,
    generation::Generation,
    hub::{DeadLetter, HubError, KnownSample, Operator, Retried},
    record::{
        queue_id::Decisions,
        seen::{Seen, Sought},
    },
    sample::SampleKey,
};
use async_trait::async_trait;
use std::sync::Arc;

#[async_trait]
impl Operator for MemoryHub {
    async fn bump(&self) -> Result<Generation, HubError> {
        let mut generation = lock(&self.generation);
        *generation = Arc::new(Generation { bumped_at: now(), ..Generation::clone(&generation) });
        Ok(Generation::clone(&generation))
    }

    /// The bytes are not kept: within one process, mail that waits is all that memory is for. The sender brings them again.
    async fn retry(&self, letter: &DeadLetter) -> Result<Retried, HubError> {
        let known = lock(&self.letters).iter().any(|kept| kept.id == letter.id);
        if known {
            self.state().forgive(&letter.job.sample);
        }
        Ok(if known { Retried::BytesGone } else { Retried::Unknown })
    }

    async fn drop_letter(&self, letter: &DeadLetter) -> Result<bool, HubError> {
        let mut letters = lock(&self.letters);
        let before = letters.len();
        letters.retain(|kept| kept.id != letter.id);
        Ok(letters.len() < before)
    }

    async fn seen(&self, sought: &Sought, most: usize) -> Result<Seen, HubError> {
        Ok(lock(&self.records).seen(sought, most))
    }

    async fn decisions(&self, queue_id: &str, most: usize) -> Result<Decisions, HubError> {
        Ok(lock(&self.records).decisions(queue_id, most))
    }

    async fn known(&self, sought: &Sought) -> Result<Vec<KnownSample>, HubError> {
        let mut keys = self.state().failed_keys(sought);
        keys.extend(self.verdicts.keys().filter(|key| sought.is_of(key)));
        let of = |key: SampleKey| KnownSample {
            verdict: self.verdicts.get(&key),
            failed: self.state().failed(&key),
            key,
        };
        let known = keys.into_iter().map(of);
        Ok(known.filter(|known| known.verdict.is_some() || known.failed.is_some()).collect())
    }

    async fn forget(&self, key: &SampleKey) -> Result<bool, HubError> {
        let known = self.verdicts.get(key).is_some();
        self.verdicts.remove(key);
        Ok(known)
    }
}
