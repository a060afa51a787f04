// SPDX-License-Identifier: GPL-3.0-or-later
//! Which leaves are bodies, and which bodies are samples (`scan.bodies`).

use super::{Bodies, decode::uu_files, runs};
use memchr::memmem;

/// What a client does with a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Shows it as text.
    Plain,
    /// Renders it: HTML, and every other text that is not plain.
    Markup,
    /// Offers it as a file, or hands it to something else. Always a sample.
    File,
}

impl Class {
    /// The class of a leaf of type `media_type`; `file` where it has a name or is an attachment.
    pub fn of(media_type: &str, file: bool) -> Self {
        match media_type {
            _ if file => Self::File,
            "text/plain" | "text" | "" => Self::Plain,
            _ if media_type.starts_with("text/") => Self::Markup,
            _ => Self::File,
        }
    }

    /// True where a leaf of this class that decodes to `decoded` is a sample.
    pub fn is_sample(self, bodies: Bodies, decoded: &[u8]) -> bool {
        match (self, bodies) {
            (Self::File, _) | (_, Bodies::All) | (Self::Markup, Bodies::Html) => true,
            (_, Bodies::None) => false,
            (Self::Plain, Bodies::Html) => is_binary(decoded) || holds_encoded(decoded),
        }
    }
}

/// True where `bytes` hold what no text holds.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    // Besides white space, ISO-2022 uses SO, SI and ESC, and some print with BS.
    let control = |byte: &u8| *byte < b' ' && !matches!(byte, 8..=15 | 27);
    bytes.iter().any(control)
}

/// True where `text` holds an encoded file.
fn holds_encoded(text: &[u8]) -> bool {
    runs::longest(text).is_some()
        || !uu_files(text).is_empty()
        || memmem::find(text, b"=ybegin ").is_some()
        || memmem::find(text, b"converted with BinHex").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_a_sample_only_where_it_holds_more() {
        let sample = |text: &[u8]| Class::Plain.is_sample(Bodies::Html, text);
        assert!(!sample("Grüße\r\n\tan alle, \x1b$B".as_bytes()));
        assert!(sample(b"MZ\0\x01"));
        assert!(sample("QUJD".repeat(50).as_bytes()));
        assert!(sample(b"hi\nbegin 644 x\n#0V%T\n`\nend\n"));
        assert!(Class::Plain.is_sample(Bodies::All, b"hi"));
    }

    #[test]
    fn a_name_makes_a_file_of_any_type() {
        assert_eq!(Class::of("text/plain", true), Class::File);
        assert_eq!(Class::of("application/pdf", false), Class::File);
        assert_eq!(Class::of("text/calendar", false), Class::Markup);
        assert!(Class::File.is_sample(Bodies::None, b"x"));
    }
}
