// SPDX-License-Identifier: GPL-3.0-or-later
//! What the workers together know of their instances: one value, which one worker at a time keeps for all, and what
//! milters need of it under a key of its own, which they may read.

use super::{
    RedisHub,
    entry::millis,
    error::{hub_error, unusable},
    scripts::{SCRIPTS, Step},
    seal::Purpose,
};
use crate::{
    blind::BlindSpan,
    hub::{Hub as _, HubError},
    oversight::Oversight,
    wire::Versioned,
};
use redis::{Cmd, RedisResult, Value, cmd, from_redis_value};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the oversight is sealed for.
const OVERSIGHT: &str = "oversight";
/// What the spans are.
pub(super) const BLIND: &str = "blind";
/// How long the generation outlives the last report, a bump its making, and what is known of instances its last change.
pub(super) const MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

/// The spans as milters read them.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Spans {
    pub spans: Vec<BlindSpan>,
}

/// See [`crate::hub::Worker::lead`].
pub(super) async fn lead(hub: &RedisHub, worker: &str, ttl: Duration) -> Result<bool, HubError> {
    let renew = SCRIPTS.renew_lease.on([hub.keys.leader()]).arg(worker).arg(millis(ttl));
    if from_redis_value(hub.verdicts.one(renew).await?).map_err(unusable)? {
        return Ok(true);
    }
    let take = cmd("SET").arg(hub.keys.leader()).arg(worker).arg("NX").arg("PX").arg(millis(ttl)).take();
    Ok(hub.verdicts.one(take).await? != Value::Nil)
}

/// See [`crate::hub::Worker::take_turn`].
pub(super) async fn take_turn(
    hub: &RedisHub,
    worker: &str,
    instance: &str,
    ttl: Duration,
) -> Result<bool, HubError> {
    let take = SCRIPTS.take_turn.on([hub.keys.suspect()]).arg(worker).arg(instance).arg(millis(ttl));
    from_redis_value(hub.verdicts.one(take).await?).map_err(unusable)
}

/// See [`crate::hub::Worker::turn`].
pub(super) async fn turn(hub: &RedisHub) -> Result<Option<(String, String)>, HubError> {
    let turn = hub.verdicts.one(cmd("GET").arg(hub.keys.suspect()).take()).await?;
    let turn: Option<String> = from_redis_value(turn).map_err(unusable)?;
    Ok(turn.and_then(|turn| {
        let (worker, instance) = turn.split_once(' ')?;
        Some((worker.to_owned(), instance.to_owned()))
    }))
}

/// See [`crate::hub::Worker::end_turn`].
pub(super) async fn end_turn(hub: &RedisHub, worker: &str) -> Result<(), HubError> {
    hub.verdicts.one(SCRIPTS.end_turn.on([hub.keys.suspect()]).arg(worker)).await.map(drop)
}

/// See [`crate::hub::Worker::oversight`].
pub(super) async fn read(hub: &RedisHub) -> Result<Oversight, HubError> {
    opened(hub, Ok(hub.verdicts.one(reading(hub)).await?))
}

/// Asks for the oversight.
pub(super) fn reading(hub: &RedisHub) -> Cmd {
    cmd("GET").arg(hub.keys.oversight()).take()
}

/// The answer to that; what does not open or is not there is one that knows nothing.
pub(super) fn opened(hub: &RedisHub, answer: RedisResult<Value>) -> Result<Oversight, HubError> {
    let sealed: Option<Vec<u8>> = from_redis_value(answer.map_err(hub_error)?).map_err(unusable)?;
    let plain = sealed.and_then(|sealed| hub.vault.open(Purpose::Report, OVERSIGHT, sealed));
    Ok(plain.and_then(|plain| Versioned::decode(&plain)).unwrap_or_default())
}

/// See [`crate::hub::Worker::oversee`]. What keeps verdicts from being believed comes first.
pub(super) async fn store(hub: &RedisHub, oversight: &Oversight) -> Result<(), HubError> {
    let mut oversight = oversight.clone();
    oversight.prune(hub.now(), hub.cache.clean_ttl);
    let blind = if oversight.spans.is_empty() {
        cmd("DEL").arg(hub.keys.blind()).take()
    } else {
        let spans = Versioned::encode(Spans { spans: oversight.spans.clone() });
        let sealed = hub.vault.seal(Purpose::Generation, BLIND, spans);
        let life = millis(MEMORY.max(hub.cache.clean_ttl));
        cmd("SET").arg(hub.keys.blind()).arg(&*sealed).arg("PX").arg(life).take()
    };
    let sealed = hub.vault.seal(Purpose::Report, OVERSIGHT, Versioned::encode(&oversight));
    let life = millis(MEMORY.max(hub.cache.clean_ttl));
    let whole = cmd("SET").arg(hub.keys.oversight()).arg(&*sealed).arg("PX").arg(life).take();
    for outcome in hub.verdicts.run(vec![vec![Step::from(blind), whole.into()]]).await?.into_iter().flatten()
    {
        outcome.map_err(hub_error)?;
    }
    Ok(())
}
