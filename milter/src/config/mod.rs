// SPDX-License-Identifier: GPL-3.0-or-later
//! The milter's configuration. `deploy/milter.toml` documents every key and, compiled in, is the default.

mod check;
mod listen;
mod network;

pub use listen::{Listen, SocketMode};
pub use network::Network;

use crate::{
    extract::{Bodies, Budget},
    migrate,
    policy::Action,
};
use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::{
    admin::settings::Admin,
    config::{ConfigError, Farm, Source, exact_size, load_checked},
    freshness::Cache,
    hub::{Queue, redis::Redis},
    sample::HintStyle,
    telemetry::Log,
    traces::Traces,
};

/// The compiled-in default, and the documentation of every key.
pub const DEFAULTS: &str = include_str!("../../../deploy/milter.toml");

/// Where a configuration is looked for unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/thundergate/milter.toml";

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
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They are.
    Active,
    /// Everything is accepted; the log says what would have been done.
    Passive,
}

/// `[fallback]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// Scan directly on `[farm]` while Redis is unreachable.
    pub direct: bool,
}

/// `[scan]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// How much of a part's name belongs to its sample.
    pub name_hint: HintStyle,
    /// Which bodies without a name are samples.
    pub bodies: Bodies,
}

/// `[policy]`: expressions, where empty means never, and the failure table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// The MTA holds the message.
    pub quarantine: String,
    /// The sender gets it back.
    pub reject: String,
    /// The sender shall try again later.
    pub tempfail: String,
    /// It passes with a header.
    pub tag: String,
    /// It vanishes.
    pub discard: String,
    /// What happens when something goes wrong.
    pub on: On,
    /// Mail that is not scanned.
    pub trust: Trust,
}

/// `[policy.on]`: the failure table. Never [`Action::Discard`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// No verdict at the deadline.
    pub pending: Action,
    /// The scan failed for good.
    pub scan_failed: Action,
    /// The hub is unreachable and nothing can be scanned directly.
    pub unavailable: Action,
    /// Queue or memory full.
    pub overload: Action,
    /// Message or part too large.
    pub oversize: Action,
    /// The message cannot be taken apart, or exceeds a budget.
    pub malformed: Action,
    /// Several readings, all clean.
    pub ambiguous: Action,
    /// A part is encrypted.
    pub encrypted: Action,
    /// A part's content is elsewhere (message/external-body).
    pub external_body: Action,
    /// A fragment of a message (message/partial).
    pub partial: Action,
}

/// `[policy.trust]`: mail that is not scanned.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// From clients in these networks.
    pub networks: Vec<Network>,
    /// From senders who logged in.
    pub authenticated: bool,
}

impl Trust {
    /// Whether mail from this client or this SMTP AUTH identity is not scanned.
    pub fn covers(&self, client: Option<IpAddr>, authenticated: Option<&str>) -> bool {
        let near = client.is_some_and(|client| self.networks.iter().any(|network| network.contains(client)));
        near || (self.authenticated && authenticated.is_some())
    }
}

/// `[wait]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// How long a message waits for its verdicts; zero: not at all.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Messages that wait at the same time.
    pub sessions: usize,
    /// How often the MTA is told that the milter is at work.
    #[serde(with = "humantime_serde")]
    pub progress: Duration,
    /// How often a waiting message looks its verdicts up itself.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
}

/// `[limits]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A message, header and body.
    #[serde(serialize_with = "exact_size")]
    pub message_bytes: ByteSize,
    /// A decoded part.
    #[serde(serialize_with = "exact_size")]
    pub sample_bytes: ByteSize,
    /// All messages under way together.
    #[serde(serialize_with = "exact_size")]
    pub memory_bytes: ByteSize,
    /// Connections at the same time.
    pub connections: usize,
    /// Parts of a message.
    pub parts: usize,
    /// Nesting of parts.
    pub depth: usize,
    /// Further readings of a message.
    pub readings: usize,
    /// Decoded bytes of a message.
    #[serde(serialize_with = "exact_size")]
    pub decoded_bytes: ByteSize,
}

/// `[tag]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The name of the header that a tagged message gets.
    pub header: String,
    /// Who says so in MIME-Ambiguity-Results; empty: the MTA, by its own name.
    pub authserv_id: String,
}

impl Config {
    /// The configuration from `path` (TOML, or postfix2thunderstorm's YAML), or from [`DEFAULT_PATH`] where that
    /// exists, or the built-in one; overlaid by the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with file, line and key, or the variable.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists());
        let path = path.map(Path::to_owned).or(default);
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        match path {
            Some(path) if is_yaml(&path) => {
                let migrated = migrate::read(&path)?;
                let name = format!("{}, migrated", path.display());
                Self::from_source(Some(Source::Text(&name, &migrated.toml)), environment)
            }
            Some(path) => Self::from_source(Some(Source::File(&path)), environment),
            None => Self::from_source(None, environment),
        }
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
        let mut config = load_checked(DEFAULTS, source, environment, check::check)?;
        config.complete();
        Ok(config)
    }

    /// Without `[redis]` somebody has to scan: the scanner on this machine.
    fn complete(&mut self) {
        if self.redis.is_none() && self.farm.is_none() {
            let local = "instances = [{ url = \"http://127.0.0.1:8080\" }]";
            self.farm = Some(toml::from_str(local).expect("a farm of one instance is well-formed"));
        }
    }

    /// The effective configuration as TOML that can be loaded again, but for the credentials in URLs, which it leaves
    /// out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration that was read from TOML can be written as TOML")
    }
}

impl PolicyConfig {
    /// Every action that an expression can propose, with its expression.
    pub fn expressions(&self) -> [(Action, &str); 5] {
        [
            (Action::Discard, &self.discard),
            (Action::Reject, &self.reject),
            (Action::Quarantine, &self.quarantine),
            (Action::Tempfail, &self.tempfail),
            (Action::Tag, &self.tag),
        ]
    }

    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let config = Config::from_toml("[policy]\nquarantine = ''").unwrap();
        config.policy
    }
}

impl On {
    /// The table: key and action.
    pub fn rows(&self) -> [(&'static str, Action); 10] {
        [
            ("pending", self.pending),
            ("scan_failed", self.scan_failed),
            ("unavailable", self.unavailable),
            ("overload", self.overload),
            ("oversize", self.oversize),
            ("malformed", self.malformed),
            ("ambiguous", self.ambiguous),
            ("encrypted", self.encrypted),
            ("external_body", self.external_body),
            ("partial", self.partial),
        ]
    }
}

impl Limits {
    /// How much work one message may cause.
    pub fn budget(&self) -> Budget {
        Budget {
            parts: self.parts,
            depth: self.depth,
            readings: self.readings,
            decoded_bytes: self.decoded_bytes.as_u64(),
        }
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
