// SPDX-License-Identifier: GPL-3.0-or-later
//! ZIP: a member's flags say that it is encrypted, before its bytes and again in the directory at the end. Programs look at
//! one or the other, so each counts. Where the directory is, is not asked: entries are found by what they begin with, which
//! finds those of an archive that is stored in this one, too.

use super::short;
use flate2::read::DeflateDecoder;
use memchr::memmem;
use std::io::Read;

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const ENTRY: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
/// The end of the directory, and the comment that may follow.
const TAIL: usize = 22 + 65_535;

const DEFLATED: usize = 8;
/// WinZip's AES stands where the method does.
const AES: usize = 99;

/// Inner archives that are looked into, and bytes that are inflated for it.
const INNER: usize = 8;
const INFLATED: u64 = 16 << 20;
/// Members that may be inner archives: a decoder each costs more than its bytes.
const TRIED: usize = 1000;

/// What a member's header says.
struct Member {
    flags: usize,
    method: usize,
    /// Where its bytes begin, if this is the header before them.
    data: Option<usize>,
}

impl Member {
    /// The local header at `at`.
    fn local(bytes: &[u8], at: usize) -> Option<Self> {
        let data = at + 30 + short(bytes, at + 26) + short(bytes, at + 28);
        let header = Self { flags: short(bytes, at + 6), method: short(bytes, at + 8), data: Some(data) };
        (data <= bytes.len()).then_some(header)
    }

    /// The entry of the directory at `at`.
    fn entry(bytes: &[u8], at: usize) -> Option<Self> {
        let end = at + 46 + short(bytes, at + 28) + short(bytes, at + 30) + short(bytes, at + 32);
        let entry = Self { flags: short(bytes, at + 8), method: short(bytes, at + 10), data: None };
        (end <= bytes.len()).then_some(entry)
    }

    fn is_sealed(&self) -> bool {
        self.flags & 1 == 1 || self.method == AES
    }
}

/// True where `bytes` are a ZIP with a member that is encrypted, or with such a ZIP inside.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    let is_zip = bytes.starts_with(LOCAL) || memmem::rfind(tail, END).is_some();
    is_zip && (holds_sealed(bytes) || inner_archives(bytes).iter().any(|inner| holds_sealed(inner)))
}

fn holds_sealed(bytes: &[u8]) -> bool {
    locals(bytes).chain(entries(bytes)).any(|member| member.is_sealed())
}

fn locals(bytes: &[u8]) -> impl Iterator<Item = Member> {
    memmem::find_iter(bytes, LOCAL).filter_map(|at| Member::local(bytes, at))
}

fn entries(bytes: &[u8]) -> impl Iterator<Item = Member> {
    memmem::find_iter(bytes, ENTRY).filter_map(|at| Member::entry(bytes, at))
}

/// The compressed members of `bytes` that are archives themselves, inflated.
fn inner_archives(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut left = INFLATED;
    for member in locals(bytes).filter(|member| member.method == DEFLATED).take(TRIED) {
        let Some(packed) = member.data.and_then(|at| bytes.get(at..)) else { continue };
        let mut start = [0; 4];
        if DeflateDecoder::new(packed).read_exact(&mut start).is_err() || start != *LOCAL {
            continue;
        }
        let mut inner = Vec::new();
        // What is there of it counts, damaged or not.
        let _ = DeflateDecoder::new(packed).take(left).read_to_end(&mut inner);
        left -= inner.len() as u64;
        found.push(inner);
        if left == 0 || found.len() == INNER {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, read::DeflateEncoder};

    /// An archive with one member of these flags.
    fn archive(flags: u8, method: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = LOCAL.to_vec();
        bytes.extend([20, 0, flags, 0, method, 0]);
        bytes.extend([0; 16]);
        bytes.extend([1, 0, 0, 0, b'a']);
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(ENTRY);
        bytes.extend([20, 0, 20, 0, flags, 0, method, 0]);
        bytes.extend([0; 16]);
        bytes.extend([1, 0]);
        bytes.extend([0; 16]);
        bytes.push(b'a');
        bytes.extend_from_slice(END);
        bytes.extend([0; 18]);
        bytes
    }

    #[test]
    fn a_member_that_is_encrypted_seals_the_archive() {
        assert!(!may_be(&archive(0, 0, b"x")) && !may_be(&archive(8, 8, b"x")));
        assert!(
            may_be(&archive(1, 0, b"x")) && may_be(&archive(9, 8, b"x")) && may_be(&archive(0, 99, b"x"))
        );
    }

    #[test]
    fn either_header_is_enough() {
        let (open, sealed) = (archive(0, 0, b"x"), archive(1, 0, b"x"));
        let directory = memmem::find(&open, ENTRY).unwrap();
        assert!(may_be(&[&open[..directory], &sealed[directory..]].concat()));
        assert!(may_be(&[&sealed[..directory], &open[directory..]].concat()));
        assert!(may_be(&sealed[..directory]), "cut off");
    }

    #[test]
    fn leading_bytes_and_other_archives_around_it_hide_nothing() {
        let sealed = archive(1, 0, b"x");
        assert!(may_be(&[&b"MZ any program"[..], &sealed].concat()));
        assert!(may_be(&archive(0, 0, &sealed)), "stored");
        let mut deflated = Vec::new();
        DeflateEncoder::new(&sealed[..], Compression::default()).read_to_end(&mut deflated).unwrap();
        assert!(may_be(&archive(0, 8, &deflated)), "deflated");
        assert!(!may_be(&sealed[4..directory_of(&sealed)]), "no archive");
    }

    fn directory_of(bytes: &[u8]) -> usize {
        memmem::find(bytes, ENTRY).unwrap()
    }
}
