// SPDX-License-Identifier: GPL-3.0-or-later
//! Transfer encodings, each decoded leniently: no input is an error, and none becomes longer.

mod base64;
mod quoted_printable;
mod uuencode;

pub(super) use base64::{belongs, first_junk, padding_end};
pub(super) use quoted_printable::Doubts;
pub(super) use uuencode::{UuFile, uu_files};

/// How the bytes of a part are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Decoding {
    /// As they stand: 7bit, 8bit, binary.
    Identity,
    /// Everything outside the alphabet is skipped; goes on after padding.
    Base64,
    /// Blanks at line ends stay, as in Thunderbird.
    QuotedPrintable,
    /// Blanks at line ends go (RFC 2045 section 6.7 rule 3).
    QuotedPrintableTrimmed,
    /// Hard line breaks become LF.
    QuotedPrintableLf,
    /// Hard line breaks become CRLF.
    QuotedPrintableCrLf,
    /// From `begin`, where there is one, to `end`.
    Uuencode,
}

impl Decoding {
    /// Replaces what is in `out` by `source`, decoded. False where bytes had to be skipped that do not belong there.
    pub fn decode_into(self, source: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        match self {
            Self::Identity => out.extend_from_slice(source),
            Self::Base64 => return base64::decode(source, out),
            Self::QuotedPrintable => quoted_printable::decode(source, out),
            Self::QuotedPrintableTrimmed => quoted_printable::decode_trimmed(source, out),
            Self::QuotedPrintableLf => quoted_printable::decode_with_breaks(source, b"\n", out),
            Self::QuotedPrintableCrLf => quoted_printable::decode_with_breaks(source, b"\r\n", out),
            Self::Uuencode => uuencode::decode(source, out),
        }
        true
    }
}
