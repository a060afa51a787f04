// SPDX-License-Identifier: GPL-3.0-or-later
//! Files of a Macintosh in one: AppleSingle and AppleDouble (RFC 1740), which name their parts by number, and MacBinary,
//! which has a header of 128 bytes, then the data fork and the resource fork, each filled up to 128.

use super::{Enclosed, Opened};
use crate::decode::shown_name;
use bytes::Bytes;

const SINGLE: &[u8] = b"\0\x05\x16\0";
const DOUBLE: &[u8] = b"\0\x05\x16\x07";
const DATA_FORK: u32 = 1;
const RESOURCE_FORK: u32 = 2;
const REAL_NAME: u32 = 3;
/// The unit of MacBinary.
const BLOCK: usize = 128;

/// True where `start` may begin one of these.
pub(super) fn is_one(start: &[u8]) -> bool {
    start.starts_with(SINGLE) || start.starts_with(DOUBLE) || mac_binary(start).is_some()
}

/// Opens `bytes` if they are one of these.
pub(super) fn open(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    if bytes.starts_with(SINGLE) || bytes.starts_with(DOUBLE) {
        opened.kind = "apple_file";
        open_entries(bytes, limit, opened);
    } else if let Some((data, resource)) = mac_binary(bytes).filter(|forks| fits(bytes.len(), *forks)) {
        opened.kind = "mac_binary";
        let names = vec![shown_name(&bytes[2..2 + usize::from(bytes[1])])];
        let start = BLOCK + data.next_multiple_of(BLOCK);
        for (start, length) in [(BLOCK, data), (start, resource)] {
            let content = slice(bytes, start, length);
            if !opened.push(file(names.clone(), content), limit) {
                return;
            }
        }
    }
}

fn open_entries(bytes: &Bytes, limit: u64, opened: &mut Opened) {
    // Magic, version, filler.
    let count = bytes.get(24..26).map_or(0, |count| u16::from_be_bytes([count[0], count[1]]));
    let entry =
        |at: usize| Some((word(bytes, at)?, word(bytes, at + 4)? as usize, word(bytes, at + 8)? as usize));
    let entries: Vec<_> = (0..usize::from(count)).map_while(|index| entry(26 + index * 12)).collect();
    let named = entries.iter().filter(|(id, ..)| *id == REAL_NAME);
    let names: Vec<String> =
        named.take(1).map(|&(_, start, length)| shown_name(&slice(bytes, start, length))).collect();
    for (_, start, length) in entries.into_iter().filter(|(id, ..)| matches!(*id, DATA_FORK | RESOURCE_FORK))
    {
        if !opened.push(file(names.clone(), slice(bytes, start, length)), limit) {
            return;
        }
    }
}

/// The lengths of the forks, if `bytes` may be MacBinary: it has no signature, so all of its header must fit.
fn mac_binary(bytes: &[u8]) -> Option<(usize, usize)> {
    let header = bytes.get(..BLOCK)?;
    let name = header.get(2..2 + usize::from(header[1])).filter(|name| (1..64).contains(&name.len()))?;
    let (data, resource) = (word(header, 83)? as usize, word(header, 87)? as usize);
    let plausible =
        header[74] == 0 && header[82] == 0 && !name.iter().any(u8::is_ascii_control) && data + resource > 0;
    plausible.then_some((data, resource))
}

/// True where two forks of these lengths make a file of this one, more or less the last block.
fn fits(length: usize, (data, resource): (usize, usize)) -> bool {
    let least = BLOCK + data.next_multiple_of(BLOCK) + resource;
    (least..=least.next_multiple_of(BLOCK) + BLOCK).contains(&length)
}

fn file(names: Vec<String>, content: Bytes) -> Enclosed {
    Enclosed { names, media_type: "application/octet-stream".into(), content, ..Enclosed::default() }
}

/// What there is of `length` bytes from `start`.
fn slice(bytes: &Bytes, start: usize, length: usize) -> Bytes {
    let start = start.min(bytes.len());
    bytes.slice(start..start.saturating_add(length).min(bytes.len()))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::data, *};

    fn files(bytes: Bytes, kind: &str) -> Vec<(String, Bytes)> {
        let opened = super::super::open(&bytes, 1 << 20);
        assert_eq!(opened.kind, kind);
        opened.files.into_iter().map(|file| (file.names.join("|"), file.content)).collect()
    }

    #[test]
    fn forks_come_with_their_name() {
        let file = |content: &'static str| ("cat.exe".to_owned(), Bytes::from(content));
        let [data_fork, resource_fork] = ["MZ data fork", "resource fork"].map(file);
        assert_eq!(files(data("apple/single"), "apple_file"), [resource_fork.clone(), data_fork.clone()]);
        assert_eq!(files(data("apple/double"), "apple_file"), std::slice::from_ref(&resource_fork));
        assert_eq!(files(data("apple/macbinary"), "mac_binary"), [data_fork, resource_fork]);
    }

    #[test]
    fn what_does_not_fit_a_header_is_no_file_of_a_macintosh() {
        for (at, byte) in [(0, 1), (1, 64), (2, 7), (74, 1), (86, 200)] {
            let mut bytes = data("apple/macbinary").to_vec();
            bytes[at] = byte;
            assert_eq!(files(bytes.into(), ""), [], "{at}");
        }
        assert_eq!(files(vec![0; 1 << 16].into(), ""), []);
    }

    #[test]
    fn entries_that_share_their_bytes_keep_to_the_limit() {
        let mut bytes = [SINGLE, &[0; 20], &[0xff, 0xff]].concat();
        bytes.extend(b"\0\0\0\x01\0\0\0\0\0\x0f\0\0".repeat(0xffff));
        let opened = super::super::open(&bytes.into(), 10 << 20);
        assert!(opened.over_limit);
        assert_eq!(opened.files.len(), 13);
    }
}
