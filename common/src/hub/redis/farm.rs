// SPDX-License-Identifier: GPL-3.0-or-later
//! What workers report of the farm, and the generation that follows from it. Every process looks at the generation
//! every few seconds; while Redis is away it keeps what it knew.
//!
//! How old a report is, the clock of Redis says: workers need not agree on the time.

use super::{
    RedisHub,
    connection::Connection,
    entry::millis,
    error::{hub_error, unusable},
    scripts::SCRIPTS,
    seal::Purpose,
    vault::Vault,
};
use crate::{
    clock::now,
    generation::{FarmReport, Generation, reached},
    hub::HubError,
    keys::Keys,
    wire::Versioned,
};
use redis::{RedisResult, Value, cmd, from_redis_value};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};
use tracing::info;

/// How often a process looks at the generation: with the workers' probes before it, milters learn of a new one within 10 s.
const EVERY: Duration = Duration::from_secs(3);
/// For how many seconds a report counts.
const FRESH: u64 = 30;
/// So many seconds may clocks differ, and reports be older than they seem, where they are sealed.
const CLOCKS: u64 = 300;
/// How long the generation outlives the last report, and a bump its making.
const MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the two halves of the generation are sealed for.
const SIGNATURES: &str = "signatures";
const BUMPED: &str = "bumped";

/// Keeps what this process knows of the generation fresh.
pub(super) struct Watcher {
    pub connection: Connection,
    pub keys: Keys,
    pub vault: Arc<Vault>,
    pub generation: Arc<watch::Sender<Arc<Generation>>>,
}

impl Watcher {
    /// Looks again and again, until it is dropped.
    pub(super) async fn run(self) {
        loop {
            // Jitter: the processes of a site shall not all ask in the same moment.
            sleep(EVERY.mul_f64(0.9 + fastrand::f64() / 10.0)).await;
            // An outage is told by whoever needs the hub for mail.
            let _ = self.look().await;
        }
    }

    /// Looks once.
    pub(super) async fn look(&self) -> Result<(), HubError> {
        learn(&self.connection, &self.keys, &self.vault, &self.generation).await
    }
}

/// See [`crate::hub::Worker::report`].
pub(super) async fn report(
    hub: &RedisHub,
    report: &FarmReport,
    quorum: Option<NonZeroUsize>,
) -> Result<(), HubError> {
    let sealed = hub.vault.seal(Purpose::Report, "", Versioned::encode(report));
    let all = exchange(hub, &report.worker, &sealed).await?;
    if let Some(signatures) = reached(&all, quorum) {
        let command = match signatures {
            Some(signatures) => {
                let sealed = hub.vault.seal(Purpose::Generation, SIGNATURES, signatures.into_bytes());
                cmd("SET").arg(hub.keys.signatures()).arg(&*sealed).arg("PX").arg(millis(MEMORY)).take()
            }
            None => cmd("DEL").arg(hub.keys.signatures()).take(),
        };
        hub.verdicts.one(command).await?;
    }
    learn(&hub.verdicts, &hub.keys, &hub.vault, &hub.generation).await
}

/// See [`crate::hub::Observer::farm`].
pub(super) async fn reports(hub: &RedisHub) -> Result<Vec<FarmReport>, HubError> {
    exchange(hub, "", &[]).await
}

async fn exchange(hub: &RedisHub, worker: &str, report: &[u8]) -> Result<Vec<FarmReport>, HubError> {
    let call = SCRIPTS.report.on([hub.keys.reports()]).arg(worker).arg(report).arg(FRESH);
    let all: Vec<Vec<u8>> = from_redis_value(hub.verdicts.one(call).await?).map_err(unusable)?;
    let read = |sealed| Versioned::decode(&hub.vault.open(Purpose::Report, "", sealed)?);
    let all = all.into_iter().filter_map(read);
    // Where Redis is not trusted, its word for the age of a report is none.
    let current = |report: &FarmReport| !hub.vault.is_closed() || now().abs_diff(report.at) < CLOCKS;
    Ok(all.filter(current).collect())
}

/// See [`crate::hub::Operator::bump`].
pub(super) async fn bump(hub: &RedisHub) -> Result<Generation, HubError> {
    let life = millis(MEMORY.max(hub.cache.clean_ttl));
    let sealed = hub.vault.seal(Purpose::Generation, BUMPED, now().to_string().into_bytes());
    hub.verdicts.one(cmd("SET").arg(hub.keys.bumped()).arg(&*sealed).arg("PX").arg(life).take()).await?;
    learn(&hub.verdicts, &hub.keys, &hub.vault, &hub.generation).await?;
    Ok(Generation::clone(&hub.generation.borrow()))
}

async fn learn(
    connection: &Connection,
    keys: &Keys,
    vault: &Vault,
    known: &watch::Sender<Arc<Generation>>,
) -> Result<(), HubError> {
    let read = [keys.signatures(), keys.bumped()].map(|key| cmd("GET").arg(key).take().into());
    let [signatures, bumped] =
        <[_; 2]>::try_from(connection.each(read.into()).await?).map_err(|_| unusable("too few answers"))?;
    let read = |value: RedisResult<Value>, of| -> Result<_, HubError> {
        let sealed: Option<Vec<u8>> = from_redis_value(value.map_err(hub_error)?).map_err(unusable)?;
        let opened = |sealed| vault.open(Purpose::Generation, of, sealed).map(|text| text_of(&text));
        Ok(sealed.map_or(Some(None), |sealed| opened(sealed).map(Some)))
    };
    let (Some(signatures), Some(bumped)) = (read(signatures, SIGNATURES)?, read(bumped, BUMPED)?) else {
        // What does not open says nothing: what is known stays.
        return Ok(());
    };
    let bumped_at = bumped.and_then(|text| text.parse().ok()).unwrap_or(0);
    let generation = Generation { signatures, bumped_at };
    known.send_if_modified(|known| {
        let changed = **known != generation;
        if changed {
            info!(
                event = "generation",
                farm.signatures = generation.signatures,
                farm.bumped_at = generation.bumped_at,
                "The farm has reached another generation; clean verdicts from before it are stale"
            );
            *known = Arc::new(generation);
        }
        changed
    });
    Ok(())
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
