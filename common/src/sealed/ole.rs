// SPDX-License-Identifier: GPL-3.0-or-later
//! OLE compound files: a sealed document since 2007 is a stream of one; older ones have a flag or a record of their own.
//! Streams begin at sectors, so what one begins with is looked for there, and names of streams are looked for everywhere:
//! where the directory is damaged, office programs repair it.

use super::{Sealed, short};
use memchr::memmem;

/// The smallest sector.
const SECTOR: usize = 512;
/// Records of a workbook that come before the one for encryption.
const RECORDS: usize = 4;

/// What `bytes`, an OLE file, are, if they are sealed.
pub(super) fn kind(bytes: &[u8]) -> Option<Sealed> {
    if memmem::find(bytes, &utf16("EncryptedPackage")).is_some() {
        return Some(Sealed::Ooxml);
    }
    let powerpoint = memmem::find(bytes, &utf16("EncryptedSummary")).is_some();
    let mut sectors = bytes.chunks(SECTOR);
    (powerpoint || sectors.any(|sector| is_word(sector) || is_excel(sector))).then_some(Sealed::Office)
}

fn utf16(name: &str) -> Vec<u8> {
    name.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Word: the file information block, with `fEncrypted`.
fn is_word(sector: &[u8]) -> bool {
    short(sector, 0) == 0xa5ec && short(sector, 10) & 0x0100 > 0
}

/// Excel: behind the beginning of a file (BIFF 5 or 8) a record `FilePass`. A record is a type, a length, and data.
fn is_excel(sector: &[u8]) -> bool {
    const BEGINNING: usize = 0x0809;
    const FILE_PASS: usize = 0x002f;
    if short(sector, 0) != BEGINNING || !matches!(short(sector, 4), 0x0500 | 0x0600) {
        return false;
    }
    let mut at = 0;
    for _ in 0..RECORDS {
        at += 4 + short(sector, at + 2);
        if short(sector, at) == FILE_PASS {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An OLE file whose second sector begins so.
    fn file(sector: &[u8]) -> Vec<u8> {
        let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        bytes.resize(SECTOR, 0);
        bytes.extend_from_slice(sector);
        bytes.resize(3 * SECTOR, 0);
        bytes
    }

    #[test]
    fn new_documents_are_a_stream_and_old_ones_have_a_flag() {
        assert_eq!(kind(&file(&utf16("EncryptedPackage"))), Some(Sealed::Ooxml));
        assert_eq!(kind(&file(&utf16("EncryptedSummary"))), Some(Sealed::Office));
        assert_eq!(kind(&file(b"\xec\xa5\xc1\0\0\0\0\0\0\0\0\x01")), Some(Sealed::Office), "Word");
        let beginning = b"\x09\x08\x10\0\0\x06\x05\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(kind(&file(&[&beginning[..], b"\x2f\0\x06\0"].concat())), Some(Sealed::Office), "Excel");
        let protected = [&beginning[..], b"\x86\0\0\0\x2f\0\x06\0"].concat();
        assert_eq!(kind(&file(&protected)), Some(Sealed::Office), "behind the one for protection");
    }

    #[test]
    fn others_are_open() {
        for open in [
            &b""[..],
            b"\xec\xa5\xc1\0\0\0\0\0\0\0\0\0",
            b"\x09\x08\x10\0\0\x06\x05\0",
            &utf16("WordDocument"),
        ] {
            assert_eq!(kind(&file(open)), None, "{open:?}");
        }
    }
}
