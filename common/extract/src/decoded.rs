// SPDX-License-Identifier: GPL-3.0-or-later
//! A candidate, decoded: its digest, and what it turns out to be. What is plain base64 is digested in pieces, so that it
//! never stands in memory as a whole.

use super::{
    body::{self, Bodies, Class},
    candidates::{self, Candidate},
    container,
    decode::{Decoding, base64},
    part::Content,
    recall::{Attachment, Recall},
    runs,
};
use thundergate_common::digest::{Digest, Hasher};

/// What a candidate turned out to be.
pub(crate) struct Decoded {
    /// Of its bytes, where it shall be scanned.
    pub(crate) digest: Option<Digest>,
    /// Its bytes.
    pub(crate) size: usize,
    /// It starts as messages do.
    pub(crate) message: bool,
    /// It starts as containers do.
    pub(crate) container: bool,
    /// What else it could be.
    pub(crate) others: Vec<Candidate>,
}

impl Decoded {
    /// Decodes `content` into `buffer`, up to `limit` bytes, unless what it holds can be recalled.
    pub(crate) fn of(
        content: &Content,
        class: Class,
        bodies: Bodies,
        limit: u64,
        recall: Option<&Recall>,
        buffer: &mut Vec<u8>,
    ) -> Self {
        if content.decoding == Decoding::Base64 && class != Class::Plain {
            let mut decode = || attachment(&content.source, buffer);
            let attachment = match recall {
                Some(recall) => recall.or_decode(&content.source, decode),
                None => decode(),
            };
            if let Some(Attachment { digest, size, message, container }) = attachment {
                // Only of plain text is it asked what it holds.
                let digest = class.is_sample(bodies, &[], || false).then_some(digest);
                return Self { digest, size, message, container, others: Vec::new() };
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

/// What `source` decodes to in pieces, for which it uses `buffer`; none where there is more to say about it.
fn attachment(source: &[u8], buffer: &mut Vec<u8>) -> Option<Attachment> {
    let mut pieces = Pieces::default();
    let size = base64::decode_pieces(source, buffer, |piece| pieces.take(piece))?;
    let Decoded { message, container, .. } = Decoded::told_by(&pieces.start);
    Some(Attachment { digest: pieces.hasher.finish(), size, message, container })
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
