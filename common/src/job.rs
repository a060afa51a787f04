// SPDX-License-Identifier: GPL-3.0-or-later
//! A job: the request to scan one sample. Its bytes travel beside it, never in it.

use crate::sample::SampleKey;
use serde::{Deserialize, Serialize};

/// Which queue a job stands in. Workers take three of `mail` and one of `bulk` while both wait, and of `background` when
/// neither does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Somebody waits for the verdict.
    Mail,
    /// Somebody does, who has more than a share in `mail`.
    Bulk,
    /// Nobody does: re-scans, and what nobody waits for any more.
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
    /// The trace it is part of, as W3C `traceparent`; none where the milter traces nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Lane {
    /// All lanes, in the order workers look at them.
    pub const ALL: [Self; 3] = [Self::Mail, Self::Bulk, Self::Background];

    /// Its name in keys, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Bulk => "bulk",
            Self::Background => "background",
        }
    }

    /// Whether whoever asks for a scan in it waits for the answer.
    pub fn is_awaited(self) -> bool {
        self != Self::Background
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, sample::NameHint};

    /// What programs before [`Job::traceparent`] know of a job.
    #[derive(Deserialize)]
    struct Before {
        queue_id: String,
    }

    #[test]
    fn programs_with_and_without_traces_read_each_others_jobs() {
        let mut job = Job {
            sample: SampleKey { digest: Digest::of(b"a"), hint: NameHint::None },
            size: 1,
            lane: Lane::Mail,
            source: "mx1".to_owned(),
            queue_id: "4abc".to_owned(),
            enqueued_ms: 1,
            needs: None,
            traceparent: None,
        };
        let without = serde_json::to_string(&job).unwrap();
        assert!(!without.contains("traceparent"), "off, a job is what it was: {without}");
        assert_eq!(serde_json::from_str::<Job>(&without).unwrap(), job);

        job.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
        let with = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&with).unwrap(), job);
        assert_eq!(serde_json::from_str::<Before>(&with).unwrap().queue_id, "4abc");
    }
}
