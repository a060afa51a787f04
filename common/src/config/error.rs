// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a configuration.

use std::path::PathBuf;

/// A configuration that cannot be used. Exit status 78 (EX_CONFIG). Holds no values, since they may be secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{place}: {key}{}{message}", if key.is_empty() { "" } else { ": " })]
    Invalid {
        /// `file:line`, or the environment variable.
        place: String,
        /// The key with its sections, `wait.deadline`; empty where the text is no TOML.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What a program finds wrong with values that are right one by one.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", keys.join(", "))]
pub struct Fault {
    /// The keys that do not go together, `wait.deadline`; the first that is set outside the defaults is named.
    pub keys: Vec<String>,
    /// What is wrong with them.
    pub message: String,
}

impl Fault {
    /// `message` about `keys`.
    pub fn new(keys: &[&str], message: impl Into<String>) -> Self {
        Self { keys: keys.iter().map(|&key| key.to_owned()).collect(), message: message.into() }
    }

    /// The same as the outcome of a check.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn found(keys: &[&str], message: impl Into<String>) -> Result<(), Self> {
        Err(Self::new(keys, message))
    }
}
