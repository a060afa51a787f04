// SPDX-License-Identifier: GPL-3.0-or-later
//! What a program finds wrong with what it needs: Redis, scanners, the MTA, files and folders.

use crate::exit;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// How much is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Scan a harmless sample on every instance, too.
    pub scan: bool,
}

/// What a program found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `milter` or `worker`.
    pub program: String,
    /// Host and process.
    pub process: String,
    /// In the order in which it looked.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// What was looked at, by the key of the configuration, with the name of an instance or a file behind it:
    /// `redis.url`, `farm.instances storm1`.
    pub subject: String,
    /// What was found, in one sentence.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cure: String,
}

/// How something is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works; somebody should look.
    Warning,
    /// It does not work now and may later, without a change of the configuration.
    Unavailable,
    /// The configuration is wrong.
    Wrong,
}

/// Who can look.
pub trait Checker: Send + Sync {
    /// Looks at everything that the program needs; bounded in time.
    fn check(&self, wanted: Wanted) -> BoxFuture<'_, Report>;
}

impl Report {
    /// The exit status of the worst finding, by sysexits.h: 78 wrong, 69 unavailable, else 0.
    pub fn status(&self) -> u8 {
        match self.findings.iter().map(|finding| finding.level).max() {
            Some(Level::Wrong) => exit::CONFIG,
            Some(Level::Unavailable) => exit::UNAVAILABLE,
            _ => 0,
        }
    }
}

impl Finding {
    /// `subject` is as it should be.
    pub fn ok(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Ok, subject, text, "")
    }

    /// With what to do.
    pub fn new(
        level: Level,
        subject: impl Into<String>,
        text: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { level, subject: subject.into(), text: text.into(), cure: cure.into() }
    }
}
