// SPDX-License-Identifier: GPL-3.0-or-later
//! Base64 (RFC 2045 section 6.8): as most mail clients read it, and in the ways in which others differ ([`Dialect`])
//! once there is more in it than whole quanta of the alphabet.

mod dialect;

use crate::bytewise;
pub(crate) use dialect::Dialect;
pub(super) use dialect::decode_as;
use encodify::base64::LENIENT;
use memchr::memchr;

/// What [`VALUES`] has for padding, and for whatever does not belong there.
const PADDING: u8 = 64;
const JUNK: u8 = 255;

/// The value of each symbol.
const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    let (mut values, mut at) = ([JUNK; 256], 0);
    while at < alphabet.len() {
        values[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Appends `source`, decoded: everything outside the alphabet is skipped, and padding ends a quantum but not the data.
/// False where it had to skip more than white space. Where lines are short or blank, or padding is all over, the fast
/// decoder would take longer than the plain one.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let (visible, strange) = census(source);
    let is_padded = bytewise::count(source, |byte| byte == b'=') >= PADDINGS.max(source.len() / PADDINGS);
    let is_blank = visible * 4 < source.len() * 3;
    if !is_padded && !is_blank && LENIENT.decode_append(source, out).is_ok() {
        return strange == 0;
    }
    out.truncate(start);
    if is_padded {
        append(source.iter().copied(), out);
    } else {
        // Nothing is left that it could refuse.
        let _ = LENIENT.decode_append(kept(source), out);
    }
    strange == 0 && first_junk(source).is_none()
}

/// With so many signs of padding, one in so many bytes, the fast decoder would take long.
const PADDINGS: usize = 32;

/// The bytes of `text` that belong there.
fn kept(text: &[u8]) -> Vec<u8> {
    let (mut kept, mut count) = (vec![0; text.len()], 0);
    for &byte in text {
        // Without a branch: what does not belong there is written over.
        kept[count] = byte;
        count += usize::from(VALUES[usize::from(byte)] <= PADDING);
    }
    kept.truncate(count);
    kept
}

/// How many bytes of `source` are visible, and how many are strange.
fn census(source: &[u8]) -> (usize, usize) {
    (bytewise::count(source, |byte| byte > b' '), bytewise::count(source, is_strange))
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
pub(crate) fn decode_pieces(
    source: &[u8],
    buffer: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]),
) -> Option<usize> {
    let end = memchr(b'\n', source);
    let line = &source[..end.unwrap_or(PIECE.min(source.len()))];
    let width = line.strip_suffix(b"\r").unwrap_or(line).len();
    let stride = end.map_or(width, |end| end + 1);
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
        // One of the two bytes of a line end is the last.
        let even = end.is_none()
            || piece
                .chunks_exact(stride)
                .all(|line| line[width] == source[width] && line[stride - 1] == b'\n');
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

/// The bytes of `text` that belong there.
fn symbols(text: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    text.iter().copied().filter(|&byte| VALUES[usize::from(byte)] <= PADDING)
}

/// Up to four symbols, put together.
#[derive(Default)]
struct Quantum {
    bits: u32,
    symbols: usize,
}

impl Quantum {
    /// Adds a symbol; true where that makes four.
    #[inline]
    fn push(&mut self, value: u8) -> bool {
        self.bits = self.bits << 6 | u32::from(value);
        self.symbols += 1;
        self.symbols == 4
    }

    /// Appends the whole bytes that there are, and begins the next one.
    #[inline]
    fn end(&mut self, out: &mut Vec<u8>) {
        match self.symbols {
            4 => out.extend_from_slice(&self.bits.to_be_bytes()[1..]),
            3 => out.extend_from_slice(&(self.bits << 6).to_be_bytes()[1..3]),
            2 => out.push((self.bits >> 4) as u8),
            _ => (),
        }
        *self = Self::default();
    }
}

/// Appends what `bytes` stand for. Padding ends a quantum, whatever does not belong there is skipped.
fn append(bytes: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let mut quantum = Quantum::default();
    for byte in bytes {
        let ends = match VALUES[usize::from(byte)] {
            value @ 0..PADDING => quantum.push(value),
            value => value == PADDING && quantum.symbols > 0,
        };
        if ends {
            quantum.end(out);
        }
    }
    quantum.end(out);
}

/// Where the first padding ends, if data follows it.
pub(crate) fn padding_end(source: &[u8]) -> Option<usize> {
    let start = memchr(b'=', source)?;
    let ignored = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
    let end = start + source[start..].iter().take_while(|&byte| ignored(byte)).count();
    (end < source.len()).then_some(end)
}

/// Where the first byte stands that is neither alphabet, padding nor white space.
pub(crate) fn first_junk(source: &[u8]) -> Option<usize> {
    let fits = |byte: u8| belongs(byte) | byte.is_ascii_whitespace() & !is_strange(byte);
    let clean = source.chunks(1024).take_while(|chunk| bytewise::all(chunk, fits)).map(<[u8]>::len).sum();
    source[clean..].iter().position(|&byte| !fits(byte)).map(|at| clean + at)
}

/// True where a blank stands inside a line.
pub(crate) fn has_blanks(source: &[u8]) -> bool {
    bytewise::pairs(source, |byte, next| ((byte == b' ') | (byte == b'\t')) & belongs(next))
        .any(|at| at > 0 && belongs(source[at - 1]))
}

/// True where a line, the last one aside, does not hold whole quanta.
pub(crate) fn has_odd_lines(source: &[u8]) -> bool {
    let Some(width) = memchr(b'\n', source) else { return false };
    let symbols = source[..width].strip_suffix(b"\r").unwrap_or(&source[..width]).len();
    let stride = width + 1;
    // Nearly always all lines but the last are as long as the first: one look at each end of line.
    let same = source.iter().skip(width).step_by(stride).take_while(|&&byte| byte == b'\n').count();
    let mut odd = !symbols.is_multiple_of(4) && source.len() > stride;
    let mut at = same * stride;
    while let Some(length) = bytewise::find(b'\n', &source[at..]).filter(|_| !odd) {
        let count = bytewise::count(&source[at..at + length], belongs);
        at += length + 1;
        odd = !count.is_multiple_of(4) && source[at..].iter().any(|&byte| belongs(byte));
    }
    odd
}

pub(crate) const fn belongs(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    // Without a branch, so that many bytes can be asked at a time.
    letter | digit | (byte == b'+') | (byte == b'/') | (byte == b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(source: &str) -> String {
        let mut out = Vec::new();
        decode(source.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
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

    proptest! {
        #[test]
        fn the_slow_way_is_the_fast_way(symbols in "[A-Da-d2/+=]{0,40}", gaps in prop::collection::vec(0..40_usize, 0..5)) {
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            LENIENT.decode_append(&symbols, &mut fast).unwrap();
            let mut bytes = symbols.into_bytes();
            for gap in gaps {
                bytes.insert(gap.min(bytes.len()), b'#');
            }
            append(bytes.into_iter(), &mut slow);
            prop_assert_eq!(fast, slow);
        }
    }
}
