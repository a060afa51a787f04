// SPDX-License-Identifier: GPL-3.0-or-later
//! RAR 4 and 5: blocks one after the other, each with its length. Headers that are encrypted say so in the first of them;
//! files, in their own.

use super::short;
use memchr::memmem;

const SIGNATURE: &[u8] = b"Rar!\x1a\x07";
/// Leading bytes: WinRAR looks for an archive so far behind a program that extracts it.
const LEADING: usize = 1 << 20;
/// Blocks that are looked at: an archive of mail has a few.
const BLOCKS: usize = 10_000;

/// True where `bytes` are an archive with a file, or all its headers, encrypted.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    let window = &bytes[..bytes.len().min(LEADING)];
    let leading = if window.starts_with(b"MZ") { memmem::find(window, SIGNATURE) } else { Some(0) };
    let archive = leading.and_then(|at| bytes[at..].strip_prefix(SIGNATURE));
    match archive {
        Some([0, blocks @ ..]) => is_sealed_4(blocks),
        Some([1, 0, blocks @ ..]) => is_sealed_5(blocks),
        _ => false,
    }
}

/// RAR 4: CRC (2 bytes), type, flags (2), length (2), and the length of the data behind where flag 0x8000 says so.
fn is_sealed_4(mut blocks: &[u8]) -> bool {
    const ARCHIVE: u8 = 0x73;
    const FILE: u8 = 0x74;
    for _ in 0..BLOCKS {
        let Some(kind) = blocks.get(2) else { return false };
        let (flags, length) = (short(blocks, 3), short(blocks, 5));
        match *kind {
            ARCHIVE if flags & 0x80 > 0 => return true,
            FILE if flags & 0x04 > 0 => return true,
            _ => (),
        }
        let data = if flags & 0x8000 > 0 { short(blocks, 7) | short(blocks, 9) << 16 } else { 0 };
        let Some(next) = blocks.get(length.saturating_add(data)..).filter(|_| length >= 7) else {
            return false;
        };
        blocks = next;
    }
    true
}

/// RAR 5: CRC (4 bytes), then numbers of variable length: the size of the rest, type, flags, the size of the extra area, the
/// size of the data.
fn is_sealed_5(mut blocks: &[u8]) -> bool {
    const FILE: u64 = 2;
    const ENCRYPTION: u64 = 4;
    for _ in 0..BLOCKS {
        let Some(rest) = blocks.get(4..) else { return false };
        let mut head = rest;
        let Some(size) = number(&mut head).and_then(|size| usize::try_from(size).ok()) else { return false };
        let Some(header) = head.get(..size) else { return false };
        let mut fields = header;
        let (Some(kind), Some(flags)) = (number(&mut fields), number(&mut fields)) else { return false };
        let extra = if flags & 1 > 0 { number(&mut fields).unwrap_or(0) } else { 0 };
        let data = if flags & 2 > 0 { number(&mut fields).unwrap_or(0) } else { 0 };
        if kind == ENCRYPTION || kind == FILE && has_encryption_record(header, extra) {
            return true;
        }
        let Some(next) = usize::try_from(data).ok().and_then(|data| head.get(size.checked_add(data)?..))
        else {
            return false;
        };
        blocks = next;
    }
    true
}

/// True where the last `extra` bytes of `header` hold a record of type 1; records are a size, a type, and data.
fn has_encryption_record(header: &[u8], extra: u64) -> bool {
    let start = usize::try_from(extra).ok().and_then(|extra| header.len().checked_sub(extra));
    let Some(mut records) = start.map(|start| &header[start..]) else { return false };
    while let Some(size) = number(&mut records).and_then(|size| usize::try_from(size).ok()) {
        // Some programs count the size among it.
        let (mut record, rest) = records.split_at(size.min(records.len()));
        if number(&mut record) == Some(1) {
            return true;
        }
        records = rest;
    }
    false
}

/// The number that `bytes` begin with, seven bits in each byte, the lowest first; what follows it is left.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..9 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rar4(blocks: &[(u8, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = b"Rar!\x1a\x07\0".to_vec();
        for (kind, flags, data) in blocks {
            let sized = if *flags & 0x8000 > 0 { 11 } else { 7 };
            bytes.extend([0, 0, *kind]);
            bytes.extend(flags.to_le_bytes());
            bytes.extend([sized, 0]);
            if sized == 11 {
                bytes.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            }
            bytes.extend_from_slice(data);
        }
        bytes
    }

    #[test]
    fn rar_4_says_it_of_all_headers_or_of_a_file() {
        assert!(!may_be(&rar4(&[(0x73, 0, b""), (0x74, 0x8000, b"abc"), (0x7b, 0, b"")])));
        assert!(may_be(&rar4(&[(0x73, 0x80, b"")])));
        assert!(may_be(&rar4(&[(0x73, 0, b""), (0x74, 0x8000, b"abc"), (0x74, 0x8004, b"abc")])));
        assert!(may_be(&[b"MZ a program", &rar4(&[(0x73, 0x80, b"")])[..]].concat()));
    }

    fn rar5(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"Rar!\x1a\x07\x01\0".to_vec();
        for block in blocks {
            bytes.extend([0; 4]);
            bytes.push(u8::try_from(block.len()).unwrap());
            bytes.extend_from_slice(block);
        }
        bytes
    }

    #[test]
    fn rar_5_has_a_header_or_a_record_for_it() {
        let (main, open) = (&b"\x01\0\0"[..], &b"\x02\0abc"[..]);
        assert!(!may_be(&rar5(&[main, open])));
        assert!(!may_be(&rar5(&[main, b"\x02\x01\x03\x02\x03\0"])), "another record");
        assert!(may_be(&rar5(&[b"\x04\0\0\0"])));
        assert!(may_be(&rar5(&[main, open, b"\x02\x01\x03\x02\x01\0"])));
        assert!(may_be(&rar5(&[b"\x02\x01\x03\x03\x01\0"])), "a size too large by one");
    }
}
