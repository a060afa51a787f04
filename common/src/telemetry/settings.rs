// SPDX-License-Identifier: GPL-3.0-or-later
//! `[log]`: how log lines look, which there are, and where they go.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
    /// Lines of findings for one message; the milter's alone, who always has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<usize>,
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
