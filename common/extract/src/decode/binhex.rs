// SPDX-License-Identifier: GPL-3.0-or-later
//! BinHex 4.0 (RFC 1741 appendix A): as a transfer encoding, and as files inside plain text.
//!
//! Symbols of six bits make bytes, in which a run is written as the byte, 0x90 and a count. They hold a header with the
//! name and the lengths of two forks, then the data fork and the resource fork, each with a checksum, which nobody
//! checks here.

use super::{Decoding, MAX_FILES, TextFile, shown_name};
use memchr::{memchr, memchr2_iter, memmem};
use std::sync::LazyLock;

static MARK: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b"(This file must be converted with BinHex"));
const ALPHABET: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
const RUN: u8 = 0x90;

/// The value of each symbol; 64 for what is none.
const VALUES: [u8; 256] = {
    let mut values = [64; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// One of the two streams of a Macintosh file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fork {
    /// What other systems know as the file.
    Data,
    /// Structured additions; for old programs, the program.
    Resource,
}

/// Appends a fork of the first file in `source`: what is there of it, and no more than one byte over `limit`.
pub(super) fn decode(source: &[u8], fork: Fork, limit: usize, out: &mut Vec<u8>) {
    let Some(start) = symbols(source, MARK.find(source).unwrap_or(0)) else { return };
    let mut bytes = Bytes::new(&source[start..]);
    let Some(header) = Header::read(&mut bytes) else { return };
    let most = limit.saturating_add(1);
    let length = match fork {
        Fork::Data => header.data,
        Fork::Resource if header.data > limit => return,
        Fork::Resource => {
            bytes.by_ref().take(header.data + 2).for_each(drop);
            header.resource
        }
    };
    out.extend(bytes.take(length.min(most)));
}

/// The forks of the first file in `source` that hold something.
pub(super) fn forks(source: &[u8]) -> &'static [Decoding] {
    let start = symbols(source, MARK.find(source).unwrap_or(0));
    match start.and_then(|start| Header::read(&mut Bytes::new(&source[start..]))) {
        Some(Header { data: 1.., resource: 1.., .. }) => &[Decoding::BinHex, Decoding::BinHexResource],
        Some(Header { data: 0, resource: 1.., .. }) => &[Decoding::BinHexResource],
        _ => &[Decoding::BinHex],
    }
}

/// The BinHex files in `text`, in order.
pub(super) fn binhex_files(text: &[u8]) -> Vec<TextFile> {
    let mut files = Vec::new();
    let mut from = 0;
    while files.len() < MAX_FILES
        && let Some(mark) = MARK.find(&text[from..]).map(|at| from + at)
        && let Some(start) = symbols(text, mark)
    {
        from = memchr(b':', &text[start..]).map_or(text.len(), |length| start + length + 1);
        if let Some(header) = Header::read(&mut Bytes::new(&text[start..from])) {
            files.push(TextFile { range: mark..from, name: header.name });
        }
    }
    files
}

/// Where the symbols start: after the first colon at or after `from` that starts a line.
fn symbols(text: &[u8], from: usize) -> Option<usize> {
    if text[from..].starts_with(b":") {
        return Some(from + 1);
    }
    let mut breaks = memchr2_iter(b'\r', b'\n', &text[from..]).map(|at| from + at + 1);
    breaks.find(|&at| text.get(at) == Some(&b':')).map(|colon| colon + 1)
}

struct Header {
    name: String,
    data: usize,
    resource: usize,
}

impl Header {
    /// Reads up to the start of the data fork.
    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let length = usize::from(bytes.next()?);
        let name: Vec<u8> = bytes.by_ref().take(length).collect();
        // Version, type, creator and flags.
        bytes.nth(1 + 4 + 4 + 2 - 1)?;
        let (data, resource) = (bytes.length()?, bytes.length()?);
        // Its checksum.
        bytes.nth(1)?;
        (length > 0).then(|| Self { name: shown_name(&name), data, resource })
    }
}

/// The bytes that symbols stand for, runs expanded, up to the closing colon.
struct Bytes<'a> {
    symbols: std::slice::Iter<'a, u8>,
    bits: u32,
    held: u32,
    last: u8,
    repeat: u8,
}

impl<'a> Bytes<'a> {
    fn new(symbols: &'a [u8]) -> Self {
        Self { symbols: symbols.iter(), bits: 0, held: 0, last: 0, repeat: 0 }
    }

    /// A byte as it is written. Whatever is no symbol is skipped.
    #[inline]
    fn written(&mut self) -> Option<u8> {
        while self.held < 8 {
            let symbol = *self.symbols.next().filter(|&&symbol| symbol != b':')?;
            let value = VALUES[usize::from(symbol)];
            if value < 64 {
                self.bits = self.bits << 6 | u32::from(value);
                self.held += 6;
            }
        }
        self.held -= 8;
        Some((self.bits >> self.held) as u8)
    }

    fn length(&mut self) -> Option<usize> {
        let bytes = [self.next()?, self.next()?, self.next()?, self.next()?];
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        while self.repeat == 0 {
            let byte = self.written()?;
            // The count includes the byte itself, which is out already; none makes 0x90 a byte like any other.
            (self.last, self.repeat) = match byte {
                RUN => match self.written()? {
                    0 => (RUN, 1),
                    count => (self.last, count - 1),
                },
                _ => (byte, 1),
            };
        }
        self.repeat -= 1;
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    /// Written by a few lines of Python after the RFC: "cat.txt", `Cat`, two 0x90 and 300 `z`; a resource fork.
    const FILE: &[u8] = b"(This file must be converted with BinHex 4.0)\r\n\r\n\
        :\"f0KG#jdH(3!9%9B9(4dH(3!N!3\"-3!!!!LLM80KG*!!N!\"kN2pkN#fb)A*PFfp\r\neFQ0P+'`:\r\n";

    fn decoded(source: &[u8], fork: Fork, limit: usize) -> Vec<u8> {
        let mut out = Vec::new();
        decode(source, fork, limit, &mut out);
        out
    }

    #[test]
    fn both_forks_come_back() {
        let data = [&b"Cat\x90\x90"[..], &[b'z'; 300]].concat();
        assert_eq!(decoded(FILE, Fork::Data, LIMIT), data);
        assert_eq!(decoded(FILE, Fork::Resource, LIMIT), b"resource");
        let symbols = &FILE[49..];
        assert!(symbols.starts_with(b":"));
        assert_eq!(decoded(symbols, Fork::Data, LIMIT), data, "without the line before");
        assert_eq!(decoded(&symbols[..symbols.len() - 4], Fork::Data, LIMIT), data, "without the end");
        assert_eq!(decoded(b"no file: at all", Fork::Data, LIMIT), b"");
    }

    #[test]
    fn every_file_in_a_text_is_found_with_its_name() {
        let text = [b"Hello\r\n", FILE, b"and: again\r\n", FILE, b"Bye\r\n"].concat();
        let files = binhex_files(&text);
        let file = FILE.strip_suffix(b"\r\n").unwrap();
        let found: Vec<_> = files.iter().map(|file| (&file.name[..], &text[file.range.clone()])).collect();
        assert_eq!(found, [("cat.txt", file), ("cat.txt", file)]);
    }

    #[test]
    fn runs_stop_at_the_limit() {
        // A header for 16 MiB of data, and runs of 255 without end.
        let mut bytes = b"\x01x\0TEXTttxt\0\0\x01\0\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend([b'z', RUN, 255].repeat(1 << 17));
        let mut source = b":".to_vec();
        for three in bytes.chunks_exact(3) {
            let word = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            source.extend([18, 12, 6, 0].map(|shift| ALPHABET[(word >> shift & 63) as usize]));
        }
        assert_eq!(decoded(&source, Fork::Data, LIMIT).len(), LIMIT + 1);
        assert_eq!(decoded(&source, Fork::Data, 1 << 25).len(), 1 << 24);
        assert_eq!(decoded(&source, Fork::Resource, LIMIT), b"");
    }

    proptest! {
        #[test]
        fn no_input_panics_or_exceeds_the_limit(bytes: Vec<u8>, at in 0..FILE.len(), limit in 0..400_usize) {
            let mut source = FILE.to_vec();
            source.splice(at..FILE.len().min(at + bytes.len()), bytes);
            for fork in [Fork::Data, Fork::Resource] {
                prop_assert!(decoded(&source, fork, limit).len() <= limit + 1);
            }
            prop_assert!(binhex_files(&source).iter().all(|file| file.range.end <= source.len()));
        }
    }
}
