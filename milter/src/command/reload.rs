// SPDX-License-Identifier: GPL-3.0-or-later
//! SIGHUP: what [`LIVE`] names holds for every connection from then on. A connection that is open keeps the
//! configuration it began with, and so do its messages. The scanners of this process change for all.

use crate::{
    check,
    command::{assembly::scanner_inside, standalone::Scanners},
    config::Config,
    front::milter::Connections,
    inspect::inspector::Gate,
};
use std::{path::PathBuf, sync::Arc};
use thundergate_common::{
    admin::Access,
    hub::redis::RedisHub,
    reload::{Reload, Unusable},
    shutdown::Hangups,
    telemetry::Control,
};
use thundergate_policy::Policy;
use tokio::sync::watch;

/// What can change while the program runs.
const LIVE: [&str; 20] = [
    "mode",
    "farm.",
    "scan.",
    "policy.",
    "wait.",
    "limits.",
    "tag.",
    "log.level",
    "log.findings",
    "redis.username",
    "redis.password_file",
    "redis.sentinel_username",
    "redis.sentinel_password_file",
    "redis.ca_file",
    "redis.cert_file",
    "redis.key_file",
    "admin.token_file",
    "admin.tokens_file",
    "admin.cert_file",
    "admin.key_file",
];

/// Where wishes to reload come from, and what they concern outside the mail.
pub struct Source {
    /// The file that the command line names.
    pub file: Option<PathBuf>,
    /// The log.
    pub log: Control,
    /// The wishes.
    pub hangups: Hangups,
}

/// What changes.
pub struct Live {
    /// The gate of new connections.
    pub gates: watch::Sender<Arc<Gate>>,
    /// `limits.connections`.
    pub(crate) connections: Arc<Connections>,
    /// The scanners of this process.
    pub scanners: Option<Scanners>,
    /// The hub over Redis, if there is one.
    pub redis: Option<Arc<RedisHub>>,
    /// The files of the admin server.
    pub access: Option<Arc<Access>>,
    /// What looks for what is wrong.
    pub checker: Arc<check::Service>,
}

/// Reloads at each wish, for ever. `started` is what the program was started with.
pub async fn heed(source: Source, started: Config, live: Live) {
    let load = || Config::load(source.file.as_deref());
    let apply = |config: &Config| live.apply(config, &source.log);
    Reload { live: &LIVE, log: source.log.clone(), load, apply }.heed(started, source.hangups).await;
}

impl Live {
    /// What can be wrong comes first: then nothing has changed.
    fn apply(&self, config: &Config, log: &Control) -> Result<(), Unusable> {
        let policy = Policy::compile(&config.policy)?;
        self.access.as_ref().map_or(Ok(()), |access| access.reread(&config.admin))?;
        match (&self.scanners, scanner_inside(config)) {
            (Some(scanners), Some(farm)) => scanners.reconfigure(farm)?,
            (None, None) => {}
            _ => tracing::warn!("Scanners of this process's own come and go with a restart"),
        }
        log.set_level(&config.log.level)?;
        if let (Some(hub), Some(redis)) = (&self.redis, &config.redis) {
            hub.log_in_as(redis);
        }
        self.checker.reconfigure(config);
        self.gates.send_modify(|gate| *gate = Arc::new(gate.reconfigured(config.of_messages(), policy)));
        self.connections.resize(config.limits.connections);
        Ok(())
    }
}
