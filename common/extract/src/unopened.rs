// SPDX-License-Identifier: GPL-3.0-or-later
//! Archives and disk images that people's programs open, and neither this crate nor the scanner does: whatever is in them
//! is looked at as it stands there, packed. They are told by their signatures alone.
//!
//! The scanner opens ZIP, RAR, TAR, GZIP, 7z and CAB, and bzip2 around a TAR.

/// What is looked at of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Glimpse<'a> {
    /// Its first bytes.
    pub(crate) start: &'a [u8],
    /// The bytes from [`VOLUME`] on.
    pub(crate) volume: &'a [u8],
    /// Its last bytes.
    pub(crate) end: &'a [u8],
}

/// Where a volume of a disc describes itself.
pub(crate) const VOLUME: usize = 0x8000;
/// Bytes of that description.
pub(crate) const DESCRIPTION: usize = 6;
/// Bytes from its end on where an image describes itself.
pub(crate) const FOOTER: usize = 512;

/// Bytes of the shortest header of a member of a cpio archive.
const CPIO: usize = 76;

/// Signatures, where they stand, and the name of what has them.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"\xfd7zXZ\0", "xz"),
    (4, b"1AY&SY", "bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"LZIP\x01", "lzip"),
    (0, b"\x1f\x9d", "compress"),
    (7, b"**ACE**", "ace"),
    (20, b"\xdc\xa7\xc4\xfd", "zoo"),
    (0, b"ALZ\x01", "alz"),
    (0, b"EGGA\0", "egg"),
    (0, b"SIT!", "stuffit"),
    (0, b"StuffIt (c)", "stuffit"),
    (0, b"MSWIM\0\0\0", "wim"),
    (0, b"xar!\0", "xar"),
    (0, b"\xed\xab\xee\xdb", "rpm"),
    (0, b"!<arch>\n", "ar"),
    (0, b"hsqs", "squashfs"),
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"KDMV", "vmdk"),
    (0, b"QFI\xfb", "qcow2"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", "cd_image"),
    (512, b"EFI PART", "disk_image"),
];

/// The file systems that a disk without partitions names in its first sector.
const FILE_SYSTEMS: &[(usize, &[u8])] =
    &[(3, b"NTFS    "), (3, b"EXFAT   "), (54, b"FAT12   "), (54, b"FAT16   "), (82, b"FAT32   ")];

/// The name of the container that a file is which looks so; none where it is none, or one that is opened.
pub(crate) fn kind(glimpse: Glimpse<'_>) -> Option<&'static str> {
    let Glimpse { start, volume, end } = glimpse;
    // Of most, the first byte is another.
    let has = |(at, signature): (usize, &[u8])| {
        start.get(at) == signature.first() && start[at..].starts_with(signature)
    };
    let known = SIGNATURES.iter().find(|(at, signature, _)| has((*at, signature)));
    if let Some((.., name)) = known {
        return Some(name);
    }
    match volume {
        [_, b'C', b'D', b'0', b'0', b'1'] => return Some("iso"),
        [_, b'B', b'E', b'A', b'0', b'1'] => return Some("udf"),
        _ => (),
    }
    let footer = &end[end.len().saturating_sub(FOOTER)..];
    match start {
        _ if footer.starts_with(b"conectix") => Some("vhd"),
        _ if footer.starts_with(b"koly") => Some("dmg"),
        [b'`', 0xea, ..] if start.get(10) == Some(&2) => Some("arj"),
        [_, _, b'-', b'l', b'h' | b'z', _, b'-', ..] => Some("lzh"),
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'7', ..] if is_cpio(start) => Some("cpio"),
        _ if has((510, b"\x55\xaa")) && (has_partitions(start) || FILE_SYSTEMS.iter().any(|it| has(*it))) => {
            Some("disk_image")
        }
        _ => None,
    }
}

/// That of a file which is there as a whole.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    let volume = bytes.get(VOLUME..VOLUME + DESCRIPTION).unwrap_or_default();
    kind(Glimpse { start: bytes, volume, end: bytes })
}

/// True where a file called `name` holds a TAR if it is in bzip2, which the scanner opens.
pub(crate) fn is_named_tar(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".tar.bz2", ".tbz", ".tbz2", ".tb2"].iter().any(|end| name.ends_with(end))
}

/// True where `start` is nothing but digits, as the header of a member is.
fn is_cpio(start: &[u8]) -> bool {
    start.get(..CPIO).is_some_and(|header| header.iter().all(u8::is_ascii_hexdigit))
}

/// True where the first sector of a disk lists partitions: four entries of 16 bytes, of which one is in use.
fn has_partitions(start: &[u8]) -> bool {
    let Some(table) = start.get(446..510) else { return false };
    let entries = table.as_chunks::<16>().0;
    entries.iter().all(|entry| matches!(entry[0], 0 | 0x80))
        && entries.iter().any(|entry| entry[4] > 0 && entry[12..] != [0; 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `bytes` at `at`, in a file of `length`.
    fn file(length: usize, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0; length];
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    }

    #[test]
    fn images_and_archives_are_told_by_their_signatures() {
        for (at, signature, name) in SIGNATURES {
            assert_eq!(kind_of(&file(600, *at, signature)), Some(*name));
            assert_eq!(kind_of(&file(600, at + 1, signature)), None, "{name}");
        }
        for (expected, found) in [
            ("iso", file(0x9000, 0x8000, b"\x01CD001\x01")),
            ("udf", file(0x9000, 0x8000, b"\0BEA01\x01")),
            ("vhd", file(2048, 1536, b"conectix")),
            ("dmg", file(2048, 1536, b"koly")),
            ("arj", b"\x60\xea\x2b\0\x22\x0b\x01\x0b\x10\0\x02".to_vec()),
            ("cpio", b"070701".repeat(13)),
            ("lzh", b"\x20\x9e-lh5-".to_vec()),
            ("disk_image", [file(510, 54, b"FAT16   "), b"\x55\xaa".to_vec()].concat()),
            (
                "disk_image",
                [file(510, 446, b"\x80\0\0\0\x07\0\0\0\0\0\0\0\x01\0\0\0"), b"\x55\xaa".to_vec()].concat(),
            ),
        ] {
            assert_eq!(kind_of(&found), Some(expected));
        }
    }

    #[test]
    fn what_is_opened_and_what_is_no_container_has_no_name() {
        for other in [
            &b""[..],
            b"PK\x03\x04",
            b"Rar!\x1a\x07\0",
            b"7z\xbc\xaf\x27\x1c",
            b"\x1f\x8b\x08",
            b"MSCF",
            b"MZ\x90\0",
            b"%PDF-1.7",
            b"BZh is no signature",
            b"`\xea is one",
            b"070701 is the number of a customer, and no archive begins with a sentence such as this one.",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        ] {
            assert_eq!(kind_of(other), None, "{other:?}");
        }
        let empty_sector = [file(510, 0, b"\xeb"), b"\x55\xaa".to_vec()].concat();
        assert_eq!(kind_of(&empty_sector), None);
        assert!(is_named_tar("A.TAR.BZ2") && is_named_tar("a.tbz") && !is_named_tar("a.bz2"));
    }
}
