// SPDX-License-Identifier: GPL-3.0-or-later
//! The sections of the configuration that both programs have, and how a configuration is loaded.
//!
//! One source: the commented TOML under `deploy/` is the documentation and, compiled in, the default. A file says only
//! what differs; `THUNDERGATE_SECTION__KEY` in the environment overrides both. Unknown keys are errors.

mod admin;
mod check;
mod error;
mod layers;
mod load;
mod redis;

pub use admin::Admin;
pub use check::check_shared;
pub use error::{ConfigError, Fault};
pub use load::{Source, load, load_checked};
pub use redis::{Access, ClientCertificate, Redis, RedisUrl};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize, Serializer};
use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

/// `[farm]`: the scanners.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Farm {
    /// At least one.
    pub instances: Vec<Instance>,
    /// How long one scan may take, queueing at the instance included.
    #[serde(default = "Farm::default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// How long a connection to an instance may take.
    #[serde(default = "Farm::default_connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How many instances are tried before a delivery of a job counts as failed.
    #[serde(default = "Farm::default_attempts")]
    pub attempts: u32,
    /// Consecutive failures after which an instance is left alone until a probe succeeds.
    #[serde(default = "Farm::default_breaker_failures")]
    pub breaker_failures: u32,
    /// How often an instance is probed (`/api/info`, `/api/status`).
    #[serde(default = "Farm::default_probe_interval", with = "humantime_serde")]
    pub probe_interval: Duration,
    /// The largest file the instances scan (THOR's own limit); larger samples are `skipped(too_large)`, never sent,
    /// because THOR would answer "nothing found".
    #[serde(default = "Farm::default_max_file_bytes")]
    #[serde(serialize_with = "exact_size")]
    pub max_file_bytes: ByteSize,
    /// Certificates of the authorities that instances with `https://` are believed from, as PEM; none: those of the
    /// system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The certificate that this program shows instances that ask for one, with its chain, as PEM.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The private key of `cert_file`, as PEM.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The HTTP proxy to all instances; none: no proxy, whatever the environment says.
    #[serde(default)]
    pub proxy: Option<ProxyUrl>,
    /// How many healthy instances must have a signature version before clean verdicts of older ones are stale; none:
    /// all of them.
    #[serde(default)]
    pub quorum: Option<NonZeroUsize>,
}

/// `http://host:3128` or `https://…`. It may hold a password: neither printed nor serialised.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ProxyUrl(#[serde(serialize_with = "public_url")] pub url::Url);

/// One Thunderstorm server. Its URL may hold a password: neither printed nor serialised.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// In logs and metrics; default: the URL's host and port.
    #[serde(default)]
    pub name: Option<String>,
    /// `http://host:8080` or `https://…`; a path that ends in `/api`, `/api/v1` or `…/check` fixes the API generation,
    /// otherwise it is found by probing.
    #[serde(serialize_with = "public_url")]
    pub url: url::Url,
    /// Scans at a time; default: the `threads` that `/api/info` reports.
    #[serde(default)]
    pub concurrency: Option<NonZeroUsize>,
    /// User for basic authentication, at a reverse proxy in front of the instance.
    #[serde(default)]
    pub username: Option<String>,
    /// Where the password of `username` stands; a line break at its end does not count.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Use `checkAsync` and poll for the result.
    #[serde(default, rename = "async")]
    pub asynchronous: bool,
}

impl Farm {
    fn default_timeout() -> Duration {
        Duration::from_secs(60)
    }

    fn default_connect_timeout() -> Duration {
        Duration::from_secs(2)
    }

    fn default_attempts() -> u32 {
        3
    }

    fn default_breaker_failures() -> u32 {
        3
    }

    fn default_probe_interval() -> Duration {
        Duration::from_secs(2)
    }

    fn default_max_file_bytes() -> ByteSize {
        ByteSize::mib(200)
    }
}

impl Instance {
    /// Its name, or where it is.
    pub fn name(&self) -> String {
        let place = || {
            format!(
                "{}:{}",
                self.url.host_str().unwrap_or_default(),
                self.url.port_or_known_default().unwrap_or_default()
            )
        };
        self.name.clone().unwrap_or_else(place)
    }
}

/// `[queue]`: the life of a job.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Jobs that may wait; one more is refused (`policy.on.overload`).
    pub max_jobs: usize,
    /// Bytes of samples that may wait.
    #[serde(serialize_with = "exact_size")]
    pub max_bytes: ByteSize,
    /// How long the bytes of a sample wait for a worker.
    #[serde(with = "humantime_serde")]
    pub sample_ttl: Duration,
    /// How long a sample stays reserved for a milter that has not submitted its bytes, and a queued one for its job.
    #[serde(with = "humantime_serde")]
    pub reserve_ttl: Duration,
    /// How long a scan's lease lives without being renewed.
    #[serde(with = "humantime_serde")]
    pub lease_ttl: Duration,
    /// Not renewed for this long, a claimed job is taken over by another worker.
    #[serde(with = "humantime_serde")]
    pub reclaim_after: Duration,
    /// After so many deliveries a job is a dead letter.
    pub max_deliveries: u32,
}

/// `[cache]`: how long verdicts live.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Of a verdict without findings.
    #[serde(with = "humantime_serde")]
    pub clean_ttl: Duration,
    /// Of a verdict with findings.
    #[serde(with = "humantime_serde")]
    pub found_ttl: Duration,
    /// How long a process trusts its own copy before it asks Redis again.
    #[serde(with = "humantime_serde")]
    pub local_ttl: Duration,
    /// Memory for those copies.
    #[serde(serialize_with = "exact_size")]
    pub local_bytes: ByteSize,
    /// What a clean verdict is good for that is older than the farm's signatures.
    #[serde(default)]
    pub stale: Stale,
}

/// What a clean verdict is good for that is older than the farm's signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stale {
    /// Nothing: the sample is scanned again before a message is decided.
    #[default]
    Rescan,
    /// The message is decided on it, and the sample scanned again in the background.
    Serve,
    /// As much as any other.
    Ignore,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,thundergate_worker=debug`.
    pub level: String,
    /// Where lines go; empty: stdout.
    pub file: PathBuf,
    /// When a new file is begun.
    pub rotation: Rotation,
    /// How many old files are kept.
    pub keep: usize,
}

/// `[traces]`: what is told to an OpenTelemetry collector.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Where it takes OTLP over HTTP; `/v1/traces` is appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<url::Url>,
    /// The part of all mails that are traced, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<f64>,
    /// Header fields for the collector, such as a token: lines `Name: value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// When a new log file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rotation {
    /// Every hour.
    Hourly,
    /// Every day, at midnight UTC.
    Daily,
    /// Never.
    Never,
}

/// Writes a size so that it reads back as the same number of bytes: bytesize's own form is rounded.
///
/// # Errors
///
/// The serialiser's.
pub fn exact_size<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    let units =
        [("GiB", bytesize::GIB), ("MiB", bytesize::MIB), ("KiB", bytesize::KIB), ("MB", bytesize::MB)];
    let bytes = size.as_u64();
    match units.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => serializer.collect_str(&format_args!("{}{name}", bytes / unit)),
        None => serializer.collect_str(&format_args!("{bytes}B")),
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProxyUrl")
    }
}

fn public_url<S: Serializer>(url: &url::Url, serializer: S) -> Result<S::Ok, S::Error> {
    let mut url = url.clone();
    // both fail only where a URL has no host, and then it has no credentials
    let _ = url.set_username("");
    let _ = url.set_password(None);
    serializer.serialize_str(url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_instance_shows_no_credentials() {
        let instance = r#"url = "https://user:secret@storm1:8080/api""#;
        let instance: Instance = toml::from_str(instance).unwrap();
        assert!(!toml::to_string(&instance).unwrap().contains("secret"));
        assert!(!format!("{instance:?}").contains("secret"));
        let farm = "instances = []\nproxy = \"http://user:secret@proxy:3128\"";
        let farm: Farm = toml::from_str(farm).unwrap();
        assert!(toml::to_string(&farm).unwrap().contains("proxy = \"http://proxy:3128/\""));
        assert!(!format!("{farm:?}").contains("secret"));
    }
}
