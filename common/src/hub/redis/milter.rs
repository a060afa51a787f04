// SPDX-License-Identifier: GPL-3.0-or-later
//! What a milter asks: reserve, leave, record. How it submits is in [`submit`].

use super::{
    RedisHub,
    entry::millis,
    error::{hub_error, out_of_memory, unusable},
    names::{self, Stored},
    passwords,
    pulse::{self, Role},
    records,
    scripts::{SCRIPTS, Step},
    submit,
};
use crate::{
    failed::FailedSample,
    hub::{Admission, Announcements, Hub as _, HubError, Milter, Reservation, Trouble},
    job::{Job, Lane},
    keys::Kept,
    record::MailRecord,
    sample::{Sample, SampleKey},
    verdict::Verdict,
};
use async_trait::async_trait;
use redis::{RedisResult, Value, cmd, from_redis_value};
use secrecy::SecretString;
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};
use tracing::warn;

/// So many samples are remembered for which no answer came; beyond them a reservation ends by itself.
const UNCERTAIN: usize = 10_000;

#[async_trait]
impl Milter for RedisHub {
    fn announcements(&self) -> &Announcements {
        &self.announcements
    }

    /// Verdict and failure are read after the reservation: a scan that ends in between is seen.
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError> {
        let anew = if lane.is_awaited() { no_longer_doubted(self, keys) } else { HashSet::new() };
        let chains = keys.iter().map(|key| {
            let call = SCRIPTS.reserve.on([Kept::Lease, Kept::Waiters].map(|kept| self.keys.of(key, kept)));
            let call = call
                .arg(&self.process)
                .arg(self.owner_lease())
                .arg(millis(self.queue.reserve_ttl))
                .arg(millis(self.queue.sample_ttl))
                .arg(lane.as_str());
            let get = |kept| Step::from(cmd("GET").arg(self.keys.of(key, kept)).take());
            let give_back = anew.contains(key).then(|| leaving(self, key, &self.owner_lease()));
            give_back.into_iter().chain([Step::from(call), get(Kept::Verdict), get(Kept::Failed)]).collect()
        });
        let outcomes = self.verdicts.run(chains.collect()).await.inspect_err(|_| doubt(self, keys))?;
        let (stored, others): (Vec<_>, Vec<_>) = keys
            .iter()
            .zip(outcomes)
            .map(|(key, chain)| reserved(self, key, chain))
            .collect::<Result<Vec<_>, HubError>>()?
            .into_iter()
            .unzip();
        // Where their names cannot be had, nobody knows who owns what.
        let verdicts = names::whole(self, stored).await.inspect_err(|_| doubt(self, keys))?;
        let found: Vec<Reservation> = keys
            .iter()
            .zip(verdicts.into_iter().zip(others))
            .map(|(key, (verdict, others))| reservation(self, key, verdict, others, lane))
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

    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        submit::submit(self, jobs).await.inspect_err(|_| {
            let all: Vec<SampleKey> = jobs.iter().map(|(_, job)| job.sample.clone()).collect();
            doubt(self, &all);
        })
    }

    async fn offer(&self, key: &SampleKey, passwords: Vec<SecretString>) -> Result<(), HubError> {
        passwords::offer(self, key, &passwords).await
    }

    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError> {
        self.verdicts.each(keys.iter().map(|key| leaving(self, key, "")).collect()).await.map(drop)
    }

    async fn owe(&self, keys: &[SampleKey], queue_id: &str) -> Result<(), HubError> {
        let steps = keys.iter().map(|key| submit::owing(self, key, queue_id));
        self.verdicts.each(steps.collect()).await.map(drop)
    }

    async fn probe(&self) -> Result<(), Trouble> {
        pulse::probe(self, Role::Milter).await
    }

    async fn record(&self, records: &[MailRecord]) -> Result<(), HubError> {
        records::record(self, records).await
    }
}

/// No answer came: whether this process owns these samples, and whether their jobs are queued, it does not know. Asked
/// again it would be told that somebody else scans them, who would be itself.
fn doubt(hub: &RedisHub, keys: &[SampleKey]) {
    let mut uncertain = hub.uncertain();
    if uncertain.len() >= UNCERTAIN {
        uncertain.clear();
    }
    uncertain.extend(keys.iter().cloned());
}

/// Those of `keys` whose reservation has to be given back before it is asked for again. Where another message of this
/// process has one of them in hand, both submit it, and it is queued once.
fn no_longer_doubted(hub: &RedisHub, keys: &[SampleKey]) -> HashSet<SampleKey> {
    let mut uncertain = hub.uncertain();
    keys.iter().filter(|key| uncertain.remove(key)).cloned().collect()
}

/// What is known of a sample, and the role and the failure beside it.
type Reserved = (Option<Stored>, (RedisResult<Value>, RedisResult<Value>));

fn reserved(
    hub: &RedisHub,
    key: &SampleKey,
    mut outcomes: Vec<RedisResult<Value>>,
) -> Result<Reserved, HubError> {
    // What stands before was given back.
    let outcomes = outcomes.split_off(outcomes.len().saturating_sub(3));
    let [role, verdict, failed] =
        <[_; 3]>::try_from(outcomes).map_err(|_| unusable("reserve gave too few answers"))?;
    let verdict: Option<Vec<u8>> = from_redis_value(verdict.map_err(hub_error)?).map_err(unusable)?;
    Ok((verdict.and_then(|bytes| names::stored(hub, key, bytes)), (role, failed)))
}

fn reservation(
    hub: &RedisHub,
    key: &SampleKey,
    verdict: Option<Verdict>,
    (role, failed): (RedisResult<Value>, RedisResult<Value>),
    lane: Lane,
) -> Result<Reservation, HubError> {
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
