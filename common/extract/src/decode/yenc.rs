// SPDX-License-Identifier: GPL-3.0-or-later
//! yEnc 1.3: as a transfer encoding, and as files inside plain text. Thunderbird is the mail client that decodes it,
//! so its view counts where decoders differ; unlike it, this one also takes the parts of a file in several messages.

use super::{MAX_FILES, TextFile, line_start, shown_name, split_line};
use memchr::memchr;

const BEGIN: &[u8] = b"=ybegin ";
const PART: &[u8] = b"=ypart ";
const END: &[u8] = b"=yend size=";

/// Appends the first file in `source`, or all of it decoded where no line begins one.
pub(super) fn decode(source: &[u8], out: &mut Vec<u8>) {
    let mut rest = match line_start(source, BEGIN, 0) {
        Some(start) => data(&source[start..]),
        None => source,
    };
    while !rest.is_empty() && !rest.starts_with(END) {
        let end = memchr(b'\n', rest).map_or(rest.len(), |length| length + 1);
        decode_line(&rest[..end], out);
        rest = &rest[end..];
    }
}

/// The yEnc files in `text`, in order.
pub(super) fn yenc_files(text: &[u8]) -> Vec<TextFile> {
    let mut files = Vec::new();
    let mut next = line_start(text, BEGIN, 0);
    while let Some(start) = next.filter(|_| files.len() < MAX_FILES) {
        let data = text.len() - data(&text[start..]).len();
        next = line_start(text, BEGIN, data);
        let most = next.unwrap_or(text.len());
        let end = line_start(&text[..most], END, data)
            .map_or(most, |end| most - split_line(&text[end..most]).1.len());
        if end > data {
            files.push(TextFile { range: start..end, name: name(&text[start..]) });
        }
    }
    files
}

/// What follows the lines that describe the file at the start of `text`.
fn data(text: &[u8]) -> &[u8] {
    let after = split_line(text).1;
    if after.starts_with(PART) { split_line(after).1 } else { after }
}

/// The last field on the line at the start of `text`; a name may hold blanks.
fn name(text: &[u8]) -> String {
    let line = split_line(text).0;
    memchr::memmem::find(line, b"name=").map(|at| shown_name(&line[at + 5..])).unwrap_or_default()
}

fn decode_line(line: &[u8], out: &mut Vec<u8>) {
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\r' | b'\n' => (),
            b'=' => out.extend(bytes.next().map(|escaped| escaped.wrapping_sub(64 + 42))),
            _ => out.push(byte.wrapping_sub(42)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(source: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        decode(source, &mut out);
        out
    }

    /// As the specification has it: critical bytes are escaped, lines break after 128.
    fn encoded(bytes: &[u8], name: &str) -> Vec<u8> {
        let mut text = format!("=ybegin line=128 size={} name={name}\r\n", bytes.len()).into_bytes();
        for line in bytes.chunks(128) {
            for byte in line.iter().map(|byte| byte.wrapping_add(42)) {
                match byte {
                    0 | b'\r' | b'\n' | b'=' => text.extend([b'=', byte + 64]),
                    _ => text.push(byte),
                }
            }
            text.extend(b"\r\n");
        }
        text.extend(format!("=yend size={}\r\n", bytes.len()).as_bytes());
        text
    }

    #[test]
    fn begin_and_end_may_lack() {
        let framed =
            b"Hello\r\n=ybegin line=128 size=3 name=cat.txt\r\n\x6d\x8b\r\n\x9e\r\n=yend size=3\r\nBye\r\n";
        for source in [&framed[..], b"\x6d\x8b\x9e\r\n=yend size=3", b"\x6d\x8b\n\x9e", b"=\xad\x8b\x9e"] {
            assert_eq!(decoded(source), b"Cat", "{}", source.escape_ascii());
        }
        let part = b"=ybegin part=1 total=2 line=128 size=6 name=c\n=ypart begin=1 end=3\n\x6d\x8b\x9e\n=yend size=3\n";
        assert_eq!(decoded(part), b"Cat");
    }

    #[test]
    fn every_file_in_a_text_is_found_with_its_name() {
        let (one, two) = (encoded(b"one", "a b.exe"), encoded(b"two", "c.zip"));
        let unfinished = &two[..two.len() - 14];
        let text = [b"see =ybegin name=\r\n", &one[..], b"and\r\n", unfinished, &one].concat();
        let files = yenc_files(&text);
        let found: Vec<_> = files.iter().map(|file| (&file.name[..], &text[file.range.clone()])).collect();
        assert_eq!(found, [("a b.exe", &one[..]), ("c.zip", unfinished), ("a b.exe", &one)]);
        assert_eq!(decoded(&text[files[1].range.clone()]), b"two");
        assert_eq!(yenc_files(b"=ybegin line=128 size=0 name=nothing"), []);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(decoded(&encoded(&bytes, "x")), bytes);
        }

        #[test]
        fn no_input_panics_or_grows(mut bytes: Vec<u8>, at: prop::sample::Index) {
            let line = [b"\n", BEGIN].concat();
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, line);
            prop_assert!(decoded(&bytes).len() <= bytes.len());
            prop_assert!(yenc_files(&bytes).iter().all(|file| file.range.end <= bytes.len()));
        }
    }
}
