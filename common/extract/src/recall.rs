// SPDX-License-Identifier: GPL-3.0-or-later
//! Attachments that came before, known by their encoded bytes. The same file mostly comes in the same encoding, and BLAKE3
//! reads that several times faster than it can be decoded and digested with SHA-256.
//!
//! BLAKE3 has no known collisions, as SHA-256 has none, so what is recalled is what decoding would give.

use super::signs::Signs;
use bytes::Bytes;
use moka::sync::Cache;
use std::fmt;
use thundergate_common::digest::Digest;

/// So many attachments are remembered; each takes about 400 bytes.
const REMEMBERED: u64 = 32_768;

/// Encoded bytes of an attachment that is worth it. BLAKE3 is at its best from a few KiB on.
const LEAST: usize = 16 << 10;

/// What is remembered. Cheap to clone: all clones remember the same.
#[derive(Clone)]
pub struct Recall {
    attachments: Cache<[u8; 32], Attachment>,
}

/// What base64 that holds one file without any doubt decodes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Of the decoded bytes.
    pub(crate) digest: Digest,
    /// Decoded bytes.
    pub(crate) size: usize,
    /// What they look like.
    pub(crate) signs: Signs,
}

impl Recall {
    /// What `source` decodes to: recalled, or told by `decode` and remembered.
    pub(crate) fn or_decode(
        &self,
        source: &Bytes,
        decode: impl FnOnce() -> Option<Attachment>,
    ) -> Option<Attachment> {
        if source.len() < LEAST {
            return decode();
        }
        let key = *blake3::hash(source).as_bytes();
        if let Some(attachment) = self.attachments.get(&key) {
            return Some(attachment);
        }
        let attachment = decode()?;
        self.attachments.insert(key, attachment);
        Some(attachment)
    }
}

impl Default for Recall {
    fn default() -> Self {
        Self { attachments: Cache::new(REMEMBERED) }
    }
}

impl fmt::Debug for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recall({} attachments)", self.attachments.entry_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_is_not_decoded_again_and_what_did_not_is() {
        let recall = Recall::default();
        let source = Bytes::from(vec![b'A'; LEAST]);
        let attachment = Attachment { digest: Digest::of(b"x"), size: 1, signs: Signs::default() };
        assert_eq!(recall.or_decode(&source, || None), None);
        assert_eq!(recall.or_decode(&source, || Some(attachment)), Some(attachment));
        assert_eq!(recall.or_decode(&source, || panic!("it is known")), Some(attachment));
        let mut other = source.to_vec();
        other[LEAST / 2] = b'B';
        assert_eq!(recall.or_decode(&other.into(), || None), None);
        assert_eq!(recall.or_decode(&source.slice(..LEAST - 1), || None), None);
    }
}
