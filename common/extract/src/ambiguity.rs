// SPDX-License-Identifier: GPL-3.0-or-later
//! Where readers of a message could differ: the names under which [`super::Extraction::ambiguities`] lists them.
//!
//! Operators see them in logs, metrics and headers, so a name stays once it was released. Every kind here stands for at
//! least one further reading that the extraction took; there is none for what all readers agree on.

use serde::{Serialize, Serializer};
use std::fmt::{self, Display, Formatter};

/// Declares the kinds, each with its name and what it means.
macro_rules! kinds {
    ($($kind:ident = $name:literal: $meaning:literal;)*) => {
        /// A kind of ambiguity.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Ambiguity {
            $(#[doc = $meaning] $kind,)*
        }

        impl Ambiguity {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As in logs, metrics and headers.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// What it means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$kind => $meaning,)*
                }
            }
        }
    };
}

kinds! {
    RepeatedType = "repeated_content_type":
        "Several Content-Type fields with different values. Read: the first, the last.";
    RepeatedBoundary = "repeated_boundary":
        "Several values for the boundary. Read: the first and the last that delimit something.";
    UnclearType = "unclear_content_type":
        "A Content-Type that is no type, or whose boundary is written as no program does. Read: by its likely meanings.";
    RepeatedEncoding = "repeated_transfer_encoding":
        "Several Content-Transfer-Encoding fields with different values. Read: each of them.";
    UnknownEncoding = "unknown_transfer_encoding":
        "A transfer encoding that no standard knows, or one with something around it. Read: raw, and by its likely meaning.";
    HeaderJunk = "header_junk":
        "A line inside a header that is no field. Read: as the body's start, skipped.";
    OddHeader = "odd_header":
        "A header with control characters, blank continuations or strange names. Read: with its fields, and without the structure.";
    NoDelimiter = "multipart_without_delimiter":
        "A multipart that its delimiter never opens. Read: as one leaf, and with the boundary its lines suggest.";
    NearDelimiter = "near_delimiter":
        "A line that only begins like a delimiter. Read: as text, as a delimiter.";
    AfterClose = "part_after_close":
        "A part follows the closing delimiter of its multipart. Read: as a part.";
    Preamble = "encoded_preamble":
        "Encoded data before the first delimiter of a multipart. Read: decoded.";
    Epilogue = "encoded_epilogue":
        "Encoded data after a closing delimiter. Read: decoded.";
    Hidden = "hidden_content":
        "A file that only readers find who get the structure wrong. Read: every piece between lines that could be delimiters, decoded in every way.";
    TooMany = "too_much_hidden":
        "More hides without the structure than is read. Read: the most plausible as files, 16 at most.";
    AfterPadding = "base64_after_padding":
        "Base64 goes on after its padding. Read: all of it, up to the padding, and by the dialects.";
    Base64Junk = "base64_junk":
        "Base64 holds bytes that are neither alphabet nor white space. Read: without them, up to the first, and by the dialects.";
    Base64Lines = "base64_lines":
        "Lines of base64 that do not hold whole quanta. Read: joined, line by line.";
    UndeclaredBase64 = "undeclared_base64":
        "Nothing but base64 without saying so. Read: raw, decoded.";
    BinaryLineBreaks = "quoted_printable_line_breaks":
        "Quoted-printable with hard line breaks in binary content. Read: with CRLF, with LF.";
    TrailingBlanks = "quoted_printable_blanks":
        "Quoted-printable with blanks that some drop. Read: with them, without.";
    BrokenEscapes = "quoted_printable_escapes":
        "Quoted-printable with broken escapes or control characters. Read: with them, without, and put together.";
    LeadingLines = "leading_empty_lines":
        "Binary content behind empty lines. Read: with them, without.";
    UuencodeLines = "uuencode_lines":
        "Uuencoded lines that are not as long as they say. Read: what they hold, and what one client takes every line for.";
    Names = "different_names":
        "Names for one part that have different extensions. Read: under the most dangerous one.";
}

impl Ambiguity {
    /// The names of `kinds`, for people.
    pub fn list(kinds: &[Self]) -> String {
        kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// True where it concerns one part only: the structure around it is in no doubt.
    pub(crate) const fn is_local(self) -> bool {
        matches!(
            self,
            Self::Names
                | Self::BinaryLineBreaks
                | Self::TrailingBlanks
                | Self::BrokenEscapes
                | Self::UndeclaredBase64
                | Self::LeadingLines
                | Self::UuencodeLines
        )
    }
}

impl Display for Ambiguity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Ambiguity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
