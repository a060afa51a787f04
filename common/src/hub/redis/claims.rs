// SPDX-License-Identifier: GPL-3.0-or-later
//! How a worker gets jobs: new ones from the streams, abandoned ones from other workers.
//!
//! What is there is taken by a script, which knows whose turn it is: three jobs of mail and one of bulk while both wait. Then
//! a read blocks until there is more.
//!
//! A read that blocks needs a connection of its own. Readers are kept for the next claim; one whose claim is dropped
//! half-way is closed, so that Redis hands no job to a reader that is gone.

use super::{
    RedisHub,
    connection::open,
    entry::{Fields, drop_entry, job_in, millis, tries},
    error::{hub_error, out_of_memory, timed_out, unusable},
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
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

/// How long one read blocks before the other lanes are looked at: nobody waits for those.
const SLICE: Duration = Duration::from_secs(1);
/// The same where there is room for one job only: one read of two lanes could bring two.
const SHORT_SLICE: Duration = Duration::from_millis(100);

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
    loop {
        let claims = take(hub, worker, shard, room).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !claims.is_empty() || left.is_zero() {
            return Ok(claims);
        }
        let claims = wait(hub, worker, shard, room, left).await?;
        if !claims.is_empty() {
            return Ok(claims);
        }
    }
}

/// What is there.
async fn take(hub: &RedisHub, worker: &str, shard: usize, room: Room) -> Result<Vec<Claim>, HubError> {
    let call = SCRIPTS.claim.on(Lane::ALL.map(|lane| hub.keys.jobs(shard, lane)));
    let call = call.arg(Keys::GROUP).arg(worker).arg(room.most).arg(room.background);
    let call = call.arg(hub.lanes.mail_since_bulk(shard));
    let (since, taken): (u64, Vec<(usize, String, Fields)>) =
        from_redis_value(hub.verdicts.one(call).await?).map_err(unusable)?;
    hub.lanes.set_mail_since_bulk(shard, since);
    let delivered = taken.into_iter().filter_map(|(lane, id, fields)| {
        // Lua counts from 1.
        let lane = *Lane::ALL.get(lane.checked_sub(1)?)?;
        Some(Delivered { lane, id, deliveries: 1, fields })
    });
    readable(hub, shard, delivered.collect()).await
}

/// Blocks until there is a job that somebody waits for; not for long.
async fn wait(
    hub: &RedisHub,
    worker: &str,
    shard: usize,
    room: Room,
    left: Duration,
) -> Result<Vec<Claim>, HubError> {
    let kept = hub.take_reader();
    let fresh = kept.is_none();
    let mut reader = Reader { hub, worker, shard, wire: reader_wire(hub, kept).await? };
    let claims = match reader.wait(room, left).await {
        // The kept connection has broken since; a new one may not.
        Err(Fault::Redis(error)) if !fresh && error.is_unrecoverable_error() => {
            hub.forget_readers();
            reader.wire = reader_wire(hub, None).await?;
            reader.wait(room, left).await
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
    async fn wait(&mut self, room: Room, left: Duration) -> Result<Vec<Claim>, Fault> {
        let (lanes, slice): (&[Lane], _) = match room.most {
            1 => (&[Lane::Mail], SHORT_SLICE),
            _ => (&[Lane::Mail, Lane::Bulk], SLICE),
        };
        let slice = left.min(slice);
        let answer = match self.read_groups(lanes, slice).await? {
            // Nobody has read these lanes yet, or Redis has lost everything.
            Err(error) if error.code() == Some("NOGROUP") => {
                self.create_groups(lanes, slice).await?;
                return Ok(Vec::new());
            }
            outcome => outcome?,
        };
        let streams: Option<Vec<(String, Vec<Entry>)>> = from_redis_value(answer).map_err(unusable)?;
        let mut delivered = Vec::new();
        for (stream, entries) in streams.into_iter().flatten() {
            let Some(lane) = lanes.iter().find(|lane| self.hub.keys.jobs(self.shard, **lane) == stream)
            else {
                continue;
            };
            for (id, fields) in entries {
                self.hub.lanes.took(self.shard, *lane);
                delivered.push(Delivered { lane: *lane, id, deliveries: 1, fields });
            }
        }
        Ok(readable(self.hub, self.shard, delivered).await?)
    }

    /// One job of each lane at most.
    async fn read_groups(&mut self, lanes: &[Lane], block: Duration) -> Result<RedisResult<Value>, HubError> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(Keys::GROUP).arg(self.worker).arg("COUNT").arg(1);
        // Redis takes 0 for ever.
        command.arg("BLOCK").arg(block.as_millis().max(1) as u64).arg("STREAMS");
        lanes.iter().for_each(|lane| _ = command.arg(self.hub.keys.jobs(self.shard, *lane)));
        lanes.iter().for_each(|_| _ = command.arg(">"));
        timeout(block + self.hub.timeout, self.wire.query(&command)).await.map_err(|_| timed_out())
    }

    async fn create_groups(&mut self, lanes: &[Lane], pause: Duration) -> Result<(), Fault> {
        for lane in lanes {
            match self.create_group(*lane).await {
                // With full memory there is no new lane, and no job that comes in one.
                Err(Fault::Redis(error)) if out_of_memory(&error) => sleep(pause).await,
                outcome => outcome?,
            }
        }
        Ok(())
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
    let mut claims = Vec::new();
    for lane in Lane::ALL {
        let left = room.most.saturating_sub(claims.len());
        let most = if lane.is_awaited() { left } else { left.min(room.background) };
        claims.extend(reclaim_lane(hub, worker, shard, lane, most).await?);
    }
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
