// SPDX-License-Identifier: GPL-3.0-or-later
//! What pages and metrics ask: the queue, the farm, dead letters. It changes nothing; a milter's user may not ask it all.

use super::{
    RedisHub,
    entry::{Entries, job_in, read},
    error::{hub_error, unusable},
    farm,
    scripts::Step,
    seal::Purpose,
    wire::Letter,
};
use crate::{
    clock::now_ms,
    generation::FarmReport,
    hub::{DeadLetter, HubError, LaneState, Observer, QueueState},
    job::Lane,
    keys::Keys,
    wire::Versioned,
};
use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{RedisResult, Value, cmd, from_redis_value};

#[async_trait]
impl Observer for RedisHub {
    async fn queue(&self) -> Result<QueueState, HubError> {
        let shards = (0..self.keys.shards()).map(|shard| shard_state(self, shard));
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

    async fn farm(&self) -> Result<Vec<FarmReport>, HubError> {
        farm::reports(self).await
    }

    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, HubError> {
        let shards = (0..self.keys.shards()).map(|shard| newest(self, self.keys.dead_letters(shard), most));
        let entries = join_all(shards).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let letters = entries.into_iter().flatten().filter_map(|(id, fields)| {
            let Letter { job, reason, instance, deliveries, buried_at } = letter_in(self, &fields)?;
            Some(DeadLetter { id, job, reason, instance, deliveries, buried_at })
        });
        let mut letters: Vec<DeadLetter> = letters.collect();
        // Stable: within a shard they came in their order.
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.buried_at));
        letters.truncate(most);
        Ok(letters)
    }
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

async fn newest(hub: &RedisHub, stream: String, most: usize) -> Result<Entries, HubError> {
    let command = cmd("XREVRANGE").arg(stream).arg("+").arg("-").arg("COUNT").arg(most).take();
    from_redis_value(hub.verdicts.one(command).await?).map_err(unusable)
}

fn letter_in(hub: &RedisHub, fields: &[(String, Vec<u8>)]) -> Option<Letter> {
    let (_, letter) = fields.iter().find(|(field, _)| field == "letter")?;
    Versioned::decode(&hub.vault.open(Purpose::Letter, "", letter.as_slice())?)
}
