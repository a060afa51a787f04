// SPDX-License-Identifier: GPL-3.0-or-later
//! Transfer encodings, each decoded leniently: no input is an error. Most become shorter; what compresses keeps to a
//! limit. Some also mark the files they hold inside a text ([`text_files`]).

pub(super) mod base64;
mod binhex;
mod gzip64;
pub(super) mod quoted_printable;
mod uuencode;
mod yenc;

use super::bytewise;
use binhex::{Fork, binhex_files};
use memchr::memmem;
use std::ops::Range;
use uuencode::uu_files;
pub(super) use uuencode::{is_uu_line, is_whole_uu_line};
use yenc::yenc_files;

/// How the bytes of a part are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Decoding {
    /// As they stand: 7bit, 8bit, binary.
    Identity,
    /// As most read it.
    Base64,
    /// As some read what is malformed.
    Base64As(base64::Dialect),
    /// As most read it.
    QuotedPrintable,
    /// As some read what is malformed, or binary.
    QuotedPrintableAs(quoted_printable::Dialect),
    /// From `begin`, where there is one, to `end`; lines that hold no data are skipped.
    Uuencode,
    /// The same with every line taken for data, as in Thunderbird.
    UuencodeAll,
    /// From `=ybegin`, where there is one, to `=yend`.
    Yenc,
    /// The data fork.
    BinHex,
    /// The resource fork; often empty.
    BinHexResource,
    /// Base64 of gzip.
    Gzip64,
}

/// The most files of a kind that are told of in a text: more than any message may have parts.
const MAX_FILES: usize = 1 << 14;

impl Decoding {
    /// Its name for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "as it stands",
            Self::Base64 => "base64",
            Self::Base64As(dialect) => dialect.as_str(),
            Self::QuotedPrintable => "quoted-printable",
            Self::QuotedPrintableAs(dialect) => dialect.as_str(),
            Self::Uuencode => "uuencode",
            Self::UuencodeAll => "uuencode, every line",
            Self::Yenc => "yEnc",
            Self::BinHex => "BinHex, data fork",
            Self::BinHexResource => "BinHex, resource fork",
            Self::Gzip64 => "gzip in base64",
        }
    }

    /// True where a standard knows the encoding, so that all clients do.
    pub(crate) fn is_standard(self) -> bool {
        matches!(self, Self::Identity | Self::Base64 | Self::QuotedPrintable)
    }

    /// Replaces what is in `out` by `source`, decoded. False where readers may differ about what it holds. Where
    /// `out` becomes longer than `limit`, part of `source` may be left: encodings that compress stop there, as does
    /// uuencode, in which a line can lack its blanks. The others make at most twice the length of `source`.
    pub(crate) fn decode_into(self, source: &[u8], limit: u64, out: &mut Vec<u8>) -> bool {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        out.clear();
        match self {
            Self::Identity => out.extend_from_slice(source),
            Self::Base64 => return base64::decode(source, out),
            Self::Base64As(dialect) => base64::decode_as(dialect, source, out),
            Self::QuotedPrintable => quoted_printable::decode(source, out),
            Self::QuotedPrintableAs(dialect) => quoted_printable::decode_as(dialect, source, out),
            Self::Uuencode => return uuencode::decode(source, limit, out),
            Self::UuencodeAll => uuencode::decode_all(source, limit, out),
            Self::Yenc => yenc::decode(source, out),
            Self::BinHex => binhex::decode(source, Fork::Data, limit, out),
            Self::BinHexResource => binhex::decode(source, Fork::Resource, limit, out),
            Self::Gzip64 => gzip64::decode(source, limit, out),
        }
        true
    }

    /// What is in `source` as well, if it is encoded so: the other fork of a file of a Macintosh.
    pub(crate) fn besides(self, source: &[u8]) -> Option<Self> {
        let resource = self == Self::BinHex && binhex::forks(source).contains(&Self::BinHexResource);
        resource.then_some(Self::BinHexResource)
    }
}

/// An encoded file inside a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextFile {
    /// From the line that begins it to the end of its data.
    pub(crate) range: Range<usize>,
    /// The name that it carries.
    pub(crate) name: String,
}

/// The files in `text`, uuencoded ones first, each with the ways to decode it. A text without any costs three searches.
pub(super) fn text_files(text: &[u8]) -> Vec<(TextFile, &'static [Decoding])> {
    let with = |decodings: &'static [Decoding]| move |file| (file, decodings);
    let mut files: Vec<_> = uu_files(text).into_iter().map(with(&[Decoding::Uuencode])).collect();
    files.extend(yenc_files(text).into_iter().map(with(&[Decoding::Yenc])));
    files.extend(binhex_files(text).into_iter().map(|file| {
        let forks = binhex::forks(&text[file.range.clone()]);
        (file, forks)
    }));
    files
}

/// The first line of `text` at or after `from` that starts with `prefix`.
fn line_start(text: &[u8], prefix: &[u8], from: usize) -> Option<usize> {
    let starts = |&at: &usize| at == 0 || matches!(text[at - 1], b'\r' | b'\n');
    memmem::find_iter(&text[from..], prefix).map(|at| from + at).find(starts)
}

/// The first line of `text`, and what follows its end.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(end) = bytewise::find2(b'\r', b'\n', text) else { return (text, &[]) };
    let length = if text[end..].starts_with(b"\r\n") { 2 } else { 1 };
    (&text[..end], &text[end + length..])
}

/// A name as `bytes` have it, without blanks around it and control characters in it.
pub(super) fn shown_name(bytes: &[u8]) -> String {
    let name = String::from_utf8_lossy(bytes.trim_ascii());
    name.chars().filter(|character| !character.is_control()).take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_every_kind_are_found_in_one_text() {
        let text =
            b"=ybegin line=128 size=3 name=c\n\x6d\x8b\x9e\n=yend size=3\nbegin 644 b\n#0V%T\n`\nend\n\
            (This file must be converted with BinHex 4.0)\n\n:!@%!9%9B9(4dH(3!!!!!!!-!!!!!!!\"$BA3!!!:";
        let mut out = Vec::new();
        for (file, decodings) in text_files(text) {
            decodings[0].decode_into(&text[file.range], 100, &mut out);
            assert_eq!((&out[..], file.name.len()), (&b"Cat"[..], 1), "{decodings:?}");
        }
        assert_eq!(text_files(text).len(), 3);
        assert_eq!(text_files(b"begin now, =ybegin not, (This file must be converted with BinHex)"), []);
    }
}
