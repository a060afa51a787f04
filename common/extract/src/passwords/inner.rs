// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages that stand in a leaf in a transfer encoding: as they are, signed, or as Outlook packs them.

use super::super::{
    container::{self, Enclosed},
    decode::Decoding,
};
use bytes::Bytes;

/// Bytes of a leaf in its transfer encoding. A signed mail is one leaf, with all its attachments.
const MOST_ENCODED: usize = 16 << 20;
/// Bytes of a body that is no message.
const MOST_BODY: usize = 256 << 10;

/// True for the type of a leaf that holds messages.
pub(crate) fn is_holder(media_type: &str) -> bool {
    media_type == "message/rfc822" || media_type.ends_with("pkcs7-mime") || media_type.ends_with("ms-tnef")
}

/// The messages in `source`, a leaf of type `media_type`.
pub(crate) fn messages(media_type: &str, decoding: Decoding, source: &Bytes) -> Vec<Bytes> {
    if source.len() > MOST_ENCODED {
        return Vec::new();
    }
    let bytes = if decoding == Decoding::Identity {
        source.clone()
    } else {
        let mut decoded = Vec::new();
        decoding.decode_into(source, MOST_ENCODED as u64, &mut decoded);
        decoded.into()
    };
    if media_type == "message/rfc822" {
        return vec![bytes];
    }
    let files = container::open(&bytes, MOST_ENCODED as u64).files;
    files.into_iter().filter_map(as_message).collect()
}

/// `file` as a message, if it is one, or a body.
fn as_message(file: Enclosed) -> Option<Bytes> {
    if file.message {
        return Some(file.content);
    }
    let body =
        file.names.is_empty() && file.media_type.starts_with("text/") && file.content.len() <= MOST_BODY;
    let header = format!("Content-Type: {}\n\n", file.media_type);
    body.then(|| [header.as_bytes(), &file.content].concat().into())
}
