// SPDX-License-Identifier: GPL-3.0-or-later
//! OpenPGP (RFC 9580) messages that only the recipient can read: they start with session keys for the recipients, or
//! with the encrypted data.

use super::Opened;
use crate::extract::decode::Decoding;
use bytes::Bytes;
use memchr::memmem;
use thundergate_common::verdict::SkipReason;

const ARMOUR: &[u8] = b"-----BEGIN PGP MESSAGE-----";
const MARKER: u8 = 10;
const PADDING: u8 = 21;
/// The bytes in which armour must begin: somebody may say hello before.
const NEAR: usize = 16 * 1024;
/// The armoured bytes that are looked at.
const FIRST: usize = 64 * 1024;

/// Sees whether `bytes` are such a message.
pub(super) fn open(bytes: &Bytes, opened: &mut Opened) {
    if sealed(bytes) == Some(true) {
        seal(opened);
    }
}

/// True where `start` may begin such a message.
pub(super) fn is_one(start: &[u8]) -> bool {
    let first =
        packet(start).and_then(|(tag, body)| Some((tag, part(tag, start[body.start..].first().copied())?)));
    matches!(first, Some((_, Part::Key | Part::Data) | (MARKER, _)))
}

/// The same in ASCII armour, with or without text before it.
pub(super) fn open_armoured(bytes: &Bytes, opened: &mut Opened) {
    let Some(text) = armoured(bytes) else { return };
    let text = &text[..text.len().min(FIRST)];
    let starts = [memmem::find(text, b"\n\n"), memmem::find(text, b"\n\r\n")];
    let start = starts.into_iter().flatten().min().unwrap_or(0);
    let end = memmem::find(&text[start..], b"\n-----").map_or(text.len(), |length| start + length);
    let mut decoded = Vec::new();
    Decoding::Base64.decode_into(&text[start..end], u64::MAX, &mut decoded);
    // Session keys alone count: there can be more of them than were looked at.
    if sealed(&decoded) != Some(false) {
        seal(opened);
    }
}

/// True where there is armour near the start of `text`.
pub(super) fn is_armoured(text: &[u8]) -> bool {
    armoured(text).is_some()
}

fn armoured(text: &[u8]) -> Option<&[u8]> {
    let at = memmem::find(&text[..text.len().min(NEAR)], ARMOUR)?;
    Some(&text[at + ARMOUR.len()..])
}

fn seal(opened: &mut Opened) {
    opened.kind = "openpgp";
    opened.sealed = Some(SkipReason::Encrypted);
}

/// True where encrypted data follow session keys, if any; none where there are session keys only.
fn sealed(bytes: &[u8]) -> Option<bool> {
    let (mut rest, mut keys) = (bytes, false);
    loop {
        let Some((tag, body)) = packet(rest) else { return if keys { None } else { Some(false) } };
        match part(tag, rest[body.start..].first().copied()) {
            Some(Part::Key) => keys = true,
            Some(Part::Filler) => (),
            Some(Part::Data) => return Some(true),
            Some(Part::BareData) => return Some(keys),
            None => return Some(false),
        }
        rest = &rest[body.end.min(rest.len())..];
    }
}

/// What belongs to an encrypted message.
enum Part {
    /// The session key, for a public key or a passphrase.
    Key,
    /// What says nothing: a marker, padding.
    Filler,
    /// Encrypted data of a kind that names its version.
    Data,
    /// Encrypted data without: they count only after a key.
    BareData,
}

fn part(tag: u8, version: Option<u8>) -> Option<Part> {
    match (tag, version) {
        (1, Some(2..=6)) | (3, Some(4..=6)) => Some(Part::Key),
        (MARKER, Some(b'P')) | (PADDING, _) => Some(Part::Filler),
        (18, Some(1 | 2)) | (20, Some(1)) => Some(Part::Data),
        (9, _) => Some(Part::BareData),
        _ => None,
    }
}

/// The type of the packet at the start of `bytes`, and where its body stands.
fn packet(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>)> {
    let (&first, length) = bytes.split_first().filter(|(first, _)| **first >= 0x80)?;
    let wide = |size: usize| {
        let bytes = length.get(..size)?;
        Some(bytes.iter().fold(0_usize, |value, &byte| value << 8 | usize::from(byte)))
    };
    let (start, size) = if first & 0x40 > 0 {
        match *length.first()? {
            short @ ..192 => (1, usize::from(short)),
            192..224 => (2, wide(2)? - (192 << 8) + 192),
            255 => (5, wide(5)? & 0xffff_ffff),
            // The first of several lengths: only data have them, which come last.
            _ => (1, usize::MAX >> 1),
        }
    } else {
        match first & 3 {
            3 => (0, usize::MAX >> 1),
            power => (1 << power, wide(1 << power)?),
        }
    };
    let tag = if first & 0x40 > 0 { first & 0x3f } else { first >> 2 & 0x0f };
    Some((tag, 1 + start..(1 + start).saturating_add(size)))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::data, *};

    fn kind(bytes: &[u8]) -> (&'static str, Option<SkipReason>) {
        let opened = super::super::open(&Bytes::copy_from_slice(bytes), 1 << 20);
        (opened.kind, opened.sealed)
    }

    const SEALED: (&str, Option<SkipReason>) = ("openpgp", Some(SkipReason::Encrypted));

    #[test]
    fn what_starts_with_session_keys_and_encrypted_data_is_sealed() {
        let key = [&b"\x85\x01\x0c\x03"[..], &[7; 0x10b]].concat();
        let passphrase = b"\xc3\x04\x04\x09\x03\x02";
        let data = b"\xd2\x03\x01ab";
        assert_eq!(kind(&[&key[..], &key, data].concat()), SEALED);
        assert_eq!(kind(&[&passphrase[..], data].concat()), SEALED);
        assert_eq!(kind(data), SEALED);
        assert_eq!(kind(&[b"\xca\x03PGP\xd5\x02xx", &passphrase[..], data].concat()), SEALED);
        assert_eq!(kind(&[&passphrase[..], b"\xa7abc"].concat()), SEALED, "without a length");
        assert_eq!(kind(&key), ("", None));
        assert_eq!(kind(b"\xa3\x01\x78\x9c"), ("", None), "compressed");
        assert_eq!(kind(b"\xa4\x02ab"), ("", None), "a byte is too little to tell");
    }

    #[test]
    fn messages_of_gnupg_are_told_apart() {
        for name in ["passphrase", "armoured", "recipient"] {
            assert_eq!(kind(&data(&format!("openpgp/{name}"))), SEALED, "{name}");
        }
        assert_eq!(kind(&data("openpgp/stored")), ("", None));
    }

    #[test]
    fn armour_is_found_after_a_few_words() {
        // wwQECQMC0gMBYWI= is a passphrase and data.
        let armoured = b"-----BEGIN PGP MESSAGE-----\r\nComment: x\r\n\r\nwwQECQMC0gMBYWI=\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n";
        assert_eq!(kind(armoured), SEALED);
        assert_eq!(kind(&[b"Hello,\r\n\r\n", &armoured[..]].concat()), SEALED);
        let keys = b"-----BEGIN PGP MESSAGE-----\n\nwwQECQMC\n";
        assert_eq!(kind(keys), SEALED, "more of them than were looked at");
        assert_eq!(kind(b"-----BEGIN PGP MESSAGE-----\n\nowF4nA==\n-----END PGP MESSAGE-----\n"), ("", None));
    }
}
