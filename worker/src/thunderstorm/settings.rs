// SPDX-License-Identifier: GPL-3.0-or-later
//! How one server is reached: what the configuration says of it, with what stands in the files that it names.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::config;
use url::Url;

/// Why there is no client for an instance. Exit status 78 (EX_CONFIG).
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file that the configuration names cannot be read.
    #[error("{key}: {file} cannot be read")]
    Unreadable {
        /// The key, `farm.ca_file`.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What stands in it is of no use.
    #[error("{key}: {file} {problem}")]
    Unusable {
        /// The key.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Certificates, key or proxy do not work together.
    #[error("cannot set up HTTP with what [farm] says")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How one server is reached. Two that are equal make equal clients. Holds secrets, and shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is; may hold a user and a password.
    pub url: Url,
    /// Whether scans are asynchronous.
    pub asynchronous: bool,
    /// Scans at a time; 0: it is drained; none: as many as it has threads.
    pub concurrency: Option<usize>,
    /// How long one scan may take.
    pub timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// What is believed instead of the system's certificates.
    pub(crate) authorities: Option<Pem>,
    /// The client's own certificate, and after it its key.
    pub(crate) identity: Option<Pem>,
    /// The HTTP proxy on the way; may hold a user and a password.
    pub proxy: Option<Url>,
    /// User and password for basic authentication.
    pub login: Option<(String, String)>,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long it stays open at first.
    pub breaker_hold: Duration,
}

/// What stands in a file of certificates or keys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pem {
    /// Which file.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Settings {
    /// What `farm` says of `instance`.
    ///
    /// # Errors
    ///
    /// A file that it names cannot be read.
    pub fn read(instance: &config::Instance, farm: &config::Farm) -> Result<Self, SetupError> {
        Ok(Self {
            url: instance.url.clone(),
            asynchronous: instance.asynchronous,
            concurrency: instance.concurrency,
            timeout: farm.timeout,
            connect_timeout: farm.connect_timeout,
            authorities: farm.ca_file.as_deref().map(|file| pem("farm.ca_file", file)).transpose()?,
            identity: identity(farm)?,
            proxy: farm.proxy.as_ref().map(|proxy| proxy.0.clone()),
            login: login(instance)?,
            breaker_failures: farm.breaker_failures,
            breaker_hold: farm.probe_interval,
        })
    }

    /// Where it is, without a password.
    pub fn public_url(&self) -> String {
        let mut url = self.url.clone();
        // Both fail only where there is no host, and then there are no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }
}

fn identity(farm: &config::Farm) -> Result<Option<Pem>, SetupError> {
    let (Some(cert), Some(key)) = (&farm.cert_file, &farm.key_file) else { return Ok(None) };
    let mut identity = pem("farm.cert_file", cert)?;
    identity.bytes.push(b'\n');
    identity.bytes.extend(pem("farm.key_file", key)?.bytes);
    Ok(Some(identity))
}

fn login(instance: &config::Instance) -> Result<Option<(String, String)>, SetupError> {
    let (Some(user), Some(file)) = (&instance.username, &instance.password_file) else { return Ok(None) };
    let password = pem("farm.instances.password_file", file)?.bytes;
    let password = String::from_utf8(password).map_err(|_| SetupError::Unusable {
        key: "farm.instances.password_file",
        file: file.clone(),
        problem: "is no text",
    })?;
    Ok(Some((user.clone(), password.trim_end_matches(['\r', '\n']).to_owned())))
}

fn pem(key: &'static str, file: &Path) -> Result<Pem, SetupError> {
    let bytes = std::fs::read(file);
    let bytes = bytes.map_err(|source| SetupError::Unreadable { key, file: file.to_owned(), source })?;
    Ok(Pem { file: file.to_owned(), bytes })
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("url", &self.public_url()).finish_non_exhaustive()
    }
}
