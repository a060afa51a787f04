// SPDX-License-Identifier: GPL-3.0-or-later
//! Candidates for the password of a sample, in a key beside it: a hash with a field for each of a few messages, sealed. They
//! are words of people's mails, so without `redis.secret_file` none leaves the process.

use super::{
    RedisHub,
    entry::millis,
    error::{hub_error, unusable},
    scripts::Step,
    seal::Purpose,
};
use crate::{
    hub::{
        HubError,
        passwords::{MESSAGES, interleaved},
    },
    keys::Kept,
    sample::SampleKey,
};
use redis::{RedisResult, Value, cmd, from_redis_value};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

/// Keeps those of one message. With more messages than fields one takes another's place, at random.
pub(super) async fn offer(
    hub: &RedisHub,
    key: &SampleKey,
    passwords: &[SecretString],
) -> Result<(), HubError> {
    if !hub.vault.is_closed() || passwords.is_empty() {
        return Ok(());
    }
    let words: Vec<&str> = passwords.iter().map(|password| password.expose_secret()).collect();
    let plain = Zeroizing::new(serde_json::to_vec(&words).expect("texts always serialise"));
    let sealed = hub.vault.seal(Purpose::Passwords, &key.to_string(), plain.as_slice());
    let name = hub.keys.of(key, Kept::Passwords);
    let set = cmd("HSET").arg(&name).arg(fastrand::usize(..MESSAGES)).arg(&*sealed).take();
    let expire = cmd("PEXPIRE").arg(&name).arg(millis(hub.queue.sample_ttl)).take();
    let outcomes = hub.verdicts.run(vec![vec![Step::from(set), Step::from(expire)]]).await?;
    outcomes.into_iter().flatten().collect::<RedisResult<Vec<Value>>>().map(drop).map_err(hub_error)
}

/// Those of all messages.
pub(super) async fn offered(hub: &RedisHub, key: &SampleKey) -> Result<Vec<SecretString>, HubError> {
    if !hub.vault.is_closed() {
        return Ok(Vec::new());
    }
    let answer = hub.verdicts.one(cmd("HGETALL").arg(hub.keys.of(key, Kept::Passwords)).take()).await?;
    let fields: Vec<(Vec<u8>, Vec<u8>)> = from_redis_value(answer).map_err(unusable)?;
    let mut lists = Vec::new();
    for (_, sealed) in fields.into_iter().take(MESSAGES) {
        let plain = hub.vault.open(Purpose::Passwords, &key.to_string(), sealed);
        let words = plain.and_then(|plain| serde_json::from_slice::<Vec<SecretString>>(&plain).ok());
        lists.extend(words);
    }
    Ok(interleaved(&lists))
}

/// The sample has its answer.
pub(super) async fn forget(hub: &RedisHub, key: &SampleKey) -> Result<(), HubError> {
    hub.verdicts.one(cmd("DEL").arg(hub.keys.of(key, Kept::Passwords)).take()).await.map(drop)
}
