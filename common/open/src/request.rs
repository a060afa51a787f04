// SPDX-License-Identifier: GPL-3.0-or-later
//! What the parent asks for.

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Candidates that are tried, at most; what is beyond is left.
pub const MOST_CANDIDATES: usize = 64;

/// Characters of a candidate: RAR knows no more, nor does anybody write more. A longer one is left.
const LONGEST_CANDIDATE: usize = 127;

/// Passwords that are tried after the candidates: none at all, what those who exchange malware agreed on, what Excel writes
/// by itself, and what people write who must.
pub const ALWAYS: [&str; 7] = ["", "infected", "VelvetSweatshop", "password", "1234", "12345", "123456"];

/// A container and what might open it.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: Kind,
    pub container: Bytes,
    /// The likeliest first. Its Debug shows none.
    pub candidates: Vec<SecretString>,
}

impl Request {
    /// What is tried, with its index.
    pub(crate) fn tried(&self) -> impl Iterator<Item = (usize, &SecretString)> {
        let candidates = self.candidates.iter().enumerate().take(MOST_CANDIDATES);
        candidates.filter(|(_, candidate)| candidate.expose_secret().chars().nth(LONGEST_CANDIDATE).is_none())
    }
}

/// What a container is, as its first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Zip,
    Rar4,
    Rar5,
    SevenZip,
    Pdf,
    /// An office document since 2007 that is sealed: an OLE file with the stream `EncryptedPackage`.
    Ooxml,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Zip, Self::Rar4, Self::Rar5, Self::SevenZip, Self::Pdf, Self::Ooxml];

    /// The word for it, in reports and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Rar4 => "rar4",
            Self::Rar5 => "rar5",
            Self::SevenZip => "7z",
            Self::Pdf => "pdf",
            Self::Ooxml => "ooxml",
        }
    }

    /// What these bytes begin like, a PDF not necessarily with its first: readers look for it so far. Not whether it is sealed.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        const BEGINNINGS: [(&[u8], Kind); 6] = [
            (b"PK\x03\x04", Kind::Zip),
            (b"Rar!\x1a\x07\x00", Kind::Rar4),
            (b"Rar!\x1a\x07\x01\x00", Kind::Rar5),
            (b"7z\xbc\xaf\x27\x1c", Kind::SevenZip),
            (b"%PDF-", Kind::Pdf),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Ooxml),
        ];
        const LATEST_PDF: usize = 1024;
        let first = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
        let later = memchr::memmem::find(&bytes[..bytes.len().min(LATEST_PDF)], b"%PDF-");
        first.map(|(_, kind)| *kind).or(later.map(|_| Self::Pdf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(candidates: Vec<SecretString>) -> Request {
        Request { kind: Kind::Zip, container: Bytes::new(), candidates }
    }

    #[test]
    fn no_more_than_so_many_are_tried_and_none_too_long() {
        let mut candidates: Vec<SecretString> = vec!["ä".repeat(127).into(), "ä".repeat(128).into()];
        candidates.extend((0..100).map(|number| SecretString::from(format!("candidate {number}"))));
        let tried: Vec<usize> = request(candidates).tried().map(|(index, _)| index).collect();
        assert_eq!(tried.len(), MOST_CANDIDATES - 1);
        assert_eq!(tried[..3], [0, 2, 3]);
    }

    #[test]
    fn nobody_sees_a_password_who_prints_a_request() {
        let shown = format!("{:?}", request(vec!["Rechnung4711".into()]));
        assert!(!shown.contains("4711"), "{shown}");
    }

    #[test]
    fn the_first_bytes_say_what_it_is() {
        assert_eq!(Kind::of(b"Rar!\x1a\x07\x01\x00"), Some(Kind::Rar5));
        assert_eq!(Kind::of(b"Rar!\x1a\x07\x00"), Some(Kind::Rar4));
        assert_eq!(Kind::of(b"\r\n%PDF-1.7"), Some(Kind::Pdf));
        assert_eq!(Kind::of(b"PK\x05\x06"), None);
    }
}
