// SPDX-License-Identifier: GPL-3.0-or-later
//! The members of a ZIP (APPNOTE.TXT 4.3.7) that are stored as they are: enough for a scanner that looks into archives.

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const HEADER_BYTES: usize = 30;
/// Where a local header says how a member is compressed, how long it is, and how long what stands before it is.
const METHOD: usize = 8;
const SIZE: usize = 18;
const NAME_LENGTH: usize = 26;
const EXTRA_LENGTH: usize = 28;
const STORED: u16 = 0;

/// The bytes of each stored member, up to the first thing that is no member.
pub(super) fn stored_members(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    while let Some((method, member, rest)) = first_member(bytes) {
        if method == STORED {
            members.push(member);
        }
        bytes = rest;
    }
    members
}

/// How it is compressed, its bytes, and what follows it.
fn first_member(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = bytes.get(..HEADER_BYTES).filter(|header| header.starts_with(LOCAL_HEADER))?;
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let size = u32::from_le_bytes([header[SIZE], header[SIZE + 1], header[SIZE + 2], header[SIZE + 3]]);
    let begin = HEADER_BYTES + usize::from(short(NAME_LENGTH)) + usize::from(short(EXTRA_LENGTH));
    let end = begin.checked_add(usize::try_from(size).ok()?)?;
    Some((short(METHOD), bytes.get(begin..end)?, &bytes[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(method: u8, bytes: &[u8]) -> Vec<u8> {
        let mut header = vec![0; HEADER_BYTES];
        header[..4].copy_from_slice(LOCAL_HEADER);
        header[METHOD] = method;
        header[SIZE..SIZE + 4].copy_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        (header[NAME_LENGTH], header[EXTRA_LENGTH]) = (5, 2);
        [&header, b"a.txt".as_slice(), b"xx", bytes].concat()
    }

    #[test]
    fn stored_members_are_found_up_to_the_first_that_is_cut_off() {
        let zip = [member(0, b"one"), member(8, b"deflated"), member(0, b""), member(0, b"two")].concat();
        assert_eq!(stored_members(&zip), [b"one".as_slice(), b"", b"two"]);
        assert_eq!(stored_members(&zip[..zip.len() - 1]), [b"one".as_slice(), b""]);
        assert_eq!(stored_members(b"PK\x03\x04"), [b""; 0]);
    }
}
