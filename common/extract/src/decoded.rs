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
    signs::{Signs, is_text},
    unopened::{self, DESCRIPTION, FOOTER, Glimpse, VOLUME},
};
use thundergate_common::digest::{Digest, Hasher};

/// Bytes that armour begins with, and a few more.
const ARMOUR: usize = 32;
/// What a candidate turned out to be.
pub(crate) struct Decoded {
    /// Of its bytes, where it shall be scanned.
    pub(crate) digest: Option<Digest>,
    /// Its bytes.
    pub(crate) size: usize,
    /// What is to be done with it.
    pub(crate) signs: Signs,
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
            if let Some(Attachment { digest, size, signs }) = attachment {
                // Only of plain text is it asked what it holds.
                let digest = class.is_sample(bodies, &[], || false).then_some(digest);
                return Self { digest, size, signs, others: Vec::new() };
            }
        }
        let clean = content.decode_unless_plain(limit, buffer);
        let bytes = if content.decoding == Decoding::Identity { &content.source[..] } else { buffer };
        let run = if content.decoding == Decoding::Identity { runs::longest(bytes) } else { None };
        let others = candidates::further(content, class, clean, bytes, run.as_ref());
        let signs = Signs::of(bytes, class, content.decoding);
        let sample = class.is_sample(bodies, bytes, || match content.decoding {
            // They were looked for just now.
            Decoding::Identity => !others.is_empty() || run.is_some(),
            _ => signs.files || runs::longest(bytes).is_some(),
        });
        let digest = sample.then(|| Digest::of(bytes));
        Self { size: bytes.len(), digest, others, signs }
    }
}

/// What `source` decodes to in pieces, for which it uses `buffer`; none where there is more to say about it.
fn attachment(source: &[u8], buffer: &mut Vec<u8>) -> Option<Attachment> {
    let mut pieces = Pieces::default();
    let size = base64::decode_pieces(source, buffer, |piece| pieces.take(piece))?;
    let mut signs = Signs::of(&pieces.start, Class::File, Decoding::Base64);
    signs.container |= pieces.armoured;
    signs.unopened = pieces.unopened();
    Some(Attachment { digest: pieces.hasher.finish(), size, signs })
}

/// Digests what is decoded in pieces, keeps what is looked at afterwards, and looks for armour in a text.
#[derive(Default)]
struct Pieces {
    hasher: Hasher,
    size: usize,
    start: Vec<u8>,
    /// The bytes where a disc describes itself.
    volume: Vec<u8>,
    /// The last bytes so far.
    end: Vec<u8>,
    is_text: bool,
    armoured: bool,
}

impl Pieces {
    fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if self.start.is_empty() {
            self.start.extend_from_slice(&piece[..piece.len().min(body::START)]);
            self.is_text = is_text(&self.start);
        }
        if self.is_text && !self.armoured {
            // What begins in one piece may go on in the next.
            let seam =
                [&self.end[self.end.len().saturating_sub(ARMOUR)..], &piece[..piece.len().min(ARMOUR)]];
            self.armoured = container::is_armoured(piece) || container::is_armoured(&seam.concat());
        }
        let missing = DESCRIPTION - self.volume.len();
        if missing > 0 && self.size + piece.len() > VOLUME {
            let from = (VOLUME + self.volume.len()).saturating_sub(self.size);
            self.volume.extend_from_slice(&piece[from..piece.len().min(from + missing)]);
        }
        self.size += piece.len();
        self.end.extend_from_slice(&piece[piece.len().saturating_sub(FOOTER)..]);
        self.end.drain(..self.end.len().saturating_sub(FOOTER));
    }

    fn unopened(&self) -> Option<&'static str> {
        unopened::kind(Glimpse { start: &self.start, volume: &self.volume, end: &self.end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use encodify::base64::MIME;

    fn signs(file: &[u8]) -> Signs {
        signs_of(file, Class::File)
    }

    fn signs_of(file: &[u8], class: Class) -> Signs {
        let content = Content { source: Bytes::from(MIME.encode(file)), decoding: Decoding::Base64 };
        Decoded::of(&content, class, Bodies::Html, u64::MAX, None, &mut Vec::new()).signs
    }

    #[test]
    fn what_is_decoded_in_pieces_is_looked_at_from_its_start_to_its_end() {
        for (at, mark, expected) in
            [(VOLUME, &b"\x01CD001"[..], "iso"), (1 << 20, b"conectix", "vhd"), (0, b"xar!\0", "xar")]
        {
            let mut file = vec![1; (1 << 20) + FOOTER];
            file[at..at + mark.len()].copy_from_slice(mark);
            assert_eq!(signs(&file).unopened, Some(expected));
            file[at] = 0xff;
            file[at + 1] = 0xff;
            assert_eq!(signs(&file).unopened, None);
        }
    }

    #[test]
    fn armour_is_found_wherever_it_begins_in_a_text() {
        for before in (23_900..23_980).step_by(2) {
            let text = |start: &[u8]| {
                [start, &b"x".repeat(before), b"-----BEGIN PGP MESSAGE-----", &b"x".repeat(60_000)].concat()
            };
            assert!(signs(&text(b"")).container && !signs(&text(b"\0")).container, "{before}");
        }
        assert!(!signs(&b"-----BEGIN\n".repeat(9000)).container);
    }

    #[test]
    fn files_are_found_near_the_start_of_a_file_and_anywhere_in_a_text() {
        for (before, class, expected) in [
            (500, Class::File, true),
            (5000, Class::File, false),
            (500, Class::Plain, true),
            (5000, Class::Plain, true),
        ] {
            let text = ["word\n".repeat(before / 5).as_bytes(), b"begin 644 x\n#0V%T\n`\nend\n"].concat();
            assert_eq!(signs_of(&text, class).files, expected, "{before}, {class:?}");
        }
    }
}
