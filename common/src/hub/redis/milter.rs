// SPDX-License-Identifier: GPL-3.0-or-later
//! What a milter asks: look up, reserve, submit, record.

use super::{
    RedisHub,
    error::{hub_error, out_of_memory, unusable},
    scripts::{SCRIPTS, Step},
    wire::encode,
    words,
};
use crate::{
    hub::{Admission, HubError, Receipt, Reservation},
    job::{Job, Lane},
    keys::Kept,
    sample::{Sample, SampleKey},
    verdict::Verdict,
};
use redis::{RedisResult, Value, cmd, from_redis_value};
use std::{sync::Arc, time::Duration};

/// How many receipts of one sample are kept.
const RECEIPTS: usize = 1000;
/// How long after the last one they are forgotten.
const LEDGER: Duration = Duration::from_secs(30 * 24 * 3600);

/// See [`crate::hub::Hub::look_up`].
pub async fn look_up(hub: &RedisHub, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = keys.iter().map(|key| hub.keys.of(key, Kept::Verdict)).collect();
    let answer = hub.verdicts.one(cmd("MGET").arg(names).take()).await?;
    let verdicts: Vec<Option<Vec<u8>>> = from_redis_value(answer).map_err(unusable)?;
    Ok(verdicts.into_iter().map(|bytes| Verdict::decode(&bytes?).map(Arc::new)).collect())
}

/// See [`crate::hub::Hub::reserve`].
pub async fn reserve(hub: &RedisHub, keys: &[SampleKey]) -> Result<Vec<Reservation>, HubError> {
    let all = keys.iter().collect::<Vec<_>>();
    let first = reserve_once(hub, &all, false).await?;
    let unreadable = all.iter().zip(&first).filter(|(_, reservation)| reservation.is_none());
    let again: Vec<&SampleKey> = unreadable.map(|(key, _)| *key).collect();
    if again.is_empty() {
        return Ok(first.into_iter().flatten().collect());
    }
    // Another version's verdicts, which the next scan overwrites.
    let mut second = reserve_once(hub, &again, true).await?.into_iter().flatten();
    Ok(first.into_iter().filter_map(|reservation| reservation.or_else(|| second.next())).collect())
}

/// None where the verdict cannot be read.
async fn reserve_once(
    hub: &RedisHub,
    keys: &[&SampleKey],
    overlook: bool,
) -> Result<Vec<Option<Reservation>>, HubError> {
    let steps = keys.iter().map(|key| {
        let [verdict, lease, waiters] =
            [Kept::Verdict, Kept::Lease, Kept::Waiters].map(|kept| hub.keys.of(key, kept));
        Step::from(
            SCRIPTS
                .reserve
                .on([verdict, lease, waiters])
                .arg(&hub.process)
                .arg(hub.owner_lease())
                .arg(millis(hub.queue.reserve_ttl))
                .arg(millis(hub.queue.sample_ttl))
                .arg(u8::from(overlook)),
        )
    });
    hub.verdicts.each(steps.collect()).await?.into_iter().map(reservation).collect()
}

fn reservation(outcome: RedisResult<Value>) -> Result<Option<Reservation>, HubError> {
    let answer = match outcome {
        // Nothing can be reserved, so nobody else owns it either; submitting will say that memory is full.
        Err(error) if out_of_memory(&error) => return Ok(Some(Reservation::Owner)),
        Err(error) => return Err(hub_error(error)),
        Ok(answer) => words(answer)?,
    };
    match answer.as_slice() {
        [word, verdict] if word == b"known" => {
            Ok(Verdict::decode(verdict).map(|verdict| Reservation::Known(Arc::new(verdict))))
        }
        [word] if word == b"owner" => Ok(Some(Reservation::Owner)),
        [word] if word == b"joined" => Ok(Some(Reservation::Joined)),
        _ => Err(unusable("reserve gave an unknown answer")),
    }
}

/// See [`crate::hub::Hub::submit`].
pub async fn submit(hub: &RedisHub, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
    let chains = jobs.iter().map(|(sample, job)| submission(hub, sample, job)).collect();
    let bytes = jobs.iter().map(|(sample, _)| sample.bytes.len() as u64).sum();
    let outcomes = hub.payloads.carry(chains, bytes).await?;
    let admissions: Vec<Admission> = outcomes.into_iter().map(admission).collect::<Result<_, _>>()?;
    let refused = jobs.iter().zip(&admissions).filter(|(_, admission)| **admission == Admission::Full);
    let give_back: Vec<Step> = refused.map(|((sample, _), _)| given_back(hub, &sample.key)).collect();
    if !give_back.is_empty() {
        hub.verdicts.each(give_back).await?;
    }
    Ok(admissions)
}

/// Bytes, job, lease, in this order: a worker that sees the job finds the bytes.
fn submission(hub: &RedisHub, sample: &Sample, job: &Job) -> Vec<Step> {
    let [bytes, lease] = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(&sample.key, kept));
    // Background work leaves room for mail.
    let share = match job.lane {
        Lane::Mail => 1,
        Lane::Background => 2,
    };
    let [mail, background] = Lane::ALL.map(|lane| hub.keys.jobs(lane));
    let enqueue = SCRIPTS
        .enqueue
        .on([hub.keys.jobs(job.lane), hub.keys.queued(job.lane), hub.keys.job_bytes(), mail, background])
        .arg(sample.key.to_string())
        .arg(encode(job))
        .arg(sample.bytes.len())
        .arg(hub.queue.max_jobs / share)
        .arg(hub.queue.max_bytes.as_u64() / share as u64);
    vec![
        cmd("SET")
            .arg(bytes)
            .arg(&sample.bytes[..])
            .arg("PX")
            .arg(millis(hub.queue.sample_ttl))
            .take()
            .into(),
        enqueue.into(),
        SCRIPTS
            .lease
            .on([lease])
            .arg(hub.owner_lease())
            .arg(hub.owner_lease())
            .arg(millis(hub.queue.reserve_ttl))
            .into(),
    ]
}

/// `Queued` once bytes and job are there; the lease is renewed by whoever reserves the sample again.
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

fn given_back(hub: &RedisHub, key: &SampleKey) -> Step {
    let keys = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(key, kept));
    SCRIPTS.give_back.on(keys).arg(hub.owner_lease()).into()
}

/// See [`crate::hub::Hub::record`].
pub async fn record(hub: &RedisHub, receipts: &[(SampleKey, Receipt)]) -> Result<(), HubError> {
    let steps = receipts.iter().map(|(key, receipt)| {
        let call = SCRIPTS.record.on([hub.keys.of(key, Kept::Receipts)]);
        Step::from(call.arg(encode(receipt)).arg(RECEIPTS).arg(millis(LEDGER)))
    });
    for outcome in hub.verdicts.each(steps.collect()).await? {
        outcome.map_err(hub_error)?;
    }
    Ok(())
}

/// At least one, because Redis takes no expiry of zero.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
