// SPDX-License-Identifier: GPL-3.0-or-later
//! `[redis]`: where the hub is, and how a process shows that it may use it.
//!
//! Secrets are not values of the configuration but files that it names, so that a configuration can be shown to
//! anybody; `redis.url` may hold a password nevertheless and is written without it. The files are read when the
//! configuration is checked, when the hub is set up and, all but `secret_file`, for each new connection.

use crate::config::{
    Fault, filled,
    secret::{self, contents, unusable},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A secret of `secret_file` has at least so many characters.
const SECRET_LENGTH: usize = 32;

/// `[redis]`: the hub that milters and workers share. Absent: one process, no Redis.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:26379,host:26379/service`, `rediss+sentinel://…`, or a
    /// list of cluster nodes.
    pub url: RedisUrl,
    /// The user to log in as, instead of the URL's.
    #[serde(default, deserialize_with = "filled")]
    pub username: Option<String>,
    /// The file that holds the password, instead of the URL's.
    #[serde(default, deserialize_with = "filled")]
    pub password_file: Option<PathBuf>,
    /// The user to log in to the Sentinels as, which know nothing of the servers' users.
    #[serde(default, deserialize_with = "filled")]
    pub sentinel_username: Option<String>,
    /// The file that holds the password for the Sentinels.
    #[serde(default, deserialize_with = "filled")]
    pub sentinel_password_file: Option<PathBuf>,
    /// Certificates (PEM) of who may have signed the servers' ones; none: those that this machine trusts.
    #[serde(default, deserialize_with = "filled")]
    pub ca_file: Option<PathBuf>,
    /// The certificate (PEM) with which this process shows who it is.
    #[serde(default, deserialize_with = "filled")]
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    #[serde(default, deserialize_with = "filled")]
    pub key_file: Option<PathBuf>,
    /// The secrets that seal what leaves the process, one a line; none: nothing is sealed.
    #[serde(default, deserialize_with = "filled")]
    pub secret_file: Option<PathBuf>,
    /// First part of every key, `<prefix>:1:`.
    #[serde(default = "Redis::default_prefix")]
    pub prefix: String,
    /// How long one command may take before Redis counts as unreachable.
    #[serde(default = "Redis::default_timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// How long a connection may take until its first command.
    #[serde(default = "Redis::default_connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
}

/// What the files of `[redis]` hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// For the servers.
    pub password: Option<SecretString>,
    /// For the Sentinels.
    pub sentinel_password: Option<SecretString>,
    /// PEM.
    pub ca: Option<Vec<u8>>,
    /// Who this process is.
    pub certificate: Option<ClientCertificate>,
    /// The first one seals, all of them open.
    pub secrets: Vec<SecretString>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct ClientCertificate {
    /// With the certificates between it and the authority's, if there are any.
    pub chain: Vec<u8>,
    /// Its key.
    pub key: SecretSlice<u8>,
}

impl Redis {
    /// The hub at `url`, with defaults for everything else.
    pub fn at(url: RedisUrl) -> Self {
        Self {
            url,
            username: None,
            password_file: None,
            sentinel_username: None,
            sentinel_password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            secret_file: None,
            prefix: Self::default_prefix(),
            timeout: Self::default_timeout(),
            connect_timeout: Self::default_connect_timeout(),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used, with its key; never what stands in it.
    pub(crate) fn access(&self) -> Result<Access, Fault> {
        if self.sentinel_username.is_some() && self.sentinel_password_file.is_none() {
            return Err(Fault::new(&["redis.sentinel_username"], "needs redis.sentinel_password_file"));
        }
        Ok(Access {
            password: secret::line("redis.password_file", self.password_file.as_deref())?,
            sentinel_password: secret::line(
                "redis.sentinel_password_file",
                self.sentinel_password_file.as_deref(),
            )?,
            ca: self.ca_file.as_deref().map(certificates("redis.ca_file")).transpose()?,
            certificate: self.certificate()?,
            secrets: self.secret_file.as_deref().map(secrets).transpose()?.unwrap_or_default(),
        })
    }

    fn certificate(&self) -> Result<Option<ClientCertificate>, Fault> {
        let (chain, key) = match (&self.cert_file, &self.key_file) {
            (None, None) => return Ok(None),
            (Some(chain), Some(key)) => (chain, key),
            (Some(_), None) => return Err(Fault::new(&["redis.cert_file"], "needs redis.key_file")),
            (None, Some(_)) => return Err(Fault::new(&["redis.key_file"], "needs redis.cert_file")),
        };
        let chain = certificates("redis.cert_file")(chain)?;
        let bytes = contents("redis.key_file", key)?;
        PrivateKeyDer::from_pem_slice(bytes.expose_secret())
            .map_err(|_| unusable("redis.key_file", key, "holds no private key in PEM form"))?;
        Ok(Some(ClientCertificate { chain, key: bytes }))
    }

    /// What an operator should know about a configuration that is right.
    pub fn advice(&self) -> Option<&'static str> {
        (self.secret_file.is_none() && !self.url.is_local()).then_some(
            "redis.secret_file is not set: whoever gets hold of that Redis can read samples, which are people's mail, \
             and clear any sample with a verdict of his own",
        )
    }

    fn default_prefix() -> String {
        "tg".to_owned()
    }

    fn default_timeout() -> Duration {
        Duration::from_secs(1)
    }

    fn default_connect_timeout() -> Duration {
        Duration::from_secs(5)
    }
}

/// One URL, or the nodes of a cluster. Holds passwords: serialised, it is written without them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum RedisUrl {
    /// A standalone server or a Sentinel-watched one.
    One(SecretString),
    /// Some nodes of a cluster; the others are found through them.
    Cluster(Vec<SecretString>),
}

impl RedisUrl {
    /// The URLs without credentials, for people to read.
    pub fn redacted(&self) -> Vec<String> {
        match self {
            Self::One(url) => vec![without_credentials(url.expose_secret())],
            Self::Cluster(urls) => urls.iter().map(|url| without_credentials(url.expose_secret())).collect(),
        }
    }

    /// Whether it stays on this machine.
    fn is_local(&self) -> bool {
        self.redacted().iter().all(|url| {
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            let hosts = rest.split(['/', '?']).next().unwrap_or_default();
            scheme.ends_with("unix") || hosts.split(',').all(is_loopback)
        })
    }
}

/// Of `host`, `host:port` or `[::1]:port`.
fn is_loopback(place: &str) -> bool {
    let host = match place.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => place.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl Serialize for RedisUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(url) => serializer.serialize_str(&without_credentials(url.expose_secret())),
            Self::Cluster(_) => serializer.collect_seq(self.redacted()),
        }
    }
}

/// `url` without user, password and the parts of a query that carry them. Cuts too much rather than too little: the
/// Sentinel form is no valid URL, and passwords are not always escaped.
fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let secret = |pair: &&str| pair.contains("pass") || pair.contains("user");
    let query: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !secret(pair)).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{place}{mark}{}", query.join("&"))
}

fn secrets(path: &Path) -> Result<Vec<SecretString>, Fault> {
    let key = "redis.secret_file";
    let text = secret::text(key, path)?;
    let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Vec<SecretString> = lines.map(Into::into).collect();
    if secrets.iter().any(|secret| secret.expose_secret().chars().count() < SECRET_LENGTH) {
        return Err(unusable(key, path, "a secret must have at least 32 characters: openssl rand -hex 32"));
    }
    if secrets.is_empty() { Err(unusable(key, path, "is empty")) } else { Ok(secrets) }
}

fn certificates(key: &'static str) -> impl Fn(&Path) -> Result<Vec<u8>, Fault> {
    move |path| {
        let bytes = contents(key, path)?;
        let mut certificates = CertificateDer::pem_slice_iter(bytes.expose_secret());
        // One at least, and none that is broken.
        match certificates.next().is_some_and(|first| first.is_ok()) && certificates.all(|next| next.is_ok())
        {
            true => Ok(bytes.expose_secret().to_vec()),
            false => Err(unusable(key, path, "holds no certificates in PEM form")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn at(url: &str) -> Redis {
        Redis::at(RedisUrl::One(url.into()))
    }

    /// What becomes of `redis` with `contents` in the file that `set` names.
    fn with_file(contents: &str, set: impl Fn(&mut Redis, PathBuf)) -> (Result<Access, String>, Redis) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, contents).unwrap();
        let mut redis = at("redis://127.0.0.1");
        set(&mut redis, path.clone());
        let access = redis.access().map_err(|fault| {
            assert!(fault.message.starts_with(path.to_str().unwrap()), "{fault:?} names the file");
            format!("{} {}", fault.keys[0], &fault.message[path.to_str().unwrap().len() + 1..])
        });
        (access, redis)
    }

    fn password(contents: &str) -> Result<Access, String> {
        with_file(contents, |redis, path| redis.password_file = Some(path)).0
    }

    fn secrets(contents: &str) -> Result<Access, String> {
        with_file(contents, |redis, path| redis.secret_file = Some(path)).0
    }

    #[test]
    fn a_printed_url_shows_no_credentials() {
        for (url, printed) in [
            ("redis://user:pa/ss@host:6379/0", "redis://host:6379/0"),
            ("redis://:p%40@host", "redis://host"),
            ("unix:///run/redis.sock?db=1&pass=secret", "unix:///run/redis.sock?db=1"),
            ("redis+sentinel://:s@a:26379,b:26379/main", "redis+sentinel://a:26379,b:26379/main"),
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ] {
            assert_eq!(without_credentials(url), printed);
        }
    }

    #[test]
    fn a_password_is_a_files_line() {
        for contents in ["hunter 2", "hunter 2\n", "hunter 2\r\n"] {
            let password = password(contents).unwrap().password.unwrap();
            assert_eq!(password.expose_secret(), "hunter 2");
        }
        assert_eq!(password("").unwrap_err(), "redis.password_file is empty");
        for contents in ["\n", "one\ntwo\n"] {
            let error = password(contents).unwrap_err();
            assert_eq!(error, "redis.password_file must hold one line and nothing else");
        }
    }

    #[test]
    fn an_empty_name_is_none() {
        let redis: Redis = toml::from_str("url = 'redis://h'\nusername = ''\npassword_file = ''").unwrap();
        assert!(redis.username.is_none() && redis.password_file.is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_fault_with_key_and_file() {
        let redis = Redis { sentinel_password_file: Some("/nowhere/file".into()), ..at("redis://h") };
        let fault = redis.access().unwrap_err();
        assert_eq!(fault.keys, ["redis.sentinel_password_file"]);
        assert!(fault.message.starts_with("/nowhere/file cannot be read: No such file"), "{}", fault.message);
    }

    #[test]
    fn a_user_of_the_sentinels_needs_a_password() {
        let redis = Redis { sentinel_username: Some("user".into()), ..at("redis+sentinel://h/main") };
        assert_eq!(redis.access().unwrap_err().keys, ["redis.sentinel_username"]);
    }

    #[test]
    fn secrets_are_lines_of_32_characters() {
        let two = secrets(&format!("\n{SECRET}\n\n  {SECRET}X \n")).unwrap().secrets;
        let two: Vec<&str> = two.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(two, [SECRET, &format!("{SECRET}X")]);
        assert_eq!(secrets(" \n").unwrap_err(), "redis.secret_file is empty");
        let error = secrets(&format!("{SECRET}\n{}\n", &SECRET[1..])).unwrap_err();
        assert!(error.contains("at least 32 characters"), "{error}");
        assert!(!error.contains(&SECRET[1..]), "{error}");
    }

    #[test]
    fn certificates_and_keys_must_be_some_and_come_together() {
        let (access, _) = with_file("no PEM", |redis, path| redis.ca_file = Some(path));
        assert_eq!(access.unwrap_err(), "redis.ca_file holds no certificates in PEM form");
        for (cert_file, key_file, key) in
            [(Some("a.pem".into()), None, "redis.cert_file"), (None, Some("a.pem".into()), "redis.key_file")]
        {
            let redis = Redis { cert_file, key_file, ..at("rediss://h") };
            assert_eq!(redis.access().unwrap_err().keys, [key]);
        }
    }

    #[test]
    fn what_files_hold_is_never_printed() {
        let (access, redis) = with_file(SECRET, |redis, path| {
            redis.password_file = Some(path.clone());
            redis.sentinel_password_file = Some(path.clone());
            redis.secret_file = Some(path);
        });
        let printed = format!("{access:?} {redis:?} {}", toml::to_string(&redis).unwrap());
        assert!(printed.contains("password_file") && !printed.contains(SECRET), "{printed}");
    }

    #[test]
    fn a_redis_elsewhere_without_a_secret_deserves_a_word() {
        for url in [
            "redis://127.0.0.1:6379/0",
            "unix:///run/redis.sock",
            "redis://u:p@[::1]:1",
            "rediss://localhost",
        ] {
            assert!(at(url).advice().is_none(), "{url}");
        }
        for url in ["rediss://redis.example", "redis+sentinel://127.0.0.1:1,192.0.2.1:1/main"] {
            assert!(at(url).advice().is_some(), "{url}");
            assert!(Redis { secret_file: Some("f".into()), ..at(url) }.advice().is_none(), "{url}");
        }
    }
}
