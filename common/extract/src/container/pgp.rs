// SPDX-License-Identifier: GPL-3.0-or-later
//! OpenPGP messages (RFC 9580): packets one after the other. What is signed or compressed is there for everybody. What
//! starts with session keys for the recipients, or with encrypted data, is not.

use super::{Enclosed, MAX_FILES, MAX_LAYERS, Opened, cms};
use crate::decode::{Decoding, shown_name};
use bytes::{Buf, Bytes};
use flate2::read::{DeflateDecoder, ZlibDecoder};
use memchr::{memchr, memchr_iter, memmem};
use std::{ops::Range, sync::LazyLock};
use thundergate_common::verdict::SkipReason;

static ARMOUR: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b"-----BEGIN PGP MESSAGE-----"));

/// Opens `bytes` as far as they are such a message.
pub(super) fn open(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    let mut layers = vec![(bytes.clone(), 0)];
    while let Some((packets, depth)) = layers.pop() {
        let packed = open_layer(packets, limit, opened);
        opened.over_limit |= !packed.is_empty() && depth >= MAX_LAYERS || packed.len() >= MAX_FILES;
        if opened.over_limit {
            return;
        }
        layers.extend(packed.into_iter().rev().map(|packets| (packets, depth + 1)));
    }
}

/// Takes the files in `rest`; returns what the compressed packets in it hold.
fn open_layer(mut rest: Bytes, limit: u64, opened: &mut Opened) -> Vec<Bytes> {
    let (mut layers, mut keys) = (Vec::new(), false);
    while !opened.over_limit
        && layers.len() < MAX_FILES
        && let Some(packet) = Packet::at(&rest)
        && let Some(kind) = packet.kind(&rest)
    {
        match kind {
            Kind::Key => keys = true,
            Kind::Bare if !keys => break,
            Kind::Sealed | Kind::Bare => {
                opened.kind = "openpgp";
                opened.sealed = Some(SkipReason::Encrypted);
                break;
            }
            _ => (),
        }
        let body = packet.take(&mut rest);
        match kind {
            Kind::Compressed => layers.push(decompress(body, limit, opened)),
            Kind::Literal => literal(body, limit, opened),
            _ => (),
        }
    }
    layers
}

/// True where `start` may begin such a message.
pub(super) fn is_one(start: &[u8]) -> bool {
    let first = Packet::at(start).filter(|packet| packet.tag != PADDING);
    first.and_then(|packet| packet.kind(start)).is_some_and(|kind| kind != Kind::Bare)
}

/// Every one in ASCII armour, whatever text stands around.
pub(super) fn open_armoured(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    let mut rest = &bytes[..];
    while let Some(start) = ARMOUR.find(rest).filter(|_| !opened.over_limit) {
        rest = &rest[start + ARMOUR.needle().len()..];
        let next = memmem::find(rest, b"-----BEGIN").unwrap_or(rest.len());
        let mut decoded = Vec::new();
        Decoding::Base64.decode_into(data(&rest[..next]), u64::MAX, &mut decoded);
        opened.held_bytes += decoded.len();
        open(&decoded.into(), limit, opened);
        rest = &rest[next..];
    }
}

/// What stands between the fields at the start of `armour` and its checksum. All of it may be quoted.
fn data(armour: &[u8]) -> &[u8] {
    let armour = &armour[..memmem::find(armour, b"-----END").unwrap_or(armour.len())];
    let is_blank = |start: &usize| {
        let line = &armour[*start..];
        let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
        !line.iter().any(u8::is_ascii_alphanumeric)
    };
    let start = memchr_iter(b'\n', armour).map(|end| end + 1).find(is_blank).unwrap_or(0);
    &armour[start..memmem::find(&armour[start..], b"\n=").map_or(armour.len(), |length| start + length)]
}

/// True where there is armour in `text`.
pub(super) fn is_armoured(text: &[u8]) -> bool {
    ARMOUR.find(text).is_some()
}

/// What the packet with `packed` holds after the number of an algorithm.
fn decompress(mut packed: Bytes, limit: u64, opened: &mut Opened) -> Bytes {
    match packed.try_get_u8() {
        Ok(0) => packed,
        Ok(1) => opened.decompress(DeflateDecoder::new(&packed[..]), limit),
        Ok(2) => opened.decompress(ZlibDecoder::new(&packed[..]), limit),
        _ => {
            // Bzip2: the scanner can do that.
            file("application/x-bzip2", vec![], packed, limit, opened);
            Bytes::new()
        }
    }
}

/// Takes a file: its format, name and date come before it.
fn literal(mut packet: Bytes, limit: u64, opened: &mut Opened) {
    let length = packet.get(1).map_or(0, |&length| usize::from(length));
    packet.advance(packet.len().min(2));
    let name = shown_name(&packet.split_to(length.min(packet.len())));
    packet.advance(packet.len().min(4));
    if cms::starts_with_field(&packet) {
        let media_type = "message/rfc822".into();
        opened.push(
            Enclosed { media_type, content: packet.clone(), message: true, ..Enclosed::default() },
            limit,
        );
    }
    file(
        "application/octet-stream",
        if name.is_empty() { vec![] } else { vec![name] },
        packet,
        limit,
        opened,
    );
}

fn file(media_type: &str, names: Vec<String>, content: Bytes, limit: u64, opened: &mut Opened) {
    opened.kind = "openpgp";
    opened.push(Enclosed { names, media_type: media_type.into(), content, ..Enclosed::default() }, limit);
}

const MARKER: u8 = 10;
const PADDING: u8 = 21;

/// What a packet means for who wants to see the content.
#[derive(PartialEq, Eq)]
enum Kind {
    /// A session key, for a public key or a passphrase.
    Key,
    /// What says nothing: a signature, a marker, padding.
    Filler,
    /// Encrypted data of a kind that names its version.
    Sealed,
    /// Encrypted data without: they count only after a key.
    Bare,
    Compressed,
    Literal,
}

/// The packet at the start of some bytes.
struct Packet {
    tag: u8,
    /// Where its body stands; the first piece of it, if there are several.
    body: Range<usize>,
    pieces: bool,
}

impl Packet {
    fn at(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first().filter(|first| **first >= 0x80)?;
        if first & 0x40 > 0 {
            let (body, pieces) = new_length(bytes, 1)?;
            return Some(Self { tag: first & 0x3f, body, pieces });
        }
        let (start, length) = match first & 3 {
            3 => (1, usize::MAX >> 1),
            power => (1 + (1 << power), number(bytes.get(1..1 + (1 << power))?)),
        };
        Some(Self { tag: first >> 2 & 0x0f, body: start..start + length, pieces: false })
    }

    /// None where it does not belong to a message, or is of a version that nobody knows.
    fn kind(&self, bytes: &[u8]) -> Option<Kind> {
        Some(match (self.tag, *bytes.get(self.body.start)?) {
            (1, 2..=6) | (3, 4..=6) => Kind::Key,
            (2 | 4, 2..=6) | (MARKER, b'P') | (PADDING, _) => Kind::Filler,
            (18, 1 | 2) | (20, 1) => Kind::Sealed,
            (9, _) => Kind::Bare,
            (8, 0..=3) => Kind::Compressed,
            (11, b'b' | b't' | b'u' | b'm' | b'l' | b'1') => Kind::Literal,
            _ => return None,
        })
    }

    /// Its body, of which `rest` is rid afterwards.
    fn take(self, rest: &mut Bytes) -> Bytes {
        let length = rest.len();
        let slice = |range: &Range<usize>| range.start.min(length)..range.end.min(length);
        if !self.pieces {
            let body = rest.slice(slice(&self.body));
            rest.advance(slice(&self.body).end);
            return body;
        }
        let (mut joined, mut piece, mut more) = (Vec::new(), self.body, true);
        loop {
            joined.extend_from_slice(&rest[slice(&piece)]);
            let next = if more { new_length(rest, piece.end) } else { None };
            let Some((range, pieces)) = next else { break };
            (piece, more) = (range, pieces);
        }
        rest.advance(slice(&piece).end);
        joined.into()
    }
}

/// Where the body, or a piece of it, stands whose length is at `at`, and whether another follows.
fn new_length(bytes: &[u8], at: usize) -> Option<(Range<usize>, bool)> {
    let (start, length, pieces) = match *bytes.get(at)? {
        short @ ..192 => (at + 1, usize::from(short), false),
        192..224 => (at + 2, number(bytes.get(at..at + 2)?) - (192 << 8) + 192, false),
        255 => (at + 5, number(bytes.get(at + 1..at + 5)?), false),
        power => (at + 1, 1 << (power & 0x1f), true),
    };
    Some((start..start + length, pieces))
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |value, &byte| value << 8 | usize::from(byte))
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
        for name in ["stored", "compressed", "signed", "clear"] {
            assert_eq!(kind(&data(&format!("openpgp/{name}"))), ("openpgp", None), "{name}");
        }
    }

    #[test]
    fn armour_is_found_after_a_few_words() {
        // wwQECQMC0gMBYWI= is a passphrase and data.
        let armoured = b"-----BEGIN PGP MESSAGE-----\r\nComment: x\r\n\r\nwwQECQMC0gMBYWI=\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n";
        assert_eq!(kind(armoured), SEALED);
        assert_eq!(kind(&[b"Hello,\r\n\r\n", &armoured[..]].concat()), SEALED);
        assert_eq!(kind(b"-----BEGIN PGP MESSAGE-----\n\nwwQECQMC\n-----END"), ("", None), "a key alone");
    }

    #[test]
    fn every_armour_in_a_text_is_opened() {
        // A literal packet with `Cat` in it.
        let armour = "-----BEGIN PGP MESSAGE-----\nVersion: x\n \nywliAGRh\ndGVDYXQ=\n=abcd\n-----END PGP MESSAGE-----\n";
        let quoted = armour.replace('\n', "\n> ");
        let words = "some words\n".repeat(1000);
        let text = format!("{words}> {quoted}\n{}{armour}", armour.replace("=abcd\n", ""));
        let cat = ("".to_owned(), b"Cat".to_vec());
        assert_eq!(files(text, 100).0, [cat.clone(), cat.clone(), cat]);
        assert_eq!(files("-----BEGIN PGP MESSAGE-----".repeat(100_000), 100).0, []);
    }

    fn files(bytes: impl Into<Bytes>, limit: u64) -> (Vec<(String, Vec<u8>)>, bool) {
        let opened = super::super::open(&bytes.into(), limit);
        let file = |file: Enclosed| (file.names.join("|"), file.content.to_vec());
        (opened.files.into_iter().map(file).collect(), opened.over_limit)
    }

    #[test]
    fn what_is_signed_or_compressed_comes_out() {
        let zeros = vec![0; 3000];
        for (name, expected) in
            [("stored", &b"Cat"[..]), ("compressed", &zeros), ("signed", b"Cat"), ("clear", b"Cat")]
        {
            let file = if name == "compressed" { "cat.exe" } else { "" };
            let found = files(data(&format!("openpgp/{name}")), 1 << 20);
            assert_eq!(found, (vec![(file.to_owned(), expected.to_vec())], false), "{name}");
        }
        assert_eq!(files(data("openpgp/compressed"), 1000), (vec![], true));
    }

    #[test]
    fn a_body_in_pieces_is_one() {
        let pieces = b"\xcb\xe2b\x01xd\xe1at\x04eCat\xcb\x07b\0datey";
        let file = |name: &str, content: &[u8]| (name.to_owned(), content.to_vec());
        assert_eq!(files(&pieces[..], 100).0, [file("x", b"Cat"), file("", b"y")]);
        assert_eq!(files(&pieces[..12], 100).0, [file("x", b"C")], "cut");
    }

    #[test]
    fn what_comes_after_too_many_layers_is_not_forgotten() {
        let packets = [&b"\xc8\x01\x00".repeat(MAX_FILES)[..], b"\xcb\x09b\0dateCat"].concat();
        assert_eq!(files(packets, 100), (vec![], true));
    }

    #[test]
    fn layers_end_at_a_depth() {
        // Stored in itself: the length of each fits into one byte.
        let mut inner = b"\xcb\x09b\0dateCat".to_vec();
        for depth in 1..=9 {
            inner = [&[0xc8, u8::try_from(inner.len() + 1).unwrap(), 0][..], &inner].concat();
            assert_eq!(files(inner.clone(), 100).1, depth > MAX_LAYERS, "{depth}");
        }
    }
}
