// SPDX-License-Identifier: GPL-3.0-or-later
//! An entry of a stream: the keys it stands under, the job that it holds, the lease that goes with it. What milters,
//! workers and operators all need of it.

use super::{
    RedisHub,
    error::{hub_error, unusable},
    scripts::{Call, SCRIPTS},
    seal::Purpose,
};
use crate::{
    hub::{Claim, HubError},
    job::{Job, Lane},
    keys::Keys,
    wire::Versioned,
};
use redis::{FromRedisValue, RedisResult, Value, from_redis_value};
use std::{borrow::Cow, time::Duration};

/// What an entry holds, by name.
pub(super) type Fields = Vec<(String, Vec<u8>)>;

/// Entries as a range of a stream gives them, each with its id.
pub(super) type Entries = Vec<(String, Fields)>;

/// A job as it stands in a stream, beside the name of its sample.
pub(super) fn sealed_job(hub: &RedisHub, job: &Job) -> Cow<'static, [u8]> {
    hub.vault.seal(Purpose::Job, &job.sample.to_string(), Versioned::encode(job))
}

/// The job that an entry holds.
pub(super) fn job_in(hub: &RedisHub, fields: &[(String, Vec<u8>)]) -> Option<Job> {
    let field = |wanted| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice());
    let name = String::from_utf8_lossy(field("sample")?);
    let job = hub.vault.open(Purpose::Job, &name, field("job")?)?;
    Versioned::decode(&job)
}

/// How often an entry was handed out before it was handed back.
pub(super) fn tries(fields: &[(String, Vec<u8>)]) -> u32 {
    let tries = fields.iter().find(|(name, _)| name == "tries");
    tries.and_then(|(_, value)| from_redis_value(Value::BulkString(value.clone())).ok()).unwrap_or(0)
}

/// The keys that hold a claimed job: its stream, its index, the count of bytes.
pub(super) fn entry_keys(hub: &RedisHub, claim: &Claim) -> [String; 3] {
    lane_keys(hub, hub.keys.shard_of(&claim.job.sample), claim.job.lane)
}

/// The same for a lane of a shard.
pub(super) fn lane_keys(hub: &RedisHub, shard: usize, lane: Lane) -> [String; 3] {
    [hub.keys.jobs(shard, lane), hub.keys.queued(shard, lane), hub.keys.job_bytes(shard)]
}

/// The lease while this job is being scanned; another delivery of the same job takes it over.
pub(super) fn lease_of(claim: &Claim) -> String {
    format!("job:{}:{}", claim.job.lane.as_str(), claim.id)
}

/// Removes an entry that holds no job of this version.
pub(super) fn drop_entry(hub: &RedisHub, shard: usize, lane: Lane, id: &str) -> Call {
    SCRIPTS.acknowledge.on(lane_keys(hub, shard, lane)).arg(Keys::GROUP).arg(id)
}

/// At least one, because Redis takes no expiry of zero.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// An answer as what it should be.
pub(super) fn read<T: FromRedisValue>(outcome: RedisResult<Value>) -> Result<T, HubError> {
    from_redis_value(outcome.map_err(hub_error)?).map_err(unusable)
}
