// SPDX-License-Identifier: GPL-3.0-or-later
//! What is to be told of instances, once when it begins and once when it is over: a line each.

use std::time::Duration;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An instance has been behind with signatures for some hours.
    Behind(Lag),
    /// It has been for too long and gets no mail.
    Late(Lag),
    /// It has the newest signatures again.
    CaughtUp {
        /// Its name.
        instance: String,
    },
    /// An instance does not find the canary, and gets no mail.
    Blind {
        /// Its name.
        instance: String,
        /// Its clean verdicts since then are not believed, in seconds since the epoch; 0: all of them.
        from: u64,
    },
    /// It finds the canary again.
    Sees {
        /// Its name.
        instance: String,
    },
    /// All instances that answered missed the canary.
    Doubt {
        /// Their names.
        instances: Vec<String>,
    },
    /// One of them finds it again.
    Certain,
}

/// How far an instance is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Its name.
    pub instance: String,
    /// Its signatures.
    pub signatures: Option<String>,
    /// The newest that a healthy instance has.
    pub newest: String,
    /// For how long it has been behind.
    pub behind: Duration,
}
