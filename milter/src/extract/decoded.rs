// SPDX-License-Identifier: GPL-3.0-or-later
//! A candidate, decoded: its digest, and what it turns out to be. What is plain base64 is digested in pieces, so that it
//! never stands in memory as a whole.

use super::{
    Bodies, Content,
    body::{self, Class},
    candidates::{self, Candidate},
    container,
    decode::{Decoding, base64},
    runs,
};
use thundergate_common::digest::{Digest, Hasher};

/// What a candidate turned out to be.
pub(super) struct Decoded {
    /// Of its bytes, where it shall be scanned.
    pub digest: Option<Digest>,
    /// Its bytes.
    pub size: usize,
    /// It starts as messages do.
    pub message: bool,
    /// It starts as containers do.
    pub container: bool,
    /// What else it could be.
    pub others: Vec<Candidate>,
}

impl Decoded {
    /// Decodes `content` into `buffer`, up to `limit` bytes.
    pub fn of(content: &Content, class: Class, bodies: Bodies, limit: u64, buffer: &mut Vec<u8>) -> Self {
        if content.decoding == Decoding::Base64 && class != Class::Plain {
            let mut pieces = Pieces::default();
            if let Some(size) = base64::decode_pieces(&content.source, buffer, |piece| pieces.take(piece)) {
                let sample = class.is_sample(bodies, &pieces.start, || false);
                let digest = sample.then(|| pieces.hasher.finish());
                return Self { size, digest, ..Self::told_by(&pieces.start) };
            }
        }
        let clean = content.decode_unless_plain(limit, buffer);
        let bytes = if content.decoding == Decoding::Identity { &content.source[..] } else { buffer };
        let run = if content.decoding == Decoding::Identity { runs::longest(bytes) } else { None };
        let others = candidates::further(content, class, clean, bytes, run.as_ref());
        let sample = class.is_sample(bodies, bytes, || match content.decoding {
            // They were looked for just now.
            Decoding::Identity => !others.is_empty() || run.is_some(),
            _ => body::holds_files(bytes),
        });
        let digest = sample.then(|| Digest::of(bytes));
        Self { size: bytes.len(), digest, others, ..Self::told_by(bytes) }
    }

    /// What its start tells.
    fn told_by(start: &[u8]) -> Self {
        Self {
            digest: None,
            size: 0,
            message: body::is_message(start),
            container: container::is_one(&start[..start.len().min(body::START)]),
            others: Vec::new(),
        }
    }
}

/// Digests what is decoded in pieces, and keeps its start.
#[derive(Default)]
struct Pieces {
    hasher: Hasher,
    start: Vec<u8>,
}

impl Pieces {
    fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if self.start.is_empty() {
            self.start.extend_from_slice(&piece[..piece.len().min(body::START)]);
        }
    }
}
