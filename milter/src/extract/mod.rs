// SPDX-License-Identifier: GPL-3.0-or-later
//! Takes a message apart into everything that a reader could see.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
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
    /// Sum of decoded bytes.
    pub decoded_bytes: u64,
}

/// A part, decoded once to learn its digest; its bytes can be had again.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name a mail client would show.
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
#[derive(Clone, Debug)]
pub struct Content {
    source: Bytes,
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
    /// Which budget the message exceeds, or why it cannot be taken apart.
    pub malformed: Option<&'static str>,
}

impl Content {
    /// The decoded bytes.
    pub fn bytes(&self) -> Bytes {
        self.source.clone()
    }
}

/// Takes `message` (header, empty line, body) apart.
pub fn extract(_message: &Bytes, _bodies: Bodies, _budget: &Budget) -> Extraction {
    Extraction::default()
}
