// SPDX-License-Identifier: GPL-3.0-or-later
//! What the extraction did, step by step, for people who want to know why a sample exists (`scan --explain`).

use super::ambiguity::Ambiguity;
use thundergate_common::{digest::Digest, verdict::SkipReason};

/// One step, in the order they were taken. `depth` is the nesting in the tree of parts, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A reading of the whole message begins.
    Reading {
        /// Which choices it takes, such as `canonical` or `last Content-Type`.
        choices: String,
    },
    /// An entity with its header.
    Entity {
        /// Its nesting.
        depth: usize,
        /// Lower-case `type/subtype`.
        media_type: String,
        /// Where its header starts, in bytes from the start of the message or of the decoded container it is in.
        offset: usize,
    },
    /// A sample, or one that was found before.
    Sample {
        /// Its nesting.
        depth: usize,
        /// The name that its key is made of.
        name: Option<String>,
        /// The names of the files that it came in.
        within: Option<String>,
        /// How its bytes were decoded, such as `base64`.
        decoding: &'static str,
        /// Of the decoded bytes.
        digest: Digest,
        /// Decoded size in bytes.
        size: u64,
        /// Why it could be read so; none where all readers agree.
        why: Option<Ambiguity>,
        /// An earlier step found the same bytes under the same name.
        known: bool,
    },
    /// A part that is no sample.
    Skipped {
        /// Its nesting.
        depth: usize,
        /// Encoded size in bytes.
        size: u64,
        /// Why not.
        reason: SkipReason,
    },
}
