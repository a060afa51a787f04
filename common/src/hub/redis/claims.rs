// SPDX-License-Identifier: GPL-3.0-or-later
//! How a worker gets jobs: new ones from the streams, abandoned ones from other workers.
//!
//! A read that blocks needs a connection of its own. Readers are kept for the next claim; one whose claim is dropped
//! half-way is closed, so that Redis hands no job to a reader that is gone.

use super::{
    RedisHub,
    connection::open,
    entry::{Fields, drop_entry, job_in, millis, tries},
    error::{hub_error, timed_out, unusable},
    scripts::SCRIPTS,
    target::Wire,
};
use crate::{
    hub::{Claim, HubError, Room},
    job::Lane,
    keys::Keys,
};
use redis::{RedisError, RedisResult, Value, cmd, from_redis_value};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::warn;

/// How long one read blocks on the mail lane before the background lane is looked at: nobody waits for that one.
const SLICE: Duration = Duration::from_secs(1);

type Entry = (String, Fields);

/// See [`crate::hub::Worker::claim`].
pub(super) async fn claim(
    hub: &RedisHub,
    worker: &str,
    shard: usize,
    room: Room,
    patience: Duration,
) -> Result<Vec<Claim>, HubError> {
    if room.most == 0 {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + patience;
    let kept = hub.take_reader();
    let fresh = kept.is_none();
    let mut reader = Reader { hub, worker, shard, wire: reader_wire(hub, kept).await? };
    let claims = match reader.claim(room, deadline).await {
        // The kept connection has broken since; a new one may not.
        Err(Fault::Redis(error)) if !fresh && error.is_unrecoverable_error() => {
            hub.forget_readers();
            reader.wire = reader_wire(hub, None).await?;
            reader.claim(room, deadline).await
        }
        outcome => outcome,
    };
    let claims = claims.map_err(Fault::into_hub_error)?;
    hub.keep_reader(reader.wire);
    Ok(claims)
}

async fn reader_wire(hub: &RedisHub, kept: Option<Wire>) -> Result<Wire, HubError> {
    match kept {
        Some(wire) => Ok(wire),
        None => timeout(hub.entrance.connect_timeout(), open(&hub.entrance, SLICE + hub.timeout))
            .await
            .map_err(|_| timed_out())?
            .map_err(hub_error),
    }
}

/// Why a read failed.
enum Fault {
    Redis(RedisError),
    Hub(HubError),
}

impl Fault {
    fn into_hub_error(self) -> HubError {
        match self {
            Self::Redis(error) => hub_error(error),
            Self::Hub(error) => error,
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<HubError> for Fault {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

/// One claim's use of a connection.
struct Reader<'a> {
    hub: &'a RedisHub,
    worker: &'a str,
    shard: usize,
    wire: Wire,
}

impl Reader<'_> {
    async fn claim(&mut self, room: Room, deadline: Instant) -> Result<Vec<Claim>, Fault> {
        loop {
            let mut claims = self.read(Lane::Mail, room.most, None).await?;
            let background = room.background.min(room.most - claims.len());
            if background > 0 {
                claims.extend(self.read(Lane::Background, background, None).await?);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if claims.is_empty() && !left.is_zero() {
                claims = self.read(Lane::Mail, room.most, Some(left.min(SLICE))).await?;
            }
            if !claims.is_empty() || left.is_zero() {
                return Ok(claims);
            }
        }
    }

    async fn read(&mut self, lane: Lane, most: usize, block: Option<Duration>) -> Result<Vec<Claim>, Fault> {
        let outcome = match self.read_group(lane, most, block).await? {
            // Nobody has read this lane yet, or Redis has lost everything.
            Err(error) if error.code() == Some("NOGROUP") => {
                self.create_group(lane).await?;
                self.read_group(lane, most, None).await?
            }
            outcome => outcome,
        };
        let streams: Option<Vec<(String, Vec<Entry>)>> = from_redis_value(outcome?).map_err(unusable)?;
        let entries = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
        let delivered = entries.map(|(id, fields)| Delivered { lane, id, deliveries: 1, fields }).collect();
        Ok(readable(self.hub, self.shard, delivered).await?)
    }

    async fn read_group(
        &mut self,
        lane: Lane,
        most: usize,
        block: Option<Duration>,
    ) -> Result<RedisResult<Value>, HubError> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(Keys::GROUP).arg(self.worker).arg("COUNT").arg(most);
        if let Some(block) = block {
            // Redis takes 0 for ever.
            command.arg("BLOCK").arg(block.as_millis().max(1) as u64);
        }
        command.arg("STREAMS").arg(self.hub.keys.jobs(self.shard, lane)).arg(">");
        let limit = block.unwrap_or_default() + self.hub.timeout;
        timeout(limit, self.wire.query(&command)).await.map_err(|_| timed_out())
    }

    async fn create_group(&mut self, lane: Lane) -> Result<(), Fault> {
        let mut command = cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(self.hub.keys.jobs(self.shard, lane))
            .arg(Keys::GROUP)
            .arg("0")
            .arg("MKSTREAM");
        let outcome = timeout(self.hub.timeout, self.wire.query(&command)).await.map_err(|_| timed_out())?;
        match outcome {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// See [`crate::hub::Worker::reclaim`].
pub(super) async fn reclaim(
    hub: &RedisHub,
    worker: &str,
    shard: usize,
    room: Room,
) -> Result<Vec<Claim>, HubError> {
    let mut claims = reclaim_lane(hub, worker, shard, Lane::Mail, room.most).await?;
    let background = room.background.min(room.most.saturating_sub(claims.len()));
    claims.extend(reclaim_lane(hub, worker, shard, Lane::Background, background).await?);
    Ok(claims)
}

async fn reclaim_lane(
    hub: &RedisHub,
    worker: &str,
    shard: usize,
    lane: Lane,
    most: usize,
) -> Result<Vec<Claim>, HubError> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let call = SCRIPTS.reclaim.on([hub.keys.jobs(shard, lane)]);
    let call = call.arg(Keys::GROUP).arg(worker).arg(millis(hub.queue.reclaim_after)).arg(most);
    let taken: Vec<(String, u32, Fields)> =
        from_redis_value(hub.verdicts.one(call).await?).map_err(unusable)?;
    let delivered =
        taken.into_iter().map(|(id, deliveries, fields)| Delivered { lane, id, deliveries, fields });
    readable(hub, shard, delivered.collect()).await
}

/// An entry as Redis hands it out.
struct Delivered {
    lane: Lane,
    id: String,
    deliveries: u32,
    fields: Fields,
}

impl Delivered {
    fn claim(&self, hub: &RedisHub) -> Option<Claim> {
        let job = job_in(hub, &self.fields)?;
        let deliveries = self.deliveries.saturating_add(tries(&self.fields));
        (job.lane == self.lane).then(|| Claim { id: self.id.clone(), job, deliveries })
    }
}

/// The claims among `entries`; what holds no job is dropped, or it would come back for ever.
async fn readable(hub: &RedisHub, shard: usize, entries: Vec<Delivered>) -> Result<Vec<Claim>, HubError> {
    let mut claims = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry.claim(hub) {
            Some(claim) => claims.push(claim),
            None => {
                warn!(
                    event = "job_unreadable",
                    entry = entry.id,
                    "a queue entry holds no job; it is dropped"
                );
                hub.verdicts.one(drop_entry(hub, shard, entry.lane, &entry.id)).await?;
            }
        }
    }
    Ok(claims)
}
