// SPDX-License-Identifier: GPL-3.0-or-later
//! A hub that fails a few times before it does what it should.

use async_trait::async_trait;
use bytes::Bytes;
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use thundergate_common::{
    generation::{FarmReport, Generation},
    hub::{
        Admission, Announcements, Begin, Claim, Completion, DeadLetter, Hub, HubError, QueueState, Receipt,
        Reservation, Retried, Room, memory::MemoryHub,
    },
    job::{Job, Lane},
    sample::{Sample, SampleKey},
    verdict::Verdict,
};

/// How often each call still fails.
#[derive(Default)]
pub struct Faults {
    pub claims: AtomicU32,
    pub begins_that_panic: AtomicU32,
    pub begins_cut_short: AtomicU32,
    pub completes: AtomicU32,
}

pub struct Faulty {
    pub hub: Arc<MemoryHub>,
    pub faults: Faults,
}

fn fails(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn unavailable<T>() -> Result<T, HubError> {
    Err(HubError::Unavailable("on request".into()))
}

#[async_trait]
impl Hub for Faulty {
    async fn claim(
        &self,
        worker: &str,
        shard: usize,
        room: Room,
        patience: Duration,
    ) -> Result<Vec<Claim>, HubError> {
        if fails(&self.faults.claims) {
            unavailable()
        } else {
            self.hub.claim(worker, shard, room, patience).await
        }
    }
    async fn begin(&self, claim: &Claim) -> Result<Begin, HubError> {
        assert!(!fails(&self.faults.begins_that_panic), "on request");
        match self.hub.begin(claim).await? {
            Begin::Scan(bytes) if fails(&self.faults.begins_cut_short) => {
                Ok(Begin::Scan(Bytes::copy_from_slice(&bytes[..bytes.len() / 2])))
            }
            other => Ok(other),
        }
    }
    async fn complete(&self, claim: &Claim, completion: &Completion) -> Result<(), HubError> {
        if fails(&self.faults.completes) { unavailable() } else { self.hub.complete(claim, completion).await }
    }
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
        self.hub.look_up(keys).await
    }
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError> {
        self.hub.reserve(keys, lane).await
    }
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        self.hub.submit(jobs).await
    }
    fn announcements(&self) -> &Announcements {
        self.hub.announcements()
    }
    async fn record(&self, receipts: &[(SampleKey, Receipt)]) -> Result<(), HubError> {
        self.hub.record(receipts).await
    }
    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError> {
        self.hub.leave(keys).await
    }
    fn generation(&self) -> Arc<Generation> {
        self.hub.generation()
    }
    fn shards(&self) -> usize {
        self.hub.shards()
    }
    async fn reclaim(&self, worker: &str, shard: usize, room: Room) -> Result<Vec<Claim>, HubError> {
        self.hub.reclaim(worker, shard, room).await
    }
    async fn report(&self, report: &FarmReport, quorum: Option<NonZeroUsize>) -> Result<(), HubError> {
        self.hub.report(report, quorum).await
    }
    async fn farm(&self) -> Result<Vec<FarmReport>, HubError> {
        self.hub.farm().await
    }
    async fn bump(&self) -> Result<Generation, HubError> {
        self.hub.bump().await
    }
    async fn retry(&self, letter: &DeadLetter) -> Result<Retried, HubError> {
        self.hub.retry(letter).await
    }
    async fn drop_letter(&self, letter: &DeadLetter) -> Result<bool, HubError> {
        self.hub.drop_letter(letter).await
    }
    async fn renew(&self, worker: &str, claims: &[Claim]) -> Result<(), HubError> {
        self.hub.renew(worker, claims).await
    }
    async fn hand_back(&self, claim: &Claim) -> Result<(), HubError> {
        self.hub.hand_back(claim).await
    }
    async fn queue(&self) -> Result<QueueState, HubError> {
        self.hub.queue().await
    }
    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, HubError> {
        self.hub.dead_letters(most).await
    }
    async fn receipts(&self, key: &SampleKey, most: usize) -> Result<Vec<Receipt>, HubError> {
        self.hub.receipts(key, most).await
    }
    async fn forget(&self, key: &SampleKey) -> Result<bool, HubError> {
        self.hub.forget(key).await
    }
    async fn ping(&self) -> Result<(), HubError> {
        self.hub.ping().await
    }
}
