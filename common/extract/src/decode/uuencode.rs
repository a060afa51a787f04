// SPDX-License-Identifier: GPL-3.0-or-later
//! Uuencode (POSIX `uuencode`): as a transfer encoding, and as files inside plain text.
//!
//! Readers differ where lines are damaged: some end at the first line that holds no data, some skip it, Thunderbird
//! decodes whatever stands before `end`. [`uu_files`] gives the ranges, [`decode`] and [`decode_all`] the two views.

use super::{MAX_FILES, TextFile, base64, line_start, shown_name, split_line};
use crate::bytewise;
use memchr::{memchr, memmem};
use std::sync::LazyLock;

const BEGIN: &[u8] = b"begin ";
static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"begin"));
const BEGIN_BASE64: &[u8] = b"begin-base64 ";
/// What Thunderbird takes for a line at most, with its end.
const LINE: usize = 127;

/// Appends the file in `source`: after `begin` where there is one, up to `end` or a line that says it holds nothing.
/// Other lines that hold no data are skipped. Stops where `out` exceeds `limit`: a short line stands for a long one whose
/// blanks were cut. False where [`decode_all`] may read something else.
pub(super) fn decode(source: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    let begin = next_begin(source, 0);
    if let Some(Begin { data, base64: true, .. }) = begin {
        let end = line_start(source, b"====", data).unwrap_or(source.len());
        base64::decode(&source[data..end], out);
        return true;
    }
    let mut clean = true;
    let mut rest = &source[begin.map_or(0, |begin| begin.data)..];
    while !rest.is_empty() && out.len() <= limit {
        let (line, after, fits) = split_data(rest);
        match line {
            b"end" => break,
            b" " | b"`" => {
                clean &= after.is_empty() || split_line(after).0 == b"end";
                break;
            }
            _ if fits && holds_data(line) => {
                clean &= is_whole(line);
                decode_line(line, out);
            }
            _ => clean &= line.is_empty(),
        }
        rest = after;
    }
    clean
}

/// The same as Thunderbird does it: every line between `begin` and `end` is data, whatever it holds; the length counts
/// where the line is longer; the last incomplete group of symbols of a shorter one is lost.
pub(super) fn decode_all(source: &[u8], limit: usize, out: &mut Vec<u8>) {
    let mut rest = match line_start(source, BEGIN, 0) {
        Some(start) => split_line(&source[start..]).1,
        None => source,
    };
    while !rest.is_empty() && out.len() <= limit {
        let near = &rest[..rest.len().min(LINE)];
        let end = bytewise::find2(b'\r', b'\n', near);
        rest = &rest[end.map_or(near.len(), |end| end + 1)..];
        // The last two bytes of a line that does not fit are lost.
        let line = &near[..end.unwrap_or(if near.len() < LINE { near.len() } else { LINE - 2 })];
        match line {
            b"end" => break,
            [] => (),
            [first, symbols @ ..] => {
                let whole = symbols.len() * 3 / 4;
                let wanted = out.len() + length(*first);
                decode_groups(symbols, out);
                out.truncate(wanted.min(out.len() - symbols.len().div_ceil(4) * 3 + whole));
                out.resize(wanted, 0);
            }
        }
    }
}

/// The uuencoded files in `text`, in order. Where lines without data stand between those with data, two ranges have
/// the same start: to the first such line, and to the end.
pub(super) fn uu_files(text: &[u8]) -> Vec<TextFile> {
    let mut files = Vec::new();
    let mut next = next_begin(text, 0);
    while let Some(begin) = next.filter(|_| files.len() < MAX_FILES) {
        next = next_begin(text, begin.data);
        let most = next.as_ref().map_or(text.len(), |next| next.start);
        let ends = if begin.base64 {
            base64_end(&text[..most], begin.data).into_iter().collect()
        } else {
            ends(&text[..most], begin.data)
        };
        let file = |end| TextFile { range: begin.start..end, name: begin.name.clone() };
        files.extend(ends.into_iter().map(file));
    }
    files
}

/// Where the data at the start of a file ends, and where all of it does. None without data.
fn ends(text: &[u8], data: usize) -> Vec<usize> {
    let (mut first, mut last, mut whole, mut at) = (data, data, true, data);
    while at < text.len() {
        let (line, after, fits) = split_data(&text[at..]);
        at = text.len() - after.len();
        if fits && holds_data(line) && is_plausible(line) {
            last = at;
            if whole {
                first = at;
            }
        } else if line.get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"end")) {
            break;
        } else {
            whole &= line.is_empty();
        }
    }
    let mut ends = vec![first, last];
    ends.dedup();
    ends.retain(|&end| end > data);
    ends
}

fn base64_end(text: &[u8], data: usize) -> Option<usize> {
    let end = line_start(text, b"====", data)?;
    Some(text.len() - split_line(&text[end..]).1.len())
}

/// A line that begins a file.
struct Begin {
    start: usize,
    /// Where the next line starts.
    data: usize,
    name: String,
    base64: bool,
}

/// The next `begin MODE NAME` line at or after `from`.
fn next_begin(text: &[u8], mut from: usize) -> Option<Begin> {
    loop {
        let start = from + FINDER.find(&text[from..])?;
        from = start + 5;
        if start > 0 && !matches!(text[start - 1], b'\r' | b'\n') {
            continue;
        }
        let (line, after) = split_line(&text[start..]);
        let base64 = line.starts_with(BEGIN_BASE64);
        let fields = line.strip_prefix(if base64 { BEGIN_BASE64 } else { BEGIN });
        if let Some(name) = fields.and_then(name_on) {
            return Some(Begin { start, data: text.len() - after.len(), name, base64 });
        }
    }
}

fn name_on(fields: &[u8]) -> Option<String> {
    let blank = memchr(b' ', fields)?;
    let octal = (3..=6).contains(&blank) && fields[..blank].iter().all(|digit| matches!(digit, b'0'..=b'7'));
    octal.then(|| shown_name(&fields[blank..]))
}

/// The number of bytes that a line which starts with `first` says it holds.
fn length(first: u8) -> usize {
    usize::from(first.wrapping_sub(b' ') & 63)
}

/// True where `line` could be uuencoded.
pub(crate) fn is_uu_line(line: &[u8]) -> bool {
    is_data(line) && is_plausible(line)
}

/// True where `line` could be uuencoded and is as long as it says it is.
pub(crate) fn is_whole_uu_line(line: &[u8]) -> bool {
    is_data(line) && is_whole(line)
}

fn is_whole(line: &[u8]) -> bool {
    line.len() == 1 + length(line[0]).div_ceil(3) * 4
}

/// True where `line` says that it holds something, and all of it could be data.
fn is_data(line: &[u8]) -> bool {
    holds_data(line) && line.iter().all(is_symbol)
}

fn holds_data(line: &[u8]) -> bool {
    line.first().is_some_and(|&first| length(first) > 0)
}

fn is_symbol(byte: &u8) -> bool {
    matches!(byte, b' '..=b'`')
}

/// The first line of `text`, what follows its end, and whether all of the line could be data.
fn split_data(text: &[u8]) -> (&[u8], &[u8], bool) {
    let symbols = text.iter().position(|byte| !is_symbol(byte)).unwrap_or(text.len());
    match &text[symbols..] {
        [b'\r', b'\n', after @ ..] | [b'\r' | b'\n', after @ ..] | after @ [] => {
            (&text[..symbols], after, true)
        }
        _ => {
            let (line, after) = split_line(text);
            (line, after, false)
        }
    }
}

/// True where `line` is not longer than it says it is, by more than a checksum. A shorter one has lost blanks at its
/// end, which stand for zeros.
fn is_plausible(line: &[u8]) -> bool {
    line.len() <= 1 + length(line[0]).div_ceil(3) * 4 + 2
}

fn decode_line(line: &[u8], out: &mut Vec<u8>) {
    let wanted = out.len() + length(line[0]);
    decode_groups(&line[1..], out);
    out.resize(wanted, 0);
}

fn decode_groups(symbols: &[u8], out: &mut Vec<u8>) {
    let decode = |group: &[u8; 4]| {
        let sextets = group.iter().map(|byte| u32::from(byte.wrapping_sub(b' ') & 63));
        sextets.fold(0, |word, sextet| word << 6 | sextet).to_be_bytes()
    };
    let (groups, rest) = symbols.as_chunks();
    groups.iter().for_each(|group| out.extend_from_slice(&decode(group)[1..]));
    if !rest.is_empty() {
        let mut last = [b' '; 4];
        last[..rest.len()].copy_from_slice(rest);
        out.extend_from_slice(&decode(&last)[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Decoder = fn(&[u8], usize, &mut Vec<u8>);

    fn some(source: &[u8], limit: usize, out: &mut Vec<u8>) {
        decode(source, limit, out);
    }

    fn decoded(decoder: Decoder, source: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        decoder(source, 1 << 20, &mut out);
        out
    }

    #[test]
    fn begin_and_end_may_lack() {
        for source in [
            &b"text\nbegin 644 cat.txt\n#0V%T\n`\nend\nmore\n"[..],
            b"#0V%T\r\n`\r\nend\r\nmore",
            b"#0V%T\r\nend\r\nmore",
            b"begin 644 cat.txt\r\n#0V%T",
            b"#0V%T",
        ] {
            for decoder in [some as Decoder, decode_all] {
                assert_eq!(decoded(decoder, source), b"Cat", "{}", source.escape_ascii());
            }
        }
        let base64 = b"begin-base64 644 cat\nQ2F0\n====\nmore\n";
        assert_eq!(decoded(some, base64), b"Cat");
    }

    #[test]
    fn damaged_lines_lose_nothing() {
        // A checksum at the end, a length that is too short, junk, an empty line: "Cat" each time it is there.
        let source = b"#0V%TX\n#0V%T0V%T\n- junk, in lower case\n\n#0V%T\n`\nend\n";
        assert_eq!(decoded(some, source), b"CatCatCat");
        // Blanks cut: `perl -e 'print pack "u", "a\0\x10" . "\0" x 5'` ends in nine of them. One group is incomplete.
        assert_eq!(decoded(some, b"(80 0\nend"), b"a\0\x10\0\0\0\0\0");
        assert_eq!(decoded(decode_all, b"(80 0\nend"), b"a\0\x10\0\0\0\0\0");
        assert_eq!(decoded(some, b"#80!\nend"), b"a\0@");
        assert_eq!(decoded(decode_all, b"#80!\nend"), b"a\0\0");
        assert_eq!(decoded(some, b"#\n#0V%T\nend"), b"\0\0\0Cat");
    }

    #[test]
    fn lines_as_programs_write_them_are_clean() {
        let clean = |source: &[u8]| decode(source, 100, &mut Vec::new());
        assert!(clean(b"begin 644 x\n#0V%T\n\n#0V%T\n`\nend\nmore") && clean(b"#0V%T\r\n \r\nend\r\n"));
        for damaged in [&b"#0V%TX\nend"[..], b"#0V\nend", b"#0V%T\n- no\nend", b"#0V%T\n`\n#0V%T\nend"] {
            assert!(!clean(damaged), "{}", damaged.escape_ascii());
        }
    }

    #[test]
    fn thunderbird_decodes_whatever_stands_before_the_end() {
        assert_eq!(decoded(decode_all, b"#0V%T\n`any thing\n\n#p\x96e\x94\n#0V%T\nend\n#0V%T"), b"CatCatCat");
        let long = [&b"#0V%T"[..], &b" ".repeat(122), b"#0V%T\n"].concat();
        assert_eq!(decoded(decode_all, &long), b"CatCat");
    }

    #[test]
    fn files_in_a_text_are_found_and_words_are_not() {
        let text = b"Let us begin 644 now\r\nbegin 644 a b.exe\r\n#0V%T\r\n\r\n#0V%T\r\n`\r\nend\r\n\
            begin 644 that\nlower case is no data\nbegin-base64 600 c.zip\nQ2F0\n====\nbegin 600 d\n#0V%T\n- lower\n#0V%T\nbye";
        let files = uu_files(text);
        let found: Vec<_> = files
            .iter()
            .map(|file| (&file.name[..], decoded(some, &text[file.range.clone()])))
            .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
            .collect();
        let found: Vec<_> = found.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
        assert_eq!(found, [("a b.exe", "CatCat"), ("c.zip", "Cat"), ("d", "Cat"), ("d", "CatCat")]);
        assert!(text[files[0].range.clone()].ends_with(b"#0V%T\r\n"));
    }

    proptest! {
        #[test]
        fn no_input_panics_or_exceeds_the_limit(mut bytes: Vec<u8>, symbols in "[ -`\n]*", at: prop::sample::Index, limit in 0..200_usize) {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, format!("\nbegin 644 x\n{symbols}").into_bytes());
            for decoder in [some as Decoder, decode_all] {
                let mut out = Vec::new();
                decoder(&bytes, limit, &mut out);
                prop_assert!(out.len() <= limit + 64);
            }
            let (mut one, mut other) = (Vec::new(), Vec::new());
            if decode(&bytes, 1 << 20, &mut one) {
                decode_all(&bytes, 1 << 20, &mut other);
                prop_assert_eq!(one, other, "what is clean has one reading");
            }
            prop_assert!(uu_files(&bytes).iter().all(|file| file.range.end <= bytes.len()));
        }
    }
}
