// SPDX-License-Identifier: GPL-3.0-or-later
//! What bytes look like whose encoding nobody names: base64, uuencode, or words.

use super::{
    bytewise,
    decode::{base64, is_uu_line, is_whole_uu_line, quoted_printable},
};
use memchr::memchr_iter;

/// Bytes from which one can tell what a text is.
const WINDOW: usize = 2048;

/// Kinds of bytes that an attacker strews into base64, at most; binary content has far more.
const KINDS_OF_JUNK: usize = 24;

/// True where the start of `text` looks like base64, whatever stands between its symbols: in words upper-case letters and
/// digits are rare, in markup angle brackets are not, in binary content everything stands beside everything.
pub(crate) fn is_base64(text: &[u8]) -> bool {
    let text = &text[..text.len().min(WINDOW)];
    let (mut counts, mut symbols, mut rare, mut visible) = ([0_usize; 256], 0, 0, 0);
    for &byte in text {
        counts[usize::from(byte)] += 1;
        symbols += usize::from(base64::belongs(byte));
        rare +=
            usize::from(byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'/'));
        visible += usize::from(!byte.is_ascii_whitespace());
    }
    let kinds = (0..=255_u8).filter(|&byte| counts[usize::from(byte)] > 0 && !base64::belongs(byte)).count();
    let of = |byte: u8| counts[usize::from(byte)];
    symbols >= 16
        && rare * 4 >= symbols
        && symbols * 6 >= visible
        && kinds <= KINDS_OF_JUNK
        && of(b'<') * 50 < symbols.max(50)
        && !(of(b'=') * 8 > symbols && is_escaped(text))
        && !is_prose(text)
        && !is_surely_uuencoded(text)
}

/// True where `text` may be the base64 that its fields say it is: no words, and nothing that is escaped.
pub(crate) fn may_be_base64(text: &[u8]) -> bool {
    let text = &text[..text.len().min(WINDOW)];
    let small = bytewise::count(text, |byte| byte.is_ascii_lowercase());
    let symbols = bytewise::count(text, base64::belongs);
    let signs = bytewise::count(text, |byte| byte == b'=');
    // Of words most letters are small, of base64 hardly half.
    let words = is_prose(text) || small * 5 > symbols * 3;
    let escaped = signs * 8 > symbols && is_escaped(text);
    !words && !escaped
}

/// True where `text` consists of words: of many lengths, none of them long.
fn is_prose(text: &[u8]) -> bool {
    let (mut lengths, mut words, mut longest) = (0_u32, 0, 0);
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        lengths |= 1 << word.len().min(31);
        longest = longest.max(word.len());
        words += 1;
    }
    words >= 8 && lengths.count_ones() >= 6 && longest < 40
}

/// True where the first lines of `text` are surely uuencoded: each is as long as it says it is. So it is not base64, whatever
/// it looks like.
fn is_surely_uuencoded(text: &[u8]) -> bool {
    let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = lines.filter(|line| !line.is_empty()).take(3).peekable();
    lines.peek().is_some() && lines.all(is_whole_uu_line)
}

/// True where the first lines of `text` may be uuencoded: none is longer than it says it is. So may words be, which is why
/// this adds a reading and takes none away.
pub(crate) fn may_be_uuencoded(text: &[u8]) -> bool {
    let mut lines =
        text.split(|&byte| byte == b'\n').take(3).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.next().is_some_and(|line| line.len() > 4 && is_uu_line(line))
        && lines.all(|line| line.is_empty() || is_uu_line(line) || line == b"end")
}

/// True where most of the `=` in `text` begin an escape of quoted-printable.
fn is_escaped(text: &[u8]) -> bool {
    let signs = memchr_iter(b'=', text).map(|at| quoted_printable::is_escape(&text[at..]));
    let (good, all) = signs.fold((0, 0), |(good, all), escape| (good + usize::from(escape), all + 1));
    good * 2 > all
}

/// True where there is hardly anything but base64 in the start of `text`.
pub(crate) fn is_only_base64(text: &[u8]) -> bool {
    let text = &text[..text.len().min(WINDOW)];
    let visible = bytewise::count(text, |byte| !byte.is_ascii_whitespace());
    let symbols = bytewise::count(text, base64::belongs);
    is_base64(text) && symbols * 20 >= visible * 19
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_from_words() {
        assert!(is_base64("WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0ND".as_bytes()));
        assert!(is_base64("W#D#V#P#I#V#A#l#Q#E#F#Q#W#z#R#c#U#F#p#Y".as_bytes()));
        assert!(!is_base64(
            b"_______________________________________\r\nThis list is run by people who like lists.\r\n"
        ));
    }
    #[test]
    fn uuencode_that_lost_its_blanks_may_be_it_and_surely_is_not() {
        for whole in [&b"#0V%T\nend"[..], b"#0V%T\r\n#0V%T\r\n#0V%T\r\n"] {
            assert!(may_be_uuencoded(whole), "{whole:?}");
        }
        assert!(is_surely_uuencoded(b"#0V%T\n\n#0V%T\n"));
        let cut = b"&0V%T\n&0V%T\n";
        assert!(may_be_uuencoded(cut) && !is_surely_uuencoded(cut));
        for other in [&b""[..], b"Dear all,\n", b"#0V%T  TOO LONG\n"] {
            assert!(!may_be_uuencoded(other) && !is_surely_uuencoded(other), "{other:?}");
        }
    }
}
