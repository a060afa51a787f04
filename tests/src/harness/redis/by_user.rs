// SPDX-License-Identifier: GPL-3.0-or-later
//! One process's end of the hub, each call of which is made by the user whose program makes it.

use super::{MILTER, OPERATOR, WORKER};
use async_trait::async_trait;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use thundergate_common::{
    config,
    generation::{FarmReport, Generation},
    hub::{
        Admission, Announcements, Begin, Claim, Completion, DeadLetter, Hub, HubError, QueueState, Receipt,
        Reservation, Retried, Room, redis::RedisHub,
    },
    job::{Job, Lane},
    sample::{Sample, SampleKey},
    verdict::Verdict,
};

/// The users of `deploy/redis/users.acl` as one.
pub struct ByUser {
    milter: Arc<RedisHub>,
    worker: Arc<RedisHub>,
    operator: Arc<RedisHub>,
}

impl ByUser {
    /// Connects each user to where `redis` says that it finds Redis.
    ///
    /// # Errors
    /// Where an address is wrong.
    pub async fn connect(
        redis: impl Fn(&str) -> config::Redis,
        queue: &config::Queue,
        cache: &config::Cache,
        process: &str,
    ) -> Result<Self, HubError> {
        let hub = async |user| RedisHub::connect(&redis(user), queue, cache, process.to_owned()).await;
        Ok(Self { milter: hub(MILTER).await?, worker: hub(WORKER).await?, operator: hub(OPERATOR).await? })
    }
}

#[async_trait]
impl Hub for ByUser {
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
        self.milter.look_up(keys).await
    }
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError> {
        self.milter.reserve(keys, lane).await
    }
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        self.milter.submit(jobs).await
    }
    fn announcements(&self) -> &Announcements {
        self.milter.announcements()
    }
    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError> {
        self.milter.leave(keys).await
    }
    fn generation(&self) -> Arc<Generation> {
        self.milter.generation()
    }
    async fn record(&self, receipts: &[(SampleKey, Receipt)]) -> Result<(), HubError> {
        self.milter.record(receipts).await
    }
    fn shards(&self) -> usize {
        self.worker.shards()
    }
    async fn claim(
        &self,
        worker: &str,
        shard: usize,
        room: Room,
        patience: Duration,
    ) -> Result<Vec<Claim>, HubError> {
        self.worker.claim(worker, shard, room, patience).await
    }
    async fn reclaim(&self, worker: &str, shard: usize, room: Room) -> Result<Vec<Claim>, HubError> {
        self.worker.reclaim(worker, shard, room).await
    }
    async fn begin(&self, claim: &Claim) -> Result<Begin, HubError> {
        self.worker.begin(claim).await
    }
    async fn renew(&self, worker: &str, claims: &[Claim]) -> Result<(), HubError> {
        self.worker.renew(worker, claims).await
    }
    async fn complete(&self, claim: &Claim, completion: &Completion) -> Result<(), HubError> {
        self.worker.complete(claim, completion).await
    }
    async fn hand_back(&self, claim: &Claim) -> Result<(), HubError> {
        self.worker.hand_back(claim).await
    }
    async fn report(&self, report: &FarmReport, quorum: Option<NonZeroUsize>) -> Result<(), HubError> {
        self.worker.report(report, quorum).await
    }
    async fn farm(&self) -> Result<Vec<FarmReport>, HubError> {
        self.operator.farm().await
    }
    async fn bump(&self) -> Result<Generation, HubError> {
        self.operator.bump().await
    }
    async fn queue(&self) -> Result<QueueState, HubError> {
        self.operator.queue().await
    }
    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, HubError> {
        self.operator.dead_letters(most).await
    }
    async fn retry(&self, letter: &DeadLetter) -> Result<Retried, HubError> {
        self.operator.retry(letter).await
    }
    async fn drop_letter(&self, letter: &DeadLetter) -> Result<bool, HubError> {
        self.operator.drop_letter(letter).await
    }
    async fn receipts(&self, key: &SampleKey, most: usize) -> Result<Vec<Receipt>, HubError> {
        self.operator.receipts(key, most).await
    }
    async fn forget(&self, key: &SampleKey) -> Result<bool, HubError> {
        self.operator.forget(key).await
    }
    async fn ping(&self) -> Result<(), HubError> {
        self.milter.ping().await
    }
}
