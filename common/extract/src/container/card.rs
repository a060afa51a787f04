// SPDX-License-Identifier: GPL-3.0-or-later
//! Address cards (vCard 2.1 to 4.0) and calendars (iCalendar, RFC 5545): the files in their properties, such as `ATTACH` and
//! `PHOTO`, in base64 or as a `data:` address.
//!
//! A property is a line; one that begins with a blank goes on with it, in the middle of a word too. In base64 of vCard 2.1
//! the blank can lack.

use super::{Enclosed, Opened};
use crate::{
    bytewise::without_leading_blanks,
    decode::{Decoding, base64, shown_name},
    value::is_media_type,
};
use bytes::Bytes;
use memchr::memchr;

const FILE: &str = "application/octet-stream";
/// Bytes of a media type, at most.
const LONGEST_TYPE: usize = 127;
/// A file has one name or two.
const MAX_NAMES: usize = 8;

/// True where `start` begins a card or a calendar.
pub(crate) fn is_one(start: &[u8]) -> bool {
    let text = without_leading_blanks(start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start));
    text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"BEGIN:V"))
}

/// Opens `bytes`, which begin one.
pub(super) fn open(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    opened.kind = "card";
    let mut rest = &bytes[..];
    while !rest.is_empty() && !opened.over_limit {
        let line = unfolded(&mut rest);
        if let Some(file) = Property::of(&line).and_then(|property| property.file()) {
            let length = file.content.len();
            if opened.push(file, limit) {
                opened.held_bytes += length;
            }
        }
    }
}

/// The next line of `rest` with those that go on with it.
fn unfolded(rest: &mut &[u8]) -> Vec<u8> {
    let mut line = next_line(rest).to_vec();
    let mut encoded = None;
    while let Some(first) = rest.first() {
        if matches!(first, b' ' | b'\t') {
            line.extend_from_slice(&next_line(rest)[1..]);
            continue;
        }
        let (mut after, symbols) = (*rest, is_base64(rest));
        if !symbols || !*encoded.get_or_insert_with(|| Property::of(&line).is_some_and(|it| it.is_base64())) {
            break;
        }
        line.extend_from_slice(next_line(&mut after));
        *rest = after;
    }
    line
}

/// Takes the first line from `rest`.
fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr(b'\n', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = &rest[(end + 1).min(rest.len())..];
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// True where the first line of `text` holds base64 and nothing else.
fn is_base64(mut text: &[u8]) -> bool {
    let line = next_line(&mut text).trim_ascii_end();
    !line.is_empty() && line.iter().all(|&byte| base64::belongs(byte) || byte == b'=')
}

/// A line in its pieces.
struct Property<'a> {
    /// Without the group before it.
    name: &'a [u8],
    parameters: Vec<(&'a [u8], &'a [u8])>,
    value: &'a [u8],
}

impl<'a> Property<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let colon = unquoted(line, b':').or_else(|| memchr(b':', line))?;
        let mut head = &line[..colon];
        let mut pieces = Vec::new();
        while let Some(end) = unquoted(head, b';') {
            pieces.push(&head[..end]);
            head = &head[end + 1..];
        }
        pieces.push(head);
        let mut pieces = pieces.into_iter();
        let name = pieces.next().unwrap_or_default();
        let name = memchr(b'.', name).map_or(name, |dot| &name[dot + 1..]).trim_ascii();
        let parameters = pieces.map(|piece| {
            let sign = memchr(b'=', piece).unwrap_or(0);
            let value = piece[sign..].strip_prefix(b"=").unwrap_or(piece).trim_ascii();
            (piece[..sign].trim_ascii(), without_quotes(value))
        });
        Some(Self { name, parameters: parameters.collect(), value: &line[colon + 1..] })
    }

    /// The values of the parameters whose name `fits`; in vCard 2.1 the name can lack.
    fn values(&self, fits: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = &'a [u8]> {
        self.parameters
            .iter()
            .filter(move |(name, _)| fits(&name.to_ascii_uppercase()))
            .map(|(_, value)| *value)
    }

    fn is_base64(&self) -> bool {
        let says =
            |value: &[u8]| [&b"b"[..], b"base64", b"binary"].iter().any(|it| value.eq_ignore_ascii_case(it));
        self.values(|name| matches!(name, b"ENCODING" | b"VALUE" | b"")).any(says)
    }

    /// The file that it holds.
    fn file(&self) -> Option<Enclosed> {
        let value = self.value.trim_ascii();
        let address =
            value.get(..5).filter(|start| start.eq_ignore_ascii_case(b"data:")).map(|_| &value[5..]);
        let (content, head) = match address {
            Some(address) => from_address(address)?,
            None if self.is_base64() => (from_base64(value), &b""[..]),
            None => return None,
        };
        let mut names: Vec<_> = self.values(is_name).map(shown_name).collect();
        names.extend(
            head.split(|&byte| byte == b';').filter_map(|it| it.strip_prefix(b"name=")).map(shown_name),
        );
        names.retain(|name| !name.is_empty());
        names.truncate(MAX_NAMES);
        let media_type = self.media_type(head);
        // A text without a name is a file, too, since it is attached.
        let media_type =
            if names.is_empty() && media_type.starts_with("text") { FILE.into() } else { media_type };
        Some(Enclosed { names, media_type, content: content.into(), ..Enclosed::default() })
    }

    /// Its media type; `head` is what an address says before its data.
    fn media_type(&self, head: &[u8]) -> String {
        let head = head.split(|&byte| matches!(byte, b';' | b'\\')).next().unwrap_or_default();
        let said = self.values(|name| matches!(name, b"FMTTYPE" | b"MEDIATYPE" | b"TYPE"));
        let said = said.chain([head]).map(|it| String::from_utf8_lossy(it).to_ascii_lowercase());
        let kind = match self.name.to_ascii_uppercase().as_slice() {
            b"PHOTO" | b"LOGO" | b"IMAGE" => "image/",
            b"SOUND" => "audio/",
            _ => "",
        };
        let whole = |it: String| if it.contains('/') { it } else { format!("{kind}{it}") };
        said.map(whole)
            .find(|it| it.len() <= LONGEST_TYPE && is_media_type(it))
            .unwrap_or_else(|| FILE.into())
    }
}

/// True where a parameter called `name` holds the name of a file, as several programs have it.
fn is_name(name: &[u8]) -> bool {
    name.ends_with(b"FILENAME") || matches!(name, b"X-LABEL" | b"LABEL" | b"X-NAME" | b"NAME" | b"X-TITLE")
}

/// The first `sign` in `text` outside quotes.
fn unquoted(text: &[u8], sign: u8) -> Option<usize> {
    let mut quoted = false;
    text.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == sign && !quoted
    })
}

fn without_quotes(value: &[u8]) -> &[u8] {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    value.strip_suffix(b"\"").unwrap_or(value)
}

fn from_base64(value: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    Decoding::Base64.decode_into(value, u64::MAX, &mut content);
    content
}

/// What an address (RFC 2397) holds whose scheme stood before `address`, and what that says of it.
fn from_address(address: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let comma = memchr(b',', address)?;
    let head = &address[..comma];
    // vCard escapes signs that it uses itself.
    let head = head.strip_suffix(b"\\").unwrap_or(head);
    let data = unescaped(&address[comma + 1..]);
    let base64 = head.len() >= 6 && head[head.len() - 6..].eq_ignore_ascii_case(b"base64");
    Some((if base64 { from_base64(&data) } else { data }, head))
}

/// `text` with its `%41` as bytes.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        let escape = digit(at + 1).zip(digit(at + 2)).filter(|_| text[at] == b'%');
        let byte = escape.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        out.push(byte.unwrap_or(text[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, type and content of each file in `text`, whose lines end with CRLF.
    fn files(text: &str) -> Vec<[String; 3]> {
        let opened = super::super::open(&text.replace('\n', "\r\n").into(), 1 << 20);
        assert_eq!(opened.kind, "card");
        let show = |file: &Enclosed| {
            [file.names.join("|"), file.media_type.clone(), String::from_utf8_lossy(&file.content).into()]
        };
        opened.files.iter().map(show).collect()
    }

    #[test]
    fn the_attachments_of_a_calendar_come_with_their_names() {
        let event = |attachment: &str| {
            format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{attachment}\nEND:VEVENT\nEND:VCALENDAR\n")
        };
        for attachment in [
            "ATTACH;FMTTYPE=application/pdf;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=\"x;:y.exe\":TVpDYXQ=",
            "ATTACH;FMTTYPE=application/pdf;ENCODING=BASE64;VALUE=BINARY;X-FI\n LENAME=\"x;:y.exe\":TVpD\n YXQ=",
            "ATTACH;FMTTYPE=application/pdf;VALUE=BINARY;FILENAME=\"x;:y.exe\":\n TVpDYXQ=",
            "attach;fmttype=application/pdf;encoding=base64;x-filename=\"x;:y.exe\":\n\tTVpD\n\tYXQ=",
            "ATTACH;X-LABEL=\"x;:y.exe\":data:application/pdf;base64,TVpDYXQ=",
        ] {
            assert_eq!(files(&event(attachment)), [["x;:y.exe", "application/pdf", "MZCat"]], "{attachment}");
        }
        for other in
            ["ATTACH:https://a.example/x.exe", "SUMMARY:data", "DESCRIPTION:TVpDYXQ=", "ATTACH:CID:x"]
        {
            assert_eq!(files(&event(other)), [] as [[String; 3]; 0], "{other}");
        }
        let text = event("ATTACH;FMTTYPE=text/plain;ENCODING=BASE64:TVpDYXQ=");
        assert_eq!(files(&text), [["", FILE, "MZCat"]], "attached, so no text that is only shown");
    }

    #[test]
    fn pictures_keys_and_sounds_of_a_card_are_files() {
        for (property, media_type) in [
            ("PHOTO;ENCODING=b;TYPE=JPEG:TVpDYXQ=", "image/jpeg"),
            ("item1.PHOTO;ENCODING=B;TYPE=image/png:TVpD\n YXQ=", "image/png"),
            ("PHOTO;JPEG;BASE64:\n TVpD\n YXQ=\n\n", FILE),
            ("LOGO;TYPE=GIF;ENCODING=BASE64:\nTVpD\nYXQ=\n", "image/gif"),
            ("KEY;ENCODING=b;TYPE=PGP:TVpDYXQ=", FILE),
            ("KEY:data:application/pgp-keys;base64,TVpDYXQ=", "application/pgp-keys"),
            ("KEY:data:application/pgp-keys\\;base64\\,TVpDYXQ=", "application/pgp-keys"),
            ("SOUND;MEDIATYPE=audio/ogg:data:,MZ%43at", "audio/ogg"),
            ("SOUND:DATA:audio/ogg;BASE64,TVpDYXQ=", "audio/ogg"),
        ] {
            let card = format!("\u{feff}\nbegin:vcard\nVERSION:3.0\n{property}\nEND:VCARD\n");
            let [[name, kind, content]] = &files(&card)[..] else { panic!("{property}: {:?}", files(&card)) };
            assert_eq!((&name[..], &kind[..], &content[..]), ("", media_type, "MZCat"), "{property}");
        }
        let two =
            files("BEGIN:VCARD\nPHOTO;BASE64:QQ==\nEND:VCARD\nBEGIN:VCARD\nPHOTO;BASE64:Qg==\nEND:VCARD");
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn hostile_cards_cost_what_they_are_long() {
        for unit in ["\n ", "\n", "A\n", "\"", ";", ":", "=", "PHOTO;BASE64:\nA\n", "ATTACH:data:,%"] {
            files(&format!("BEGIN:VCARD\n{}", unit.repeat(200_000 / unit.len())));
        }
    }
}
