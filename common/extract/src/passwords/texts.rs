// SPDX-License-Identifier: GPL-3.0-or-later
//! The texts of a message that a person reads: the subject, the bodies, texts that are attached; those of messages inside
//! it as well.
//!
//! It reads the structure as most clients do. Where clients differ, the message is ambiguous, which is told elsewhere.

use super::{
    super::{
        body::Class,
        boundary::{self, Multipart, Open},
        declared,
        decode::Decoding,
        header::Block,
        names,
        value::{Value, contains_ignoring_case},
    },
    clean, html, inner,
};
use bytes::Bytes;

/// Bytes of text, as it is read, of one message.
pub(crate) const MOST_TEXT: usize = 64 << 10;
/// Bytes of one text in its transfer encoding; more than a screen full of HTML has.
const MOST_ENCODED: usize = 256 << 10;
/// Bytes of a subject, encoded.
const MOST_SUBJECT: usize = 8 << 10;
/// Entities of one message, multiparts among them.
const MOST_ENTITIES: usize = 256;
/// Texts of one message; each may take half of what the ones before it left.
const MOST_TEXTS: usize = 16;
/// Messages inside it that stand in an encoding.
const MOST_INNER: usize = 4;
/// Multiparts inside each other.
const MOST_OPEN: usize = 32;

/// What a person reads.
pub(crate) struct Text {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Which text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Subject,
    Body,
}

/// The texts of `message`, outer ones before inner ones.
pub(crate) fn texts(message: &Bytes) -> Vec<Text> {
    let mut texts = Texts { all: Vec::new(), left: MOST_TEXT, inner: Vec::new() };
    texts.read(message);
    for _ in 0..MOST_INNER {
        let Some(message) = texts.inner.pop() else { break };
        texts.read(&message);
    }
    texts.all
}

/// Where the entity whose body starts at `from` ends, and where the next one starts.
fn next_part(open: &mut Open, message: &[u8], from: usize) -> (usize, Option<usize>) {
    let (mut at, mut end) = (from, None);
    while let Some(found) = open.next(message, at) {
        end = end.or(Some(found.line.start));
        open.close_above(found.index);
        at = found.line.end;
        if !found.closes {
            return (end.unwrap_or(at), Some(at));
        }
    }
    (end.unwrap_or(message.len()), None)
}

/// What a header says of one entity.
struct Entity<'a> {
    /// Lower-case `type/subtype`.
    media_type: String,
    boundary: Option<Vec<u8>>,
    charset: &'a [u8],
    decoding: Decoding,
    /// The extension of its name.
    extension: Option<String>,
}

impl<'a> Entity<'a> {
    fn of(block: &Block<'a>) -> Self {
        let field = block.types.first().copied().unwrap_or_default();
        let value = Value::parse(field);
        let names = names::of_part(block, &value).all;
        let (decodings, _) = declared::decodings(&block.encodings, Class::Plain);
        Self {
            boundary: boundary::named(field, &value).into_iter().next(),
            charset: clean::named_in(field),
            decoding: decodings.first().copied().unwrap_or(Decoding::Identity),
            extension: names.first().and_then(|name| names::extension(name)),
            media_type: value.token,
        }
    }

    /// True for a message whose header follows as it stands.
    fn is_message(&self) -> bool {
        self.media_type == "message/rfc822" && self.decoding == Decoding::Identity
    }

    /// Opens it, where it is a multipart.
    fn opens(&self, open: &mut Open) -> bool {
        let Some(boundary) = self.boundary.as_ref().filter(|_| self.media_type.starts_with("multipart"))
        else {
            return false;
        };
        let room = open.stack.len() < MOST_OPEN;
        if room {
            let boundary = boundary.clone();
            open.push(Multipart { boundary, depth: 0, default: "text/plain", closed: false });
        }
        room
    }

    fn is_text(&self) -> bool {
        let named = |extension: &String| matches!(extension.as_str(), "txt" | "htm" | "html");
        self.media_type.is_empty()
            || self.media_type.starts_with("text")
            || self.extension.as_ref().is_some_and(named)
    }

    fn is_html(&self, text: &[u8]) -> bool {
        let start = &text[..text.len().min(512)];
        self.media_type.contains("html")
            || !self.media_type.starts_with("text/plain") && contains_ignoring_case(start, b"<html")
    }
}

/// What was read so far.
struct Texts {
    all: Vec<Text>,
    left: usize,
    /// Messages that stood in an encoding.
    inner: Vec<Bytes>,
}

impl Texts {
    fn read(&mut self, message: &Bytes) {
        let mut open = Open::default();
        let mut at = message.len() - message.trim_ascii_start().len();
        for _ in 0..MOST_ENTITIES {
            let block = Block::parse(&message[at..], true, |line| open.matches(line).is_some());
            let body = at + block.body;
            self.take_subject(&message[at..body]);
            let entity = Entity::of(&block);
            if entity.is_message() {
                at = message.len() - message[body..].trim_ascii_start().len();
                continue;
            }
            let container = entity.opens(&mut open);
            let (end, next) = next_part(&mut open, message, body);
            if !container {
                self.take_leaf(&entity, &message.slice(body..end));
            }
            match next {
                Some(start) if self.left > 0 && self.all.len() < MOST_TEXTS => at = start,
                _ => return,
            }
        }
    }

    fn take_leaf(&mut self, entity: &Entity<'_>, source: &Bytes) {
        if entity.is_text() {
            self.take_body(entity, source);
        } else if self.inner.len() < MOST_INNER && inner::is_holder(&entity.media_type) {
            self.inner.extend(inner::messages(&entity.media_type, entity.decoding, source));
        }
    }

    fn take_subject(&mut self, header: &[u8]) {
        if let Some(subject) = field(header, b"subject") {
            let text = names::decoded_words(&subject[..subject.len().min(MOST_SUBJECT)]);
            self.push(Kind::Subject, clean::readable(&text, self.left / 2));
        }
    }

    fn take_body(&mut self, entity: &Entity<'_>, source: &[u8]) {
        let source = &source[..source.len().min(MOST_ENCODED)];
        let mut decoded = Vec::new();
        entity.decoding.decode_into(source, MOST_ENCODED as u64, &mut decoded);
        if clean::is_binary(&decoded, entity.charset) {
            return;
        }
        let html = entity.is_html(&decoded);
        let charset = match entity.charset {
            [] if html => clean::named_in(&decoded),
            charset => charset,
        };
        let text = clean::in_charset(&decoded, charset);
        let text = if html { html::shown(&text) } else { text };
        self.push(Kind::Body, clean::readable(&text, self.left / 2));
    }

    fn push(&mut self, kind: Kind, text: String) {
        self.left -= text.len().min(self.left);
        if !text.trim().is_empty() {
            self.all.push(Text { kind, text });
        }
    }
}

/// The value of the first field `name` in `header`, folds and all.
fn field<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut start = None;
    let mut at = 0;
    for line in header.split_inclusive(|&byte| byte == b'\n') {
        let end = at + line.len();
        match start {
            Some(start) if !matches!(line[0], b' ' | b'\t') => return Some(header[start..at].trim_ascii()),
            None => {
                let named = line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
                let blanks = line.get(name.len()..).unwrap_or_default();
                let colon = blanks.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                if named && blanks.get(colon) == Some(&b':') {
                    start = Some(at + name.len() + colon + 1);
                }
            }
            Some(_) => (),
        }
        at = end;
    }
    start.map(|start| header[start..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Vec<String> {
        texts(&Bytes::copy_from_slice(message.as_bytes())).into_iter().map(|text| text.text).collect()
    }

    #[test]
    fn the_subject_and_a_body_without_mime_are_read() {
        let message = "From: a\r\nSUBJECT : =?utf-8?Q?Ger=C3=A4t?=\r\n =?utf-8?Q?_x?=\r\nTo: b\r\n\r\nHello";
        assert_eq!(read(message), ["Gerät x", "Hello"]);
    }

    #[test]
    fn texts_of_multiparts_and_of_messages_inside_are_read_and_files_are_not() {
        let message = "Content-Type: multipart/mixed; boundary=a\n\n--a\n\
            Content-Type: multipart/alternative; boundary=b\n\n--b\n\
            Content-Transfer-Encoding: base64\n\nb25l\n--b\n\
            Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<b>t=77o</b>\n--b--\n\n--a\n\
            Content-Type: application/zip; name=x.zip\n\nPK\n--a\n\
            Content-Type: message/rfc822\n\nSubject: three\n\nfour\n--a\n\
            Content-Type: application/octet-stream; name=five.txt\n\nfive\n--a--\n";
        let texts = read(message);
        assert_eq!(texts.len(), 5, "{texts:?}");
        for (text, expected) in texts.iter().zip(["one", "two", "three", "four", "five"]) {
            assert!(text.contains(expected), "{texts:?}");
        }
    }

    #[test]
    fn messages_in_an_encoding_and_signed_ones_are_read() {
        let encode = |bytes: &[u8]| encodify::base64::MIME.encode(bytes);
        let encoded = encode(b"Subject: one\n\ntwo");
        let message = format!("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{encoded}");
        assert_eq!(read(&message), ["one", "two"]);
        // Its file becomes a text.
        let mut signed = include_bytes!("../../tests/data/cms/signed.der").to_vec();
        let (file, text) =
            (b"application/octet-stream; name=cat.exe", b"text/plain; charset=utf-8; format=flow");
        let at = signed.windows(file.len()).position(|window| window == file).unwrap();
        signed[at..at + file.len()].copy_from_slice(text);
        let header = "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64";
        assert_eq!(read(&format!("{header}\n\n{}", encode(&signed))), ["MZCat"]);
        let packed = encode(include_bytes!("../../tests/data/tnef/winmail.dat"));
        let header = "Content-Type: application/ms-tnef\nContent-Transfer-Encoding: base64";
        assert!(read(&format!("{header}\n\n{packed}")).iter().any(|text| text.trim() == "Hi"));
    }

    #[test]
    fn what_is_read_is_bounded() {
        let part = format!("--a\n\n{}\n", "x ".repeat(MOST_TEXT));
        let message = format!("Content-Type: multipart/mixed; boundary=a\n\n{}", part.repeat(20));
        let texts = read(&message);
        let bytes: usize = texts.iter().map(String::len).sum();
        assert!(texts.len() <= MOST_TEXTS && bytes <= MOST_TEXT && bytes > MOST_TEXT / 2);
        read(&"Content-Type: multipart/mixed; boundary=a\n\n--a\n".repeat(10_000));
        read(&"Content-Type: message/rfc822\n\n".repeat(10_000));
    }
}
