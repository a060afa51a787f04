// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with `[redis]` although every value is of its kind.

use super::{settings::Redis, target::Target};
use crate::config::Fault;
use redis::RedisError;

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
        // The client's errors say what is wrong and nothing of the address, which may hold a password.
        let unreadable = |error: RedisError| Fault::new(&["redis.url"], error.to_string());
        Target::new(self, &self.access()?).map(drop).map_err(unreadable)
    }
}
