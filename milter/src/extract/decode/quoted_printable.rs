// SPDX-License-Identifier: GPL-3.0-or-later
//! Quoted-printable (RFC 2045 section 6.7) as Thunderbird reads it: escapes in either case, a soft break before any
//! line end, broken escapes and blanks at line ends as they stand.

use encodify::{hex::decode_pair, qp};
use memchr::{memchr, memchr2, memchr3};

/// Appends `source`, decoded.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) {
    let mut rest = source;
    while let Some(at) = memchr(b'=', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = after_escape(&rest[at..], out);
    }
    out.extend_from_slice(rest);
}

/// The same with blanks at line ends removed.
pub(super) fn decode_trimmed(source: &[u8], out: &mut Vec<u8>) {
    // Lenient, so that it refuses nothing.
    let _ = qp::BODY.decode_append(source, out);
}

/// The same with every hard line break as `line_end`.
pub(super) fn decode_with_breaks(source: &[u8], line_end: &[u8], out: &mut Vec<u8>) {
    let mut rest = source;
    while let Some(at) = memchr3(b'=', b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = match rest[at] {
            b'=' => after_escape(&rest[at..], out),
            _ => {
                out.extend_from_slice(line_end);
                &rest[at + line_end_length(&rest[at..])..]
            }
        };
    }
    out.extend_from_slice(rest);
}

/// Appends what the `=` at the start of `text` stands for; returns what follows.
fn after_escape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    if let [_, high, low, rest @ ..] = text
        && let Some(byte) = decode_pair(*high, *low)
    {
        out.push(byte);
        return rest;
    }
    if text.len() == 1 {
        return &[];
    }
    match line_end_length(&text[1..]) {
        0 => {
            out.push(b'=');
            &text[1..]
        }
        length => &text[1 + length..],
    }
}

fn line_end_length(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// What in `source` readers take differently when its content is binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::extract) struct Doubts {
    /// Line breaks that are not soft.
    pub hard_breaks: bool,
    /// Blanks before a line break.
    pub trailing_blanks: bool,
}

impl Doubts {
    /// Looks through `source`. Line breaks at its very end count: a decoder keeps them.
    pub fn of(source: &[u8]) -> Self {
        let mut doubts = Self { hard_breaks: false, trailing_blanks: false };
        let mut at = 0;
        while let Some(length) = memchr2(b'\r', b'\n', &source[at..]) {
            let before = (at + length).checked_sub(1).map(|before| source[before]);
            doubts.trailing_blanks |= matches!(before, Some(b' ' | b'\t'));
            doubts.hard_breaks |= before != Some(b'=');
            at += length + line_end_length(&source[at + length..]);
        }
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(source: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        decode(source, &mut out);
        out
    }

    #[test]
    fn escapes_and_soft_breaks_go_and_broken_ones_stay() {
        assert_eq!(decoded(b"a=5A=5a=\r\nb=\nc=\rd="), b"aZZbcd");
        assert_eq!(decoded(b"=XX =X == = =58"), b"=XX =X == = X");
        assert_eq!(decoded(b"a \r\nb= \r\n"), b"a \r\nb= \r\n");
    }

    #[test]
    fn hard_breaks_take_the_form_that_is_asked_for() {
        let mut out = Vec::new();
        decode_with_breaks(b"a\nb\r\nc=\r\nd=0A", b"\r\n", &mut out);
        assert_eq!(out, b"a\r\nb\r\ncd\n");
    }

    #[test]
    fn doubts_are_told() {
        assert_eq!(Doubts::of(b"a=\r\nb=\n"), Doubts { hard_breaks: false, trailing_blanks: false });
        assert_eq!(Doubts::of(b"a\nb"), Doubts { hard_breaks: true, trailing_blanks: false });
        assert_eq!(Doubts::of(b"a= \r\nb"), Doubts { hard_breaks: true, trailing_blanks: true });
    }
}
