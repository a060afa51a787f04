// SPDX-License-Identifier: GPL-3.0-or-later
//! ZIP, with both ciphers: the old one, of which one byte says whether a password may fit and the checksum whether it does,
//! and AES, with two bytes after 1,000 rounds and a keyed checksum. Each member may have a password of its own.
//!
//! Of a ZIP in which nothing is sealed only the members are looked into that are containers themselves: the scanner opens the
//! rest.

use crate::{
    answer::{By, Why},
    passwords::spellings,
    request::Kind,
    stop::Stop,
    work::Work,
};
use std::io::{Cursor, Read as _};
use zip::{ZipArchive, result::ZipError};

/// What the format prescribes for AES.
const AES_ROUNDS: u64 = 1_000;

/// Bytes that say what a member is.
const BEGINNING: u64 = 1024;

/// How the header before a member begins.
const HEADER: &[u8] = b"PK\x03\x04";

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// What stands in a central directory of one member.
struct Entry {
    name: String,
    sealed: bool,
    /// The header before the member calls it sealed, the directory does not: whoever believes the header sees another file, or
    /// none.
    contradicts: bool,
    rounds: u64,
}

/// Opens what is sealed in it.
pub(crate) fn open(container: &[u8], work: &mut Work) -> Result<(), Stop> {
    let mut archive = read(container)?;
    let any = any_sealed(&archive, container);
    for index in 0..archive.len() {
        let Some(entry) = Entry::of(&mut archive, container, index)? else { continue };
        if entry.sealed {
            open_sealed(&mut archive, index, &entry, work)?;
            continue;
        }
        if entry.contradicts {
            work.found.sealed();
        }
        if any || is_container(&mut archive, index) {
            let Some(bytes) = read_plain(&mut archive, index, work)? else { continue };
            if any { work.member(&entry.name, bytes)? } else { work.look_into(bytes) }
        }
    }
    Ok(())
}

/// Whether a member is sealed, or is a container in which something may be.
pub(crate) fn may_ask(bytes: &[u8]) -> bool {
    match read(bytes) {
        Ok(mut archive) => {
            any_sealed(&archive, bytes) || (0..archive.len()).any(|index| is_container(&mut archive, index))
        }
        // Of one without a directory the first member's header says it.
        Err(_) => flags_say_sealed(bytes),
    }
}

fn read(container: &[u8]) -> Result<Archive<'_>, Stop> {
    ZipArchive::new(Cursor::new(container)).map_err(|_| Stop::Damaged)
}

fn any_sealed(archive: &Archive<'_>, container: &[u8]) -> bool {
    let mut entries = (0..archive.len()).filter_map(|index| archive.by_index_data(index).ok());
    entries.any(|entry| entry.encrypted() || is_called_sealed(container, entry.header_start()))
}

/// By the header before a member.
fn is_called_sealed(container: &[u8], start: u64) -> bool {
    let header = usize::try_from(start).ok().and_then(|start| container.get(start..));
    header.is_some_and(|header| header.starts_with(HEADER) && flags_say_sealed(header))
}

fn flags_say_sealed(header: &[u8]) -> bool {
    header.get(6).is_some_and(|flags| flags & 1 == 1)
}

fn is_container(archive: &mut Archive<'_>, index: usize) -> bool {
    let Ok(member) = archive.by_index(index) else { return false };
    let mut beginning = Vec::new();
    let read = member.take(BEGINNING).read_to_end(&mut beginning);
    read.is_ok() && Kind::of(&beginning).is_some()
}

fn read_plain(archive: &mut Archive<'_>, index: usize, work: &Work) -> Result<Option<Vec<u8>>, Stop> {
    match archive.by_index(index) {
        Ok(member) => work.budget.read(member),
        Err(_) => Ok(None),
    }
}

fn open_sealed(archive: &mut Archive<'_>, index: usize, entry: &Entry, work: &mut Work) -> Result<(), Stop> {
    let mut opened = None;
    let by = work.passwords.first_that(&work.budget, entry.rounds, |password| {
        for spelling in spellings(password) {
            opened = match archive.by_index_decrypt(index, &spelling) {
                Ok(member) => work.budget.read(member)?,
                Err(ZipError::InvalidPassword) => None,
                Err(error) => return Err(unreadable(&error)),
            };
            if opened.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    });
    match (by, opened) {
        (Ok(Some(by)), Some(bytes)) => opened_by(by, &entry.name, bytes, work),
        (Ok(_), _) => {
            work.found.sealed();
            Ok(())
        }
        // The next member may be readable.
        (Err(Stop::Unsupported(why)), _) => {
            work.found.unsupported(why);
            Ok(())
        }
        (Err(stop), _) => Err(stop),
    }
}

fn opened_by(by: By, name: &str, bytes: Vec<u8>, work: &mut Work) -> Result<(), Stop> {
    work.found.opened(by);
    work.member(name, bytes)
}

fn unreadable(error: &ZipError) -> Stop {
    match error {
        ZipError::CompressionMethodNotSupported(_) => Stop::Unsupported(Why::Compression),
        ZipError::UnsupportedArchive(_) => Stop::Unsupported(Why::Cipher),
        _ => Stop::Unsupported(Why::Damaged),
    }
}

impl Entry {
    /// None for a folder.
    fn of(archive: &mut Archive<'_>, container: &[u8], index: usize) -> Result<Option<Self>, Stop> {
        let entry = archive.by_index_data(index).map_err(|_| Stop::Damaged)?;
        if entry.is_dir() {
            return Ok(None);
        }
        let name = entry.name().map(|name| name.into_owned());
        let name = name.unwrap_or_else(|_| String::from_utf8_lossy(entry.name_raw()).into_owned());
        let sealed = entry.encrypted();
        let contradicts = !sealed && is_called_sealed(container, entry.header_start());
        let aes = matches!(archive.get_aes_verification_key_and_salt(index), Ok(Some(_)));
        Ok(Some(Self { name, sealed, contradicts, rounds: if aes { AES_ROUNDS } else { 0 } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answer::Container,
        budget::Budget,
        failure::Excess,
        format::fixture::{
            NOTE, PASSWORD, assert_both, data, files, opened, opened_within, zipped, zipped_with,
        },
    };
    use std::time::Duration;
    use zip::{AesMode, CompressionMethod, unstable::write::FileOptionsExt as _, write::SimpleFileOptions};

    fn old(password: &'static str) -> SimpleFileOptions {
        SimpleFileOptions::default().with_deprecated_encryption(password.as_bytes()).unwrap()
    }

    fn budget(bytes: u64, members: usize) -> Budget {
        Budget::new(bytes, members, 1 << 20, Duration::from_secs(60))
    }

    #[test]
    fn both_ciphers_open_and_every_compression() {
        for name in ["old-cipher.zip", "aes256.zip", "deflate64.zip", "lzma.zip"] {
            let container = data(name);
            let answer = opened(Kind::Zip, &container, &["Rechnung", PASSWORD]).unwrap();
            assert_eq!(answer.container, Container::Opened(vec![By::Candidate(1)]), "{name}");
            assert_both(&answer, name);
            let sealed = opened(Kind::Zip, &container, &["Rechnung"]).unwrap();
            assert_eq!((sealed.container, sealed.members.len()), (Container::Sealed, 0), "{name}");
        }
    }

    #[test]
    fn what_is_not_sealed_is_the_scanners() {
        let answer = opened(Kind::Zip, &zipped(&[("a", NOTE)]), &[]).unwrap();
        assert_eq!((answer.container, answer.members.len()), (Container::Unsealed, 0));
        assert_eq!(opened(Kind::Zip, b"PK\x03\x04 and no more", &[]), Err(Stop::Damaged));
    }

    #[test]
    fn what_only_the_header_of_a_member_calls_sealed_is_not_overlooked() {
        let mut container = zipped(&[("a", NOTE)]);
        container[6] |= 1;
        let answer = opened(Kind::Zip, &container, &[]).unwrap();
        assert_eq!((answer.container.clone(), files(&answer)), (Container::Sealed, vec![("a", NOTE)]));
    }

    #[test]
    fn each_member_has_its_own_password() {
        let plain = SimpleFileOptions::default();
        let aes = plain.with_aes_encryption(AesMode::Aes128, "Gr\u{fc}\u{df}e");
        let latin = plain.with_deprecated_encryption(b"Gr\xfc\xdfe").unwrap();
        let all = [("a", NOTE, old("infected")), ("b", NOTE, plain), ("c", NOTE, aes), ("d", NOTE, latin)];
        let answer = opened(Kind::Zip, &zipped_with(&all), &["Gr\u{fc}\u{df}e"]).unwrap();
        assert_eq!(answer.container, Container::Opened(vec![By::Always(1), By::Candidate(0)]));
        assert_eq!(files(&answer), ["a", "b", "c", "d"].map(|name| (name, NOTE)));
        let some =
            opened(Kind::Zip, &zipped_with(&[("a", NOTE, old("infected")), ("b", NOTE, old("?"))]), &[]);
        let some = some.unwrap();
        assert_eq!(some.container, Container::Sealed, "not even where another member opened");
        assert_eq!(files(&some), [("a", NOTE)]);
    }

    #[test]
    fn one_byte_is_not_taken_for_the_password() {
        // Of so many some have the byte by which the old cipher is checked; none has the checksum.
        let stored = old("what nobody tries").compression_method(CompressionMethod::Stored);
        let container = zipped_with(&[("a", NOTE, stored)]);
        for start in 0..20 {
            let candidates: Vec<String> = (0..64).map(|number| format!("{start} {number}")).collect();
            let candidates: Vec<&str> = candidates.iter().map(String::as_str).collect();
            assert_eq!(opened(Kind::Zip, &container, &candidates).unwrap().container, Container::Sealed);
        }
    }

    #[test]
    fn a_bomb_ends_with_what_was_read_before_it() {
        let zeros = vec![0; 1 << 20];
        let bomb = zipped_with(&[("a", NOTE, old("infected")), ("b", &zeros, old("infected"))]);
        assert!(bomb.len() < 4096);
        let cut = opened_within(budget(100_000, 9), Kind::Zip, &bomb, &[]).unwrap();
        assert_eq!((files(&cut), cut.cut_off), (vec![("a", NOTE)], Some(Excess::Bytes)));
        let alone = zipped_with(&[("b", &zeros, old("infected"))]);
        let failed = opened_within(budget(100_000, 9), Kind::Zip, &alone, &[]);
        assert_eq!(failed, Err(Stop::TooMuch(Excess::Bytes)));
        let nested = zipped(&[("inner.zip", &alone)]);
        let failed = opened_within(budget(100_000, 9), Kind::Zip, &nested, &[]);
        assert_eq!(failed, Err(Stop::TooMuch(Excess::Bytes)));
        let many = opened_within(budget(2 << 20, 1), Kind::Zip, &bomb, &[]).unwrap();
        assert_eq!((many.members.len(), many.cut_off), (1, Some(Excess::Members)));
    }
}
