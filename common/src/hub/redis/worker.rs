// SPDX-License-Identifier: GPL-3.0-or-later
//! What a worker asks once it has a claim: begin, renew, complete, hand back. How it gets one is in [`claims`], what it
//! reports in [`farm`].

use super::{
    RedisHub, claims,
    entry::{entry_keys, lease_of, millis, sealed_job},
    error::{hub_error, unusable},
    farm, fill,
    lanes::{ROUNDS, gave_way},
    names, oversight, passwords,
    pulse::{self, Role},
    scripts::{Call, SCRIPTS, Step},
    seal::Purpose,
    wire::{Announcement, Letter},
};
use crate::{
    failed::FailedSample,
    generation::FarmReport,
    hub::{Begin, Claim, Completion, Hub as _, HubError, HubMemory, Room, Trouble, Worker, never_scanned},
    job::{Job, Lane},
    keys::{Kept, Keys},
    oversight::Oversight,
    verdict::{Answer, Verdict},
    wire::Versioned,
};
use async_trait::async_trait;
use redis::{Value, cmd, from_redis_value};
use secrecy::SecretString;
use std::{borrow::Cow, num::NonZeroUsize, sync::Arc, time::Duration};
use tracing::warn;

/// How many dead letters a shard keeps, about.
const LETTERS: usize = 1000;
/// The bytes of samples behind dead letters may take such a part of `queue.max_bytes` beside the queue itself.
const LETTERS_SHARE: u64 = 4;
/// A verdict may be so much older than the job of who has just not seen it: clocks differ, and so do moments of looking.
const OVERLOOKED: Duration = Duration::from_secs(60);
/// How long after the last one they are forgotten.
const LETTERS_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

#[async_trait]
impl Worker for RedisHub {
    fn shards(&self) -> usize {
        self.keys.shards()
    }

    async fn claim(
        &self,
        worker: &str,
        shard: usize,
        room: Room,
        patience: Duration,
    ) -> Result<Vec<Claim>, HubError> {
        claims::claim(self, worker, shard, room, patience).await
    }

    async fn reclaim(&self, worker: &str, shard: usize, room: Room) -> Result<Vec<Claim>, HubError> {
        claims::reclaim(self, worker, shard, room).await
    }

    async fn begin(&self, claim: &Claim) -> Result<Begin, HubError> {
        let Taken { word, verdict, failed } = take_lease(self, claim).await?;
        if let Some(verdict) = verdict.filter(|verdict| suffices(self, &claim.job, verdict)) {
            let known = Answer::Verdict(Arc::new(verdict));
            finish(self, claim, told(self, claim, known, false)).await?;
            return Ok(Begin::Nothing);
        }
        // Queued before that was known. The bytes are its dead letter's, which may be tried again.
        if let Some(failed) =
            failed.as_ref().filter(|failed| word != "busy" && holds(self, &claim.job, failed))
        {
            let failed = Answer::Failed(failed.reason.clone());
            finish(self, claim, told(self, claim, failed, true)).await?;
            return Ok(Begin::Nothing);
        }
        match word.as_str() {
            "scan" => fetch(self, claim, failed).await,
            "gone" => gone(self, claim).await,
            "busy" => {
                self.verdicts.one(acknowledge(self, claim)).await?;
                Ok(Begin::Nothing)
            }
            "idle" => {
                demote(self, claim).await?;
                Ok(Begin::Nothing)
            }
            _ => Err(unusable("begin gave an unknown answer")),
        }
    }

    async fn offered(&self, claim: &Claim) -> Result<Vec<SecretString>, HubError> {
        passwords::offered(self, &claim.job.sample).await
    }

    async fn forget_offered(&self, claim: &Claim) -> Result<(), HubError> {
        passwords::forget(self, &claim.job.sample).await
    }

    async fn renew(&self, worker: &str, claims: &[Claim]) -> Result<(), HubError> {
        let steps = claims.iter().flat_map(|claim| {
            let lease = SCRIPTS.renew_lease.on([self.keys.of(&claim.job.sample, Kept::Lease)]);
            let [lane, ..] = entry_keys(self, claim);
            let entry = SCRIPTS.renew_claim.on([lane]);
            [
                Step::from(lease.arg(lease_of(claim)).arg(millis(self.queue.lease_ttl))),
                Step::from(entry.arg(Keys::GROUP).arg(worker).arg(&claim.id)),
            ]
        });
        for outcome in self.verdicts.each(steps.collect()).await? {
            outcome.map_err(hub_error)?;
        }
        Ok(())
    }

    async fn suspect(&self, claim: &Claim, failed: &FailedSample) -> Result<(), HubError> {
        let mut set = cmd("SET");
        set.arg(self.keys.of(&claim.job.sample, Kept::Failed));
        set.arg(&*sealed_failure(self, claim, failed)).arg("PX").arg(millis(failed.life(self.now())));
        self.verdicts.one(set).await.map(drop)
    }

    async fn complete(&self, claim: &Claim, completion: &Completion) -> Result<(), HubError> {
        match completion {
            Completion::Answered(Answer::Verdict(verdict)) => {
                let verdict = Arc::clone(verdict).bounded();
                let wire = names::wire_form(self, &verdict, claim.job.reads_short).await;
                let answer = Answer::Verdict(Arc::clone(&verdict));
                let stored = answered(self, claim, answer, Stored::Verdict(&verdict, wire), false);
                in_order(self, vec![stored.into(), settle(self, claim).into()]).await.map(drop)
            }
            Completion::Answered(answer) => {
                finish(self, claim, told(self, claim, answer.clone(), false)).await.map(drop)
            }
            Completion::Failed(failed) => {
                bury(self, claim, &failed.reason, &failed.instance, Stored::Failed(failed)).await
            }
            Completion::Dead(reason) => bury(self, claim, reason, "", Stored::Nothing).await,
        }
    }

    async fn hand_back(&self, claim: &Claim) -> Result<(), HubError> {
        let [lane, ..] = entry_keys(self, claim);
        let held = SCRIPTS.held.on([lane]).arg(Keys::GROUP).arg(&claim.id).arg(claim.deliveries);
        if !from_redis_value::<bool>(self.verdicts.one(held).await?).map_err(unusable)? {
            return Ok(()); // it is done, or another worker's by now, who may be scanning
        }
        let lease = SCRIPTS.lease.on([self.keys.of(&claim.job.sample, Kept::Lease)]);
        let lease = lease.arg(lease_of(claim)).arg("queued").arg(millis(self.queue.reserve_ttl));
        let entry = SCRIPTS.hand_back.on(entry_keys(self, claim));
        let entry = entry.arg(Keys::GROUP).arg(&claim.id).arg(claim.deliveries.saturating_sub(1));
        in_order(self, vec![lease.into(), entry.into()]).await.map(drop)
    }

    async fn report(&self, report: &FarmReport, quorum: Option<NonZeroUsize>) -> Result<Oversight, HubError> {
        // What is not known is not held against verdicts.
        let _ = fill::measure(self).await;
        farm::report(self, report, quorum).await
    }

    fn memory(&self) -> Option<HubMemory> {
        self.fill().memory()
    }

    async fn probe(&self) -> Result<(), Trouble> {
        pulse::probe(self, Role::Worker).await
    }

    async fn lead(&self, worker: &str, ttl: Duration) -> Result<bool, HubError> {
        oversight::lead(self, worker, ttl).await
    }

    async fn take_turn(&self, worker: &str, instance: &str, ttl: Duration) -> Result<bool, HubError> {
        oversight::take_turn(self, worker, instance, ttl).await
    }

    async fn turn(&self) -> Result<Option<(String, String)>, HubError> {
        oversight::turn(self).await
    }

    async fn end_turn(&self, worker: &str) -> Result<(), HubError> {
        oversight::end_turn(self, worker).await
    }

    async fn oversight(&self) -> Result<Oversight, HubError> {
        oversight::read(self).await
    }

    async fn oversee(&self, oversight: &Oversight) -> Result<(), HubError> {
        oversight::store(self, oversight).await
    }
}

/// Whether there is no need to scan. Who enqueued the job has looked: a verdict that was there for long by then was not
/// good enough, by a configuration or a secret that is not ours.
fn suffices(hub: &RedisHub, job: &Job, verdict: &Verdict) -> bool {
    let looked = Duration::from_millis(job.enqueued_ms).saturating_sub(OVERLOOKED).as_secs();
    let outdated = hub.generation.borrow().at_least(job.needs.as_deref()).outdates(verdict);
    verdict.scanned_at >= looked && !outdated
}

/// Whether what is held against a sample still counts for a job.
fn holds(hub: &RedisHub, job: &Job, failed: &FailedSample) -> bool {
    failed.holds(&hub.generation.borrow().at_least(job.needs.as_deref()), hub.now())
}

/// What stood in Redis when a job was begun.
struct Taken {
    /// What became of the lease.
    word: String,
    verdict: Option<Verdict>,
    failed: Option<FailedSample>,
}

async fn take_lease(hub: &RedisHub, claim: &Claim) -> Result<Taken, HubError> {
    let sample = &claim.job.sample;
    let keys = [Kept::Verdict, Kept::Sample, Kept::Lease, Kept::Waiters, Kept::Failed];
    let call = SCRIPTS.begin.on(keys.map(|kept| hub.keys.of(sample, kept)));
    let call = call.arg(lease_of(claim)).arg(millis(hub.queue.lease_ttl));
    let call = call.arg(claim.job.lane.as_str()).arg(millis(hub.queue.sample_ttl));
    let (word, verdict, failed): (_, Vec<u8>, Vec<u8>) =
        from_redis_value(hub.verdicts.one(call).await?).map_err(unusable)?;
    let there = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty());
    let stored = there(verdict).and_then(|bytes| names::stored(hub, sample, bytes));
    Ok(Taken {
        word,
        verdict: names::whole(hub, vec![stored]).await?.pop().flatten(),
        failed: there(failed).and_then(|bytes| hub.failed(sample, bytes)),
    })
}

async fn fetch(hub: &RedisHub, claim: &Claim, failed: Option<FailedSample>) -> Result<Begin, HubError> {
    let key = hub.keys.of(&claim.job.sample, Kept::Sample);
    let get = vec![vec![Step::from(cmd("GET").arg(key).take())]];
    let _transit = hub.transit(claim.job.size).await?;
    let answer = hub.payloads.carry(get, claim.job.size).await?.into_iter().flatten().next();
    let bytes: Option<Vec<u8>> =
        from_redis_value(answer.unwrap_or(Ok(Value::Nil)).map_err(hub_error)?).map_err(unusable)?;
    let opened = match bytes {
        Some(bytes) => hub.vault.open_sample(&claim.job.sample.to_string(), bytes).await,
        None => None,
    };
    match opened {
        Some(bytes) => Ok(Begin::Scan { bytes, failed }),
        None => gone(hub, claim).await,
    }
}

async fn gone(hub: &RedisHub, claim: &Claim) -> Result<Begin, HubError> {
    let Job { sample, queue_id, .. } = &claim.job;
    warn!(event = "sample_gone", sample = %sample, queue.id = queue_id, "the bytes of a job are gone; it is dropped");
    let keys = [Kept::Sample, Kept::Lease].map(|kept| hub.keys.of(sample, kept));
    let free = SCRIPTS.give_back.on(keys).arg(lease_of(claim));
    let owed: Vec<u8> = from_redis_value(finish(hub, claim, free).await?).map_err(unusable)?;
    if !owed.is_empty() {
        let name = sample.to_string();
        let queue_id = hub.vault.open(Purpose::Owed, &name, owed).unwrap_or_default();
        never_scanned(&name, &String::from_utf8_lossy(&queue_id));
    }
    Ok(Begin::Nothing)
}

/// To the background lane, some of which gives way where that has no place for it.
async fn demote(hub: &RedisHub, claim: &Claim) -> Result<(), HubError> {
    for _ in 0..ROUNDS {
        let told: Vec<Vec<u8>> =
            from_redis_value(hub.verdicts.one(demotion(hub, claim)).await?).map_err(unusable)?;
        let (word, gone) = told.split_first().ok_or_else(|| unusable("demote gave no answer"))?;
        gave_way(hub, gone).await;
        if word != b"again" {
            break;
        }
    }
    Ok(())
}

fn demotion(hub: &RedisHub, claim: &Claim) -> Call {
    let job = Job { lane: Lane::Background, ..claim.job.clone() };
    let shard = hub.keys.shard_of(&job.sample);
    let [lane, queued, bytes] = entry_keys(hub, claim);
    let [jobs, background] = [hub.keys.jobs(shard, job.lane), hub.keys.queued(shard, job.lane)];
    let [mail, bulk] = [Lane::Mail, Lane::Bulk].map(|lane| hub.keys.queued(shard, lane));
    let (owed, buried) = (hub.keys.owed(shard), hub.keys.buried(shard));
    let call = SCRIPTS.demote.on([lane, queued, bytes, jobs, background, owed, mail, bulk, buried]);
    let tries = claim.deliveries.saturating_sub(1);
    let most = (hub.queue.max_jobs / hub.keys.shards() / 2).max(1);
    call.arg(Keys::GROUP).arg(&claim.id).arg(&*sealed_job(hub, &job)).arg(tries).arg(most)
}

/// The letter first: it says whether there is room for the bytes. A crash before the announcement costs those who wait
/// another scan.
async fn bury(
    hub: &RedisHub,
    claim: &Claim,
    reason: &str,
    instance: &str,
    stored: Stored<'_>,
) -> Result<(), HubError> {
    let letter = Letter {
        job: claim.job.clone(),
        reason: reason.to_owned(),
        instance: instance.to_owned(),
        deliveries: claim.deliveries,
        buried_at: hub.now(),
    };
    let [lane, queued, bytes, owed, letters, buried] = all_keys(hub, claim);
    let call = SCRIPTS.bury.on([lane, queued, bytes, letters, buried, owed]);
    let sealed = hub.vault.seal(Purpose::Letter, "", Versioned::encode(&letter));
    let call = call.arg(Keys::GROUP).arg(&claim.id).arg(&*sealed);
    let call = call.arg(LETTERS).arg(millis(LETTERS_TTL));
    let room = hub.queue.max_bytes.as_u64() / LETTERS_SHARE / hub.keys.shards() as u64;
    let word: String =
        from_redis_value(hub.verdicts.one(call.arg(room).arg(millis(hub.queue.sample_ttl))).await?)
            .map_err(unusable)?;
    let failed = Answer::Failed(reason.to_owned());
    in_order(hub, vec![answered(hub, claim, failed, stored, word != "forget").into()]).await.map(drop)
}

/// What an answer leaves behind.
enum Stored<'a> {
    /// With its wire form.
    Verdict(&'a Verdict, Vec<u8>),
    Failed(&'a FailedSample),
    Nothing,
}

/// Tells those who wait; forgets the bytes unless `keep`.
fn told(hub: &RedisHub, claim: &Claim, answer: Answer, keep: bool) -> Call {
    answered(hub, claim, answer, Stored::Nothing, keep)
}

/// The same, and stores what is not over already.
fn answered(hub: &RedisHub, claim: &Claim, answer: Answer, stored: Stored<'_>, keep: bool) -> Call {
    let kept = [Kept::Verdict, Kept::Sample, Kept::Lease, Kept::Waiters, Kept::Failed];
    let name = claim.job.sample.to_string();
    let announcement = Announcement { key: claim.job.sample.clone(), answer: answer.bounded() };
    let clean = matches!(&stored, Stored::Verdict(verdict, _) if verdict.is_clean());
    let (mut verdict, mut failed) = ((Cow::default(), Duration::ZERO), (Cow::default(), Duration::ZERO));
    match stored {
        Stored::Verdict(of, wire) => {
            let life = if clean { hub.fill().clean_life(&hub.cache) } else { hub.cache.ttl(of) };
            verdict = (hub.vault.seal(Purpose::Verdict, &name, wire), of.fresh_at(hub.now(), life));
        }
        Stored::Failed(of) => failed = (sealed_failure(hub, claim, of), of.life(hub.now())),
        Stored::Nothing => {}
    }
    let call = SCRIPTS
        .complete
        .on(kept.map(|kept| hub.keys.of(&claim.job.sample, kept)))
        .arg(lease_of(claim))
        .arg(&*hub.vault.seal(Purpose::Announcement, "", Versioned::encode(announcement)))
        .arg(hub.keys.announce_root());
    let call = unless_over(call, &verdict).arg(u8::from(keep)).arg(u8::from(clean));
    unless_over(call, &failed)
}

/// Two arguments: what is to be stored and how long, or nothing.
fn unless_over(call: Call, (sealed, life): &(Cow<'_, [u8]>, Duration)) -> Call {
    let stored: &[u8] = if life.is_zero() { &[] } else { sealed };
    call.arg(stored).arg(millis(*life))
}

fn sealed_failure(hub: &RedisHub, claim: &Claim, failed: &FailedSample) -> Cow<'static, [u8]> {
    hub.vault.seal(Purpose::Failed, &claim.job.sample.to_string(), Versioned::encode(failed))
}

/// What is to be done about the sample, and then the job's acknowledgement, which gives what was owed.
async fn finish(hub: &RedisHub, claim: &Claim, sample: Call) -> Result<Value, HubError> {
    let [lane, queued, bytes, owed, ..] = all_keys(hub, claim);
    let done = SCRIPTS.acknowledge.on([lane, queued, bytes, owed]).arg(Keys::GROUP).arg(&claim.id);
    in_order(hub, vec![sample.into(), done.into()]).await
}

/// Gives what the last step gave.
async fn in_order(hub: &RedisHub, steps: Vec<Step>) -> Result<Value, HubError> {
    let mut last = Value::Nil;
    for outcome in hub.verdicts.run(vec![steps]).await?.into_iter().flatten() {
        last = outcome.map_err(hub_error)?;
    }
    Ok(last)
}

/// Ends a job whose sample another one scans.
fn acknowledge(hub: &RedisHub, claim: &Claim) -> Call {
    SCRIPTS.acknowledge.on(entry_keys(hub, claim)).arg(Keys::GROUP).arg(&claim.id)
}

/// Acknowledges a job whose sample was scanned: its dead letter goes, if it has one.
fn settle(hub: &RedisHub, claim: &Claim) -> Call {
    let call = SCRIPTS.acknowledge.on(all_keys(hub, claim));
    call.arg(Keys::GROUP).arg(&claim.id).arg(claim.job.sample.to_string())
}

/// Entry, what is owed, letters.
fn all_keys(hub: &RedisHub, claim: &Claim) -> [String; 6] {
    let [lane, queued, bytes] = entry_keys(hub, claim);
    let (keys, shard) = (&hub.keys, hub.keys.shard_of(&claim.job.sample));
    [lane, queued, bytes, keys.owed(shard), keys.dead_letters(shard), keys.buried(shard)]
}
