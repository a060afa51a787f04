// SPDX-License-Identifier: GPL-3.0-or-later
//! The table of names that short verdicts refer to ([`crate::verdict::short`]), one hash for all.
//!
//! A worker that stores a verdict writes its names at least every [`AGAIN`], with the time of Redis. An entry is removed
//! once no verdict can refer to it: it has not been written for as long as clean verdicts live, and an hour. There are at
//! most [`MOST`]; where there is no room for another, verdicts have the long form.
//!
//! A process reads an entry once, when a verdict first refers to it, and keeps it. A verdict whose names are not there is
//! none: its sample is scanned again. The key's name is one that an older users.acl lets milters read.

use super::{
    RedisHub,
    entry::read,
    error::unusable,
    scripts::{SCRIPTS, Step},
    seal::Purpose,
};
use crate::{
    hub::{Hub as _, HubError},
    sample::SampleKey,
    verdict::{
        Verdict,
        bounds::LARGEST,
        short::{Names, NamesId, Short},
    },
    wire::Versioned,
};
use redis::{cmd, from_redis_value};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tracing::debug;

/// How long after a worker has written an entry it writes it again, when it needs it.
const AGAIN: Duration = Duration::from_secs(60);
/// How long after the life of a clean verdict its names are kept.
const LONGER: Duration = Duration::from_secs(3600);
/// Entries of the table: instances times versions of a day.
const MOST: usize = 256;
/// Names that a process keeps; with more it begins anew.
const MOST_KNOWN: usize = 4096;

/// What this process knows of the table.
#[derive(Default)]
pub(super) struct Table {
    known: Mutex<HashMap<NamesId, Arc<Names>>>,
    /// When this process has written an entry.
    written: Mutex<HashMap<NamesId, Instant>>,
}

/// A verdict as it stands in Redis.
pub(super) enum Stored {
    Whole(Box<Verdict>),
    Short(Short),
}

impl Table {
    fn name(&self, id: NamesId) -> Option<Arc<Names>> {
        lock(&self.known).get(&id).cloned()
    }

    fn keep(&self, id: NamesId, names: Names) {
        let mut known = lock(&self.known);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(id, Arc::new(names));
    }

    fn written(&self, id: NamesId) -> Option<Duration> {
        lock(&self.written).get(&id).map(Instant::elapsed)
    }

    fn note_written(&self, id: NamesId) {
        let mut written = lock(&self.written);
        if written.len() >= MOST_KNOWN {
            written.clear();
        }
        written.insert(id, Instant::now());
    }
}

/// What stands in Redis for a sample; none that is not for it, or is too large.
pub(super) fn stored(hub: &RedisHub, key: &SampleKey, bytes: Vec<u8>) -> Option<Stored> {
    let plain = hub.vault.open(Purpose::Verdict, &key.to_string(), bytes)?;
    if plain.len() > LARGEST {
        debug!(event = "verdict_ignored", sample = %key, size_bytes = plain.len(), "a verdict is too large");
        return None;
    }
    let short = Short::decode(&plain).map(Stored::Short);
    short.or_else(|| Verdict::decode(&plain).map(Box::new).map(Stored::Whole))
}

/// The verdicts themselves, those that are not over: somebody may have put one back. One round trip more where names are
/// asked for that this process has not met.
pub(super) async fn whole(
    hub: &RedisHub,
    all: Vec<Option<Stored>>,
) -> Result<Vec<Option<Verdict>>, HubError> {
    let ids: HashSet<NamesId> = all.iter().flatten().filter_map(|stored| unknown(hub, stored)).collect();
    if !ids.is_empty() {
        ask(hub, ids).await?;
    }
    let complete = |stored| match stored {
        Stored::Whole(verdict) => Some(*verdict),
        Stored::Short(short) => hub.names.name(short.names).map(|names| short.with(&names)),
    };
    let is_fresh = |verdict: &Verdict| !verdict.fresh_at(hub.now(), hub.cache.ttl(verdict)).is_zero();
    Ok(all.into_iter().map(|stored| stored.and_then(complete).filter(is_fresh)).collect())
}

fn unknown(hub: &RedisHub, stored: &Stored) -> Option<NamesId> {
    match stored {
        Stored::Short(short) if hub.names.name(short.names).is_none() => Some(short.names),
        _ => None,
    }
}

async fn ask(hub: &RedisHub, ids: HashSet<NamesId>) -> Result<(), HubError> {
    let ids: Vec<NamesId> = ids.into_iter().collect();
    let steps = ids.iter().map(|id| cmd("HGET").arg(hub.keys.names()).arg(id.to_string()).take().into());
    for (id, answer) in ids.iter().zip(hub.verdicts.each(steps.collect()).await?) {
        let entry: Option<Vec<u8>> = read(answer)?;
        // The id follows from the names: an entry of another one is none.
        if let Some(names) =
            entry.and_then(|entry| opened(hub, *id, &entry)).filter(|names| names.id() == *id)
        {
            hub.names.keep(*id, names);
        }
    }
    Ok(())
}

/// An entry: when it was written, a blank, the names.
fn opened(hub: &RedisHub, id: NamesId, entry: &[u8]) -> Option<Names> {
    let blank = entry.iter().position(|byte| *byte == b' ')?;
    let sealed = entry[blank + 1..].to_vec();
    Versioned::decode(&hub.vault.open(Purpose::Names, &id.to_string(), sealed)?)
}

/// A verdict's wire form: the short one where it has one, the table has its names, and who reads it knows of it.
pub(super) async fn wire_form(hub: &RedisHub, verdict: &Verdict, reads_short: bool) -> Vec<u8> {
    if let Some(short) = Short::of(verdict).filter(|_| reads_short)
        && are_written(hub, verdict, short.names).await
    {
        return short.encode();
    }
    verdict.encode()
}

/// Whether the table has a verdict's names for as long as the verdict lives.
async fn are_written(hub: &RedisHub, verdict: &Verdict, id: NamesId) -> bool {
    let written = hub.names.written(id);
    if written.is_some_and(|ago| ago < AGAIN) {
        return true;
    }
    let names = Names::of(verdict);
    let sealed = hub.vault.seal(Purpose::Names, &id.to_string(), Versioned::encode(&names));
    let kept = (hub.cache.clean_ttl + LONGER).as_secs();
    let call: Step =
        SCRIPTS.names.on([hub.keys.names()]).arg(id.to_string()).arg(&*sealed).arg(MOST).arg(kept).into();
    let answer = hub.verdicts.one(call).await;
    match answer.and_then(|answer| from_redis_value::<bool>(answer).map_err(unusable)) {
        Ok(true) => {
            hub.names.note_written(id);
            hub.names.keep(id, names);
            true
        }
        Ok(false) => false,
        // Full, say: what was written is there for an hour more than any verdict.
        Err(_) => written.is_some_and(|ago| ago < LONGER),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds a table")
}
