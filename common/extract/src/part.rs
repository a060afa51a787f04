// SPDX-License-Identifier: GPL-3.0-or-later
//! What a message is taken apart into: parts, each with the way to its bytes, what is no sample, and what is said of the
//! message as a whole.

use super::{ambiguity::Ambiguity, budget::Exceeded, decode::Decoding};
use bytes::Bytes;
use std::fmt;
use thundergate_common::{digest::Digest, verdict::SkipReason};

/// A part, decoded once to learn its digest; its bytes can be had again.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name a mail client would show; of several the most dangerous.
    pub name: Option<String>,
    /// The names of the files that it came in, such as `mail.msg` or `mail.eml/winmail.dat`; for people.
    pub within: Option<String>,
    /// Lower-case `type/subtype`.
    pub media_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// Of the decoded bytes.
    pub digest: Digest,
    /// Where the bytes come from.
    pub content: Content,
    /// The kind of an archive or image that neither this crate nor the scanner opens, such as `iso` or `xz`.
    pub unopened: Option<&'static str>,
}

/// Encoded bytes and how to decode them. Cheap to clone: a slice of the message.
#[derive(Clone)]
pub struct Content {
    pub(crate) source: Bytes,
    pub(crate) decoding: Decoding,
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

/// What [`extract`](super::extract) found.
#[derive(Clone, Debug, Default)]
pub struct Extraction {
    /// The samples, in document order, each digest and name once.
    pub parts: Vec<Part>,
    /// What is left out, with the reason.
    pub skipped: Vec<Skipped>,
    /// Where readers could differ, by kind; empty for a well-formed message.
    pub ambiguities: Vec<Ambiguity>,
    /// Why part of the message was not looked at.
    pub malformed: Option<Exceeded>,
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
    pub(crate) fn decode_unless_plain(&self, limit: u64, out: &mut Vec<u8>) -> bool {
        self.decoding == Decoding::Identity || self.decoding.decode_into(&self.source, limit, out)
    }

    /// The same, ending at `end` of the encoded bytes.
    pub(crate) fn up_to(&self, end: usize) -> Self {
        Self { source: self.source.slice(..end), decoding: self.decoding }
    }

    /// The same, starting at `start` of the encoded bytes.
    pub(crate) fn starting_at(&self, start: usize) -> Self {
        Self { source: self.source.slice(start..), decoding: self.decoding }
    }

    pub(crate) fn decoded_as(&self, decoding: Decoding) -> Self {
        Self { source: self.source.clone(), decoding }
    }
}

/// Without the bytes, which no log may show.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:?}, {} bytes)", self.decoding, self.source.len())
    }
}
