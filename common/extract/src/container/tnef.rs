// SPDX-License-Identifier: GPL-3.0-or-later
//! TNEF (MS-OXTNEF), the `winmail.dat` of Outlook and Exchange: attributes one after the other, some of which hold MAPI
//! properties. Checksums are not looked at.

use super::{
    Enclosed, Opened,
    mapi::{
        self, BINARY, FILE, OBJECT, PR_ATTACH_DATA, PR_ATTACH_FILENAME, PR_ATTACH_LONG_FILENAME,
        PR_DISPLAY_NAME, STRING, UNICODE, text,
    },
};
use bytes::{Buf, Bytes};

pub(super) const SIGNATURE: &[u8] = b"\x78\x9f\x3e\x22";
/// The signature and a key.
const HEADER: usize = 6;

// Attributes, without their type.
const BODY: u16 = 0x800c;
const ATTACH_DATA: u16 = 0x800f;
const ATTACH_TITLE: u16 = 0x8010;
const ATTACH_TRANSPORT_FILENAME: u16 = 0x9001;
const ATTACH_REND_DATA: u16 = 0x9002;
const MAPI_PROPS: u16 = 0x9003;
const ATTACHMENT: u16 = 0x9005;

/// The identifier of an interface before the bytes of an object.
const INTERFACE: usize = 16;

/// An attachment under construction: its attributes come one by one.
#[derive(Default)]
struct Attachment {
    long_names: Vec<String>,
    names: Vec<String>,
    contents: Vec<Bytes>,
    /// Messages inside, each again of this form.
    messages: Vec<Bytes>,
}

/// Opens `bytes`, which start with the signature, and every such message that is attached inside.
pub(super) fn open(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    opened.kind = "tnef";
    let mut messages = vec![bytes.clone()];
    while let Some(message) = messages.pop().filter(|_| !opened.over_limit) {
        attributes(message.slice(HEADER.min(message.len())..), limit, opened, &mut messages);
    }
}

fn attributes(mut rest: Bytes, limit: u64, opened: &mut Opened, messages: &mut Vec<Bytes>) {
    let mut attachment = Attachment::default();
    while !opened.over_limit
        && let Some((id, value)) = attribute(&mut rest)
    {
        match id {
            ATTACH_REND_DATA => std::mem::take(&mut attachment).finish(limit, opened, messages),
            ATTACH_TITLE | ATTACH_TRANSPORT_FILENAME => attachment.names.push(text(&value, false)),
            ATTACH_DATA => attachment.contents.push(value),
            BODY => mapi::take("text/plain", value, limit, opened),
            MAPI_PROPS => {
                properties(value, |id, kind, value| mapi::body(id, kind, value, limit, opened));
            }
            ATTACHMENT => properties(value, |id, kind, value| attachment.property(id, kind, value)),
            _ => (),
        }
    }
    attachment.finish(limit, opened, messages);
}

/// The next attribute: its number without the type, and its value.
fn attribute(rest: &mut Bytes) -> Option<(u16, Bytes)> {
    // The level says whether it belongs to the message or to an attachment, which the number says too.
    rest.try_get_u8().ok()?;
    let id = rest.try_get_u16_le().ok()?;
    let _kind = rest.try_get_u16_le().ok()?;
    let length = rest.try_get_u32_le().ok()?;
    let value = split(rest, length as usize);
    let checksum = rest.len().min(2);
    rest.advance(checksum);
    Some((id, value))
}

/// Shows every value of the properties in `rest` to `take`: number, type, value.
fn properties(mut rest: Bytes, mut take: impl FnMut(u16, u16, Bytes)) {
    let count = rest.try_get_u32_le().unwrap_or(0);
    for _ in 0..count {
        if property(&mut rest, &mut take).is_none() {
            return;
        }
    }
}

/// Takes the next property, with all of its values. None where there is none, or of a type that is not known.
fn property(rest: &mut Bytes, take: &mut impl FnMut(u16, u16, Bytes)) -> Option<()> {
    let kind = rest.try_get_u16_le().ok()?;
    let id = rest.try_get_u16_le().ok()?;
    if id >= 0x8000 {
        // A name: a set, then a number or a text.
        split(rest, 16);
        let (by_text, length) = (rest.try_get_u32_le().ok()? == 1, rest.try_get_u32_le().ok()?);
        if by_text {
            split_padded(rest, length as usize);
        }
    }
    let (several, kind) = (kind & 0x1000 > 0, kind & 0x0fff);
    let size = match kind {
        0x0000..=0x0004 | 0x000a | 0x000b => Some(4),
        0x0005..=0x0007 | 0x0014 | 0x0040 => Some(8),
        0x0048 => Some(16),
        OBJECT | STRING | UNICODE | BINARY => None,
        _ => return None,
    };
    let count = if several || size.is_none() { rest.try_get_u32_le().ok()? } else { 1 };
    for _ in 0..count {
        let value = match size {
            Some(size) => split(rest, size),
            None => {
                let length = rest.try_get_u32_le().ok()?;
                split_padded(rest, length as usize)
            }
        };
        take(id, kind, value);
        if rest.is_empty() {
            break;
        }
    }
    Some(())
}

impl Attachment {
    fn property(&mut self, id: u16, kind: u16, value: Bytes) {
        match id {
            PR_ATTACH_LONG_FILENAME => self.long_names.push(text(&value, kind == UNICODE)),
            PR_ATTACH_FILENAME | PR_DISPLAY_NAME => self.names.push(text(&value, kind == UNICODE)),
            PR_ATTACH_DATA if kind == OBJECT => {
                let object = value.slice(INTERFACE.min(value.len())..);
                let message = object.starts_with(SIGNATURE);
                if message { self.messages.push(object) } else { self.contents.push(object) }
            }
            PR_ATTACH_DATA => self.contents.push(value),
            _ => (),
        }
    }

    /// Takes what it held, and starts anew.
    fn finish(self, limit: u64, opened: &mut Opened, messages: &mut Vec<Bytes>) {
        let names = mapi::distinct(self.long_names.into_iter().chain(self.names));
        messages.extend(self.messages);
        for content in self.contents {
            let media_type = FILE.into();
            opened.push(Enclosed { names: names.clone(), media_type, content, ..Enclosed::default() }, limit);
        }
    }
}

/// What there is of the next `length` bytes.
fn split(rest: &mut Bytes, length: usize) -> Bytes {
    rest.split_to(length.min(rest.len()))
}

/// The same, with what fills it up to a multiple of four.
fn split_padded(rest: &mut Bytes, length: usize) -> Bytes {
    let value = split(rest, length);
    split(rest, length.next_multiple_of(4) - length);
    value
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MAX_FILES, tests::data},
        *,
    };

    fn opened(bytes: impl Into<Bytes>) -> Opened {
        super::super::open(&bytes.into(), 1 << 20)
    }

    /// Names, type and content of each file.
    fn files(opened: &Opened) -> Vec<[String; 3]> {
        let show = |file: &Enclosed| {
            [file.names.join("|"), file.media_type.clone(), String::from_utf8_lossy(&file.content).into()]
        };
        opened.files.iter().map(show).collect()
    }

    #[test]
    fn bodies_and_attachments_come_with_their_names() {
        let opened = opened(data("tnef/winmail.dat"));
        let expected = [
            ["", "text/plain", "Hello"],
            ["", "text/html", "<html>Hi</html>"],
            ["", "text/rtf", "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"],
            ["Report für 2026.exe|REPORT~1.EXE", FILE, "MZ first file"],
            ["second.bin", FILE, "second file"],
            ["inner.js", FILE, "inner file"],
        ];
        assert_eq!(files(&opened), expected);
        assert_eq!((opened.kind, opened.over_limit, opened.held_bytes), ("tnef", false, 43));
    }

    #[test]
    fn what_is_cut_or_has_a_wrong_checksum_is_taken_as_far_as_it_goes() {
        let mut whole = data("tnef/winmail.dat").to_vec();
        let at = memchr::memmem::find(&whole, b"MZ first").unwrap();
        let cut = files(&opened(whole[..at + 8].to_vec()));
        assert_eq!(cut.last().unwrap(), &["REPORT~1.EXE", FILE, "MZ first"]);
        whole[at] = b'm';
        assert_eq!(files(&opened(whole))[3][2], "mZ first file");
    }

    #[test]
    fn messages_in_messages_cost_no_more_than_their_length() {
        // An attribute with a property that is an object that is such a message, without end.
        let level = [
            &b"\x02\x05\x90\x06\0\xff\xff\xff\x7f\x01\0\0\0\x0d\0\x01\x37\x01\0\0\0\xff\xff\xff\x7f"[..],
            &[7; 16],
        ];
        let message = [SIGNATURE, b"\x01\0", &level.concat()].concat();
        let deep = [message.repeat(10_000), b"\x78\x9f\x3e\x22\0\0\x02\x0f\x80\x06\0\x03\0\0\0Cat".to_vec()]
            .concat();
        assert_eq!(files(&opened(deep)), [["", FILE, "Cat"]]);
    }

    #[test]
    fn more_files_than_anybody_sends_are_too_many() {
        let file = b"\x02\x0f\x80\x06\0\x01\0\0\0x\0\0";
        for (count, over_limit) in [(MAX_FILES, false), (MAX_FILES + 1, true)] {
            let opened = opened([SIGNATURE, b"\x01\0", &file.repeat(count)].concat());
            assert_eq!((opened.files.len(), opened.over_limit), (MAX_FILES, over_limit));
        }
    }

    #[test]
    fn files_keep_to_the_limit() {
        let opened = super::super::open(&data("tnef/winmail.dat"), 30);
        assert!(opened.over_limit);
        assert_eq!(files(&opened).len(), 2);
    }
}
