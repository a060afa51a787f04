// SPDX-License-Identifier: GPL-3.0-or-later
//! The records of mails: written by milters, which may not read them, read by operators. A stream a shard, in which each
//! entry is a [pack], sealed; `scripts/record.lua` keeps it within its bounds.
//!
//! Nothing here concerns mail. When Redis is full the script refuses, and drops old records for each new one that it
//! refuses.

use super::{
    RedisHub,
    entry::{Entries, Fields, millis, read},
    error::{hub_error, unusable},
    receipts,
    scripts::{SCRIPTS, Step},
    seal::Purpose,
};
use crate::{
    hub::HubError,
    record::{
        MailRecord, pack,
        queue_id::{self, Decisions},
        seen::{Search, Seen, Sought},
    },
};
use redis::{RedisError, Value, cmd, from_redis_value};
use std::{collections::HashMap, ops::ControlFlow, sync::atomic::Ordering};
use tokio::task::yield_now;
use tracing::warn;

/// What is dropped at once: a part of what may be there, so that little is lost and little is done.
const PIECES: u64 = 64;
/// The largest piece, in bytes; Redis is busy with it for less than a millisecond.
const LARGEST_PIECE: u64 = 1 << 20;
/// The smallest.
const SMALLEST_PIECE: u64 = 4 << 10;
/// Entries that are read at once: some MB at most.
const PAGE: usize = 32;

/// Keeps records.
pub(super) async fn record(hub: &RedisHub, records: &[MailRecord]) -> Result<(), HubError> {
    let shard = fastrand::usize(..hub.keys.shards());
    let (stream, marks) = (hub.keys.records(shard), hub.keys.record_marks(shard));
    let most = (hub.queue.records_bytes.as_u64() / hub.keys.shards() as u64).max(1);
    let mut steps = Vec::new();
    for pack in pack::packs(records) {
        let call = SCRIPTS.record.on([marks.clone()]);
        let call = call.arg(&stream).arg(most).arg((most / PIECES).clamp(SMALLEST_PIECE, LARGEST_PIECE));
        let sealed = hub.vault.seal(Purpose::Records, &stream, pack);
        steps.push(Step::from(call.arg(millis(hub.queue.records_ttl)).arg(&*sealed)));
        // A pack of long records takes a millisecond, and mail goes first.
        yield_now().await;
    }
    for outcome in hub.verdicts.each(steps).await? {
        outcome.map_err(|error| refused(hub, error))?;
    }
    Ok(())
}

/// Says once that the rights are those of an older version.
fn refused(hub: &RedisHub, error: RedisError) -> HubError {
    let refused = error.code() == Some("NOPERM") || error.to_string().contains("can't run this command");
    if refused && !hub.records_refused.swap(true, Ordering::Relaxed) {
        warn!(
            event = "records_refused",
            "Redis refuses the records of mails, its users are those of an older version: mail goes on, but nobody can \
             ask who received a sample; put the delivered users.acl in place"
        );
    }
    hub_error(error)
}

/// Which mails held a sample: by the records of all shards, and by what is left of receipts.
pub(super) async fn seen(hub: &RedisHub, sought: &Sought, most: usize) -> Result<Seen, HubError> {
    let mut seen = Seen::default();
    for shard in 0..hub.keys.shards() {
        seen = seen.and(seen_in(hub, shard, sought, most).await?, most);
    }
    let received = receipts::of(hub, sought, most).await?;
    Ok(seen.and(received, most))
}

async fn seen_in(hub: &RedisHub, shard: usize, sought: &Sought, most: usize) -> Result<Seen, HubError> {
    let mut search = Search::new(sought, most);
    each_pack(hub, shard, |pack| search.look_at(pack)).await?;
    let (since_ms, dropped) = reach(hub, shard).await?;
    Ok(Seen { since_ms, dropped, ..search.end() })
}

/// What was decided about mails with a queue id, by the records of all shards.
pub(super) async fn decisions(hub: &RedisHub, queue_id: &str, most: usize) -> Result<Decisions, HubError> {
    let mut decisions = Decisions::default();
    for shard in 0..hub.keys.shards() {
        let mut search = queue_id::Search::new(queue_id, most);
        each_pack(hub, shard, |pack| search.look_at(pack)).await?;
        let (since_ms, dropped) = reach(hub, shard).await?;
        decisions = decisions.and(Decisions { mails: search.end(), since_ms, dropped }, most);
    }
    Ok(decisions)
}

/// Shows the packs of a shard, the newest first, until `look_at` has seen enough.
async fn each_pack(
    hub: &RedisHub,
    shard: usize,
    mut look_at: impl FnMut(&[u8]) -> ControlFlow<()> + Send,
) -> Result<(), HubError> {
    let stream = hub.keys.records(shard);
    let mut newest = "+".to_owned();
    loop {
        let page = cmd("XREVRANGE").arg(&stream).arg(&newest).arg("-").arg("COUNT").arg(PAGE).take();
        let entries: Entries = read(Ok(hub.verdicts.one(page).await?))?;
        let Some((oldest, _)) = entries.last() else { return Ok(()) };
        newest = format!("({oldest}");
        let ended = entries.into_iter().try_for_each(|(_, fields)| {
            let sealed = fields.into_iter().find(|(name, _)| name == "pack").map(|(_, sealed)| sealed);
            let pack = sealed.and_then(|sealed| hub.vault.open(Purpose::Records, &stream, sealed));
            pack.map_or(ControlFlow::Continue(()), |pack| look_at(&pack))
        });
        if ended.is_break() {
            return Ok(());
        }
    }
}

/// When the oldest entry was written, and whether there was an older one.
async fn reach(hub: &RedisHub, shard: usize) -> Result<(Option<u64>, bool), HubError> {
    let info = cmd("XINFO").arg("STREAM").arg(hub.keys.records(shard)).take();
    let info = hub.verdicts.each(vec![info.into()]).await?.pop();
    // Of a stream that is not there Redis says nothing.
    let Some(Ok(info)) = info else { return Ok((None, false)) };
    let info: HashMap<String, Value> = from_redis_value(info).map_err(unusable)?;
    let of = |name: &str| info.get(name).cloned().unwrap_or(Value::Nil);
    let first: Option<(String, Fields)> = from_redis_value(of("first-entry")).ok();
    let since = first.and_then(|(id, _)| id.split('-').next()?.parse().ok());
    let count = |name: &str| from_redis_value::<u64>(of(name)).unwrap_or(0);
    Ok((since, count("entries-added") > count("length")))
}
