// SPDX-License-Identifier: GPL-3.0-or-later
//! What TNEF and Outlook's own files have in common: properties of MAPI (MS-OXPROPS), each with a number and a type. Here are
//! the bodies of a message and the names of its attachments.

use super::{Enclosed, Opened, rtf};
use crate::decode::shown_name;
use bytes::Bytes;

const PR_BODY: u16 = 0x1000;
const PR_RTF_COMPRESSED: u16 = 0x1009;
const PR_HTML: u16 = 0x1013;
pub(super) const PR_DISPLAY_NAME: u16 = 0x3001;
pub(super) const PR_ATTACH_DATA: u16 = 0x3701;
pub(super) const PR_ATTACH_FILENAME: u16 = 0x3704;
pub(super) const PR_ATTACH_LONG_FILENAME: u16 = 0x3707;

pub(super) const OBJECT: u16 = 0x000d;
pub(super) const STRING: u16 = 0x001e;
pub(super) const UNICODE: u16 = 0x001f;
pub(super) const BINARY: u16 = 0x0102;
pub(super) const FILE: &str = "application/octet-stream";
/// An attachment has three or four names, many of them the same.
const MAX_NAMES: usize = 16;

/// True where property `id` is a body of a message.
pub(super) fn is_body(id: u16) -> bool {
    matches!(id, PR_BODY | PR_HTML | PR_RTF_COMPRESSED)
}

/// Takes a property of a message if it is one of its bodies.
pub(super) fn body(id: u16, kind: u16, value: Bytes, limit: u64, opened: &mut Opened) {
    let media_type = match id {
        PR_BODY => "text/plain",
        PR_HTML => "text/html",
        PR_RTF_COMPRESSED => {
            let left = usize::try_from(opened.left(limit)).unwrap_or(usize::MAX);
            return match rtf::decompress(&value, left.saturating_add(1)) {
                Some(text) => take_text("text/rtf", text, limit, opened),
                None => take(FILE, value, limit, opened),
            };
        }
        _ => return,
    };
    match kind {
        UNICODE => take_text(media_type, from_utf16(&value).into_bytes(), limit, opened),
        _ => take(media_type, value, limit, opened),
    }
}

/// `names` without empty ones and repetitions.
pub(super) fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct = Vec::new();
    for name in names.take(MAX_NAMES).filter(|name| !name.is_empty()) {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

/// Takes a body that stands in the container.
pub(super) fn take(media_type: &str, content: Bytes, limit: u64, opened: &mut Opened) {
    let end = if media_type == FILE { content.len() } else { text_length(&content) };
    let content = content.slice(..end);
    opened.push(Enclosed { media_type: media_type.into(), content, ..Enclosed::default() }, limit);
}

/// Takes a body that does not.
fn take_text(media_type: &str, mut text: Vec<u8>, limit: u64, opened: &mut Opened) {
    let length = text_length(&text);
    text.truncate(length);
    text.shrink_to_fit();
    let content = text.into();
    if opened.push(Enclosed { media_type: media_type.into(), content, ..Enclosed::default() }, limit) {
        opened.held_bytes += length;
    }
}

/// The length of `text` without the NULs that end it.
fn text_length(text: &[u8]) -> usize {
    text.len() - text.iter().rev().take_while(|&&byte| byte == 0).count()
}

/// The text that `value` is, in UTF-16 or in a charset that is as good as ASCII.
pub(super) fn text(value: &[u8], unicode: bool) -> String {
    if unicode { shown_name(from_utf16(value).as_bytes()) } else { shown_name(value) }
}

fn from_utf16(value: &[u8]) -> String {
    let units = value.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
