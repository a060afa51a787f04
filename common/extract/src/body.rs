// SPDX-License-Identifier: GPL-3.0-or-later
//! Which leaves are bodies, and which bodies are samples (`scan.bodies`).

use super::{
    bytewise::{self, has_bare_returns, is_binary},
    decode::{base64::belongs, text_files},
    value::contains_ignoring_case,
};
use memchr::{memchr, memchr2};
use serde::{Deserialize, Serialize};

/// Which bodies without a file name are samples (`scan.bodies`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bodies {
    /// HTML always, plain text only where it holds encoded or binary content.
    Html,
    /// Every one.
    All,
    /// None.
    None,
}

/// What a client does with a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Shows it as text.
    Plain,
    /// Renders it: HTML, and every other text that is not plain.
    Markup,
    /// Offers it as a file, or hands it to something else. Always a sample.
    File,
}

impl Class {
    /// The class of a leaf of type `media_type`; `file` where it has a name or is an attachment.
    pub(crate) fn of(media_type: &str, file: bool) -> Self {
        match media_type {
            _ if file => Self::File,
            "text/plain" | "text" | "" => Self::Plain,
            _ if media_type.starts_with("text/") => Self::Markup,
            _ => Self::File,
        }
    }

    /// True where a leaf of this class that decodes to `decoded` is a sample; `holds_files` tells whether there are encoded
    /// files in it.
    pub(crate) fn is_sample(
        self,
        bodies: Bodies,
        decoded: &[u8],
        holds_files: impl FnOnce() -> bool,
    ) -> bool {
        match (self, bodies) {
            (Self::File, _) | (_, Bodies::All) | (Self::Markup, Bodies::Html) => true,
            (_, Bodies::None) => false,
            (Self::Plain, Bodies::Html) => is_binary(decoded) || has_magic(decoded) || holds_files(),
        }
    }
}

/// Bytes from its start by which a file is told to be a message.
pub(crate) const START: usize = 4096;

/// True where a file that starts with `start` is a message, whatever its type says: fields, those of MIME among them.
pub(crate) fn is_message(start: &[u8]) -> bool {
    let start = &start[..start.len().min(START)];
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let name = start.iter().take_while(|byte| is_word(byte)).count();
    let field = |line: &[u8]| {
        [&b"content-type:"[..], b"mime-version:"]
            .into_iter()
            .any(|name| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))
    };
    name > 0 && start.get(name) == Some(&b':') && start.split(|&byte| byte == b'\n').any(field)
}

/// Symbols in a line of base64 that is no word.
const LEAST_SYMBOLS: usize = 20;

/// Bytes behind a line like a delimiter in which its part's fields are looked for.
const FIELDS: usize = 512;

/// Bytes of the name of a field behind `Content`, with what may be strewn into it.
const NAME: usize = 32;

/// True where a leaf holds what a reader could take for the fields and the body of a part, or control characters that end a
/// line for some and not for others; or where a file starts with empty lines and could begin behind them.
///
/// Texts quote fields, delivery reports those of the whole header: they hide a part only with a body behind. Style sheets,
/// patches and shell commands have lines like indented delimiters: they delimit a part only with its fields behind.
pub(crate) fn hides_structure(source: &[u8], class: Option<Class>) -> bool {
    let text = class != Some(Class::File);
    if text && (bytewise::any(source, |byte| (byte == 0) | (byte == 11)) || has_bare_returns(source)) {
        return true;
    }
    if !text && matches!(source, [b'\r' | b'\n', ..]) && has_magic(source.trim_ascii_start()) {
        return true;
    }
    // Both have a hyphen: behind the last letter of `Content`, or behind a blank.
    let blank = |byte: u8| (byte <= b' ') & (byte != b'\n');
    let hyphens =
        bytewise::pairs(source, |before, byte| (byte == b'-') & ((before | 0x20 == b't') | blank(before)));
    let mut last_body = None;
    hyphens.map(|before| before + 1).any(|at| {
        let indented = |start: usize| {
            let blanks = source[..start].iter().rev().take(16).take_while(|&&byte| blank(byte)).count();
            start == blanks || source[start - blanks - 1] == b'\n'
        };
        let field = at.checked_sub(7).filter(|&start| source[start..at].eq_ignore_ascii_case(b"content"));
        if field.is_some_and(indented) && could_be_a_field(&source[at..]) {
            return at < *last_body.get_or_insert_with(|| start_of_last_body(source));
        }
        let delimiter =
            matches!(&source[at - 1..], [before, _, b'-', next, ..] if blank(*before) && *next != b' ');
        let fields = || contains_ignoring_case(&source[at..source.len().min(at + FIELDS)], b"content-");
        text && delimiter && indented(at) && fields()
    })
}

/// True where the line that `rest` begins with, behind `Content`, could be a field: it has a colon, or what a field would
/// say. `content-type` stands at the start of many a line.
fn could_be_a_field(rest: &[u8]) -> bool {
    const SAYS: [&[u8]; 5] = [b"/", b"base64", b"quoted", b"uu", b"yenc"];
    let line = &rest[..memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()).min(FIELDS)];
    memchr(b':', &line[..line.len().min(NAME)]).is_some()
        || SAYS.iter().any(|word| contains_ignoring_case(line, word))
}

/// Where the last line stands behind which a body could begin, or 0: a line without anything visible that has something
/// behind it, or one of base64, before which the empty line can lack.
fn start_of_last_body(source: &[u8]) -> usize {
    let text = &source[..source.len() - source.iter().rev().take_while(|&&byte| byte <= b' ').count()];
    let (mut at, mut last) = (0, 0);
    for line in text.split(|&byte| byte == b'\n') {
        let visible = line.iter().any(|&byte| byte > b' ');
        if !visible || line.len() >= LEAST_SYMBOLS && bytewise::all(line.trim_ascii_end(), belongs) {
            last = at;
        }
        at += line.len() + 1;
    }
    last
}

/// True where `text` is what programs put before and behind the parts: a sentence or two for readers without MIME.
pub(crate) fn is_filler(text: &[u8]) -> bool {
    text.len() <= 2048
        && !hides_structure(text, Some(Class::Plain))
        && text.iter().all(|byte| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~' | 128..))
        && bytewise::count(text, |byte| byte == b'=') < 8
}

/// True where `bytes` start as files do that harm.
pub(crate) fn has_magic(bytes: &[u8]) -> bool {
    const MAGIC: &[&[u8]] = &[
        b"MZ",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"%PDF",
        b"\x7fELF",
        b"\xd0\xcf\x11\xe0",
        b"Rar!",
        b"7z\xbc\xaf",
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ",
        b"{\\rt",
        b"ITSF",
        b"L\0\0\0\x01\x14\x02",
        b"MSCF",
        b"\xca\xfe\xba\xbe",
        b"\xcf\xfa\xed\xfe",
        b"CWS",
        b"FWS",
        b"#!",
        b"X5O!P%@AP",
        b"dex\n",
        b"!<arch>",
        b"\0asm",
        b"x\x9f>\"",
        b"GIF8",
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"\xe4\x52\x5c\x7b",
        b"<script",
    ];
    let first = bytes.first();
    MAGIC.iter().any(|magic| magic.first() == first && bytes.starts_with(magic))
}

/// Bytes of a text in which there is nothing that no text holds; what yEnc writes comes behind them.
const TEXT: usize = 24;

/// True where `text` may hold files in encodings which name themselves.
pub(crate) fn may_hold_files(text: &[u8]) -> bool {
    !is_binary(&text[..text.len().min(TEXT)]) && !text_files(text).is_empty()
}

#[cfg(test)]
mod tests {
    use super::{super::runs, *};

    #[test]
    fn plain_text_is_a_sample_only_where_it_holds_more() {
        let sample = |text: &[u8]| {
            Class::Plain
                .is_sample(Bodies::Html, text, || runs::longest(text).is_some() || may_hold_files(text))
        };
        assert!(!sample("Grüße\r\n\tan alle, \x1b$B".as_bytes()));
        assert!(sample(b"MZ\0\x01"));
        assert!(sample("QUJD".repeat(50).as_bytes()));
        assert!(sample(b"hi\nbegin 644 x\n#0V%T\n`\nend\n"));
        assert!(Class::Plain.is_sample(Bodies::All, b"hi", || false));
    }

    #[test]
    fn fields_delimiters_and_controls_in_a_text_are_noticed() {
        let hides = |text: &[u8]| hides_structure(text, Some(Class::Plain));
        for text in [
            &b"hi\r\nContent-Type: x\r\n\r\ny"[..],
            b"\r\n content-transfer:\n\ny",
            b"\r\nContent-Transfer-Encoding base64\n\ny",
            b"a\rb",
            b"a\0b",
            b"x\n --b\nContent-Type: x",
            b"\x0b--b",
        ] {
            assert!(hides(text), "{text:?}");
        }
        for text in [
            &b"hi\r\n-- \r\nme\r\n--- a/file\r\n  -- x\r\nThe content-type\r\n"[..],
            b"",
            b"\r\n\r\n",
            b"hi\r\nContent-Type: x\r\n\r\n",
            b"x\n --b\n --c\n\nd",
            b"is king; the\ncontent-type of it is wrong\n\ny",
        ] {
            assert!(!hides(text), "{text:?}");
        }
        let file = |bytes: &[u8]| hides_structure(bytes, Some(Class::File));
        assert!(!file(b"\0\rMZ\n --x") && !file(b"\r\nid;name\r\n") && file(b"\r\n\r\nMZ\x90"));
        assert!(is_filler(b"This is a multi-part message in MIME format.\r\n\r\n") && !is_filler(&[b'='; 9]));
    }

    #[test]
    fn a_name_makes_a_file_of_any_type() {
        assert_eq!(Class::of("text/plain", true), Class::File);
        assert_eq!(Class::of("application/pdf", false), Class::File);
        assert_eq!(Class::of("text/calendar", false), Class::Markup);
        assert!(Class::File.is_sample(Bodies::None, b"x", || false));
    }
}
