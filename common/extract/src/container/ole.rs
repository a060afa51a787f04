// SPDX-License-Identifier: GPL-3.0-or-later
//! Compound files (MS-CFB): storages and streams, as folders and files are. A reader for files of strangers: what is
//! damaged gives what is there, no chain is longer than the file, no entry counts twice, and a stream that stands in one
//! piece is a slice of the file.

use bytes::Bytes;

pub(super) const SIGNATURE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const ENTRY: usize = 128;
const MINI_SHIFT: u32 = 6;
/// From here on, a number stands for no sector or no entry.
const NONE: u32 = 0xffff_fff0;
/// Where in the header the numbers of the first sectors that hold the table of sectors stand, and how many.
const DIFAT: usize = 76;
const DIFAT_IN_HEADER: usize = 109;

/// A compound file.
pub(super) struct Compound {
    bytes: Bytes,
    /// A sector has two to the power of it bytes.
    shift: u32,
    /// The sectors of the table that names each sector's next one.
    fat: Vec<u32>,
    /// The sectors of the same table for small sectors.
    mini_fat: Vec<u32>,
    /// The sectors that hold small ones.
    mini: Vec<u32>,
    /// Streams that are shorter stand in small sectors.
    cutoff: u64,
    entries: Vec<Entry>,
}

/// A storage or a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// In lower case.
    pub(super) name: String,
    pub(super) is_storage: bool,
    /// Entries beside it, and the first below it.
    links: [u32; 3],
    start: u32,
    /// Bytes of a stream, as it says.
    size: u64,
}

impl Compound {
    /// The storage that holds all others.
    pub(super) const ROOT: u32 = 0;

    /// The one that `bytes` are. None where there is not even a root.
    pub(super) fn open(bytes: &Bytes) -> Option<Self> {
        let shift = number(bytes, 30, 2)?;
        if !bytes.starts_with(SIGNATURE) || !(7..=12).contains(&shift) {
            return None;
        }
        let mut file = Self {
            bytes: bytes.clone(),
            shift,
            fat: Vec::new(),
            mini_fat: Vec::new(),
            mini: Vec::new(),
            cutoff: u64::from(number(bytes, 56, 4)?),
            entries: Vec::new(),
        };
        file.fat = file.sectors_of_the_table();
        file.mini_fat = file.chain(number(bytes, 60, 4)?);
        let directory = file.chain(number(bytes, 48, 4)?);
        let entries = directory.iter().flat_map(|&sector| {
            let sector = file.sector(sector);
            sector.as_chunks().0.iter().map(Entry::read)
        });
        file.entries = entries.collect();
        file.mini = file.chain(file.entries.first()?.start);
        Some(file)
    }

    /// What is in the storage `parent`, without what `seen` has, to which it is added.
    pub(super) fn children(&self, parent: u32, seen: &mut Vec<bool>) -> Vec<(u32, Entry)> {
        seen.resize(self.entries.len(), false);
        let (mut found, mut waiting) = (Vec::new(), Vec::new());
        waiting.extend(self.entries.get(parent as usize).map(|entry| entry.links[2]));
        while let Some(index) = waiting.pop() {
            let Some(entry) = self.entries.get(index as usize) else { continue };
            if index > 0 && !std::mem::replace(&mut seen[index as usize], true) {
                found.push((index, entry.clone()));
                waiting.extend(&entry.links[..2]);
            }
        }
        found.sort_by_key(|(index, _)| *index);
        found
    }

    /// What there is of a stream, but no more than `most` bytes, and whether it had to be put together from pieces.
    pub(super) fn stream(&self, entry: &Entry, most: u64) -> (Bytes, bool) {
        let small = entry.size < self.cutoff;
        let length = usize::try_from(entry.size.min(most)).unwrap_or(usize::MAX);
        let unit = if small { MINI_SHIFT } else { self.shift };
        let mut pieces = Pieces { file: self, small, next: entry.start, left: self.bytes.len() >> unit };
        let Some(mut range) = pieces.next() else { return (Bytes::new(), false) };
        let mut joined = Vec::new();
        while range.len() + joined.len() < length
            && let Some(piece) = pieces.next()
        {
            if piece.start != range.end {
                joined.extend_from_slice(&self.bytes[range.clone()]);
                range.start = piece.start;
            }
            range.end = piece.end;
        }
        if joined.is_empty() {
            let end = range.end.min(range.start.saturating_add(length));
            return (self.bytes.slice(range.start..end), false);
        }
        joined.extend_from_slice(&self.bytes[range]);
        joined.truncate(length);
        (joined.into(), true)
    }

    fn sectors_of_the_table(&self) -> Vec<u32> {
        let bytes = &self.bytes;
        let in_header = (0..DIFAT_IN_HEADER).map_while(|index| number(bytes, DIFAT + 4 * index, 4));
        let mut table: Vec<u32> = in_header.take_while(|&sector| sector < NONE).collect();
        // Each further list is a sector, and its last number says where the next list is.
        let most = bytes.len() >> self.shift;
        let mut next = number(bytes, 68, 4).unwrap_or(NONE);
        for _ in 0..most {
            let list = self.sector(next);
            let Some((numbers, last)) = list.as_chunks::<4>().0.split_last().map(|(last, rest)| (rest, last))
            else {
                break;
            };
            table.extend(
                numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)).take_while(|&sector| sector < NONE),
            );
            next = u32::from_le_bytes(*last);
        }
        table.truncate(most + 1);
        table
    }

    /// The sectors from `first` to the end of its chain.
    fn chain(&self, first: u32) -> Vec<u32> {
        let mut sectors = Vec::new();
        let mut next = first;
        while next < NONE && sectors.len() <= self.bytes.len() >> self.shift && !self.sector(next).is_empty()
        {
            sectors.push(next);
            next = self.after(&self.fat, next);
        }
        sectors
    }

    /// The sector that comes after `sector`, by the table that stands in the sectors `table`.
    fn after(&self, table: &[u32], sector: u32) -> u32 {
        let in_one = self.shift - 2;
        let Some(&holder) = table.get((sector >> in_one) as usize) else { return NONE };
        let at = 4 * (sector as usize & ((1 << in_one) - 1));
        number(self.sector(holder), at, 4).unwrap_or(NONE)
    }

    /// What there is of a sector.
    fn sector(&self, sector: u32) -> &[u8] {
        &self.bytes[self.place(u64::from(sector) + 1, self.shift)]
    }

    /// What there is of the `index`th unit of the file.
    fn place(&self, index: u64, shift: u32) -> std::ops::Range<usize> {
        let length = self.bytes.len();
        let start = usize::try_from(index << shift).unwrap_or(length).min(length);
        start..length.min(start + (1 << shift))
    }

    /// Where a small sector stands.
    fn small(&self, sector: u32) -> std::ops::Range<usize> {
        let in_one = self.shift - MINI_SHIFT;
        let Some(&holder) = self.mini.get((sector >> in_one) as usize) else { return 0..0 };
        let start = (u64::from(holder) + 1) << in_one;
        self.place(start + u64::from(sector) % (1 << in_one), MINI_SHIFT)
    }
}

impl Entry {
    fn read(bytes: &[u8; ENTRY]) -> Self {
        let length = usize::from(u16::from_le_bytes([bytes[64], bytes[65]])).clamp(2, 64) - 2;
        let units = bytes[..length].as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
        let name: String =
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        let link = |at| number(bytes, at, 4).unwrap_or(NONE);
        Self {
            name: name.to_lowercase(),
            is_storage: matches!(bytes[66], 1 | 5),
            links: [link(68), link(72), link(76)],
            start: link(116),
            size: u64::from(link(120)),
        }
    }
}

/// Where the sectors of a stream stand, one after the other.
struct Pieces<'a> {
    file: &'a Compound,
    small: bool,
    next: u32,
    /// So many more, however the chain goes on.
    left: usize,
}

impl Iterator for Pieces<'_> {
    type Item = std::ops::Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let (file, sector) = (self.file, self.next);
        self.left = self.left.checked_sub(1)?;
        if sector >= NONE {
            return None;
        }
        let range =
            if self.small { file.small(sector) } else { file.place(u64::from(sector) + 1, file.shift) };
        self.next = file.after(if self.small { &file.mini_fat } else { &file.fat }, sector);
        Some(range).filter(|range| !range.is_empty())
    }
}

/// The number in the `count` bytes of `bytes` from `at`, the lowest first.
fn number(bytes: &[u8], at: usize, count: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + count)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte)))
}
