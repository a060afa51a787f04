// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with `[redis]` although every value is of its kind.

use super::{
    settings::{Redis, RedisUrl},
    target::Target,
};
use crate::config::Fault;
use redis::RedisError;
use secrecy::ExposeSecret;

/// What an address can begin with; that of a socket needs only one slash behind it.
const SCHEMES: [&str; 6] =
    ["redis://", "rediss://", "valkey://", "valkeys://", "redis+sentinel://", "rediss+sentinel://"];
const SOCKETS: [&str; 3] = ["unix:/", "redis+unix:/", "valkey+unix:/"];

fn has_scheme(address: &str) -> bool {
    SCHEMES.iter().chain(&SOCKETS).any(|scheme| address.starts_with(scheme))
}

impl Redis {
    /// Finds what contradicts itself or can never work.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn check(&self) -> Result<(), Fault> {
        if self.prefix.is_empty()
            || self.prefix.contains(|c: char| !c.is_ascii_graphic() || "{}:*?[]".contains(c))
        {
            return Fault::found(&["redis.prefix"], "must be printable ASCII without {}:*?[] and blanks");
        }
        if self.timeout.is_zero() {
            return Fault::found(&["redis.timeout"], "must be more than 0s");
        }
        if self.connect_timeout.is_zero() {
            return Fault::found(&["redis.connect_timeout"], "must be more than 0s");
        }
        let addresses = match &self.url {
            RedisUrl::One(url) => std::slice::from_ref(url),
            RedisUrl::Cluster(nodes) => nodes.as_slice(),
        };
        if !addresses.iter().all(|address| has_scheme(address.expose_secret())) {
            let why = "is no address of Redis: it begins with a scheme, such as redis://redis.example:6379, rediss:// with \
                       TLS, unix:///run/redis/redis.sock or redis+sentinel://";
            return Fault::found(&["redis.url"], why);
        }
        // The client's errors say what is wrong and nothing of the address, which may hold a password.
        let unreadable = |error: RedisError| Fault::new(&["redis.url"], error.to_string());
        Target::new(self, &self.access()?).map(drop).map_err(unreadable)
    }
}
