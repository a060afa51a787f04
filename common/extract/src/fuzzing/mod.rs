// SPDX-License-Identifier: GPL-3.0-or-later
//! What the fuzz targets call (`tests/fuzz/`), and the unit tests with all that fuzzing brought to light.
//!
//! Each function takes any bytes at all, and panics where the extraction breaks a promise. Built for tests and for
//! fuzzing only.

mod fragments;
#[cfg(test)]
mod replay;

use super::{
    Bodies, Budget, Candidate, Extraction, Part, boundary,
    container::{self, wide::Charset},
    decode::{Decoding, base64, quoted_printable, text_files},
    header::Block,
    names::{self, most_dangerous_first},
    unopened,
    value::{Value, without_comments},
};
use bytes::Bytes;
use encodify::base64::MIME;
use std::collections::HashSet;
use thundergate_common::digest::Digest;

/// About the programs' defaults.
const GENEROUS: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 64 << 20 };
/// Exceeded by small messages already.
const TIGHT: Budget = Budget { parts: 20, depth: 3, readings: 10, decoded_bytes: 4096 };
/// What [`repeated`] makes of a few bytes; less in the unit tests, which are built without optimisation.
const LONG: usize = if cfg!(fuzzing) { 256 << 10 } else { 16 << 10 };
/// Readings of a message and names of a part: how often each of the budget's parts can count.
const TIMES: usize = 8 * 8;

/// A header block, and the same bytes as the value of one field.
pub fn header(data: &[u8]) {
    let value = Value::parse(data);
    for skip_junk in [false, true] {
        let block = Block::parse(data, skip_junk, |line| line.starts_with(b"--b"));
        assert!(block.body <= data.len());
        assert!(block.types.len() + block.dispositions.len() + block.encodings.len() <= block.fields);
        names::of_part(&block, &value).all.iter().for_each(|name| assert_name(name));
    }
    assert!(without_comments(data).len() <= data.len());
    assert!(boundary::named(data, &value).len() <= 8);
    let both = ["name", "filename"].map(|parameter| most_dangerous_first(names::names(&value, parameter)));
    assert!(both.iter().all(|names| names.len() <= 8));
    both.iter().flatten().for_each(|name| assert_name(name));
}

/// A message made of the fragments that the bytes name.
pub fn structure(data: &[u8]) {
    extract(&fragments::message(data));
}

/// A long message that repeats one piece: what costs more than its length shows as a time-out.
pub fn repeated(data: &[u8]) {
    let [head, unit, data @ ..] = data else { return };
    let (head, data) = data.split_at(data.len().min(usize::from(*head)));
    let (unit, tail) = data.split_at(data.len().min(usize::from(*unit)));
    let mut message = fragments::message(head);
    let unit = fragments::message(unit);
    message.extend(unit.iter().cycle().take(LONG.saturating_sub(message.len())));
    message.extend(fragments::message(tail));
    checked(&message.into(), Bodies::Html, &GENEROUS);
}

/// One decoder, which the first byte picks.
pub fn decoders(data: &[u8]) {
    let Some((pick, source)) = data.split_first() else { return };
    let all = every_decoding();
    let decoding = all[usize::from(*pick) % all.len()];
    let decoded = decoded(decoding, source);
    // LF becomes CRLF, the blanks of a line of uuencode may have been cut, BinHex and gzip compress.
    match decoding {
        Decoding::Uuencode | Decoding::UuencodeAll => assert!(decoded.len() <= 63 * source.len()),
        Decoding::BinHex | Decoding::BinHexResource | Decoding::Gzip64 => (),
        Decoding::QuotedPrintableAs(quoted_printable::Dialect::CrLf) => {
            assert!(decoded.len() <= 2 * source.len());
        }
        _ => assert!(decoded.len() <= source.len(), "{decoding:?} makes {} bytes", decoded.len()),
    }
    let mut within = Vec::new();
    decoding.decode_into(source, 100, &mut within);
    assert_eq!(within, decoded[..within.len().min(decoded.len())], "a limit changes nothing before it");
    assert!(within.len() <= 2 * source.len() + 1000, "{decoding:?} makes {} bytes", within.len());
    for (file, decodings) in text_files(source) {
        assert!(file.range.end <= source.len() && !decodings.is_empty());
        assert_name(&file.name);
    }
    round_trips(source);
}

fn every_decoding() -> Vec<Decoding> {
    use quoted_printable::Dialect::*;
    let mut all = vec![Decoding::Identity, Decoding::Base64, Decoding::QuotedPrintable];
    all.extend(base64::Dialect::ALL.map(Decoding::Base64As));
    let quoted = [Trimmed, Lf, CrLf, SignsDropped, EscapesDropped, EscapesOnly, Split, NoControls, NoBlanks];
    all.extend(quoted.map(Decoding::QuotedPrintableAs));
    all.extend([Decoding::Uuencode, Decoding::UuencodeAll, Decoding::Yenc]);
    all.extend([Decoding::BinHex, Decoding::BinHexResource, Decoding::Gzip64]);
    all
}

/// A container, within a limit that it hardly needs and one that few keep to.
pub fn containers(data: &[u8]) {
    let container = Bytes::copy_from_slice(data);
    for limit in [1 << 20, 100] {
        let opened = container::open(&container, limit);
        let again = container::open(&container, limit);
        assert_eq!(format!("{opened:?}"), format!("{again:?}"), "the same container gives the same");
        let size: u64 = opened.files.iter().map(|file| file.content.len() as u64).sum();
        assert!(size <= limit && opened.files.len() <= 1024);
        // Armour is decoded before anybody looks inside.
        assert!(opened.held_bytes as u64 <= limit + data.len() as u64, "{} held", opened.held_bytes);
        assert!(opened.files.iter().all(|file| !file.content.is_empty() && file.names.len() <= 64));
        assert!(container::is_one(data) || opened.kind.is_empty() && opened.files.is_empty());
    }
    unopened::kind_of(data);
    let charsets = [Charset::Utf16, Charset::Utf16Le, Charset::Utf16Be, Charset::Utf7];
    for charset in charsets.into_iter().chain(Charset::of(data)).chain(Charset::declared(data)) {
        let text = charset.to_utf8(data).unwrap_or_default();
        assert!(text.len() <= 2 * data.len() && std::str::from_utf8(&text).is_ok());
    }
}

/// A message, within the usual budget and beyond a small one.
pub fn extract(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    checked(&message, Bodies::Html, &GENEROUS);
    checked(&message, Bodies::All, &TIGHT);
}

/// The candidates for a password in a message, and in the same bytes as a text and as HTML.
pub fn passwords(data: &[u8]) {
    let headers = ["", "Subject: \n\n", "Content-Type: text/html\n\n"];
    for header in headers {
        let message = Bytes::from([header.as_bytes(), data].concat());
        let extraction = super::extract(&message, Bodies::Html, &TIGHT);
        let configured = ["infected".to_owned()];
        let found = super::passwords(&message, &extraction, &configured);
        let again = super::passwords(&message, &extraction, &configured);
        assert!(found == again, "the same message gives the same");
        assert!(found.len() <= 64 && found.iter().any(|candidate| candidate.as_str() == "infected"));
        assert!(found.iter().all(|candidate| (1..=128).contains(&candidate.as_str().len())));
        let texts: HashSet<_> = found.iter().map(Candidate::as_str).collect();
        assert_eq!(texts.len(), found.len(), "each once");
    }
}

/// What `message` holds, twice the same and as promised.
fn checked(message: &Bytes, bodies: Bodies, budget: &Budget) -> Extraction {
    let found = super::extract(message, bodies, budget);
    let (again, _) = super::explain(message, bodies, budget);
    assert_eq!(format!("{found:?}"), format!("{again:?}"), "the same message gives the same");
    for part in &found.parts {
        let bytes = part.content.bytes();
        assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (part.size, part.digest), "{part:?}");
        assert!(!bytes.is_empty());
        part.name.as_deref().into_iter().for_each(assert_name);
    }
    let keys: HashSet<_> = found.parts.iter().map(|part| (part.digest, &part.name)).collect();
    assert_eq!(keys.len(), found.parts.len(), "each digest and name once");
    let ambiguities: HashSet<_> = found.ambiguities.iter().collect();
    assert_eq!(ambiguities.len(), found.ambiguities.len(), "each ambiguity once");
    assert!(decoded_bytes(&found.parts) <= budget.decoded_bytes);
    // What a container was decoded to is held beside what came out of it.
    assert!(found.held_bytes as u64 <= 2 * budget.decoded_bytes, "{} held", found.held_bytes);
    assert!(found.parts.len() + found.skipped.len() <= budget.parts * TIMES);
    found
}

/// Decoded bytes, of each distinct sample.
fn decoded_bytes(parts: &[Part]) -> u64 {
    let mut known = HashSet::new();
    parts.iter().filter(|part| known.insert(part.digest)).map(|part| part.size).sum()
}

fn assert_name(name: &str) {
    assert!(name.chars().count() <= 255 && !name.contains(char::is_control), "{name:?}");
}

fn decoded(decoding: Decoding, source: &[u8]) -> Vec<u8> {
    let (mut out, mut again) = (Vec::new(), b"left over".to_vec());
    decoding.decode_into(source, u64::MAX, &mut out);
    decoding.decode_into(source, u64::MAX, &mut again);
    assert_eq!(out, again, "nothing of the buffer's former content stays");
    out
}

/// What an encoder makes of `bytes` decodes to them.
fn round_trips(bytes: &[u8]) {
    let encoded = MIME.encode(bytes);
    let escaped: String = bytes.iter().map(|byte| format!("={byte:02X}=\r\n")).collect();
    for decoding in every_decoding() {
        let source = match decoding {
            Decoding::Base64 | Decoding::Base64As(_) => encoded.as_bytes(),
            Decoding::QuotedPrintable | Decoding::QuotedPrintableAs(_) => escaped.as_bytes(),
            Decoding::Uuencode | Decoding::UuencodeAll => &fragments::uuencoded(bytes),
            _ => continue,
        };
        assert_eq!(decoded(decoding, source), bytes, "{decoding:?}");
    }
}
