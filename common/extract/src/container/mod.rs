// SPDX-License-Identifier: GPL-3.0-or-later
//! Containers that mail clients open beside MIME: TNEF (`winmail.dat`) and messages of Outlook, S/MIME that encloses what
//! it signs or compresses, OpenPGP likewise, AppleSingle, AppleDouble and MacBinary, calendars and address cards, mailboxes
//! and web archives. And what nobody but the recipient can open.
//!
//! [`is_one`] goes by the content, not by the declared type, and costs a few comparisons where it is nothing of these.
//! Archives are not among them: the scanner opens those. Damaged containers give what is there. Nothing recurses, work is
//! linear, and what comes out keeps to a limit.

mod apple;
mod ber;
pub(super) mod card;
mod cms;
mod mailbox;
mod mapi;
mod msg;
mod ole;
mod pgp;
mod rtf;
mod tnef;
pub(super) mod wide;

use crate::bytewise::is_binary;
use bytes::Bytes;
use std::io::Read;
use thundergate_common::verdict::SkipReason;

/// Layers of one form in itself from which it is more than anybody sends.
const MAX_LAYERS: usize = 8;
/// Files from which a container counts as one that is too large.
const MAX_FILES: usize = 1024;

/// What was in a container.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Its files, in order.
    pub(crate) files: Vec<Enclosed>,
    /// Why there is more that cannot be seen.
    pub(crate) sealed: Option<SkipReason>,
    /// True where there is more than the limit allows.
    pub(crate) over_limit: bool,
    /// The container, such as `tnef`; empty where it is none.
    pub(crate) kind: &'static str,
    /// Bytes of the files that are no slices of the container, but in memory beside it.
    pub(crate) held_bytes: usize,
    size: u64,
}

/// A file in a container.
#[derive(Debug, Default)]
pub(super) struct Enclosed {
    /// The names a client could show, the likeliest first.
    pub(crate) names: Vec<String>,
    /// Lower-case `type/subtype`.
    pub(crate) media_type: String,
    /// Its bytes: a slice of the container where they stand in it as they are.
    pub(crate) content: Bytes,
    /// True where it is an entity with a header of its own.
    pub(crate) message: bool,
    /// Which programs come to it.
    pub(crate) readers: Readers,
}

/// Which programs come to what is in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Readers {
    /// Those that show a mail.
    #[default]
    All,
    /// Those that open files.
    OfFiles,
    /// Word.
    OfDocuments,
}

impl Enclosed {
    /// With the names of the container that it came in, without what says that it is signed, where it has none of its own.
    pub(crate) fn named_after(mut self, container: &[String]) -> Self {
        if self.names.is_empty() {
            let of = |name: &String| {
                let (stem, extension) = name.rsplit_once('.')?;
                let signed = ["p7m", "p7s", "p7c", "p7z"];
                let signed = signed.iter().any(|known| extension.eq_ignore_ascii_case(known));
                Some(if signed && stem.contains('.') { stem.to_owned() } else { name.clone() })
            };
            self.names = container.iter().filter_map(of).collect();
        }
        self
    }
}

/// Bytes of a text in which there is nothing that no text holds.
const TEXT: usize = 64;

/// True where `start`, the first 128 bytes of a file or more, or all of it, may begin a container.
pub(super) fn is_one(start: &[u8]) -> bool {
    let binary = match start.first() {
        Some(b'\x78') => start.starts_with(tnef::SIGNATURE),
        Some(b'\x30') => cms::is_one(start),
        Some(0) => apple::is_one(start),
        Some(0xd0) if is_compound(start) => true,
        Some(0x80..) => pgp::is_one(start),
        _ => false,
    };
    binary || is_text_with_more(start)
}

/// The same of a text.
fn is_text_with_more(start: &[u8]) -> bool {
    !is_binary(&start[..start.len().min(TEXT)])
        && (card::is_one(start)
            || cms::is_armoured(start)
            || pgp::is_armoured(start)
            || mailbox::is_one(start))
}

/// True where a compound file begins with `start`: a message of Outlook's, or a document.
pub(super) fn is_compound(start: &[u8]) -> bool {
    start.starts_with(ole::SIGNATURE)
}

/// True where `start` begins a mailbox, or a message behind its length.
pub(super) fn is_mailbox(start: &[u8]) -> bool {
    mailbox::is_mailbox(start)
}

/// True where OpenPGP's armour begins in `text`.
pub(super) fn is_armoured(text: &[u8]) -> bool {
    pgp::is_armoured(text)
}

/// Opens `bytes`, if they are a container, for at most `limit` bytes of files.
pub(super) fn open(bytes: &Bytes, limit: u64) -> Opened {
    let mut opened = Opened::default();
    match bytes.first() {
        _ if !is_one(bytes) => (),
        Some(b'\x78') if bytes.starts_with(tnef::SIGNATURE) => tnef::open(bytes, limit, &mut opened),
        Some(b'\x30') if cms::is_one(bytes) => cms::open(bytes, limit, &mut opened),
        Some(0) => apple::open(bytes, limit, &mut opened),
        Some(0xd0) if is_compound(bytes) => msg::open(bytes, limit, &mut opened),
        Some(0x80..) if pgp::is_one(bytes) => pgp::open(bytes, limit, &mut opened),
        _ => open_text(bytes, limit, &mut opened),
    }
    opened
}

fn open_text(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    if card::is_one(bytes) {
        card::open(bytes, limit, opened);
    } else if cms::is_armoured(bytes) {
        cms::open_armoured(bytes, limit, opened);
    } else {
        mailbox::open(bytes, limit, opened);
        pgp::open_armoured(bytes, limit, opened);
    }
}

/// Why the content of a part of type `media_type` cannot be seen, whatever it holds.
pub(super) fn unscannable(media_type: &str) -> Option<SkipReason> {
    match media_type {
        "message/external-body" => Some(SkipReason::ExternalBody),
        "message/partial" => Some(SkipReason::Partial),
        "application/pgp-encrypted" | "multipart/encrypted" => Some(SkipReason::Encrypted),
        _ => None,
    }
}

impl Opened {
    /// Takes `file`, unless it is empty. False where the limit allows no more.
    fn push(&mut self, file: Enclosed, limit: u64) -> bool {
        if file.content.is_empty() {
            return true;
        }
        self.size = self.size.saturating_add(file.content.len() as u64);
        if self.size > limit || self.files.len() >= MAX_FILES {
            self.over_limit = true;
            return false;
        }
        self.files.push(file);
        true
    }

    /// What `packed` decompresses to: what is there of it, and nothing where that is over the limit.
    fn decompress(&mut self, packed: impl Read, limit: u64) -> Bytes {
        let mut content = Vec::new();
        let left = limit.saturating_sub(self.held_bytes as u64);
        if !self.over_limit {
            // An error ends it; what came before counts.
            let _ = packed.take(left.saturating_add(1)).read_to_end(&mut content);
        }
        if content.len() as u64 > left {
            self.over_limit = true;
            content.clear();
        }
        self.held_bytes += content.len();
        content.into()
    }

    /// The bytes that the limit leaves.
    fn left(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    const LIMIT: u64 = 1 << 20;

    /// A file under tests/data.
    pub(super) fn data(name: &str) -> Bytes {
        fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap().into()
    }

    #[test]
    fn other_files_are_no_containers() {
        for other in [
            &b""[..],
            b"0",
            b"\0",
            b"\x80",
            b"x",
            b"PK\x03\x04",
            b"0\x82\x01\x010\x82",
            b"%PDF-1.7",
            b"-----BEGIN ",
        ] {
            let opened = open(&Bytes::copy_from_slice(other), LIMIT);
            assert!(
                opened.kind.is_empty() && opened.files.is_empty() && opened.sealed.is_none(),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_container_is_told_by_its_start() {
        let directory = format!("{}/tests/data", env!("CARGO_MANIFEST_DIR"));
        for folder in ["tnef", "cms", "apple", "openpgp", "outlook"] {
            for file in fs::read_dir(format!("{directory}/{folder}")).unwrap() {
                let path = file.unwrap().path();
                let bytes = Bytes::from(fs::read(&path).unwrap());
                let told = is_one(&bytes[..bytes.len().min(128)]);
                assert_eq!(told, !open(&bytes, LIMIT).kind.is_empty(), "{}", path.display());
            }
        }
    }

    #[test]
    fn some_types_cannot_be_scanned_whatever_they_hold() {
        assert_eq!(unscannable("message/external-body"), Some(SkipReason::ExternalBody));
        assert_eq!(unscannable("message/partial"), Some(SkipReason::Partial));
        assert_eq!(unscannable("application/pgp-encrypted"), Some(SkipReason::Encrypted));
        assert_eq!(unscannable("message/rfc822"), None);
    }

    proptest! {
        #[test]
        fn no_container_panics_or_exceeds_the_limit(
            which: prop::sample::Index,
            at: prop::sample::Index,
            cut in 0..16_usize,
            bytes in prop::collection::vec(any::<u8>(), 0..16),
            limit in 0..4000_u64,
        ) {
            let names = [
                "tnef/winmail.dat",
                "cms/signed.der",
                "cms/stream.ber",
                "cms/compressed-signed.der",
                "apple/single",
                "apple/macbinary",
                "openpgp/signed",
                "openpgp/armoured",
                "outlook/mail.msg",
            ];
            let mut container = data(which.get::<&str>(&names)).to_vec();
            let at = at.index(container.len());
            container.splice(at..container.len().min(at + cut), bytes);
            let opened = open(&container.into(), limit);
            let size: u64 = opened.files.iter().map(|file| file.content.len() as u64).sum();
            prop_assert!(size <= limit);
        }

        #[test]
        fn no_bytes_panic(head in 0..12_usize, mut bytes: Vec<u8>) {
            let heads: [&[u8]; 12] =
                [b"BEGIN:VCARD\nPHOTO;BASE64:", b"From a\nA: b\n\nFrom ", b"9\nA: b\n\n", b"%PDF-\nMIME-Version: 1\n\n\n--", ole::SIGNATURE, b"", tnef::SIGNATURE, b"0\x80\x06\x09", b"\0\x05\x16\x07", b"\xc1", b"-----BEGIN PKCS7-----\n", b"\0\x01"];
            bytes.splice(..0, heads[head].iter().copied());
            let opened = open(&bytes.into(), LIMIT);
            prop_assert!(!opened.over_limit);
        }
    }
}
