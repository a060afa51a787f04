// SPDX-License-Identifier: GPL-3.0-or-later
//! Where readers of a message could differ: the names under which [`super::Extraction::ambiguities`] lists them.
//!
//! Operators see them in logs and headers, so a name stays once it was released. Every kind here stands for at least
//! one further reading that the extraction took; there is none for what all readers agree on.

/// Several Content-Type fields with different values. Read: the first, the last.
pub const REPEATED_TYPE: &str = "repeated_content_type";
/// Several values for the boundary. Read: the first, the last.
pub const REPEATED_BOUNDARY: &str = "repeated_boundary";
/// Several Content-Transfer-Encoding fields with different values. Read: each of them.
pub const REPEATED_ENCODING: &str = "repeated_transfer_encoding";
/// A transfer encoding that no standard knows, or one with something around it. Read: raw, and by its likely meaning.
pub const UNKNOWN_ENCODING: &str = "unknown_transfer_encoding";
/// Base64 goes on after its padding. Read: all of it, up to the padding.
pub const AFTER_PADDING: &str = "base64_after_padding";
/// Base64 holds bytes that are neither alphabet nor white space. Read: without them, up to the first.
pub const BASE64_JUNK: &str = "base64_junk";
/// Encoded data before the first delimiter of a multipart. Read: decoded.
pub const PREAMBLE: &str = "encoded_preamble";
/// Encoded data after a closing delimiter. Read: decoded.
pub const EPILOGUE: &str = "encoded_epilogue";
/// A part follows the closing delimiter of its multipart. Read: as a part.
pub const AFTER_CLOSE: &str = "part_after_close";
/// Nothing but base64 without saying so. Read: raw, decoded.
pub const UNDECLARED_BASE64: &str = "undeclared_base64";
/// Quoted-printable with hard line breaks in binary content. Read: with CRLF, with LF.
pub const BINARY_LINE_BREAKS: &str = "quoted_printable_line_breaks";
/// Quoted-printable binary whose blanks at line ends some drop. Read: with them, without.
pub const TRAILING_BLANKS: &str = "quoted_printable_blanks";
/// A multipart that its delimiter never opens. Read: as one leaf, and with the boundary its lines suggest.
pub const NO_DELIMITER: &str = "multipart_without_delimiter";
/// A line inside a header that is no field. Read: as the body's start, skipped.
pub const HEADER_JUNK: &str = "header_junk";
/// Names for one part that have different extensions. Read: every one.
pub const NAMES: &str = "different_names";

/// One sentence that says what `kind` stands for; empty for a kind that is not listed above.
pub fn meaning(_kind: &str) -> &'static str {
    ""
}
