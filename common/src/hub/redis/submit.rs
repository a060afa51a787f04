// SPDX-License-Identifier: GPL-3.0-or-later
//! How a milter puts samples into the queue: bytes, job, lease, in this order, so that a worker that sees the job finds the
//! bytes. Where the queue has no place for a job, background work gives way to it, some in each round.
//!
//! A milter whose user may not see bulk ([`Lanes::refuse`](super::lanes::Lanes)) goes on in mail, and nothing gives way.

use super::{
    IN_TRANSIT, RedisHub,
    entry::{lane_keys, millis, sealed_job},
    error::{hub_error, out_of_memory, unusable},
    lanes::{ROUNDS, gave_way, is_refused},
    scripts::{Call, SCRIPTS, Step},
    seal::Purpose,
};
use crate::{
    hub::{Admission, HubError},
    job::{Job, Lane},
    keys::{Kept, Keys},
    sample::{Sample, SampleKey},
};
use redis::{RedisResult, Value, cmd, from_redis_value};
use std::{borrow::Cow, time::Duration};

/// What became of a job, and the lane that it stands in.
#[derive(Clone, Copy)]
struct Placed {
    admission: Admission,
    lane: Lane,
}

/// See [`crate::hub::Milter::submit`]. In batches of [`IN_TRANSIT`] bytes at most.
pub(super) async fn submit(hub: &RedisHub, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
    let mut placed = Vec::with_capacity(jobs.len());
    let mut rest = jobs;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(sample, _)| {
            bytes += sample.bytes.len() as u64;
            bytes <= IN_TRANSIT
        });
        let (batch, others) = rest.split_at(fits.count().max(1));
        placed.extend(submit_batch(hub, batch).await?);
        rest = others;
    }
    let steps = jobs.iter().zip(&placed).filter_map(|((_, job), placed)| settled(hub, job, *placed));
    let steps: Vec<Step> = steps.collect();
    if !steps.is_empty() {
        hub.verdicts.each(steps).await?;
    }
    Ok(placed.into_iter().map(|placed| placed.admission).collect())
}

/// See [`crate::hub::Milter::owe`]. Entries outlive the bytes of their samples, so that this is told then, too.
pub(super) fn owing(hub: &RedisHub, key: &SampleKey, queue_id: &str) -> Step {
    let (name, shard) = (key.to_string(), hub.keys.shard_of(key));
    let [mail, bulk, background] = Lane::ALL.map(|lane| hub.keys.queued(shard, lane));
    let sealed = hub.vault.seal(Purpose::Owed, &name, queue_id.as_bytes());
    let call = SCRIPTS.owe.on([hub.keys.owed(shard), mail, bulk, background]);
    call.arg(&name).arg(&*sealed).arg(millis(hub.queue.sample_ttl.saturating_mul(2))).into()
}

async fn submit_batch(hub: &RedisHub, jobs: &[(Sample, Job)]) -> Result<Vec<Placed>, HubError> {
    let outcomes = {
        let bytes = jobs.iter().map(|(sample, _)| sample.bytes.len() as u64).sum();
        let _transit = hub.transit(bytes).await?;
        let mut chains = Vec::with_capacity(jobs.len());
        for (sample, job) in jobs {
            let sealed = hub.vault.seal_sample(&sample.key.to_string(), &sample.bytes).await;
            chains.push(submission(hub, sample, &sealed, job));
        }
        hub.payloads.carry(chains, bytes).await?
    };
    let mut placed = Vec::with_capacity(jobs.len());
    for ((sample, job), outcomes) in jobs.iter().zip(outcomes) {
        placed.push(place(hub, job, sample.bytes.len(), outcomes).await?);
    }
    Ok(placed)
}

fn submission(hub: &RedisHub, sample: &Sample, sealed: &[u8], job: &Job) -> Vec<Step> {
    let bytes = hub.keys.of(&sample.key, Kept::Sample);
    let set = cmd("SET").arg(bytes).arg(sealed).arg("PX").arg(millis(hub.queue.sample_ttl)).take();
    let mut steps = vec![set.into(), enqueue(hub, job, sample.bytes.len()).into()];
    if job.lane == Lane::Mail {
        steps.push(passed_on(hub, job, &hub.owner_lease(), hub.queue.reserve_ttl));
    }
    steps
}

/// The job's place in the queue, of which every shard has its share.
fn enqueue(hub: &RedisHub, job: &Job, size: usize) -> Call {
    let (keys, shards, shard) = (&hub.keys, hub.keys.shards(), hub.keys.shard_of(&job.sample));
    let is_narrow = hub.lanes.are_refused();
    let job: Cow<'_, Job> = if is_narrow { in_mail(job) } else { Cow::Borrowed(job) };
    let [lane, queued, bytes] = lane_keys(hub, shard, job.lane);
    let [mail, bulk, background] = Lane::ALL.map(|lane| keys.jobs(shard, lane));
    let call = if is_narrow {
        SCRIPTS.enqueue.on([lane, queued, bytes, mail, background])
    } else {
        let [mail_queued, bulk_queued, background_queued] = Lane::ALL.map(|lane| keys.queued(shard, lane));
        SCRIPTS.enqueue.on([
            lane,
            queued,
            bytes,
            mail,
            background,
            bulk,
            keys.owed(shard),
            mail_queued,
            bulk_queued,
            background_queued,
        ])
    };
    call.arg(job.sample.to_string())
        .arg(&*sealed_job(hub, &job))
        .arg(size)
        .arg((hub.queue.max_jobs / shards).max(1))
        .arg(hub.queue.max_bytes.as_u64() / shards as u64)
        .arg(Keys::GROUP)
        .arg(keys.buried(shard))
}

/// The lane of a milter that may not see bulk.
fn in_mail(job: &Job) -> Cow<'_, Job> {
    match job.lane {
        Lane::Bulk => Cow::Owned(Job { lane: Lane::Mail, ..job.clone() }),
        Lane::Mail | Lane::Background => Cow::Borrowed(job),
    }
}

/// What the steps of a submission came to; enqueued once more as long as background work gives way to it. A lease that was
/// not prolonged only ends early.
async fn place(
    hub: &RedisHub,
    job: &Job,
    size: usize,
    outcomes: Vec<RedisResult<Value>>,
) -> Result<Placed, HubError> {
    let placed = |admission| {
        let lane = if hub.lanes.are_refused() { in_mail(job).lane } else { job.lane };
        Ok(Placed { admission, lane })
    };
    let mut outcomes = outcomes.into_iter();
    if let Some(Err(error)) = outcomes.next() {
        return if out_of_memory(&error) { placed(Admission::OutOfMemory) } else { Err(hub_error(error)) };
    }
    let mut outcome = outcomes.next();
    for round in 0..ROUNDS {
        let answer = match outcome.unwrap_or_else(|| Ok(Value::Nil)) {
            Err(error) if out_of_memory(&error) => return placed(Admission::OutOfMemory),
            Err(error) if is_refused(&error) && round == 0 => {
                hub.lanes.refuse();
                None
            }
            outcome => Some(outcome.map_err(hub_error)?),
        };
        if let Some(answer) = answer {
            let told: Vec<Vec<u8>> = from_redis_value(answer).map_err(unusable)?;
            let (word, gone) = told.split_first().ok_or_else(|| unusable("enqueue gave no answer"))?;
            gave_way(hub, gone).await;
            match word.as_slice() {
                b"queued" => return placed(Admission::Queued),
                b"full" => return placed(Admission::Full),
                _ => {}
            }
        }
        outcome = hub.verdicts.each(vec![enqueue(hub, job, size).into()]).await?.pop();
    }
    placed(Admission::Full)
}

/// What follows for the lease. One that is not the owner's comes after the admission: nobody could tell from whom it was,
/// and give it back.
fn settled(hub: &RedisHub, job: &Job, placed: Placed) -> Option<Step> {
    match (placed.admission, placed.lane) {
        (Admission::Full | Admission::OutOfMemory, _) => {
            let keys = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(&job.sample, kept));
            Some(SCRIPTS.give_back.on(keys).arg(hub.owner_lease()).into())
        }
        (Admission::Queued, Lane::Mail) => None,
        (Admission::Queued, Lane::Bulk) => Some(passed_on(hub, job, "bulk", hub.queue.reserve_ttl)),
        (Admission::Queued, Lane::Background) => {
            Some(passed_on(hub, job, "background", hub.queue.sample_ttl))
        }
    }
}

fn passed_on(hub: &RedisHub, job: &Job, holder: &str, life: Duration) -> Step {
    let call = SCRIPTS.lease.on([hub.keys.of(&job.sample, Kept::Lease)]);
    call.arg(hub.owner_lease()).arg(holder).arg(millis(life)).into()
}
