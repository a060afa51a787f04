// SPDX-License-Identifier: GPL-3.0-or-later
//! Base64 (RFC 2045 section 6.8): as most mail clients read it, and in the ways in which others differ once there is
//! more in it than whole quanta of the alphabet.

use encodify::base64::LENIENT;
use memchr::{memchr, memchr2, memchr2_iter};

/// What reads malformed base64 differently from [`decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::extract) enum Dialect {
    /// Each line on its own: whole quanta count, what is left of them does not.
    Lines,
    /// Each line on its own, with what is left of the last quantum.
    LineTails,
    /// Lines that hold anything else do not count.
    CleanLines,
    /// Each line up to the first byte that does not belong there.
    CutLines,
    /// Four at a time, where `=` is a zero that shortens its quantum (Thunderbird).
    Quanta,
    /// Four at a time, where `=` is a zero (Apple Mail).
    Zeros,
    /// `-` and `_` stand for the last two symbols (RFC 4648 section 5), as JavaScript's decoders have it.
    UrlSafe,
    /// Padding is skipped like anything else that does not belong there.
    Joined,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Lines,
        Self::LineTails,
        Self::CleanLines,
        Self::CutLines,
        Self::Quanta,
        Self::Zeros,
        Self::UrlSafe,
        Self::Joined,
    ];

    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "base64, line by line",
            Self::LineTails => "base64, line by line with tails",
            Self::CleanLines => "base64, clean lines only",
            Self::CutLines => "base64, lines up to junk",
            Self::Quanta => "base64, padding shortens its quantum",
            Self::Zeros => "base64, padding is zero",
            Self::UrlSafe => "base64, URL alphabet",
            Self::Joined => "base64, padding skipped",
        }
    }
}

/// Appends `source`, decoded: everything outside the alphabet is skipped, and padding ends a quantum but not the data.
/// False where it had to skip more than white space, which is slower.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let (visible, strange) = census(source);
    if !is_mostly_blank(visible, source.len()) && LENIENT.decode_append(source, out).is_ok() {
        return strange == 0;
    }
    out.truncate(start);
    append(source.iter().copied().filter(|&byte| belongs(byte)).collect(), out);
    strange == 0 && first_junk(source).is_none()
}

/// True where lines are so short or blank that decoding them would take long: of `length` bytes so many are visible.
fn is_mostly_blank(visible: usize, length: usize) -> bool {
    visible * 4 < length * 3
}

/// How many bytes of `source` are visible, and how many are strange.
fn census(source: &[u8]) -> (usize, usize) {
    let (mut visible, mut strange) = (0, 0);
    // Sums of so few fit into a byte, so that many are counted at a time.
    for bytes in source.chunks(128) {
        visible += usize::from(bytes.iter().map(|&byte| u8::from(byte > b' ')).sum::<u8>());
        strange += usize::from(bytes.iter().map(|&byte| u8::from(is_strange(byte))).sum::<u8>());
    }
    (visible, strange)
}

/// True for control characters that no line has; some skip them, others do not.
fn is_strange(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\t') & (byte != b'\r') & (byte != b'\n')
}

/// Source bytes that are decoded at a time: what becomes of them stays in the processor's cache.
const PIECE: usize = 32 << 10;

/// Hands `source`, decoded, to `sink` in pieces, for which it uses `buffer`; returns how many bytes that is. None, possibly
/// after some pieces, where it is not what programs write: lines of one length that hold whole quanta, the last one
/// shorter, with padding at its end. Of that there is one reading only.
pub(in crate::extract) fn decode_pieces(
    source: &[u8],
    buffer: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]),
) -> Option<usize> {
    let end = memchr(b'\n', source);
    let line = &source[..end.unwrap_or(PIECE.min(source.len()))];
    let width = line.strip_suffix(b"\r").unwrap_or(line).len();
    let stride = end.map_or(width, |end| end + 1);
    let line_end = &source[width..stride];
    if width == 0 || !width.is_multiple_of(4) && stride < source.len() {
        return None;
    }
    let lines = (PIECE / stride).max(1);
    let (mut rest, mut size) = (source, 0);
    loop {
        let count = (rest.len().saturating_sub(1) / stride).min(lines);
        if count == 0 {
            break;
        }
        let (piece, after) = rest.split_at(count * stride);
        let even = piece.chunks_exact(stride).all(|line| line.ends_with(line_end));
        buffer.clear();
        LENIENT.decode_append(piece, buffer).ok()?;
        // It is less where there is padding, or a blank in a line.
        if !even || buffer.len() != count * width / 4 * 3 {
            return None;
        }
        sink(buffer);
        size += buffer.len();
        rest = after;
    }
    if census(rest).1 > 0 || padding_end(rest).is_some() || has_odd_lines(rest) || has_blanks(rest) {
        return None;
    }
    buffer.clear();
    LENIENT.decode_append(rest, buffer).ok()?;
    sink(buffer);
    Some(size + buffer.len())
}

/// Appends `source`, decoded as `dialect` says.
pub(super) fn decode_as(dialect: Dialect, source: &[u8], out: &mut Vec<u8>) {
    let symbols = |line: &[u8]| line.iter().copied().filter(|&byte| belongs(byte)).collect::<Vec<u8>>();
    match dialect {
        Dialect::Lines | Dialect::LineTails => {
            for line in lines(source) {
                let mut line = symbols(line);
                let end = memchr(b'=', &line).unwrap_or(line.len());
                // A padded quantum is a whole one.
                let padded =
                    line.len() > end && (dialect == Dialect::LineTails || end % 4 + (line.len() - end) >= 4);
                line.truncate(if padded || dialect == Dialect::LineTails { end } else { end / 4 * 4 });
                append(line, out);
            }
        }
        Dialect::CleanLines => {
            let clean =
                lines(source).map(<[u8]>::trim_ascii).filter(|line| line.iter().all(|&byte| belongs(byte)));
            append(clean.flatten().copied().collect(), out);
        }
        Dialect::CutLines => {
            let cut = lines(source)
                .map(<[u8]>::trim_ascii_start)
                .flat_map(|line| line.iter().copied().take_while(|&byte| belongs(byte) && byte != b'='));
            append(cut.collect(), out);
        }
        Dialect::UrlSafe => {
            let standard = source.iter().map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            });
            append(standard.filter(|&byte| belongs(byte)).collect(), out);
        }
        Dialect::Joined => append(symbols(source).into_iter().filter(|&byte| byte != b'=').collect(), out),
        Dialect::Quanta => quanta(symbols(source), true, out),
        Dialect::Zeros => quanta(symbols(source), false, out),
    }
}

fn append(symbols: Vec<u8>, out: &mut Vec<u8>) {
    // Nothing is left that it could refuse.
    let _ = LENIENT.decode_append(symbols, out);
}

/// Decodes four at a time with `=` as a zero; what ends the data shortens it, and where `shorten` every one does.
fn quanta(mut symbols: Vec<u8>, shorten: bool, out: &mut Vec<u8>) {
    let padding = symbols.iter().rev().take_while(|&&byte| byte == b'=').count().min(2);
    for quantum in symbols.chunks_mut(4) {
        let zeros = quantum.iter().filter(|&&byte| byte == b'=').count();
        quantum.iter_mut().filter(|byte| **byte == b'=').for_each(|byte| *byte = b'A');
        let before = out.len();
        let _ = LENIENT.decode_append(&*quantum, out);
        if shorten {
            out.truncate(before.max(out.len().saturating_sub(zeros)));
        }
    }
    if !shorten {
        out.truncate(out.len().saturating_sub(padding));
    }
}

fn lines(source: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(source);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr2(b'\r', b'\n', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// Where the first padding ends, if data follows it.
pub(in crate::extract) fn padding_end(source: &[u8]) -> Option<usize> {
    let start = memchr(b'=', source)?;
    let ignored = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
    let end = start + source[start..].iter().take_while(|&byte| ignored(byte)).count();
    (end < source.len()).then_some(end)
}

/// Where the first byte stands that is neither alphabet, padding nor white space.
pub(in crate::extract) fn first_junk(source: &[u8]) -> Option<usize> {
    source.iter().position(|&byte| !belongs(byte) && (is_strange(byte) || !byte.is_ascii_whitespace()))
}

/// True where a blank stands inside a line.
pub(in crate::extract) fn has_blanks(source: &[u8]) -> bool {
    memchr2_iter(b' ', b'\t', source)
        .any(|at| source.get(at + 1).is_some_and(|&next| belongs(next)) && at > 0 && belongs(source[at - 1]))
}

/// True where a line, the last one aside, does not hold whole quanta.
pub(in crate::extract) fn has_odd_lines(source: &[u8]) -> bool {
    let Some(width) = memchr(b'\n', source) else { return false };
    let symbols = source[..width].strip_suffix(b"\r").unwrap_or(&source[..width]).len();
    let stride = width + 1;
    // Nearly always all lines but the last are as long as the first: one look at each end of line.
    let same = source.iter().skip(width).step_by(stride).take_while(|&&byte| byte == b'\n').count();
    let mut odd = !symbols.is_multiple_of(4) && source.len() > stride;
    let mut at = same * stride;
    while let Some(length) = memchr(b'\n', &source[at..]).filter(|_| !odd) {
        let count = source[at..at + length].iter().filter(|&&byte| belongs(byte)).count();
        at += length + 1;
        odd = !count.is_multiple_of(4) && source[at..].iter().any(|&byte| belongs(byte));
    }
    odd
}

pub(in crate::extract) fn belongs(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(source: &str) -> String {
        let mut out = Vec::new();
        decode(source.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn read_as(dialect: Dialect, source: &str) -> String {
        let mut out = Vec::new();
        decode_as(dialect, source.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn junk_is_skipped_and_padding_does_not_end_it() {
        for source in [
            "Zm9vYmFy",
            "Zm9v\r\nYmFy\n",
            "Z#m9.v!YmF-y",
            "Zm8=b2I=YXI=",
            "Zg==\r\nb28=\nYmFy",
            "Zm9vYmFy====",
        ] {
            assert_eq!(decoded(source), "foobar", "{source}");
        }
        assert_eq!(decoded("Zm9vYmE"), "fooba", "a tail without padding");
        assert_eq!(decoded("Zm9vY"), "foo", "six bits are no byte");
    }

    #[test]
    fn every_dialect_reads_what_it_is_for() {
        for (dialect, source) in [
            (Dialect::Lines, "Zm9vX\r\nYmFyXX\nXX"),
            (Dialect::Lines, "Zm9vXX\r\nYmE=\r\ncg==AA==\n"),
            (Dialect::LineTails, "Zm8\r\nb2I\r\nYX!I"),
            (Dialect::CleanLines, "Zm9v\r\nhello there.\r\n YmFy \r\n"),
            (Dialect::CutLines, "Zm9v#abc\r\nYmFy#def"),
            (Dialect::UrlSafe, "Zm9vYm#Fy"),
            (Dialect::Joined, "Zm=9v=YmFy"),
            (Dialect::Quanta, "Zm9vYm==YQ==cg=="),
        ] {
            assert_eq!(read_as(dialect, source), "foobar", "{dialect:?}");
        }
        assert_eq!(read_as(Dialect::Quanta, "Q=BDQUJD"), "@\0ABC");
        assert_eq!(read_as(Dialect::UrlSafe, "Pz8_Pj4-"), "???>>>");
        assert_eq!(read_as(Dialect::Zeros, "Q=BDQUI="), "@\0CAB");
    }

    #[test]
    fn pieces_are_the_whole() {
        let of = |text: &str| {
            let (mut pieces, mut count) = (Vec::new(), 0);
            let size = decode_pieces(text.as_bytes(), &mut Vec::new(), |piece| {
                pieces.extend_from_slice(piece);
                count += 1;
            });
            (size, pieces, count)
        };
        let lines = "Zm9vYmFy\r\n".repeat(20_000);
        for text in [
            lines.clone(),
            lines.clone() + "Zm8=\r\n\r\n",
            "Zm9v".repeat(30_001) + "Zm8",
            "Zm9vYmFy\n".repeat(9000),
        ] {
            let mut whole = Vec::new();
            assert!(decode(text.as_bytes(), &mut whole));
            let (size, pieces, count) = of(&text);
            assert_eq!(size, Some(whole.len()));
            assert!(pieces == whole && count > 2);
        }
        let other = |line: &str| of(&(lines.clone() + line + &lines)).0;
        assert_eq!(other(""), Some(240_000));
        for odd in [
            "Zm9vYmFyQ\n",
            "Zm8=\r\n",
            "Zm9v\r\nYmFy\r\n",
            "Zm9vY\r\nmFyYmFy\r\n",
            "Zm9v#mFy\r\n",
            "Zm9\x0bYmFyY\r\n",
            "Zm9 YmFyY\r\n",
        ] {
            assert_eq!(other(odd), None, "{odd}");
        }
        for odd in ["Zg==Zg==", "Zm9v#", "Zm9\nvYmFy", "", "Zm9v\x0b"] {
            assert_eq!(of(odd).0, None, "{odd}");
        }
    }

    #[test]
    fn what_follows_padding_and_where_junk_starts_is_told() {
        assert_eq!(padding_end(b"Zg==\r\n"), None);
        assert_eq!(padding_end(b"Zg==\r\nZg=="), Some(6));
        assert_eq!(first_junk(b"Zg==\r\n"), None);
        assert_eq!(first_junk(b"Z\r\n#"), Some(3));
    }

    #[test]
    fn lines_of_whole_quanta_are_not_odd() {
        for even in ["", "QUJD", "QUJDQUI=", "QUJD\r\nQUJD\r\nQQ==", "QUJD\nQUJDQUJD\nQUI\n\n", "QUJD\r\n"] {
            assert!(!has_odd_lines(even.as_bytes()), "{even:?}");
        }
        for odd in ["QUJ\nDQUJD", "QUJD\nQUJDQ\nUJD", "QUJDX\r\nQUJDX\r\n", "QUJD\nQUJ\nD\n"] {
            assert!(has_odd_lines(odd.as_bytes()), "{odd:?}");
        }
    }
}
