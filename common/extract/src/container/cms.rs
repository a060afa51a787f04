// SPDX-License-Identifier: GPL-3.0-or-later
//! Cryptographic Message Syntax (RFC 5652, and PKCS #7 before it): `application/pkcs7-mime`.
//!
//! Signed, digested, authenticated and compressed content (RFC 3274) is there for everybody; enveloped and encrypted
//! content is not. A content that is again of these types is opened as well, since clients do so; where it is a MIME
//! entity, the walk over that finds the next layer.

use super::{
    Enclosed, MAX_FILES, MAX_LAYERS, Opened,
    ber::{EXPLICIT_0, Element, OBJECT_IDENTIFIER, SEQUENCE},
};
use crate::decode::Decoding;
use bytes::Bytes;
use flate2::read::ZlibDecoder;
use memchr::memchr;
use std::iter::successors;
use thundergate_common::verdict::SkipReason;

const ARMOUR: &[u8] = b"-----BEGIN ";

/// What a content type says of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// What the sender wrote.
    Data,
    /// A sequence with another content inside.
    Wrapped,
    /// The same, and that is compressed.
    Compressed,
    Sealed,
    Unknown,
}

impl Type {
    /// The type with the object identifier `oid`.
    fn of(oid: &[u8]) -> Self {
        const PKCS7: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07";
        const SMIME: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01";
        match oid.split_last() {
            Some((1, PKCS7)) => Self::Data,
            // Signed, digested, authenticated.
            Some((2 | 5, PKCS7)) | Some((2, SMIME)) => Self::Wrapped,
            Some((9, SMIME)) => Self::Compressed,
            // Enveloped, signed and enveloped, encrypted, authenticated and enveloped.
            Some((3 | 4 | 6, PKCS7)) | Some((23, SMIME)) => Self::Sealed,
            _ => Self::Unknown,
        }
    }
}

/// Opens `bytes` if they are a ContentInfo of a known type.
pub(super) fn open(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    let Some(info) = Element::at(bytes, 0..bytes.len()) else { return };
    let Some((kind, content)) = typed(bytes, &info).filter(|(kind, _)| *kind != Type::Unknown) else {
        return;
    };
    opened.kind = "cms";
    let mut layers = vec![(kind, content, 0)];
    while let Some((kind, content, depth)) = layers.pop().filter(|_| !opened.over_limit) {
        match kind {
            Type::Sealed => opened.sealed = Some(SkipReason::Encrypted),
            Type::Data => push(content, true, limit, opened),
            Type::Unknown => push(content, false, limit, opened),
            _ if depth >= MAX_LAYERS => opened.over_limit = true,
            _ => {
                let packed = kind == Type::Compressed;
                let inside = inside(&content);
                opened.over_limit |= inside.len() >= MAX_FILES;
                for (kind, content) in inside.into_iter().rev() {
                    let content = if packed {
                        opened.decompress(ZlibDecoder::new(&content[..]), limit)
                    } else {
                        content
                    };
                    layers.push((kind, content, depth + 1));
                }
            }
        }
    }
}

/// True where `start` begins a ContentInfo of a known type.
pub(super) fn is_one(start: &[u8]) -> bool {
    let info = Element::at(start, 0..start.len());
    let oid = info.and_then(|info| info.first(start)).filter(|oid| oid.tag == OBJECT_IDENTIFIER);
    oid.is_some_and(|oid| Type::of(&start[oid.content]) != Type::Unknown)
}

/// The same in PEM (RFC 7468).
pub(super) fn open_armoured(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    let Some(start) = memchr(b'\n', bytes).map(|end| end + 1) else { return };
    let end = memchr(b'-', &bytes[start..]).map_or(bytes.len(), |length| start + length);
    let mut decoded = Vec::new();
    Decoding::Base64.decode_into(&bytes[start..end], u64::MAX, &mut decoded);
    opened.held_bytes += decoded.len();
    open(&decoded.into(), limit, opened);
}

/// True where `start` begins such a thing in PEM.
pub(super) fn is_armoured(start: &[u8]) -> bool {
    let label = start.strip_prefix(ARMOUR);
    label.is_some_and(|label| [&b"PKCS7"[..], b"PKCS #7", b"CMS-"].iter().any(|kind| label.starts_with(kind)))
}

/// The content type in `info`, and the content.
fn typed(bytes: &Bytes, info: &Element) -> Option<(Type, Bytes)> {
    let oid = info.first(bytes).filter(|oid| info.tag == SEQUENCE && oid.tag == OBJECT_IDENTIFIER)?;
    let explicit = info.after(bytes, &oid).filter(|explicit| explicit.tag == EXPLICIT_0)?;
    let octets = explicit.first(bytes)?.octets(bytes);
    let content = octets.unwrap_or_else(|| bytes.slice(explicit.content));
    Some((Type::of(&bytes[oid.content]), content))
}

/// The contents that the sequence in `content` wraps. There should be one; whatever looks like it is taken, in reason.
fn inside(content: &Bytes) -> Vec<(Type, Bytes)> {
    let Some(sequence) = Element::at(content, 0..content.len()) else { return Vec::new() };
    let elements = successors(sequence.first(content), |last| sequence.after(content, last));
    elements.filter_map(|element| typed(content, &element)).take(MAX_FILES).collect()
}

/// Bytes of a content in which fields of MIME are looked for.
const HEADER: usize = 4 << 10;

/// True where a line at the start of `content` could be a field that says how to read it.
fn mentions_mime(content: &[u8]) -> bool {
    let start = &content[..content.len().min(HEADER)];
    let names =
        |line: &[u8], name: &[u8]| line.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
    let lines = start.split(|byte| matches!(byte, b'\r' | b'\n'));
    lines.map(<[u8]>::trim_ascii).any(|line| names(line, b"content-") || names(line, b"mime-version"))
}

/// Takes a content: a MIME entity, if the sender is a mail client; otherwise, or if it does not look like one, a file.
fn push(content: Bytes, message: bool, limit: u64, opened: &mut Opened) {
    let file = |message| Enclosed {
        media_type: if message { "message/rfc822" } else { "application/octet-stream" }.into(),
        content: content.clone(),
        message,
        ..Enclosed::default()
    };
    if message && !mentions_mime(&content) && !starts_with_field(&content) {
        // A signed file: an invoice, a document, a profile.
        opened.push(file(false), limit);
        return;
    }
    let entity = message && starts_with_field(&content);
    let _ = (!message || entity || opened.push(file(false), limit)) && opened.push(file(message), limit);
}

/// True where `content` looks like a header.
pub(super) fn starts_with_field(content: &[u8]) -> bool {
    let name = content.iter().take_while(|byte| matches!(byte, b'!'..=b'9' | b';'..=b'~')).count();
    name > 0 && content[name..].trim_ascii_start().starts_with(b":")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::data, *};

    /// What `openssl cms -sign -nodetach`, `-stream`, `openssl smime -sign`, `-digest_create`, `-data_create` made of it.
    const ENTITY: &str = "Content-Type: application/octet-stream; name=cat.exe\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nTVpDYXQ=\r\n";

    fn opened(bytes: impl Into<Bytes>) -> Opened {
        super::super::open(&bytes.into(), 1 << 20)
    }

    fn contents(opened: &Opened) -> Vec<(&[u8], bool)> {
        opened.files.iter().map(|file| (&file.content[..], file.message)).collect()
    }

    #[test]
    fn what_is_signed_or_compressed_comes_out() {
        for name in [
            "signed.der",
            "stream.ber",
            "signed.pem",
            "pkcs7.der",
            "digested.der",
            "data.der",
            "compressed.der",
            "compressed-signed.der",
        ] {
            let opened = opened(data(&format!("cms/{name}")));
            assert_eq!(contents(&opened), [(ENTITY.as_bytes(), true)], "{name}");
            assert_eq!((opened.kind, opened.sealed), ("cms", None), "{name}");
        }
    }

    #[test]
    fn what_is_encrypted_is_sealed() {
        for name in ["enveloped.der", "enveloped.ber", "authenveloped.der", "encrypted.der"] {
            let opened = opened(data(&format!("cms/{name}")));
            assert_eq!((contents(&opened), opened.sealed), (vec![], Some(SkipReason::Encrypted)), "{name}");
        }
    }

    #[test]
    fn without_content_there_is_nothing() {
        for name in ["detached.der", "certificates.der"] {
            let opened = opened(data(&format!("cms/{name}")));
            assert_eq!((contents(&opened), opened.sealed), (vec![], None), "{name}");
        }
    }

    #[test]
    fn what_is_cut_or_followed_by_something_is_taken_as_far_as_it_goes() {
        let signed = data("cms/stream.ber");
        let end = memchr::memmem::find(&signed, b"TVpD").unwrap();
        let cut = opened(signed.slice(..end));
        assert_eq!(contents(&cut), [(&ENTITY.as_bytes()[..ENTITY.len() - 10], true)]);
        let more = [&signed[..], b"\0\0more"].concat();
        assert_eq!(contents(&opened(more)), [(ENTITY.as_bytes(), true)]);
    }

    #[test]
    fn what_is_no_entity_is_a_file_too() {
        let mut signed = data("cms/signed.der").to_vec();
        let start = memchr::memmem::find(&signed, b"Content-Type").unwrap();
        signed[start..start + 4].copy_from_slice(b"%P D");
        let opened = opened(signed);
        let messages: Vec<bool> = opened.files.iter().map(|file| file.message).collect();
        assert_eq!(messages, [false, true]);
    }

    #[test]
    fn a_bomb_is_over_the_limit() {
        let opened = opened(data("cms/bomb.der"));
        assert!(opened.over_limit && opened.files.is_empty() && opened.held_bytes == 0);
    }

    #[test]
    fn hostile_nesting_costs_no_more_than_its_length() {
        let head = b"0\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80";
        for level in
            [&b"0\x80"[..], head, b"$\x80", b"\xa0\x80", b"0\x84\xff\xff\xff\xff", b"0\x04\x06\0\xa0\0"]
        {
            for start in [&b""[..], head, &[head, &b"0\x80"[..]].concat()] {
                let opened = opened([start, &level.repeat((1 << 20) / level.len())].concat());
                assert!(opened.files.len() < 2, "{}", opened.files.len());
            }
        }
    }

    /// Type 1 to 9 of PKCS #7 in a ContentInfo, or without its octet string.
    fn info(kind: u8, content: &[u8]) -> Vec<u8> {
        [b"0\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", &[kind][..], b"\xa0\x80", content, b"\0\0\0\0"]
            .concat()
    }

    #[test]
    fn what_comes_after_too_many_contents_is_not_forgotten() {
        let empty = b"0\x06\x06\0\xa0\x02\x04\0";
        for (count, over_limit) in [(2, false), (MAX_FILES, true)] {
            let content = [b"0\x80", &empty.repeat(count)[..], &info(1, b"\x04\x05A: b\n"), b"\0\0"].concat();
            let opened = opened(info(2, &content));
            assert_eq!(
                (opened.files.len(), opened.over_limit),
                (usize::from(!over_limit), over_limit),
                "{count}"
            );
        }
    }

    #[test]
    fn layers_are_opened_up_to_a_depth() {
        for (layers, found, over_limit) in [(0, 1, false), (7, 1, false), (9, 0, true)] {
            let mut inner = info(1, b"\x04\x05A: b\n");
            for _ in 0..layers {
                inner = info(2, &[b"0\x80", &inner[..], b"\0\0"].concat());
            }
            let opened = opened(inner);
            assert_eq!((opened.files.len(), opened.over_limit), (found, over_limit), "{layers}");
        }
    }
}
