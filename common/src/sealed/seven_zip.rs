// SPDX-License-Identifier: GPL-3.0-or-later
//! 7z: behind 32 bytes the packed streams, then the list of members, which names the coders of each. Mostly the list is
//! compressed itself, and then the outer list names the coders of that only.

use memchr::memmem;

/// The coder AES-256 with SHA-256 (7zAES).
const AES: &[u8] = b"\x06\xf1\x07\x01";
/// Signature, version, checksum, then where the list is, in 8 bytes each.
const OFFSET: usize = 12;
const SIZE: usize = 20;
const START: usize = 32;
/// What a list begins with that is packed as a stream of the archive is.
const ENCODED: u8 = 0x17;

/// True where `bytes`, which begin with the signature, may hold what is encrypted.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    let Some(list) = list(bytes) else {
        // Cut off or damaged: nobody knows.
        return bytes.len() > START;
    };
    list.first() == Some(&ENCODED) || memmem::find(list, AES).is_some()
}

fn list(bytes: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        let eight = bytes.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_le_bytes(*eight)).ok()
    };
    let start = START.checked_add(number(OFFSET)?)?;
    bytes.get(start..start.checked_add(number(SIZE)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(list: &[u8]) -> Vec<u8> {
        let mut bytes = b"7z\xbc\xaf\x27\x1c\0\x04\0\0\0\0".to_vec();
        bytes.extend(3_u64.to_le_bytes());
        bytes.extend((list.len() as u64).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(b"abc");
        bytes.extend(list);
        bytes
    }

    #[test]
    fn the_list_says_whether_anything_is_encrypted_unless_it_is_packed() {
        assert!(!may_be(&archive(b"\x01\x04\x06\0\x01\x09\0\x07\x0b\x01\0\x01\x21\x21\x01\x18\0")));
        assert!(may_be(&archive(b"\x01\x04\x06\0\x01\x09\0\x07\x0b\x01\0\x01\x24\x06\xf1\x07\x01\x01\0\0")));
        assert!(may_be(&archive(b"\x17\x06\0\x01\x09\0\x07")));
        assert!(!may_be(&archive(b"")), "an empty archive");
        let whole = archive(b"\x01\x04");
        assert!(may_be(&whole[..whole.len() - 1]) && !may_be(&whole[..20]));
    }
}
