// SPDX-License-Identifier: GPL-3.0-or-later
//! `worker.toml`. The commented file under `deploy/` is its documentation and, compiled in, its default.

use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::config::{
    Admin, Cache, ConfigError, Farm, Fault, Log, Queue, Redis, Source, load_checked,
};

/// The defaults, and the documentation of every key.
pub const DEFAULTS: &str = include_str!("../../deploy/worker.toml");

/// Where the file is when the command line does not say it.
const PLACE: &str = "/etc/thundergate/worker.toml";

/// The whole of `worker.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long running scans may still take after the first SIGTERM.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// The hub.
    pub redis: Redis,
    /// The scanners.
    pub farm: Farm,
    /// The life of a job.
    pub queue: Queue,
    /// How long verdicts live.
    pub cache: Cache,
    /// Logs.
    pub log: Log,
    /// The admin server.
    pub admin: Admin,
}

impl Config {
    /// The configuration in `file`, or in the usual place if there is one there, over the defaults.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the place and the key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let usual = PathBuf::from(PLACE);
        let file = file.or_else(|| usual.exists().then_some(&*usual));
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        load_checked(DEFAULTS, file.map(Source::File), environment, Self::check)
    }

    /// What serde cannot see: values that do not go together.
    fn check(&self) -> Result<(), Fault> {
        check_farm(&self.farm)?;
        check_queue(&self.queue)?;
        thundergate_common::telemetry::check_level(&self.log.level)
            .map_err(|error| Fault::new(&["log.level"], error.to_string()))
    }
}

/// Checks `[farm]`; for every program that has this section.
///
/// # Errors
///
/// [`Fault`], which names the keys.
pub fn check_farm(farm: &Farm) -> Result<(), Fault> {
    let fault = |key: &str, message: &str| Err(Fault::new(&[key], message));
    if farm.instances.is_empty() {
        return fault("farm.instances", "at least one instance is needed");
    }
    let mut names = HashSet::new();
    for instance in &farm.instances {
        if !matches!(instance.url.scheme(), "http" | "https") || instance.url.host_str().is_none() {
            return fault("farm.instances", "an instance's url must be http://… or https://…");
        }
        if !names.insert(instance.name()) {
            return fault("farm.instances", "two instances have the same name");
        }
    }
    if farm.attempts == 0 {
        return fault("farm.attempts", "must be at least 1");
    }
    if farm.breaker_failures == 0 {
        return fault("farm.breaker_failures", "must be at least 1");
    }
    if farm.probe_interval.is_zero() {
        return fault("farm.probe_interval", "must be longer than nothing");
    }
    if farm.connect_timeout > farm.timeout {
        return Err(Fault::new(
            &["farm.connect_timeout", "farm.timeout"],
            "a connection may not take longer than the whole scan",
        ));
    }
    Ok(())
}

fn check_queue(queue: &Queue) -> Result<(), Fault> {
    if queue.lease_ttl < Duration::from_secs(1) {
        return Err(Fault::new(&["queue.lease_ttl"], "must be at least 1s"));
    }
    if queue.reclaim_after < queue.lease_ttl {
        return Err(Fault::new(
            &["queue.reclaim_after", "queue.lease_ttl"],
            "a job must not be taken over while the lease of its scan still lives",
        ));
    }
    if queue.max_deliveries == 0 {
        return Err(Fault::new(&["queue.max_deliveries"], "must be at least 1"));
    }
    Ok(())
}
