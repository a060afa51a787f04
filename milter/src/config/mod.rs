// SPDX-License-Identifier: GPL-3.0-or-later
//! The milter's configuration. `deploy/milter.toml` documents every key and, compiled in, is the default.

pub(crate) mod migrate;

use crate::{
    command::desk::Desk,
    front::milter::{Listen, SocketMode},
    inspect::{
        inspector::Settings,
        settings::{Fallback, Scan, Wait},
    },
    mail::limits::Limits,
    outcome::settings::{Mode, Tag},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::{
    admin::settings::Admin,
    config::{ConfigError, Farm, Fault, Source, find, load_checked},
    freshness::Cache,
    hub::{Queue, redis::Redis},
    telemetry::Log,
    traces::Traces,
};
use thundergate_policy::PolicyConfig;
use thundergate_worker::{containers::Open, oversee::Canary};

/// The compiled-in default, and the documentation of every key.
pub const DEFAULTS: &str = include_str!("../../../deploy/milter.toml");

/// Where a configuration is looked for unless the command line says otherwise.
pub(crate) const DEFAULT_PATH: &str = "/etc/thundergate/milter.toml";

/// Everything an operator can choose.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the MTA connects; at least one.
    #[serde(deserialize_with = "one_or_many")]
    pub listen: Vec<Listen>,
    /// Who may connect to a unix socket.
    pub socket_mode: SocketMode,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// How long messages under way may take after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// None: one process, no Redis.
    pub redis: Option<Redis>,
    /// The scanners this process may use itself. Always there where `redis` is not.
    pub farm: Option<Farm>,
    /// The sample that each scanner must find, for a milter without Redis.
    pub canary: Option<Canary>,
    /// What opening sealed containers may take, for the scanner in this process.
    pub open: Option<Open>,
    /// What to do without Redis.
    pub fallback: Fallback,
    /// What is a sample, and under which name.
    pub scan: Scan,
    /// Which findings matter, and what happens when something goes wrong.
    pub policy: PolicyConfig,
    /// How long a message waits for its verdicts.
    pub wait: Wait,
    /// What bounds memory and work.
    pub limits: Limits,
    /// The mark on a message that somebody should look at.
    pub tag: Tag,
    /// How long verdicts live.
    pub cache: Cache,
    /// The life of a job.
    pub queue: Queue,
    /// Log lines.
    pub log: Log,
    /// Traces.
    pub traces: Traces,
    /// The admin HTTP server.
    pub admin: Admin,
    /// Who answers what only workers have.
    #[serde(default)]
    pub desk: Desk,
    /// The file that it was read from; none: the built-in defaults.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Config {
    /// The configuration from `path` (TOML, or postfix2thunderstorm's YAML), or from [`DEFAULT_PATH`] where that
    /// exists, or the built-in one; overlaid by the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with file, line and key, or the variable.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let path = find(path, Path::new(DEFAULT_PATH))?;
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let config = match &path {
            Some(path) if is_yaml(path) => {
                let migrated = migrate::read(path)?;
                let name = format!("{}, migrated", path.display());
                Self::from_source(Some(Source::Text(&name, &migrated.toml)), environment)
            }
            Some(path) => Self::from_source(Some(Source::File(path)), environment),
            None => Self::from_source(None, environment),
        };
        Ok(Self { file: path, ..config? })
    }

    /// The configuration that `toml` gives over the defaults; no environment.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn from_toml(toml: &str) -> Result<Self, ConfigError> {
        Self::from_source(Some(Source::Text("configuration", toml)), [])
    }

    fn from_source(
        source: Option<Source<'_>>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config = load_checked(DEFAULTS, source, environment, Self::check)?;
        config.complete();
        Ok(config)
    }

    /// What serde cannot see: what contradicts itself or can never work.
    fn check(&self) -> Result<(), Fault> {
        if self.listen.is_empty() {
            return Err(Fault::new(&["listen"], "must name at least one address, \"inet:127.0.0.1:11337\""));
        }
        self.redis.as_ref().map_or(Ok(()), Redis::check)?;
        self.farm.as_ref().map_or(Ok(()), Farm::check)?;
        self.canary.as_ref().map_or(Ok(()), Canary::check)?;
        self.open.as_ref().map_or(Ok(()), Open::check)?;
        if self.redis.is_some() && self.canary.is_some() {
            return Err(Fault::new(
                &["canary.every", "canary.file"],
                "with [redis] the workers look after the scanners: [canary] belongs into worker.toml",
            ));
        }
        self.queue.check()?;
        self.cache.check()?;
        if self.cache.redis_bytes.as_u64() > 0 {
            return Err(Fault::new(&["cache.redis_bytes"], "is the worker's, which stores the verdicts"));
        }
        self.traces.check()?;
        self.log.check()?;
        self.admin.check()?;
        self.desk.check(self.redis.is_none())?;
        self.policy.check()?;
        self.wait.check()?;
        self.limits.check(self.wait.progress)?;
        self.tag.check()
    }

    /// Without `[redis]` somebody has to scan: the scanner on this machine.
    fn complete(&mut self) {
        if self.redis.is_none() && self.farm.is_none() {
            let local = "instances = [{ url = \"http://127.0.0.1:8080\" }]";
            self.farm = Some(toml::from_str(local).expect("a farm of one instance is well-formed"));
        }
    }

    /// What it says of messages.
    pub fn of_messages(&self) -> Settings {
        Settings {
            mode: self.mode,
            scan: self.scan.clone(),
            policy: self.policy.clone(),
            wait: self.wait.clone(),
            limits: self.limits.clone(),
            tag: self.tag.clone(),
            findings: self.log.findings.expect("the defaults have it"),
        }
    }

    /// The effective configuration as TOML that can be loaded again, but for the credentials in URLs, which it leaves
    /// out.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration that was read from TOML can be written as TOML")
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Listen>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected an address or a list of addresses")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    let texts = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    };
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

#[cfg(test)]
mod tests;
