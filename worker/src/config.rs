// SPDX-License-Identifier: GPL-3.0-or-later
//! `worker.toml`. The commented file under `deploy/` is its documentation and, compiled in, its default.

use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::config::{
    Admin, Cache, ConfigError, Farm, Fault, Log, Queue, Redis, Source, check_shared, load_checked,
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
        check_shared(Some(&self.redis), Some(&self.farm), &self.queue, &self.cache, &self.log)
    }
}
