// SPDX-License-Identifier: GPL-3.0-or-later
//! Texts in UTF-16 and UTF-7. Clients show their words, but rules are written for ASCII and do not find them: so the same
//! text in UTF-8 is a sample, too.

use crate::bytewise;
use memchr::{memchr, memchr_iter};

/// A charset in which ASCII is not itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Charset {
    /// As the mark at its start says, or as the text looks.
    Utf16,
    /// The low byte first.
    Utf16Le,
    /// The high byte first.
    Utf16Be,
    /// RFC 2152.
    Utf7,
}

/// Bytes by which UTF-16 without a mark is told.
const LOOK: usize = 512;
/// Bytes of those, at least.
const LEAST: usize = 16;
/// Bytes of HTML in which it says what its charset is.
const META: usize = 1024;

impl Charset {
    /// The one called `name`; none where ASCII is itself.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).take(32);
        let name: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
        match &name[..] {
            b"utf16" | b"csutf16" | b"unicode" | b"csunicode" | b"ucs2" | b"iso10646ucs2" => {
                Some(Self::Utf16)
            }
            b"utf16le" | b"csutf16le" | b"ucs2le" | b"unicodefeff" => Some(Self::Utf16Le),
            b"utf16be" | b"csutf16be" | b"ucs2be" | b"unicodefffe" => Some(Self::Utf16Be),
            _ if name.ends_with(b"utf7") => Some(Self::Utf7),
            _ => None,
        }
    }

    /// The one that the Content-Type `field` names, if ASCII is not itself in it.
    pub(crate) fn declared(field: &[u8]) -> Option<Self> {
        let at = memchr_iter(b'=', field).find(|&sign| {
            let name = field[..sign].trim_ascii_end();
            let name = name.strip_suffix(b"*").unwrap_or(name);
            name.len() > 7 && name[name.len() - 7..].eq_ignore_ascii_case(b"charset")
        })?;
        let value = field[at + 1..].split(|byte| matches!(byte, b';' | b'(')).next()?;
        // Behind a charset and a language, where it is in sections.
        Self::named(value.rsplit(|&byte| byte == b'\'').find(|piece| !piece.is_empty())?)
    }

    /// The one that a text which begins with `start` looks like.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        let text = &start[..start.len().min(LOOK)];
        match text {
            [0xff, 0xfe, rest @ ..] => is_text(rest, u16::from_le_bytes).then_some(Self::Utf16Le),
            [0xfe, 0xff, rest @ ..] => is_text(rest, u16::from_be_bytes).then_some(Self::Utf16Be),
            [_, 0, ..] if is_mostly_ascii(text, u16::from_le_bytes) => Some(Self::Utf16Le),
            [0, _, ..] if is_mostly_ascii(text, u16::from_be_bytes) => Some(Self::Utf16Be),
            [b'<', ..] => names_utf7(&start[..start.len().min(META)]).then_some(Self::Utf7),
            _ => None,
        }
    }

    /// `text` in UTF-8; none where it holds nothing that reads otherwise.
    pub(crate) fn to_utf8(self, text: &[u8]) -> Option<Vec<u8>> {
        if self == Self::Utf7 {
            return memchr(b'+', text).map(|_| from_utf7(text));
        }
        // ASCII in UTF-16 has a NUL in each unit.
        memchr(0, text)?;
        let unit = match (self, text) {
            (_, [0xff, 0xfe, ..]) => u16::from_le_bytes,
            (_, [0xfe, 0xff, ..]) | (Self::Utf16Be, _) | (Self::Utf16, [0, ..]) => u16::from_be_bytes,
            _ => u16::from_le_bytes,
        };
        let text = text.strip_prefix(b"\xff\xfe").or(text.strip_prefix(b"\xfe\xff")).unwrap_or(text);
        let mut out = Vec::with_capacity(text.len() / 2);
        push_units(text.as_chunks().0.iter().map(|&bytes| unit(bytes)), &mut out);
        Some(out)
    }
}

/// Appends the text that `units` are.
fn push_units(units: impl Iterator<Item = u16>, out: &mut Vec<u8>) {
    for character in char::decode_utf16(units) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// True where `text` may be one: no control characters.
fn is_text(text: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    let control = |unit: u16| unit < 32 && !matches!(unit, 9..=13) || unit >= 0xfffe;
    !text.is_empty() && !text.as_chunks().0.iter().any(|&bytes| control(unit(bytes)))
}

/// True where nearly all of `text` is ASCII in UTF-16.
fn is_mostly_ascii(text: &[u8], unit: fn([u8; 2]) -> u16) -> bool {
    let units = text.as_chunks().0;
    let ascii = units.iter().filter(|bytes| matches!(unit(**bytes), 9..=13 | 32..=126)).count();
    text.len() >= LEAST && is_text(text, unit) && ascii * 10 >= units.len() * 9
}

fn names_utf7(html: &[u8]) -> bool {
    let name = |at: usize| html.get(at..at + 5).is_some_and(|name| name.eq_ignore_ascii_case(b"utf-7"));
    bytewise::pairs(html, |before, byte| (before == b'-') & (byte == b'7')).any(|at| at >= 3 && name(at - 3))
}

fn from_utf7(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest) {
            (b'+', [b'-', after @ ..]) => {
                out.push(b'+');
                rest = after;
            }
            (b'+', _) => {
                let length = rest.iter().position(|byte| value(*byte).is_none()).unwrap_or(rest.len());
                let (symbols, after) = rest.split_at(length);
                push_units(Units::new(symbols), &mut out);
                rest = after.strip_prefix(b"-").unwrap_or(after);
            }
            (0x80.., _) => out.extend_from_slice(char::from(byte).encode_utf8(&mut [0; 2]).as_bytes()),
            _ => out.push(byte),
        }
    }
    out
}

/// Six bits for a symbol of base64.
fn value(symbol: u8) -> Option<u8> {
    match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Units of UTF-16 from six bits at a time; what is too little for one at the end is filler.
struct Units<'a> {
    symbols: &'a [u8],
    bits: u32,
    count: u32,
}

impl<'a> Units<'a> {
    fn new(symbols: &'a [u8]) -> Self {
        Self { symbols, bits: 0, count: 0 }
    }
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        while self.count < 16 {
            let (&symbol, rest) = self.symbols.split_first()?;
            self.symbols = rest;
            self.bits = self.bits << 6 | u32::from(value(symbol)?);
            self.count += 6;
        }
        self.count -= 16;
        Some((self.bits >> self.count & 0xffff) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn utf16_is_told_by_its_mark_or_its_looks() {
        let html = "<html><body>\u{20ac} cat</body>";
        for (bytes, charset) in
            [(u16::to_le_bytes as fn(u16) -> _, Charset::Utf16Le), (u16::to_be_bytes, Charset::Utf16Be)]
        {
            for (text, marked) in [(html.to_owned(), false), (format!("\u{feff}{html}"), true)] {
                let text = utf16(&text, bytes);
                assert_eq!(Charset::of(&text), Some(charset), "{marked}");
                for declared in [charset, Charset::Utf16] {
                    assert_eq!(declared.to_utf8(&text).unwrap(), html.as_bytes(), "{marked}");
                }
            }
        }
        let chinese = utf16("\u{feff}\u{4e2d}\u{6587}", u16::to_le_bytes);
        assert_eq!(Charset::of(&chinese), Some(Charset::Utf16Le));
        assert_eq!(Charset::Utf16.to_utf8(b"<html> in ASCII, whatever was declared"), None);
    }

    #[test]
    fn other_files_are_no_texts_in_utf16() {
        for other in [
            &b"\xff\xfe"[..],
            b"\xff\xfe\0\0<\0\0\0",
            b"\xff\xfe\x01\0\x02\0\x03\0",
            b"M\0Z\0",
            b"\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0\x07\0\x08\0",
            b"\0\x05\x16\x07\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"<html>utf-8 and 7 and utf-77",
        ] {
            assert!(Charset::of(other).is_none_or(|charset| charset == Charset::Utf7), "{other:?}");
        }
        assert_eq!(Charset::of(b"<meta charset=UTF-7>"), Some(Charset::Utf7));
        assert_eq!(Charset::of(b"<meta charset=UTF-8>"), None);
    }

    #[test]
    fn utf7_is_decoded_as_its_standard_says() {
        for (text, expected) in [
            ("Hi Mom -+Jjo--!", "Hi Mom -\u{263a}-!"),
            ("A+ImIDkQ.", "A\u{2262}\u{391}."),
            ("+ZeVnLIqe-", "\u{65e5}\u{672c}\u{8a9e}"),
            ("1 +- 1, $H+-H*", "1 + 1, $H+H*"),
            ("+ADw-p+AD4APA-b+AD4 x", "<p><b> x"),
            ("+2D3eAA", "\u{1f600}"),
            ("+2D0-", "\u{fffd}"),
            ("+", ""),
        ] {
            assert_eq!(String::from_utf8(Charset::Utf7.to_utf8(text.as_bytes()).unwrap()).unwrap(), expected);
        }
        assert_eq!(Charset::Utf7.to_utf8(b"plain"), None);
    }

    #[test]
    fn charsets_have_many_names() {
        for (name, charset) in [
            ("UTF-16", Some(Charset::Utf16)),
            ("utf_16le", Some(Charset::Utf16Le)),
            ("\"utf-16BE\"", Some(Charset::Utf16Be)),
            ("unicode-1-1-utf-7", Some(Charset::Utf7)),
            ("utf-8", None),
            ("iso-8859-1", None),
        ] {
            assert_eq!(Charset::named(name.as_bytes()), charset, "{name}");
        }
    }

    #[test]
    fn a_type_names_a_charset() {
        for (field, charset) in [
            ("text/html; charset=utf-7", Some(Charset::Utf7)),
            ("text/html;name=x; Charset = \"UTF-7\" (c)", Some(Charset::Utf7)),
            ("text/html; charset*=us-ascii'en'utf-16le; x=y", Some(Charset::Utf16Le)),
            ("text/html; charset='utf-7'", Some(Charset::Utf7)),
            ("text/html; charset=utf-8; x=utf-7", None),
            ("text/html; name=utf-7", None),
            ("text/html; charset=", None),
        ] {
            assert_eq!(Charset::declared(field.as_bytes()), charset, "{field}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_grows_beyond_twice_its_length(text: Vec<u8>, utf7 in "[+A-D-]*") {
            for charset in [Charset::Utf16, Charset::Utf16Le, Charset::Utf16Be, Charset::Utf7] {
                for text in [&text[..], utf7.as_bytes()] {
                    let length = charset.to_utf8(text).map_or(0, |utf8| utf8.len());
                    prop_assert!(length <= 2 * text.len());
                }
            }
        }
    }
}
