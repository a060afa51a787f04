// SPDX-License-Identifier: GPL-3.0-or-later
//! `[limits]`: what one message and all of them together may take. `deploy/milter.toml` documents every key.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thundergate_common::config::{Fault, exact_size};
use thundergate_extract::Budget;
use thundergate_policy::Network;

/// Files that are looked for in one text are bounded, too.
const MOST_PARTS: usize = 10_000;

/// `[limits]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A message, header and body.
    #[serde(serialize_with = "exact_size")]
    pub message_bytes: ByteSize,
    /// A decoded part.
    #[serde(serialize_with = "exact_size")]
    pub sample_bytes: ByteSize,
    /// All messages under way together.
    #[serde(serialize_with = "exact_size")]
    pub memory_bytes: ByteSize,
    /// Connections at the same time.
    pub connections: usize,
    /// How long a connection may be silent between two messages.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// Parts of a message.
    pub parts: usize,
    /// Nesting of parts.
    pub depth: usize,
    /// Further readings of a message.
    pub readings: usize,
    /// Samples of one message that go to the lane for mail, the others go to bulk; 0: all.
    pub new_samples: usize,
    /// Unanswered samples that one network, and one sender, may have in the lane for mail; 0: any number.
    pub share: usize,
    /// Networks of those who bring other people's mail: they count by sender alone.
    pub relays: Vec<Network>,
    /// Decoded bytes of a message.
    #[serde(serialize_with = "exact_size")]
    pub decoded_bytes: ByteSize,
}

impl Limits {
    /// How much work one message may cause.
    pub fn budget(&self) -> Budget {
        Budget {
            parts: self.parts,
            depth: self.depth,
            readings: self.readings,
            decoded_bytes: self.decoded_bytes.as_u64(),
        }
    }

    /// What serde cannot see.
    pub(crate) fn check(&self, progress: Duration) -> Result<(), Fault> {
        for (key, zero) in [
            ("limits.message_bytes", self.message_bytes.as_u64() == 0),
            ("limits.sample_bytes", self.sample_bytes.as_u64() == 0),
            ("limits.decoded_bytes", self.decoded_bytes.as_u64() == 0),
            ("limits.connections", self.connections == 0),
            ("limits.parts", self.parts == 0),
            ("limits.depth", self.depth == 0),
        ] {
            if zero {
                return fault(&[key], "must be more than 0");
            }
        }
        if self.parts > MOST_PARTS {
            return fault(&["limits.parts"], "must be 10000 at most");
        }
        if self.idle <= progress {
            let why =
                "limits.idle must be more than wait.progress, the only sign of life of a message that waits";
            return fault(&["limits.idle", "wait.progress"], why);
        }
        if self.memory_bytes < self.message_bytes {
            return fault(
                &["limits.memory_bytes", "limits.message_bytes"],
                "limits.memory_bytes must hold at least one message of limits.message_bytes",
            );
        }
        Ok(())
    }
}

fn fault(keys: &[&str], message: &str) -> Result<(), Fault> {
    Err(Fault::new(keys, message))
}
