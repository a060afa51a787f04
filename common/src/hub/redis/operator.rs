// SPDX-License-Identifier: GPL-3.0-or-later
//! What an operator asks: the queue, dead letters, receipts, overrides.

use super::{
    RedisHub,
    entry::{job_in, sealed_job},
    error::{hub_error, unusable},
    scripts::{SCRIPTS, Step},
    seal::Purpose,
    wire::Letter,
};
use crate::{
    clock::now_ms,
    hub::{DeadLetter, HubError, LaneState, QueueState, Receipt, Retried},
    job::{Job, Lane},
    keys::{Kept, Keys},
    sample::SampleKey,
};
use futures_util::future::join_all;
use redis::{RedisResult, Value, cmd, from_redis_value};

type Entries = Vec<(String, Vec<(String, Vec<u8>)>)>;

/// See [`crate::hub::Hub::queue`].
pub async fn queue(hub: &RedisHub) -> Result<QueueState, HubError> {
    let shards = (0..hub.keys.shards()).map(|shard| shard_state(hub, shard));
    let shards = join_all(shards).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let all = shards.into_iter().reduce(|mut all, shard| {
        all.lanes.iter_mut().zip(shard.lanes).for_each(|(lane, more)| {
            lane.waiting += more.waiting;
            lane.claimed += more.claimed;
            lane.oldest_ms = lane.oldest_ms.max(more.oldest_ms);
        });
        all.dead_letters += shard.dead_letters;
        all.sample_bytes += shard.sample_bytes;
        all
    });
    Ok(all.unwrap_or_default())
}

async fn shard_state(hub: &RedisHub, shard: usize) -> Result<QueueState, HubError> {
    let mut steps: Vec<Step> = vec![
        cmd("XLEN").arg(hub.keys.dead_letters(shard)).take().into(),
        cmd("GET").arg(hub.keys.job_bytes(shard)).take().into(),
    ];
    for lane in Lane::ALL {
        let stream = hub.keys.jobs(shard, lane);
        steps.push(cmd("XLEN").arg(&stream).take().into());
        steps.push(cmd("XPENDING").arg(&stream).arg(Keys::GROUP).take().into());
        steps.push(cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(1).take().into());
    }
    let mut outcomes = hub.verdicts.each(steps).await?.into_iter();
    let mut next = || outcomes.next().unwrap_or(Ok(Value::Nil));
    let dead_letters = read(next())?;
    let sample_bytes = read::<Option<u64>>(next())?.unwrap_or(0);
    let mut lanes = Vec::with_capacity(Lane::ALL.len());
    for lane in Lane::ALL {
        lanes.push(lane_state(hub, lane, read(next())?, pending(next())?, &read(next())?));
    }
    let empty = lanes.iter().all(|lane| lane.waiting + lane.claimed == 0);
    Ok(QueueState { lanes, dead_letters, sample_bytes: if empty { 0 } else { sample_bytes } })
}

fn lane_state(hub: &RedisHub, lane: Lane, jobs: u64, claimed: u64, oldest: &Entries) -> LaneState {
    let job = oldest.first().and_then(|(_, fields)| job_in(hub, fields));
    LaneState {
        lane,
        waiting: jobs.saturating_sub(claimed),
        claimed,
        oldest_ms: job.map(|job| now_ms().saturating_sub(job.enqueued_ms)),
    }
}

/// How many entries are claimed; none before the first claim has made the group.
fn pending(outcome: RedisResult<Value>) -> Result<u64, HubError> {
    match outcome {
        Err(error) if error.code() == Some("NOGROUP") => Ok(0),
        Ok(Value::Array(summary)) => match summary.into_iter().next() {
            Some(count) => from_redis_value(count).map_err(unusable),
            None => Ok(0),
        },
        Ok(_) => Err(unusable("XPENDING gave an unknown answer")),
        Err(error) => Err(hub_error(error)),
    }
}

/// See [`crate::hub::Hub::dead_letters`].
pub async fn dead_letters(hub: &RedisHub, most: usize) -> Result<Vec<DeadLetter>, HubError> {
    let shards = (0..hub.keys.shards()).map(|shard| newest(hub, hub.keys.dead_letters(shard), most));
    let entries = join_all(shards).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let letters = entries.into_iter().flatten().filter_map(|(id, fields)| {
        let Letter { job, reason, deliveries, buried_at } = letter_in(hub, &fields)?;
        Some(DeadLetter { id, job, reason, deliveries, buried_at })
    });
    let mut letters: Vec<DeadLetter> = letters.collect();
    // Stable: within a shard they came in their order.
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.buried_at));
    letters.truncate(most);
    Ok(letters)
}

/// See [`crate::hub::Hub::retry`]. In the background lane: the mail is long back at its sender.
pub async fn retry(hub: &RedisHub, letter: &DeadLetter) -> Result<Retried, HubError> {
    let job = Job { lane: Lane::Background, enqueued_ms: now_ms(), ..letter.job.clone() };
    let (keys, shard) = (&hub.keys, hub.keys.shard_of(&job.sample));
    let letters = cmd("XRANGE").arg(keys.dead_letters(shard)).arg(&letter.id).arg(&letter.id).take();
    let there = cmd("EXISTS").arg(keys.of(&job.sample, Kept::Sample)).take();
    let [letters, there] = <[_; 2]>::try_from(hub.verdicts.each(vec![letters.into(), there.into()]).await?)
        .map_err(|_| unusable("too few answers"))?;
    if read::<Entries>(letters)?.is_empty() {
        return Ok(Retried::Unknown);
    }
    if !read::<bool>(there)? {
        return Ok(Retried::BytesGone);
    }
    let [jobs, queued] = [keys.jobs(shard, job.lane), keys.queued(shard, job.lane)];
    let call = SCRIPTS.retry.on([jobs, queued, keys.job_bytes(shard), keys.dead_letters(shard)]);
    let call = call.arg(&letter.id).arg(job.sample.to_string()).arg(&*sealed_job(hub, &job)).arg(job.size);
    let queued: bool = from_redis_value(hub.verdicts.one(call).await?).map_err(unusable)?;
    Ok(if queued { Retried::Queued } else { Retried::Unknown })
}

/// See [`crate::hub::Hub::drop_letter`].
pub async fn drop_letter(hub: &RedisHub, letter: &DeadLetter) -> Result<bool, HubError> {
    let shard = hub.keys.shard_of(&letter.job.sample);
    let delete = cmd("XDEL").arg(hub.keys.dead_letters(shard)).arg(&letter.id).take();
    let was_there: bool = from_redis_value(hub.verdicts.one(delete).await?).map_err(unusable)?;
    // The bytes, unless somebody is about to scan them.
    let keys = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(&letter.job.sample, kept));
    hub.verdicts.one(SCRIPTS.give_back.on(keys).arg("")).await?;
    Ok(was_there)
}

/// See [`crate::hub::Hub::receipts`].
pub async fn receipts(hub: &RedisHub, key: &SampleKey, most: usize) -> Result<Vec<Receipt>, HubError> {
    let Some(last) = most.checked_sub(1) else { return Ok(Vec::new()) };
    let command = cmd("LRANGE").arg(hub.keys.of(key, Kept::Receipts)).arg(0).arg(last).take();
    let receipts: Vec<Vec<u8>> = from_redis_value(hub.verdicts.one(command).await?).map_err(unusable)?;
    let name = key.to_string();
    let read = |sealed| serde_json::from_slice(&hub.vault.open(Purpose::Receipt, &name, sealed)?).ok();
    Ok(receipts.into_iter().filter_map(read).collect())
}

/// See [`crate::hub::Hub::forget`].
pub async fn forget(hub: &RedisHub, key: &SampleKey) -> Result<bool, HubError> {
    let answer = hub.verdicts.one(cmd("DEL").arg(hub.keys.of(key, Kept::Verdict)).take()).await?;
    Ok(from_redis_value::<u64>(answer).map_err(unusable)? > 0)
}

/// See [`crate::hub::Hub::ping`]. A look-up rather than `PING`, which says nothing about a cluster's slots.
pub async fn ping(hub: &RedisHub) -> Result<(), HubError> {
    hub.verdicts.one(cmd("EXISTS").arg(hub.keys.job_bytes(0)).take()).await.map(drop)
}

async fn newest(hub: &RedisHub, stream: String, most: usize) -> Result<Entries, HubError> {
    let command = cmd("XREVRANGE").arg(stream).arg("+").arg("-").arg("COUNT").arg(most).take();
    from_redis_value(hub.verdicts.one(command).await?).map_err(unusable)
}

fn read<T: redis::FromRedisValue>(outcome: RedisResult<Value>) -> Result<T, HubError> {
    from_redis_value(outcome.map_err(hub_error)?).map_err(unusable)
}

fn letter_in(hub: &RedisHub, fields: &[(String, Vec<u8>)]) -> Option<Letter> {
    let (_, letter) = fields.iter().find(|(field, _)| field == "letter")?;
    serde_json::from_slice(&hub.vault.open(Purpose::Letter, "", letter.as_slice())?).ok()
}
