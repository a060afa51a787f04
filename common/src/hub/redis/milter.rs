// SPDX-License-Identifier: GPL-3.0-or-later
//! What a milter asks: reserve, submit, leave, record.

use super::{
    IN_TRANSIT, RedisHub,
    entry::{millis, sealed_job},
    error::{hub_error, out_of_memory, unusable},
    records,
    scripts::{SCRIPTS, Step},
};
use crate::{
    failed::FailedSample,
    hub::{Admission, Announcements, Hub as _, HubError, Milter, Reservation},
    job::{Job, Lane},
    keys::{Kept, Keys},
    record::MailRecord,
    sample::{Sample, SampleKey},
};
use async_trait::async_trait;
use redis::{RedisResult, Value, cmd, from_redis_value};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tracing::warn;

#[async_trait]
impl Milter for RedisHub {
    fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    /// Verdict and failure are read after the reservation: a scan that ends in between is seen.
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError> {
        let chains = keys.iter().map(|key| {
            let call = SCRIPTS.reserve.on([Kept::Lease, Kept::Waiters].map(|kept| self.keys.of(key, kept)));
            let call = call
                .arg(&self.process)
                .arg(self.owner_lease())
                .arg(millis(self.queue.reserve_ttl))
                .arg(millis(self.queue.sample_ttl))
                .arg(lane.as_str());
            let get = |kept| Step::from(cmd("GET").arg(self.keys.of(key, kept)).take());
            vec![Step::from(call), get(Kept::Verdict), get(Kept::Failed)]
        });
        let outcomes = self.verdicts.run(chains.collect()).await?;
        let found: Vec<Reservation> = keys
            .iter()
            .zip(outcomes)
            .map(|(key, chain)| reservation(self, key, chain, lane))
            .collect::<Result<_, _>>()?;
        let decided = |found: &Reservation| matches!(found, Reservation::Known(_) | Reservation::Failed(_));
        let needless = keys.iter().zip(&found).filter(|(_, found)| decided(found));
        let given_back: Vec<Step> =
            needless.map(|(key, _)| leaving(self, key, &self.owner_lease())).collect();
        if !given_back.is_empty() {
            // What cannot be given back expires.
            let _ = self.verdicts.each(given_back).await;
        }
        Ok(found)
    }

    /// In batches of [`IN_TRANSIT`] bytes at most.
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        let mut admissions = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|(sample, _)| {
                bytes += sample.bytes.len() as u64;
                bytes <= IN_TRANSIT
            });
            let (batch, others) = rest.split_at(fits.count().max(1));
            admissions.extend(submit_batch(self, batch).await?);
            rest = others;
        }
        let steps =
            jobs.iter().zip(&admissions).filter_map(|((_, job), admission)| settled(self, job, *admission));
        let steps: Vec<Step> = steps.collect();
        if !steps.is_empty() {
            self.verdicts.each(steps).await?;
        }
        Ok(admissions)
    }

    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError> {
        self.verdicts.each(keys.iter().map(|key| leaving(self, key, "")).collect()).await.map(drop)
    }

    async fn record(&self, records: &[MailRecord]) -> Result<(), HubError> {
        records::record(self, records).await
    }
}

fn reservation(
    hub: &RedisHub,
    key: &SampleKey,
    outcomes: Vec<RedisResult<Value>>,
    lane: Lane,
) -> Result<Reservation, HubError> {
    let [role, verdict, failed] =
        <[_; 3]>::try_from(outcomes).map_err(|_| unusable("reserve gave too few answers"))?;
    let verdict: Option<Vec<u8>> = from_redis_value(verdict.map_err(hub_error)?).map_err(unusable)?;
    let verdict = verdict.and_then(|bytes| hub.verdict(key, bytes));
    if let Some(verdict) = verdict.filter(|verdict| hub.believes(verdict, lane)) {
        return Ok(Reservation::Known(Arc::new(verdict)));
    }
    if let Some(failed) = failure(hub, key, failed)? {
        return Ok(Reservation::Failed(Arc::new(failed)));
    }
    match role {
        // Nothing can be reserved, so nobody else owns it either; submitting will say that memory is full.
        Err(error) if out_of_memory(&error) => Ok(Reservation::Owner),
        Err(error) => Err(hub_error(error)),
        Ok(Value::BulkString(word)) if word == b"owner" => Ok(Reservation::Owner),
        Ok(Value::BulkString(word)) if word == b"joined" => Ok(Reservation::Joined),
        Ok(_) => Err(unusable("reserve gave an unknown answer")),
    }
}

/// What is held against a sample and still holds.
fn failure(
    hub: &RedisHub,
    key: &SampleKey,
    answer: RedisResult<Value>,
) -> Result<Option<FailedSample>, HubError> {
    let answer = match answer {
        Err(error) if error.code() == Some("NOPERM") => {
            if !hub.failures_refused.swap(true, Ordering::Relaxed) {
                warn!(
                    event = "failures_refused",
                    "Redis refuses to say which samples failed, its users are those of an older version: each try of \
                     their mails is scanned"
                );
            }
            return Ok(None);
        }
        answer => answer.map_err(hub_error)?,
    };
    let bytes: Option<Vec<u8>> = from_redis_value(answer).map_err(unusable)?;
    let failed = bytes.and_then(|bytes| hub.failed(key, bytes));
    Ok(failed.filter(|failed| failed.holds(&hub.generation.borrow(), hub.now())))
}

fn leaving(hub: &RedisHub, key: &SampleKey, lease: &str) -> Step {
    let call = SCRIPTS.leave.on([Kept::Lease, Kept::Waiters].map(|kept| hub.keys.of(key, kept)));
    call.arg(&hub.process).arg(lease).into()
}

async fn submit_batch(hub: &RedisHub, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
    let bytes = jobs.iter().map(|(sample, _)| sample.bytes.len() as u64).sum();
    let _transit = hub.transit(bytes).await?;
    let mut chains = Vec::with_capacity(jobs.len());
    for (sample, job) in jobs {
        let sealed = hub.vault.seal_sample(&sample.key.to_string(), &sample.bytes).await;
        chains.push(submission(hub, sample, &sealed, job));
    }
    hub.payloads.carry(chains, bytes).await?.into_iter().map(admission).collect()
}

/// Bytes, job, lease, in this order: a worker that sees the job finds the bytes.
fn submission(hub: &RedisHub, sample: &Sample, sealed: &[u8], job: &Job) -> Vec<Step> {
    let bytes = hub.keys.of(&sample.key, Kept::Sample);
    // Background work leaves room for mail, and every shard has its share.
    let share = match job.lane {
        Lane::Mail => hub.keys.shards(),
        Lane::Background => 2 * hub.keys.shards(),
    };
    let (keys, shard) = (&hub.keys, hub.keys.shard_of(&sample.key));
    let [mail, background] = Lane::ALL.map(|lane| keys.jobs(shard, lane));
    let lane = [keys.jobs(shard, job.lane), keys.queued(shard, job.lane), keys.job_bytes(shard)];
    let [jobs, queued, job_bytes] = lane;
    let name = sample.key.to_string();
    let enqueue = SCRIPTS
        .enqueue
        .on([jobs, queued, job_bytes, mail, background])
        .arg(&name)
        .arg(&*sealed_job(hub, job))
        .arg(sample.bytes.len())
        .arg((hub.queue.max_jobs / share).max(1))
        .arg(hub.queue.max_bytes.as_u64() / share as u64)
        .arg(Keys::GROUP);
    let set = cmd("SET").arg(bytes).arg(sealed).arg("PX").arg(millis(hub.queue.sample_ttl)).take();
    let mut steps = vec![set.into(), enqueue.into()];
    if job.lane == Lane::Mail {
        steps.push(passed_on(hub, job, &hub.owner_lease(), hub.queue.reserve_ttl));
    }
    steps
}

/// `Queued` once bytes and job are there. A lease that was not prolonged only ends early.
fn admission(outcomes: Vec<RedisResult<Value>>) -> Result<Admission, HubError> {
    let mut admission = Admission::Queued;
    for outcome in outcomes.into_iter().take(2) {
        match outcome {
            Ok(Value::BulkString(word)) if word == b"full" => admission = Admission::Full,
            Ok(_) => {}
            Err(error) if out_of_memory(&error) => admission = Admission::Full,
            Err(error) => return Err(hub_error(error)),
        }
    }
    Ok(admission)
}

/// What follows for the lease. One that says that nobody waits comes after the admission: nobody could tell from whom it
/// was, and give it back.
fn settled(hub: &RedisHub, job: &Job, admission: Admission) -> Option<Step> {
    match (admission, job.lane) {
        (Admission::Full, _) => {
            let keys = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(&job.sample, kept));
            Some(SCRIPTS.give_back.on(keys).arg(hub.owner_lease()).into())
        }
        (Admission::Queued, Lane::Background) => {
            Some(passed_on(hub, job, "background", hub.queue.sample_ttl))
        }
        (Admission::Queued, Lane::Mail) => None,
    }
}

fn passed_on(hub: &RedisHub, job: &Job, holder: &str, life: Duration) -> Step {
    let call = SCRIPTS.lease.on([hub.keys.of(&job.sample, Kept::Lease)]);
    call.arg(hub.owner_lease()).arg(holder).arg(millis(life)).into()
}
