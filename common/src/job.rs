// SPDX-License-Identifier: GPL-3.0-or-later
//! A job: the request to scan one sample. Its bytes travel beside it, never in it.

use crate::sample::SampleKey;
use serde::{Deserialize, Serialize};

/// Which queue a job stands in. Workers empty `mail` before they look at `background`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Somebody waits for the verdict.
    Mail,
    /// Nobody does: re-scans.
    Background,
}

/// The request to scan one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What to scan.
    pub sample: SampleKey,
    /// Its size in bytes.
    pub size: u64,
    /// Where it stands.
    pub lane: Lane,
    /// The MTA that the mail came through, for the scanner's own log (`source` of the API).
    pub source: String,
    /// The MTA's queue id of the message that asked first, for logs.
    pub queue_id: String,
    /// When it was enqueued, in milliseconds since the epoch.
    pub enqueued_ms: u64,
    /// The least signature version that may scan it; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

impl Lane {
    /// All lanes, in the order workers look at them.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Background];

    /// Its name in keys, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Background => "background",
        }
    }
}
