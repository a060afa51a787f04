// SPDX-License-Identifier: GPL-3.0-or-later
//! What a worker asks once it has a claim: begin, renew, complete, hand back.

use super::{
    RedisHub,
    error::{hub_error, unusable},
    milter::millis,
    scripts::{Call, SCRIPTS, Step},
    wire::{Announcement, Letter, encode},
    words,
};
use crate::{
    hub::{Begin, Claim, Completion, HubError},
    job::Job,
    keys::{Kept, Keys},
    verdict::{Answer, Verdict},
};
use bytes::Bytes;
use redis::{Value, cmd, from_redis_value};
use std::{sync::Arc, time::Duration};
use tracing::warn;

/// How many dead letters are kept, about.
const LETTERS: usize = 1000;
/// How long after the last one they are forgotten.
const LETTERS_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// See [`crate::hub::Hub::begin`].
pub async fn begin(hub: &RedisHub, claim: &Claim) -> Result<Begin, HubError> {
    let mut answer = take_lease(hub, claim, false).await?;
    if let [word, verdict] = answer.as_slice()
        && word == b"known"
    {
        if let Some(verdict) = Verdict::decode(verdict) {
            let known = Answer::Verdict(Arc::new(verdict));
            finish(hub, claim, answered(hub, claim, &known, None)).await?;
            return Ok(Begin::Nothing);
        }
        // Another version's verdict, which this scan overwrites.
        answer = take_lease(hub, claim, true).await?;
    }
    match answer.first().map(Vec::as_slice) {
        Some(b"scan") => fetch(hub, claim).await,
        Some(b"gone") => gone(hub, claim).await,
        Some(b"busy") => {
            hub.verdicts.one(acknowledge(hub, claim)).await?;
            Ok(Begin::Nothing)
        }
        _ => Err(unusable("begin gave an unknown answer")),
    }
}

async fn take_lease(hub: &RedisHub, claim: &Claim, overlook: bool) -> Result<Vec<Vec<u8>>, HubError> {
    let keys = [Kept::Verdict, Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(&claim.job.sample, kept));
    let call = SCRIPTS.begin.on(keys).arg(lease_of(claim)).arg(millis(hub.queue.lease_ttl));
    words(hub.verdicts.one(call.arg(u8::from(overlook))).await?)
}

async fn fetch(hub: &RedisHub, claim: &Claim) -> Result<Begin, HubError> {
    let key = hub.keys.of(&claim.job.sample, Kept::Sample);
    let get = vec![vec![Step::from(cmd("GET").arg(key).take())]];
    let answer = hub.payloads.carry(get, claim.job.size).await?.into_iter().flatten().next();
    match answer.unwrap_or(Ok(Value::Nil)).map_err(hub_error)? {
        Value::BulkString(bytes) => Ok(Begin::Scan(Bytes::from(bytes))),
        Value::Nil => gone(hub, claim).await,
        _ => Err(unusable("a sample is no string")),
    }
}

async fn gone(hub: &RedisHub, claim: &Claim) -> Result<Begin, HubError> {
    let Job { sample, queue_id, .. } = &claim.job;
    warn!(event = "sample_gone", sample = %sample, queue.id = queue_id, "the bytes of a job are gone; it is dropped");
    let keys = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(sample, kept));
    let free = SCRIPTS.give_back.on(keys).arg(lease_of(claim));
    finish(hub, claim, free).await?;
    Ok(Begin::Nothing)
}

/// See [`crate::hub::Hub::renew`].
pub async fn renew(hub: &RedisHub, worker: &str, claims: &[Claim]) -> Result<(), HubError> {
    let steps = claims.iter().flat_map(|claim| {
        let lease = SCRIPTS.renew_lease.on([hub.keys.of(&claim.job.sample, Kept::Lease)]);
        let entry = SCRIPTS.renew_claim.on([hub.keys.jobs(claim.job.lane)]);
        [
            Step::from(lease.arg(lease_of(claim)).arg(millis(hub.queue.lease_ttl))),
            Step::from(entry.arg(Keys::GROUP).arg(worker).arg(&claim.id)),
        ]
    });
    for outcome in hub.verdicts.each(steps.collect()).await? {
        outcome.map_err(hub_error)?;
    }
    Ok(())
}

/// See [`crate::hub::Hub::complete`].
pub async fn complete(hub: &RedisHub, claim: &Claim, completion: &Completion) -> Result<(), HubError> {
    match completion {
        Completion::Answered(answer @ Answer::Verdict(verdict)) => {
            finish(hub, claim, answered(hub, claim, answer, Some(verdict))).await
        }
        Completion::Answered(answer) => finish(hub, claim, answered(hub, claim, answer, None)).await,
        Completion::Dead(reason) => {
            let failed = Answer::Failed(reason.clone());
            let letter =
                Letter { job: claim.job.clone(), reason: reason.clone(), deliveries: claim.deliveries };
            let [lane, queued, bytes] = entry_keys(hub, claim);
            let bury = SCRIPTS.bury.on([lane, queued, bytes, hub.keys.dead_letters()]);
            let bury = bury.arg(Keys::GROUP).arg(&claim.id).arg(encode(&letter));
            let bury = bury.arg(LETTERS).arg(millis(LETTERS_TTL));
            in_order(hub, vec![answered(hub, claim, &failed, None).into(), bury.into()]).await
        }
    }
}

/// See [`crate::hub::Hub::hand_back`].
pub async fn hand_back(hub: &RedisHub, claim: &Claim) -> Result<(), HubError> {
    let lease = SCRIPTS.lease.on([hub.keys.of(&claim.job.sample, Kept::Lease)]);
    let lease = lease.arg(lease_of(claim)).arg("queued").arg(millis(hub.queue.reserve_ttl));
    let entry = SCRIPTS.hand_back.on(entry_keys(hub, claim));
    let entry = entry.arg(Keys::GROUP).arg(&claim.id).arg(claim.deliveries.saturating_sub(1));
    in_order(hub, vec![lease.into(), entry.into()]).await
}

/// Tells those who wait; stores the verdict where one is given and it is still fresh.
fn answered(hub: &RedisHub, claim: &Claim, answer: &Answer, store: Option<&Verdict>) -> Call {
    let kept = [Kept::Verdict, Kept::Sample, Kept::Lease, Kept::Waiters];
    let life = store.map_or(Duration::ZERO, |verdict| verdict.fresh_for(hub.cache.ttl(verdict)));
    let stored = store.filter(|_| !life.is_zero()).map(Verdict::encode).unwrap_or_default();
    SCRIPTS
        .complete
        .on(kept.map(|kept| hub.keys.of(&claim.job.sample, kept)))
        .arg(lease_of(claim))
        .arg(Announcement::encode(&claim.job.sample, answer))
        .arg(hub.keys.announce_root())
        .arg(stored)
        .arg(millis(life))
}

/// What is to be done about the sample, and then the job's acknowledgement.
async fn finish(hub: &RedisHub, claim: &Claim, sample: Call) -> Result<(), HubError> {
    in_order(hub, vec![sample.into(), acknowledge(hub, claim).into()]).await
}

async fn in_order(hub: &RedisHub, steps: Vec<Step>) -> Result<(), HubError> {
    for outcome in hub.verdicts.run(vec![steps]).await?.into_iter().flatten() {
        outcome.map_err(hub_error)?;
    }
    Ok(())
}

fn acknowledge(hub: &RedisHub, claim: &Claim) -> Call {
    SCRIPTS.acknowledge.on(entry_keys(hub, claim)).arg(Keys::GROUP).arg(&claim.id)
}

fn entry_keys(hub: &RedisHub, claim: &Claim) -> [String; 3] {
    let lane = claim.job.lane;
    [hub.keys.jobs(lane), hub.keys.queued(lane), hub.keys.job_bytes()]
}

/// The lease while this job is being scanned; another delivery of the same job takes it over.
fn lease_of(claim: &Claim) -> String {
    format!("job:{}:{}", claim.job.lane.as_str(), claim.id)
}

/// Removes an entry that holds no job of this version.
pub fn drop_entry(hub: &RedisHub, lane: crate::job::Lane, id: &str) -> Call {
    let keys = [hub.keys.jobs(lane), hub.keys.queued(lane), hub.keys.job_bytes()];
    SCRIPTS.acknowledge.on(keys).arg(Keys::GROUP).arg(id)
}

/// How often an entry was handed out before it was handed back.
pub fn tries(fields: &[(String, Vec<u8>)]) -> u32 {
    let tries = fields.iter().find(|(name, _)| name == "tries");
    tries.and_then(|(_, value)| from_redis_value(Value::BulkString(value.clone())).ok()).unwrap_or(0)
}
