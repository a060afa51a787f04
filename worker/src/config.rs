// SPDX-License-Identifier: GPL-3.0-or-later
//! `worker.toml`. The commented file under `deploy/` is its documentation and, compiled in, its default.

use crate::{containers::Open, oversee::Canary};
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::{
    admin::settings::Admin,
    config::{ConfigError, Farm, Fault, Source, exact_size, find, load_checked},
    freshness::Cache,
    hub::{Queue, redis::Redis},
    telemetry::Log,
    traces::Traces,
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
    /// The sample that each scanner must find.
    pub canary: Canary,
    /// What opening sealed containers may take.
    pub open: Open,
    /// The life of a job.
    pub queue: Queue,
    /// How long verdicts live.
    pub cache: Cache,
    /// What this process may take.
    pub limits: Limits,
    /// Logs.
    pub log: Log,
    /// Traces.
    pub traces: Traces,
    /// The admin server.
    pub admin: Admin,
    /// The file that it was read from; none: the built-in defaults.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// `[limits]`: what a worker may take.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of all samples in its hands; a job whose sample does not fit waits.
    #[serde(serialize_with = "exact_size")]
    pub memory_bytes: ByteSize,
}

impl Config {
    /// The configuration in `file`, or in the usual place if there is one there, over the defaults.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the place and the key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = find(file, Path::new(PLACE))?;
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let config = load_checked(DEFAULTS, file.as_deref().map(Source::File), environment, Self::check)?;
        Ok(Self { file, ..config })
    }

    /// What serde cannot see: values that do not go together.
    fn check(&self) -> Result<(), Fault> {
        if self.limits.memory_bytes.as_u64() == 0 {
            return Err(Fault::new(&["limits.memory_bytes"], "must be more than 0"));
        }
        if self.log.findings.is_some() {
            return Err(Fault::new(&["log.findings"], "is the milter's, which has lines of findings"));
        }
        self.admin.check()?;
        self.redis.check()?;
        self.farm.check()?;
        self.canary.check()?;
        self.open.check()?;
        self.queue.check()?;
        self.cache.check()?;
        self.traces.check()?;
        self.log.check()
    }
}
