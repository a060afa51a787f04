// SPDX-License-Identifier: GPL-3.0-or-later
//! A ZIP of a given size (PKWARE's APPNOTE.TXT, 4.3): two files that are stored as they are, something and behind it the
//! EICAR test file. So much of the format is less than a library for it would bring along.

use super::eicar::eicar;
use bytes::Bytes;

/// So many bytes at the beginning are others each time, so that no cache answers.
const FRESH: usize = 32;
/// The version that a reader needs: 1.0, whose files are only stored.
const VERSION: u16 = 10;
/// 1980-01-01, the first day that the format knows.
const DAY: u16 = 0x21;

/// A ZIP of exactly `size` bytes, or as small as it can be.
pub(super) fn archive(size: u64) -> Bytes {
    let least = zip(&[]).len() as u64;
    let mut filler = vec![0; usize::try_from(size.saturating_sub(least)).unwrap_or(0)];
    let fresh = filler.len().min(FRESH);
    fastrand::fill(&mut filler[..fresh]);
    zip(&filler).into()
}

fn zip(filler: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(filler.len() + 512);
    let (mut directory, mut files) = (Vec::new(), 0_u16);
    for (name, content) in [("filler.bin", filler), ("eicar.com", &eicar())] {
        let place = field(bytes.len());
        let facts = facts(name, content);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&facts);
        bytes.extend(name.as_bytes());
        bytes.extend(content);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&facts);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(place);
        directory.extend(name.as_bytes());
        files += 1;
    }
    let (place, length) = (field(bytes.len()), field(directory.len()));
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(files.to_le_bytes());
    bytes.extend(files.to_le_bytes());
    bytes.extend(length);
    bytes.extend(place);
    // No comment.
    bytes.extend([0; 2]);
    bytes
}

/// What stands of a file before its bytes and again in the directory.
fn facts(name: &str, content: &[u8]) -> Vec<u8> {
    let mut facts = Vec::with_capacity(26);
    facts.extend(VERSION.to_le_bytes());
    // No flags, stored, midnight.
    facts.extend([0; 6]);
    facts.extend(DAY.to_le_bytes());
    facts.extend(crc32fast::hash(content).to_le_bytes());
    facts.extend(field(content.len()));
    facts.extend(field(content.len()));
    facts.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    // Nothing extra.
    facts.extend([0; 2]);
    facts
}

/// A size or a place; no file of ours comes near the largest that fits.
fn field(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    #[test]
    fn it_has_the_size_that_was_asked_for_and_eicar_is_its_last_file() {
        for size in [4096, 1 << 20, 30 << 20] {
            let bytes = archive(size);
            assert_eq!(bytes.len() as u64, size);
            assert_ne!(bytes, archive(size), "no cache knows it");
            // As a reader does it: from the end to the directory, from there to the file.
            let end = bytes.len() - 22;
            assert!(bytes[end..].starts_with(b"PK\x05\x06"));
            let (mut at, length) = (number(&bytes, end + 16), number(&bytes, end + 12));
            assert_eq!(at + length, end);
            let mut files = Vec::new();
            while at < end {
                assert!(bytes[at..].starts_with(b"PK\x01\x02"));
                let (crc, size) = (number(&bytes, at + 16), number(&bytes, at + 24));
                let name = usize::from(bytes[at + 28]);
                let head = number(&bytes, at + 42);
                assert!(bytes[head..].starts_with(b"PK\x03\x04"));
                let begin = head + 30 + name;
                let content = &bytes[begin..begin + size];
                assert_eq!(crc32fast::hash(content) as usize, crc);
                files.push(content);
                at += 46 + name;
            }
            assert_eq!((files.len(), files[1]), (2, &eicar()[..]));
        }
    }
}
