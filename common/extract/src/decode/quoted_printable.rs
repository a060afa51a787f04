// SPDX-License-Identifier: GPL-3.0-or-later
//! Quoted-printable (RFC 2045 section 6.7): as Thunderbird reads it (escapes in either case, a soft break before any
//! line end, broken escapes and blanks at line ends as they stand), and in the ways in which others differ.

use crate::bytewise::{self, has_bare_returns, is_binary};
use encodify::hex::decode_pair;
use memchr::memchr_iter;

/// What reads quoted-printable differently from [`decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// Blanks at line ends go (RFC 2045 section 6.7 rule 3), also those behind a soft break's `=`.
    Trimmed,
    /// Hard line breaks become LF.
    Lf,
    /// Hard line breaks become CRLF.
    CrLf,
    /// The `=` of a broken escape goes.
    SignsDropped,
    /// A broken escape goes, with up to two bytes behind its `=`.
    EscapesDropped,
    /// A broken escape goes, with one byte behind its `=`.
    PairsDropped,
    /// Nothing but escapes counts.
    EscapesOnly,
    /// An escape may be split over a line end, and a soft break swallows all line ends that follow it.
    Split,
    /// All soft breaks go before any escape is read: `=3=`, and `D` on the next line, is `=`.
    BreaksFirst,
    /// Control characters and 8-bit bytes that stand for themselves go.
    NoControls,
    /// Blanks go as well.
    NoBlanks,
}

impl Dialect {
    /// Its name for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "quoted-printable, blanks at line ends dropped",
            Self::Lf => "quoted-printable, breaks as LF",
            Self::CrLf => "quoted-printable, breaks as CRLF",
            Self::SignsDropped => "quoted-printable, stray = dropped",
            Self::EscapesDropped => "quoted-printable, broken escapes dropped",
            Self::PairsDropped => "quoted-printable, = and the next byte dropped",
            Self::EscapesOnly => "quoted-printable, escapes only",
            Self::Split => "quoted-printable, escapes over line ends",
            Self::BreaksFirst => "quoted-printable, soft breaks first",
            Self::NoControls => "quoted-printable, control characters dropped",
            Self::NoBlanks => "quoted-printable, blanks dropped",
        }
    }
}

/// Appends `source`, decoded.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) {
    // Up to where it is appended, and up to where it is looked at.
    let (mut appended, mut at) = (0, 0);
    while let Some(length) = bytewise::find(b'=', &source[at..]) {
        let sign = at + length;
        let (byte, length) = match escape(&source[sign..]) {
            Escape::Byte(byte) => (Some(byte), 3),
            Escape::Break(length) => (None, length),
            Escape::Broken => {
                at = sign + signs_but_last(&source[sign..]);
                continue;
            }
        };
        out.extend_from_slice(&source[appended..sign]);
        out.extend(byte);
        at = sign + length;
        appended = at;
    }
    out.extend_from_slice(&source[appended..]);
}

/// Appends `source`, decoded as `dialect` says.
pub(super) fn decode_as(dialect: Dialect, source: &[u8], out: &mut Vec<u8>) {
    if dialect == Dialect::BreaksFirst {
        return decode(&without_soft_breaks(source), out);
    }
    let mut rest = source;
    while let Some(first) = rest.first() {
        let taken = match first {
            b'=' => dialect.escape(rest, out),
            b'\r' | b'\n' => dialect.line_end(rest, out),
            _ => dialect.literals(rest, out),
        };
        rest = &rest[taken..];
    }
}

enum Escape {
    Byte(u8),
    /// A soft break of so many bytes.
    Break(usize),
    Broken,
}

/// True where `text` starts with an escape.
pub(crate) fn is_escape(text: &[u8]) -> bool {
    matches!(text, [b'=', high, low, ..] if decode_pair(*high, *low).is_some())
}

/// True where an escape in `source` stands for a control character that no text has.
pub(crate) fn escapes_control_characters(source: &[u8]) -> bool {
    let escaped = |at: usize| match source.get(at + 1..at + 3) {
        Some(&[high, low]) => decode_pair(high, low).is_some_and(|byte| is_binary(&[byte])),
        _ => false,
    };
    memchr_iter(b'=', source).any(escaped)
}

/// What the `=` at the start of `text` begins.
fn escape(text: &[u8]) -> Escape {
    match text {
        [_] => Escape::Break(1),
        [_, b'\r', b'\n', ..] => Escape::Break(3),
        [_, b'\r' | b'\n', ..] => Escape::Break(2),
        [_, high, low, ..] => decode_pair(*high, *low).map_or(Escape::Broken, Escape::Byte),
        _ => Escape::Broken,
    }
}

impl Dialect {
    /// Appends what the `=` at the start of `text` stands for; returns how many bytes it takes.
    fn escape(self, text: &[u8], out: &mut Vec<u8>) -> usize {
        match escape(text) {
            Escape::Byte(byte) => {
                out.push(byte);
                return 3;
            }
            Escape::Break(length) if self == Self::Split => {
                return length
                    + text[length..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            }
            Escape::Break(length) => return length,
            Escape::Broken => (),
        }
        let blanks = blanks(&text[1..]);
        match self {
            Self::Trimmed | Self::NoBlanks | Self::Split if line_end_length(&text[1 + blanks..]) > 0 => {
                1 + blanks + line_end_length(&text[1 + blanks..])
            }
            Self::Split => match split_escape(text) {
                Some((byte, length)) => {
                    out.push(byte);
                    length
                }
                None => {
                    out.push(b'=');
                    1
                }
            },
            Self::EscapesDropped => {
                let ends = |byte: &&u8| !matches!(byte, b'=' | b'\r' | b'\n');
                1 + text[1..].iter().take(2).take_while(ends).count()
            }
            Self::PairsDropped => text.len().min(2),
            Self::SignsDropped | Self::EscapesOnly => 1,
            _ => {
                out.push(b'=');
                1
            }
        }
    }

    fn line_end(self, text: &[u8], out: &mut Vec<u8>) -> usize {
        let length = line_end_length(text);
        match self {
            Self::Lf => out.push(b'\n'),
            Self::CrLf => out.extend_from_slice(b"\r\n"),
            Self::EscapesOnly => (),
            _ => out.extend_from_slice(&text[..length]),
        }
        length
    }

    /// Appends the bytes that stand for themselves, with which `text` starts; returns how many that are.
    fn literals(self, text: &[u8], out: &mut Vec<u8>) -> usize {
        let blanks = blanks(text);
        if self == Self::Trimmed && blanks > 0 {
            if blanks < text.len() && line_end_length(&text[blanks..]) == 0 {
                out.extend_from_slice(&text[..blanks]);
            }
            return blanks;
        }
        let ends =
            |&byte: &u8| matches!(byte, b'=' | b'\r' | b'\n') || self == Self::Trimmed && is_blank(byte);
        let literals = &text[..text.iter().position(ends).unwrap_or(text.len())];
        let bytes = literals.iter().copied();
        match self {
            Self::EscapesOnly => (),
            Self::NoControls => out.extend(bytes.filter(|&byte| matches!(byte, b'\t' | b' '..=b'~'))),
            Self::NoBlanks => out.extend(bytes.filter(|&byte| matches!(byte, b'!'..=b'~'))),
            _ => out.extend_from_slice(literals),
        }
        literals.len()
    }
}

/// The byte of an escape with line ends between its digits, and how long it is.
fn split_escape(text: &[u8]) -> Option<(u8, usize)> {
    let mut digits =
        text.iter().enumerate().skip(1).take(8).filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    let ((_, &high), (end, &low)) = (digits.next()?, digits.next()?);
    Some((decode_pair(high, low)?, end + 1))
}

/// `source` without its soft breaks, also those that stand where an escape should go on.
fn without_soft_breaks(source: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::with_capacity(source.len()), source);
    while let Some(sign) = bytewise::find(b'=', rest) {
        let length = soft_break(&rest[sign..]);
        kept.extend_from_slice(&rest[..sign + usize::from(length == 0)]);
        rest = &rest[sign + length.max(1)..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// The length of the soft break that `text` starts with; 0 where it starts with none.
fn soft_break(text: &[u8]) -> usize {
    let blanks = text.get(1..).map_or(0, blanks);
    match text.get(1 + blanks..).map_or(0, line_end_length) {
        0 => 0,
        length => 1 + blanks + length,
    }
}

/// True where the `=` at the start of `text` begins an escape once soft breaks behind it are dropped.
fn is_escape_over_breaks(text: &[u8]) -> bool {
    const LOOK: usize = 64;
    // A soft break directly behind it, or behind one digit: most broken escapes are not worth a copy.
    let may_be = match text {
        [_, b'=', ..] => true,
        [_, digit, b'=', ..] => digit.is_ascii_hexdigit(),
        _ => false,
    };
    if !may_be {
        return false;
    }
    let whole = without_soft_breaks(&text[1..text.len().min(LOOK)]);
    !is_escape(text) && matches!(*whole, [high, low, ..] if decode_pair(high, low).is_some())
}

/// How many `=` at the start of `text` are followed by another; one at least. Each breaks the escape of the one before.
#[inline]
fn signs_but_last(text: &[u8]) -> usize {
    match text {
        [_, b'=', more @ ..] => 1 + more.iter().take_while(|&&byte| byte == b'=').count(),
        _ => 1,
    }
}

/// True where `next` can follow a `=` neither in an escape nor before a line end.
fn is_broken_by(next: u8) -> bool {
    !next.is_ascii_hexdigit() && !matches!(next, b'\r' | b'\n') && !is_blank(next)
}

/// How many blanks, and control characters that look like them, `text` starts with.
fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| is_blank(byte)).count()
}

fn is_space(byte: u8) -> bool {
    (byte == b' ') | (byte == b'\t')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 11 | 12)
}

fn line_end_length(text: &[u8]) -> usize {
    match text {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// What in a quoted-printable text readers take differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubts {
    /// Line breaks that are not soft.
    pub(crate) hard_breaks: bool,
    /// Lone CR among the line breaks.
    pub(crate) bare_returns: bool,
    /// Line breaks that are escaped.
    pub(crate) escaped_breaks: bool,
    /// Blanks before a line break.
    pub(crate) trailing_blanks: bool,
    /// Control characters that are not escaped.
    pub(crate) controls: bool,
    /// A blank for every second escape, or more.
    pub(crate) spaced: bool,
    /// Line ends behind a soft break: empty lines to some, nothing to others.
    pub(crate) loose_breaks: bool,
    /// Blanks between a soft break and its line end.
    pub(crate) spaced_breaks: bool,
    /// A soft break inside an escape: `=3=`, and `D` on the next line.
    pub(crate) split_escapes: bool,
    /// A `=` that begins neither an escape nor a soft break.
    pub(crate) broken: bool,
    /// One for every eighth escape, or more.
    pub(crate) mostly_broken: bool,
}

impl Doubts {
    /// Looks through `source`. Line breaks at its very end count: a decoder keeps them.
    pub(crate) fn of(source: &[u8]) -> Self {
        let mut doubts = Self::default();
        let has = |fit: fn(u8, u8) -> bool| bytewise::pairs(source, fit).next().is_some();
        doubts.trailing_blanks = has(|byte, next| is_space(byte) & ((next == b'\r') | (next == b'\n')));
        doubts.hard_breaks = matches!(source, [b'\r' | b'\n', ..])
            || has(|byte, next| (byte != b'=') & ((next == b'\r') | ((next == b'\n') & (byte != b'\r'))));
        doubts.bare_returns = has_bare_returns(source) || source.ends_with(b"\r");
        let (mut good, mut broken, mut at) = (0, 0, 0);
        while let Some(length) = bytewise::find(b'=', &source[at..]) {
            let sign = at + length;
            at = sign + 1;
            if source.get(at).is_some_and(|&next| is_broken_by(next)) {
                let signs = signs_but_last(&source[sign..]);
                broken += signs;
                at = sign + signs;
                doubts.split_escapes |= is_escape_over_breaks(&source[at - 1..]);
                continue;
            }
            match escape(&source[sign..]) {
                Escape::Byte(byte) => {
                    good += 1;
                    doubts.escaped_breaks |= matches!(byte, b'\r' | b'\n');
                }
                Escape::Broken => {
                    let blanks = blanks(&source[sign + 1..]);
                    match line_end_length(&source[sign + 1 + blanks..]) {
                        0 => {
                            broken += 1;
                            doubts.split_escapes |= is_escape_over_breaks(&source[sign..]);
                        }
                        _ => doubts.spaced_breaks = true,
                    }
                }
                Escape::Break(length) => {
                    let next = source.get(sign + length);
                    doubts.loose_breaks |= next.is_some_and(|byte| matches!(byte, b'\r' | b'\n'));
                    // A lone CR is a line end to some only.
                    doubts.loose_breaks |= length == 2 && source[sign + 1] == b'\r';
                }
            }
        }
        (doubts.broken, doubts.mostly_broken) = (broken > 0, broken > 0 && broken * 8 >= good);
        let control = |byte| (byte < b' ') & (byte != b'\t') & (byte != b'\r') & (byte != b'\n');
        doubts.controls = bytewise::any(source, control);
        let blanks = bytewise::count(source, is_space);
        doubts.spaced = good > 0 && blanks * 2 >= good && blanks * 8 >= source.len();
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
    fn every_dialect_reads_what_it_is_for() {
        for (dialect, source, expected) in [
            (Dialect::Trimmed, &b"a \t\r\nb =\r\nc= \r\nd"[..], &b"a\r\nb cd"[..]),
            (Dialect::Lf, b"a\nb\r\nc=\r\nd=0A", b"a\nb\ncd\n"),
            (Dialect::CrLf, b"a\nb\r\nc=\r\nd=0A", b"a\r\nb\r\ncd\n"),
            (Dialect::SignsDropped, b"==58=X=59", b"XXY"),
            (Dialect::EscapesDropped, b"=XX=58=X=59== =5A", b"XYZ"),
            (Dialect::EscapesOnly, b"=XX=58 y\r\n=0=59z", b"XY"),
            (Dialect::Split, b"=5\r\n8=\r\r\n=\r\n\nY= \r\nZ", b"XYZ"),
            (Dialect::BreaksFirst, b"=3=\r\n5a=\r\nb==\n3D= \n=4=\r=\n1", b"5ab=A"),
            (Dialect::NoControls, b"X\x01Y\xff Z", b"XY Z"),
            (Dialect::NoBlanks, b" =58\t Y =5A ", b"XYZ"),
        ] {
            let mut out = Vec::new();
            decode_as(dialect, source, &mut out);
            assert_eq!(out, expected, "{dialect:?}");
        }
    }

    #[test]
    fn doubts_are_told() {
        let none = Doubts::default();
        assert_eq!(Doubts::of(b"a=\r\nb=\n"), none);
        assert_eq!(Doubts::of(b"a\nb"), Doubts { hard_breaks: true, ..none });
        assert_eq!(
            Doubts::of(b"a= \r\nb"),
            Doubts { hard_breaks: true, trailing_blanks: true, spaced_breaks: true, ..none }
        );
        assert_eq!(Doubts::of(b"=3Dabcdefgh a=b"), Doubts { broken: true, mostly_broken: true, ..none });
        for split in [&b"=3=\r\nD"[..], b"==\r\n3D", b"a=4=\n=\n1"] {
            assert!(Doubts::of(split).split_escapes, "{split:?}");
        }
        for whole in [&b"==\r\nx"[..], b"=3D=\r\nD", b"a=\r\n3D", b"=3"] {
            assert!(!Doubts::of(whole).split_escapes, "{whole:?}");
        }
        assert!(Doubts::of(b"=50 =4B =03").spaced && Doubts::of(b"=50\x01").controls);
    }
}
