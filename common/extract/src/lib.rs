// SPDX-License-Identifier: GPL-3.0-or-later
//! Takes a message apart into everything that a reader could see.
//!
//! Clients disagree about malformed messages, so there is no one right reading: the extraction takes the union of the
//! plausible ones and records what was ambiguous ([`ambiguity`]). A well-formed message costs one reading. Steps:
//!
//! 1. `walk` goes over the structure once and finds leaves, preambles and epilogues; `header`, `value`, `names` and
//!    `boundary` read the fields that say what an entity is. Encoded messages inside are walked over as well.
//! 2. `samples` decodes each leaf (`decode`), digests it, and asks `candidates` what else it could be and `container`
//!    what is in it. `body` says whether a leaf is a sample at all.
//! 3. Where the walk had a choice (`reading`), it is repeated with the other one.
//! 4. Where anything was found that no program writes unless it means to confuse, the message is read once more
//!    without its structure (`blind`).
//!
//! Containers (multiparts, nested messages) are no samples, their leaves are. Nothing here fails: a message over a
//! budget is `malformed`, with everything found until then, and not read in further ways. All work is linear in the
//! message, except that a budget may multiply it by a constant; nothing recurses.

mod allowance;
pub mod ambiguity;
mod blind;
mod body;
mod boundary;
mod bytewise;
mod candidates;
mod container;
mod decode;
mod decoded;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod header;
mod leaf;
mod names;
mod outline;
mod reading;
mod recall;
mod runs;
mod samples;
mod value;
mod walk;

use bytes::Bytes;
use decode::Decoding;
pub use outline::Step;
use reading::Reading;
pub use recall::Recall;
use samples::Samples;
use serde::{Deserialize, Serialize};
use std::fmt;
use thundergate_common::{digest::Digest, verdict::SkipReason};

/// Which bodies without a file name are samples (`scan.bodies`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bodies {
    /// HTML always, plain text only where it holds encoded or binary content.
    Html,
    /// Every one.
    All,
    /// None.
    None,
}

/// How much work one message may cause.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Parts, leaves and containers together.
    pub parts: usize,
    /// Nesting of multiparts and messages.
    pub depth: usize,
    /// Other ways to decode or to delimit something than the likeliest.
    pub readings: usize,
    /// Sum of decoded bytes; what a small message may cause is less (`allowance`).
    pub decoded_bytes: u64,
}

/// A part, decoded once to learn its digest; its bytes can be had again.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name a mail client would show; of several the most dangerous.
    pub name: Option<String>,
    /// Lower-case `type/subtype`.
    pub media_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// Of the decoded bytes.
    pub digest: Digest,
    /// Where the bytes come from.
    pub content: Content,
}

/// Encoded bytes and how to decode them. Cheap to clone: a slice of the message.
#[derive(Clone)]
pub struct Content {
    source: Bytes,
    decoding: Decoding,
}

/// A part that is no sample.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The name a mail client would show.
    pub name: Option<String>,
    /// Lower-case `type/subtype`.
    pub media_type: String,
    /// Encoded size in bytes.
    pub size: u64,
    /// Why not.
    pub reason: SkipReason,
}

/// What [`extract`] found.
#[derive(Clone, Debug, Default)]
pub struct Extraction {
    /// The samples, in document order, each digest and name once.
    pub parts: Vec<Part>,
    /// What is left out, with the reason.
    pub skipped: Vec<Skipped>,
    /// Where readers could differ, by kind; empty for a well-formed message.
    pub ambiguities: Vec<&'static str>,
    /// Why part of the message was not looked at: it exceeds the budget (`parts`, `depth`, `readings`,
    /// `decoded_bytes`), or has a header or a field of it too long to read (`header_bytes`, `field_bytes`).
    pub malformed: Option<&'static str>,
    /// Bytes that the parts keep in memory beside the message: transfer-encoded messages inside it, decoded.
    pub held_bytes: usize,
}

impl Content {
    /// The decoded bytes. Decodes at each call, except where the message holds them as they are.
    pub fn bytes(&self) -> Bytes {
        let mut decoded = Vec::new();
        // What was too long is no part.
        self.decode_unless_plain(u64::MAX, &mut decoded);
        if self.decoding == Decoding::Identity { self.source.clone() } else { decoded.into() }
    }

    /// Decodes into `out`, except where `source` is what it would be. False where readers may differ about what it holds.
    /// Stops where it becomes longer than `limit`.
    fn decode_unless_plain(&self, limit: u64, out: &mut Vec<u8>) -> bool {
        self.decoding == Decoding::Identity || self.decoding.decode_into(&self.source, limit, out)
    }

    /// The same, ending at `end` of the encoded bytes.
    fn up_to(&self, end: usize) -> Self {
        Self { source: self.source.slice(..end), decoding: self.decoding }
    }

    /// The same, starting at `start` of the encoded bytes.
    fn starting_at(&self, start: usize) -> Self {
        Self { source: self.source.slice(start..), decoding: self.decoding }
    }

    fn decoded_as(&self, decoding: Decoding) -> Self {
        Self { source: self.source.clone(), decoding }
    }
}

/// Without the bytes, which no log may show.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:?}, {} bytes)", self.decoding, self.source.len())
    }
}

/// Takes `message` (header, empty line, body) apart.
pub fn extract(message: &Bytes, bodies: Bodies, budget: &Budget) -> Extraction {
    take_apart(message, Samples::new(bodies, budget, message.len(), false), budget).0
}

/// The same; what was decoded for an earlier message is not decoded again.
pub fn extract_recalling(message: &Bytes, bodies: Bodies, budget: &Budget, recall: &Recall) -> Extraction {
    let samples = Samples::new(bodies, budget, message.len(), false).recalling(recall);
    take_apart(message, samples, budget).0
}

/// The same, with the steps that led there.
pub fn explain(message: &Bytes, bodies: Bodies, budget: &Budget) -> (Extraction, Vec<Step>) {
    take_apart(message, Samples::new(bodies, budget, message.len(), true), budget)
}

fn take_apart(message: &Bytes, mut samples: Samples, budget: &Budget) -> (Extraction, Vec<Step>) {
    let (mut met, mut done) = (Reading::default(), Vec::new());
    while let Some(reading) = Reading::next(met, &done).filter(|_| samples.left.exceeded().is_none()) {
        samples.next_reading(|| reading.describe());
        met = met.and(walk::walk(message, reading, budget, &mut samples));
        done.push(reading);
    }
    if samples.is_in_doubt() && samples.left.exceeded().is_none() {
        samples.next_reading(|| "without the structure".to_owned());
        for message in samples.all_walked() {
            blind::read(&message, &mut samples);
        }
    }
    samples.finish()
}
