// SPDX-License-Identifier: GPL-3.0-or-later
//! Where readers of a message could differ: the names under which [`super::Extraction::ambiguities`] lists them.
//!
//! Operators see them in logs, metrics and headers, so a name stays once it was released. Every kind here stands for at
//! least one further reading that the extraction took; there is none for what all readers agree on.

/// Declares the kinds, each with what [`meaning`] says of it.
macro_rules! kinds {
    ($($name:ident = $kind:literal: $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $kind;)*

        /// Every kind, with what it means.
        pub const ALL: &[(&str, &str)] = &[$(($name, $meaning)),*];
    };
}

kinds! {
    REPEATED_TYPE = "repeated_content_type":
        "Several Content-Type fields with different values. Read: the first, the last.";
    REPEATED_BOUNDARY = "repeated_boundary":
        "Several values for the boundary. Read: the first and the last that delimit something.";
    UNCLEAR_TYPE = "unclear_content_type":
        "A Content-Type that is no type, or whose boundary is written as no program does. Read: by its likely meanings.";
    REPEATED_ENCODING = "repeated_transfer_encoding":
        "Several Content-Transfer-Encoding fields with different values. Read: each of them.";
    UNKNOWN_ENCODING = "unknown_transfer_encoding":
        "A transfer encoding that no standard knows, or one with something around it. Read: raw, and by its likely meaning.";
    HEADER_JUNK = "header_junk":
        "A line inside a header that is no field. Read: as the body's start, skipped.";
    ODD_HEADER = "odd_header":
        "A header with control characters, blank continuations or strange names. Read: with its fields, and without the structure.";
    NO_DELIMITER = "multipart_without_delimiter":
        "A multipart that its delimiter never opens. Read: as one leaf, and with the boundary its lines suggest.";
    NEAR_DELIMITER = "near_delimiter":
        "A line that only begins like a delimiter. Read: as text, as a delimiter.";
    AFTER_CLOSE = "part_after_close":
        "A part follows the closing delimiter of its multipart. Read: as a part.";
    PREAMBLE = "encoded_preamble":
        "Encoded data before the first delimiter of a multipart. Read: decoded.";
    EPILOGUE = "encoded_epilogue":
        "Encoded data after a closing delimiter. Read: decoded.";
    HIDDEN = "hidden_content":
        "A file that only readers find who get the structure wrong. Read: every piece between lines that could be delimiters, decoded in every way.";
    AFTER_PADDING = "base64_after_padding":
        "Base64 goes on after its padding. Read: all of it, up to the padding, and by the dialects.";
    BASE64_JUNK = "base64_junk":
        "Base64 holds bytes that are neither alphabet nor white space. Read: without them, up to the first, and by the dialects.";
    BASE64_LINES = "base64_lines":
        "Lines of base64 that do not hold whole quanta. Read: joined, line by line.";
    UNDECLARED_BASE64 = "undeclared_base64":
        "Nothing but base64 without saying so. Read: raw, decoded.";
    BINARY_LINE_BREAKS = "quoted_printable_line_breaks":
        "Quoted-printable with hard line breaks in binary content. Read: with CRLF, with LF.";
    TRAILING_BLANKS = "quoted_printable_blanks":
        "Quoted-printable with blanks that some drop. Read: with them, without.";
    BROKEN_ESCAPES = "quoted_printable_escapes":
        "Quoted-printable with broken escapes or control characters. Read: with them, without, and put together.";
    LEADING_LINES = "leading_empty_lines":
        "Binary content behind empty lines. Read: with them, without.";
    UUENCODE_LINES = "uuencode_lines":
        "Uuencoded lines that are not as long as they say. Read: what they hold, and what one client takes every line for.";
    NAMES = "different_names":
        "Names for one part that have different extensions. Read: under the most dangerous one.";
}

/// True where the kind concerns one part only: the structure around it is in no doubt.
pub(crate) fn is_local(kind: &str) -> bool {
    matches!(
        kind,
        NAMES
            | BINARY_LINE_BREAKS
            | TRAILING_BLANKS
            | BROKEN_ESCAPES
            | UNDECLARED_BASE64
            | LEADING_LINES
            | UUENCODE_LINES
    )
}

/// What `kind` means, in a sentence or two; empty for what is no kind.
pub fn meaning(kind: &str) -> &'static str {
    ALL.iter().find(|(name, _)| *name == kind).map_or("", |(_, meaning)| meaning)
}
