// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm's [outage](crate::outage): workers write what their reports add up to, milters read it every few seconds.

use super::{RedisHub, connection::Connection, entry::millis, error::unusable, seal::Purpose, vault::Vault};
use crate::{
    generation::FarmReport,
    hub::HubError,
    keys::Keys,
    outage::{Outage, outage},
};
use redis::{cmd, from_redis_value};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long an outage counts after the last report that told of it.
const LIFE: Duration = Duration::from_secs(30);
/// What it is sealed for.
const OUTAGE: &str = "outage";

/// Why no instance scans, as this process knows it.
pub(super) type Known = watch::Sender<Outage>;

/// Writes what follows from all `reports`.
pub(super) async fn tell(hub: &RedisHub, reports: &[FarmReport]) -> Result<(), HubError> {
    let key = hub.keys.outage();
    let command = match outage(reports) {
        Some(reason) => {
            let sealed = hub.vault.seal(Purpose::Generation, OUTAGE, reason.into_bytes());
            cmd("SET").arg(key).arg(&*sealed).arg("PX").arg(millis(LIFE)).take()
        }
        None => cmd("DEL").arg(key).take(),
    };
    hub.verdicts.one(command).await.map(drop)
}

/// Reads it. A user that may not (an older users.acl) knows of no outage, and waits.
pub(super) async fn learn(
    connection: &Connection,
    keys: &Keys,
    vault: &Vault,
    known: &Known,
) -> Result<(), HubError> {
    let sealed: Option<Vec<u8>> =
        from_redis_value(connection.one(cmd("GET").arg(keys.outage()).take()).await?).map_err(unusable)?;
    let opened = sealed.and_then(|sealed| vault.open(Purpose::Generation, OUTAGE, sealed));
    let reason = opened.map(|text| String::from_utf8_lossy(&text).into_owned());
    known.send_modify(|known| known.learn(reason.as_deref(), Instant::now()));
    Ok(())
}
