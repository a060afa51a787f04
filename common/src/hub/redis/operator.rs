// SPDX-License-Identifier: GPL-3.0-or-later
//! What an operator asks: the queue, dead letters, receipts, overrides.

use super::{
    RedisHub,
    error::{hub_error, unusable},
    scripts::Step,
    wire::Letter,
};
use crate::{
    hub::{DeadLetter, HubError, LaneState, QueueState, Receipt},
    job::{Job, Lane},
    keys::{Kept, Keys},
    sample::SampleKey,
};
use redis::{RedisResult, Value, cmd, from_redis_value};
use std::time::{SystemTime, UNIX_EPOCH};

type Entries = Vec<(String, Vec<(String, Vec<u8>)>)>;

/// See [`crate::hub::Hub::queue`].
pub async fn queue(hub: &RedisHub) -> Result<QueueState, HubError> {
    let mut steps: Vec<Step> = vec![
        cmd("XLEN").arg(hub.keys.dead_letters()).take().into(),
        cmd("GET").arg(hub.keys.job_bytes()).take().into(),
    ];
    for lane in Lane::ALL {
        let stream = hub.keys.jobs(lane);
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
        lanes.push(lane_state(lane, read(next())?, pending(next())?, read(next())?));
    }
    let empty = lanes.iter().all(|lane| lane.waiting + lane.claimed == 0);
    Ok(QueueState { lanes, dead_letters, sample_bytes: if empty { 0 } else { sample_bytes } })
}

fn lane_state(lane: Lane, jobs: u64, claimed: u64, oldest: Entries) -> LaneState {
    let job = oldest.first().and_then(|(_, fields)| json::<Job>(fields, "job"));
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
    let entries = newest(hub, hub.keys.dead_letters(), most).await?;
    let letters = entries.into_iter().filter_map(|(id, fields)| {
        let Letter { job, reason, deliveries } = json(&fields, "letter")?;
        Some(DeadLetter { id, job, reason, deliveries })
    });
    Ok(letters.collect())
}

/// See [`crate::hub::Hub::receipts`].
pub async fn receipts(hub: &RedisHub, key: &SampleKey, most: usize) -> Result<Vec<Receipt>, HubError> {
    let Some(last) = most.checked_sub(1) else { return Ok(Vec::new()) };
    let command = cmd("LRANGE").arg(hub.keys.of(key, Kept::Receipts)).arg(0).arg(last).take();
    let receipts: Vec<Vec<u8>> = from_redis_value(hub.verdicts.one(command).await?).map_err(unusable)?;
    Ok(receipts.iter().filter_map(|receipt| serde_json::from_slice(receipt).ok()).collect())
}

/// See [`crate::hub::Hub::forget`].
pub async fn forget(hub: &RedisHub, key: &SampleKey) -> Result<bool, HubError> {
    let answer = hub.verdicts.one(cmd("DEL").arg(hub.keys.of(key, Kept::Verdict)).take()).await?;
    Ok(from_redis_value::<u64>(answer).map_err(unusable)? > 0)
}

/// See [`crate::hub::Hub::ping`]. A look-up rather than `PING`, which says nothing about a cluster's slots.
pub async fn ping(hub: &RedisHub) -> Result<(), HubError> {
    hub.verdicts.one(cmd("EXISTS").arg(hub.keys.job_bytes()).take()).await.map(drop)
}

async fn newest(hub: &RedisHub, stream: String, most: usize) -> Result<Entries, HubError> {
    let command = cmd("XREVRANGE").arg(stream).arg("+").arg("-").arg("COUNT").arg(most).take();
    from_redis_value(hub.verdicts.one(command).await?).map_err(unusable)
}

fn read<T: redis::FromRedisValue>(outcome: RedisResult<Value>) -> Result<T, HubError> {
    from_redis_value(outcome.map_err(hub_error)?).map_err(unusable)
}

fn json<T: serde::de::DeserializeOwned>(fields: &[(String, Vec<u8>)], name: &str) -> Option<T> {
    let (_, value) = fields.iter().find(|(field, _)| field == name)?;
    serde_json::from_slice(value).ok()
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
