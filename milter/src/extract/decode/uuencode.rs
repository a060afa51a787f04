// SPDX-License-Identifier: GPL-3.0-or-later
//! Uuencode (POSIX `uuencode`): as a transfer encoding, and as files inside plain text.

use memchr::{memchr, memmem};
use std::ops::Range;

/// A uuencoded file inside a text.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::extract) struct UuFile {
    /// From its `begin` line to the end of its data.
    pub range: Range<usize>,
    /// The name on its `begin` line.
    pub name: String,
}

/// Appends the file in `source`: after `begin` where there is one, up to the first line that holds no data.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) {
    let mut rest = match begin(source, 0) {
        Some((_, data, _)) => &source[data..],
        None => source,
    };
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        if !is_data(line) && !line.is_empty() {
            break;
        }
        decode_line(line, out);
        rest = after;
    }
}

/// The uuencoded files in `text`, in order.
pub(in crate::extract) fn uu_files(text: &[u8]) -> Vec<UuFile> {
    let mut files = Vec::new();
    let mut from = 0;
    while let Some((start, data, name)) = begin(text, from) {
        let mut end = data;
        while end < text.len() {
            let (line, after) = split_line(&text[end..]);
            if !is_data(line) {
                break;
            }
            end = text.len() - after.len();
        }
        if end > data {
            files.push(UuFile { range: start..end, name });
        }
        from = end;
    }
    files
}

/// The next `begin MODE NAME` line at or after `from`: its start, the start of the next line, the name.
fn begin(text: &[u8], mut from: usize) -> Option<(usize, usize, String)> {
    loop {
        let start = from + memmem::find(&text[from..], b"begin ")?;
        from = start + 6;
        if start > 0 && text[start - 1] != b'\n' {
            continue;
        }
        let (line, after) = split_line(&text[start..]);
        if let Some(name) = name_on(&line[6..]) {
            return Some((start, text.len() - after.len(), name));
        }
    }
}

fn name_on(line: &[u8]) -> Option<String> {
    let blank = memchr(b' ', line)?;
    let octal = (3..=6).contains(&blank) && line[..blank].iter().all(|digit| matches!(digit, b'0'..=b'7'));
    let name = String::from_utf8_lossy(line[blank..].trim_ascii());
    octal.then(|| name.chars().filter(|character| !character.is_control()).take(255).collect())
}

fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, after) = match memchr(b'\n', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), after)
}

/// The number of bytes that `line` says it holds; none where it cannot be a line of data.
fn length(line: &[u8]) -> Option<usize> {
    let (&first, data) = line.split_first()?;
    let length = usize::from(first.wrapping_sub(b' ') & 63);
    let plausible = matches!(first, b' '..=b'`') && data.len() <= length.div_ceil(3) * 4 + 2;
    // Trailing blanks stand for zeros and may have been cut.
    plausible.then_some(length)
}

fn is_data(line: &[u8]) -> bool {
    length(line).is_some_and(|length| {
        length > 0 && line.len() > 1 && line[1..].iter().all(|byte| matches!(byte, b' '..=b'`'))
    })
}

fn decode_line(line: &[u8], out: &mut Vec<u8>) {
    let Some(length) = length(line) else { return };
    let wanted = out.len() + length;
    for group in line[1..].chunks(4) {
        let sextet = |at: usize| group.get(at).map_or(0, |byte| u32::from(byte.wrapping_sub(b' ') & 63));
        let word = sextet(0) << 18 | sextet(1) << 12 | sextet(2) << 6 | sextet(3);
        out.extend_from_slice(&word.to_be_bytes()[1..]);
    }
    out.truncate(wanted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begin_and_end_may_lack() {
        for source in [&b"text\nbegin 644 cat.txt\n#0V%T\n`\nend\nmore\n"[..], b"#0V%T\r\n`\r\nend", b"#0V%T"]
        {
            let mut out = Vec::new();
            decode(source, &mut out);
            assert_eq!(out, b"Cat");
        }
    }

    #[test]
    fn files_in_a_text_are_found_and_words_are_not() {
        let text = b"Let us begin 644 now\r\nbegin 644 a b.exe\r\n#0V%T\r\n`\r\nend\r\nbegin 644 that\nlower case is no data\n";
        let files = uu_files(text);
        assert_eq!(files.len(), 1);
        assert_eq!(
            (&files[0].name[..], &text[files[0].range.clone()]),
            ("a b.exe", &b"begin 644 a b.exe\r\n#0V%T\r\n"[..])
        );
    }
}
