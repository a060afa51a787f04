// SPDX-License-Identifier: GPL-3.0-or-later
//! What an operator asks beside what an observer sees: dead letters tried again or dropped, who received a sample, overrides.

use super::{
    RedisHub,
    entry::{Entries, read, sealed_job},
    error::unusable,
    farm, known, records,
    scripts::SCRIPTS,
};
use crate::{
    clock::now_ms,
    generation::Generation,
    hub::{DeadLetter, HubError, KnownSample, Operator, Retried},
    job::{Job, Lane},
    keys::Kept,
    record::{
        queue_id::Decisions,
        seen::{Seen, Sought},
    },
    sample::SampleKey,
};
use async_trait::async_trait;
use redis::{cmd, from_redis_value};

#[async_trait]
impl Operator for RedisHub {
    async fn bump(&self) -> Result<Generation, HubError> {
        farm::bump(self).await
    }

    /// In the background lane: the mail is long back at its sender.
    async fn retry(&self, letter: &DeadLetter) -> Result<Retried, HubError> {
        let job = Job { lane: Lane::Background, enqueued_ms: now_ms(), ..letter.job.clone() };
        let (keys, shard) = (&self.keys, self.keys.shard_of(&job.sample));
        let letters = cmd("XRANGE").arg(keys.dead_letters(shard)).arg(&letter.id).arg(&letter.id).take();
        let there = cmd("EXISTS").arg(keys.of(&job.sample, Kept::Sample)).take();
        let [letters, there] =
            <[_; 2]>::try_from(self.verdicts.each(vec![letters.into(), there.into()]).await?)
                .map_err(|_| unusable("too few answers"))?;
        if read::<Entries>(letters)?.is_empty() {
            return Ok(Retried::Unknown);
        }
        // Before the job is there, which would be answered with it.
        self.verdicts.one(cmd("DEL").arg(keys.of(&job.sample, Kept::Failed)).take()).await?;
        if !read::<bool>(there)? {
            return Ok(Retried::BytesGone);
        }
        let [jobs, queued] = [keys.jobs(shard, job.lane), keys.queued(shard, job.lane)];
        let [letters, buried] = [keys.dead_letters(shard), keys.buried(shard)];
        let call = SCRIPTS.retry.on([jobs, queued, keys.job_bytes(shard), letters, buried]);
        let call =
            call.arg(&letter.id).arg(job.sample.to_string()).arg(&*sealed_job(self, &job)).arg(job.size);
        let queued: bool = from_redis_value(self.verdicts.one(call).await?).map_err(unusable)?;
        Ok(if queued { Retried::Queued } else { Retried::Unknown })
    }

    async fn drop_letter(&self, letter: &DeadLetter) -> Result<bool, HubError> {
        let shard = self.keys.shard_of(&letter.job.sample);
        let call = SCRIPTS.drop_letter.on([self.keys.dead_letters(shard), self.keys.buried(shard)]);
        let call = call.arg(&letter.id).arg(letter.job.sample.to_string());
        let was_there: bool = from_redis_value(self.verdicts.one(call).await?).map_err(unusable)?;
        // The bytes, unless somebody is about to scan them.
        let keys = [Kept::Sample, Kept::Lease].map(|kept| self.keys.of(&letter.job.sample, kept));
        self.verdicts.one(SCRIPTS.give_back.on(keys).arg("")).await?;
        Ok(was_there)
    }

    async fn seen(&self, sought: &Sought, most: usize) -> Result<Seen, HubError> {
        records::seen(self, sought, most).await
    }

    async fn decisions(&self, queue_id: &str, most: usize) -> Result<Decisions, HubError> {
        records::decisions(self, queue_id, most).await
    }

    async fn known(&self, sought: &Sought) -> Result<Vec<KnownSample>, HubError> {
        known::known(self, sought).await
    }

    async fn forget(&self, key: &SampleKey) -> Result<bool, HubError> {
        let answer = self.verdicts.one(cmd("DEL").arg(self.keys.of(key, Kept::Verdict)).take()).await?;
        Ok(from_redis_value::<u64>(answer).map_err(unusable)? > 0)
    }
}
