// SPDX-License-Identifier: GPL-3.0-or-later
//! How one server is reached: what the configuration says of it, with what stands in the files that it names.

use super::client::SetupError;
use std::{fmt, time::Duration};
use thundergate_common::config;
use url::Url;

/// How one server is reached. Two that are equal make equal clients. Holds secrets, and shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is; may hold a user and a password.
    pub url: Url,
    /// Whether scans are asynchronous.
    pub asynchronous: bool,
    /// Scans at a time; none: as many as it has threads.
    pub concurrency: Option<usize>,
    /// How long one scan may take.
    pub timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long it stays open at first.
    pub breaker_hold: Duration,
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
            concurrency: instance.concurrency.map(Into::into),
            timeout: farm.timeout,
            connect_timeout: farm.connect_timeout,
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

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("url", &self.public_url()).finish_non_exhaustive()
    }
}
