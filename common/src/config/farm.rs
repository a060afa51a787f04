// SPDX-License-Identifier: GPL-3.0-or-later
//! `[farm]`: the scanners, for the worker, and for a milter that scans by itself.

use super::{Fault, exact_size};
use bytesize::ByteSize;
use serde::{Deserialize, Serialize, Serializer};
use std::{
    collections::HashSet,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

/// `[farm]`.
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
    /// How long an instance may be behind the newest signatures that a healthy one reports before it gets no samples;
    /// 0: as long as it likes.
    #[serde(default = "Farm::default_lag", with = "humantime_serde")]
    pub lag: Duration,
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
    /// Scans at a time; default: the `threads` that `/api/info` reports. 0 drains the instance: it finishes what it scans,
    /// gets no more samples, and is still probed.
    #[serde(default)]
    pub concurrency: Option<usize>,
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
    /// Finds what contradicts itself or can never work.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn check(&self) -> Result<(), Fault> {
        if self.instances.is_empty() {
            return Fault::found(
                &["farm.instances"],
                "must name at least one instance: [{ url = \"http://host:8080\" }]",
            );
        }
        check_instances(&self.instances)?;
        check_ways(self)?;
        if self.quorum.is_some_and(|quorum| quorum.get() > self.instances.len()) {
            return Fault::found(&["farm.quorum"], "must not be more than there are instances");
        }
        if self.connect_timeout.is_zero() || self.connect_timeout >= self.timeout {
            return Fault::found(
                &["farm.connect_timeout", "farm.timeout"],
                "farm.connect_timeout must be more than 0s and less than farm.timeout",
            );
        }
        if self.probe_interval.is_zero() {
            return Fault::found(&["farm.probe_interval"], "must be more than 0s");
        }
        if self.attempts == 0 {
            return Fault::found(&["farm.attempts"], "must be at least 1");
        }
        Ok(())
    }

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
        ByteSize::mib(30)
    }

    fn default_lag() -> Duration {
        Duration::from_secs(26 * 60 * 60)
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

fn check_instances(instances: &[Instance]) -> Result<(), Fault> {
    let mut names = HashSet::new();
    for instance in instances {
        let name = instance.name();
        let wrong = |what: &str| Fault::found(&["farm.instances"], format!("{name}: {what}"));
        if !matches!(instance.url.scheme(), "http" | "https") {
            return Fault::found(
                &["farm.instances"],
                "an instance's url must begin with http:// or https://",
            );
        }
        if !names.insert(instance.name()) {
            return Fault::found(&["farm.instances"], format!("two instances are called {name}"));
        }
        match (&instance.username, &instance.password_file) {
            (None, None) => continue,
            (Some(user), Some(_)) if user.is_empty() || user.contains(':') => {
                return wrong("username must not be empty nor hold a colon");
            }
            (Some(_), Some(file)) => {
                check_readable("farm.instances", file, &format!("{name}: password_file "))?;
            }
            _ => return wrong("username and password_file belong together"),
        }
        if !instance.url.username().is_empty() || instance.url.password().is_some() {
            return wrong("has a user in its url beside username");
        }
    }
    Ok(())
}

/// How instances are reached.
fn check_ways(farm: &Farm) -> Result<(), Fault> {
    if farm.cert_file.is_some() != farm.key_file.is_some() {
        return Fault::found(
            &["farm.cert_file", "farm.key_file"],
            "farm.cert_file and farm.key_file belong together",
        );
    }
    let files = [
        ("farm.ca_file", &farm.ca_file),
        ("farm.cert_file", &farm.cert_file),
        ("farm.key_file", &farm.key_file),
    ];
    for (key, file) in files {
        file.as_deref().map_or(Ok(()), |file| check_readable(key, file, ""))?;
    }
    let http = |proxy: &ProxyUrl| matches!(proxy.0.scheme(), "http" | "https");
    if farm.proxy.as_ref().is_some_and(|proxy| !http(proxy)) {
        return Fault::found(&["farm.proxy"], "must begin with http:// or https://");
    }
    Ok(())
}

fn check_readable(key: &str, file: &Path, what: &str) -> Result<(), Fault> {
    let unreadable = |error| Fault::new(&[key], format!("{what}{} cannot be read: {error}", file.display()));
    std::fs::read(file).map(drop).map_err(unreadable)
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
