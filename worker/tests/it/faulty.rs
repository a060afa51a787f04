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
    failed::FailedSample,
    generation::{FarmReport, Generation},
    hub::{Begin, Claim, Completion, Hub, HubError, Room, Worker, memory::MemoryHub},
    oversight::Oversight,
    sample::SampleKey,
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
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
        self.hub.look_up(keys).await
    }
    fn generation(&self) -> Arc<Generation> {
        self.hub.generation()
    }
    async fn ping(&self) -> Result<(), HubError> {
        self.hub.ping().await
    }
}

#[async_trait]
impl Worker for Faulty {
    fn shards(&self) -> usize {
        self.hub.shards()
    }
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
    async fn reclaim(&self, worker: &str, shard: usize, room: Room) -> Result<Vec<Claim>, HubError> {
        self.hub.reclaim(worker, shard, room).await
    }
    async fn begin(&self, claim: &Claim) -> Result<Begin, HubError> {
        assert!(!fails(&self.faults.begins_that_panic), "on request");
        match self.hub.begin(claim).await? {
            Begin::Scan { bytes, failed } if fails(&self.faults.begins_cut_short) => {
                Ok(Begin::Scan { bytes: Bytes::copy_from_slice(&bytes[..bytes.len() / 2]), failed })
            }
            other => Ok(other),
        }
    }
    async fn renew(&self, worker: &str, claims: &[Claim]) -> Result<(), HubError> {
        self.hub.renew(worker, claims).await
    }
    async fn suspect(&self, claim: &Claim, failed: &FailedSample) -> Result<(), HubError> {
        self.hub.suspect(claim, failed).await
    }
    async fn complete(&self, claim: &Claim, completion: &Completion) -> Result<(), HubError> {
        if fails(&self.faults.completes) { unavailable() } else { self.hub.complete(claim, completion).await }
    }
    async fn hand_back(&self, claim: &Claim) -> Result<(), HubError> {
        self.hub.hand_back(claim).await
    }
    async fn report(&self, report: &FarmReport, quorum: Option<NonZeroUsize>) -> Result<Oversight, HubError> {
        self.hub.report(report, quorum).await
    }
    async fn lead(&self, worker: &str, ttl: Duration) -> Result<bool, HubError> {
        self.hub.lead(worker, ttl).await
    }
    async fn take_turn(&self, worker: &str, instance: &str, ttl: Duration) -> Result<bool, HubError> {
        self.hub.take_turn(worker, instance, ttl).await
    }
    async fn turn(&self) -> Result<Option<(String, String)>, HubError> {
        self.hub.turn().await
    }
    async fn end_turn(&self, worker: &str) -> Result<(), HubError> {
        self.hub.end_turn(worker).await
    }
    async fn oversight(&self) -> Result<Oversight, HubError> {
        self.hub.oversight().await
    }
    async fn oversee(&self, oversight: &Oversight) -> Result<(), HubError> {
        self.hub.oversee(oversight).await
    }
}
