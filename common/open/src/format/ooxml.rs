// SPDX-License-Identifier: GPL-3.0-or-later
//! Office documents since 2007 that are sealed: an OLE file with two streams, one that says how, and the package, a ZIP,
//! encrypted ([MS-OFFCRYPTO] 2.3.4). Both ways to do it have a verifier, so a password is checked before anything large is
//! decrypted; the rounds before it are the sender's choice in the newer way.
//!
//! `agile` and `standard` read the first stream; `aes` is what both need.

mod aes;
mod agile;
mod standard;

use crate::{answer::Why, failure::Excess, stop::Stop, work::Work};
use cfb::CompoundFile;
use std::io::{Cursor, Read as _};

/// The stream that says how.
const INFO: &str = "/EncryptionInfo";
/// The longest of it; office programs write about 1,000 bytes.
const LONGEST_INFO: u64 = 64 << 10;
/// The stream with the package.
const PACKAGE: &str = "/EncryptedPackage";
/// Before the package stands its size.
const SIZE: usize = 8;
/// How a package begins.
const ZIP: &[u8] = b"PK";

type Ole<'a> = CompoundFile<Cursor<&'a [u8]>>;

/// How a document is sealed.
enum Way {
    Agile(agile::Info),
    Standard(standard::Info),
}

/// Opens it.
pub(crate) fn open(container: &[u8], work: &mut Work) -> Result<(), Stop> {
    let mut ole = CompoundFile::open(Cursor::new(container)).map_err(|_| Stop::Damaged)?;
    if !ole.is_stream(PACKAGE) {
        return Ok(());
    }
    let way = Way::of(&stream(&mut ole, INFO, LONGEST_INFO)?)?;
    let mut key = None;
    let by = work.passwords.first_that(&work.budget, way.rounds(), |password| {
        key = way.key(password);
        Ok(key.is_some())
    })?;
    match (by, key) {
        (Some(by), Some(key)) => {
            work.found.opened(by);
            let package = stream(&mut ole, PACKAGE, work.budget.bytes() + SIZE as u64 + aes::BLOCK as u64)?;
            let package = way.package(&key, package)?;
            // Whatever it is: no office program opens it.
            if !package.starts_with(ZIP) {
                return Err(Stop::Unsupported(Why::Damaged));
            }
            work.member("", package)
        }
        _ => {
            work.found.sealed();
            Ok(())
        }
    }
}

/// Whether it has the stream with a package, by its name as the directory has it.
pub(crate) fn may_ask(bytes: &[u8]) -> bool {
    let name: Vec<u8> = PACKAGE[1..].encode_utf16().flat_map(u16::to_le_bytes).collect();
    memchr::memmem::find(bytes, &name).is_some()
}

fn stream(ole: &mut Ole<'_>, name: &str, most: u64) -> Result<Vec<u8>, Stop> {
    let stream = ole.open_stream(name).map_err(|_| Stop::Damaged)?;
    let mut bytes = Vec::new();
    stream.take(most + 1).read_to_end(&mut bytes).map_err(|_| Stop::Damaged)?;
    if bytes.len() as u64 > most { Err(Stop::TooMuch(Excess::Bytes)) } else { Ok(bytes) }
}

impl Way {
    /// The first two numbers are a version: 4.4 is agile, anything before it with 2 at its end is standard.
    fn of(info: &[u8]) -> Result<Self, Stop> {
        match info {
            [4, 0, 4, 0, _, _, _, _, xml @ ..] => agile::Info::of(xml).map(Self::Agile),
            [2..=4, 0, 2, 0, _, _, _, _, header @ ..] => standard::Info::of(header).map(Self::Standard),
            _ => Err(Stop::Unsupported(Why::Cipher)),
        }
    }

    fn rounds(&self) -> u64 {
        match self {
            Self::Agile(info) => info.rounds(),
            Self::Standard(_) => standard::ROUNDS,
        }
    }

    /// The key of the package. None where the password does not fit.
    fn key(&self, password: &str) -> Option<Vec<u8>> {
        let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
        match self {
            Self::Agile(info) => info.key(&password),
            Self::Standard(info) => info.key(&password),
        }
    }

    /// The package: its size, then whole blocks of it.
    fn package(&self, key: &[u8], mut stream: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let size = stream.first_chunk().map(|size| u64::from_le_bytes(*size)).ok_or(Stop::Damaged)?;
        let mut package = stream.split_off(SIZE.min(stream.len()));
        let whole = package.len() - package.len() % aes::BLOCK;
        package.truncate(whole);
        let decrypted = match self {
            Self::Agile(info) => info.decrypt(key, &mut package),
            Self::Standard(_) => aes::decrypt_each(key, &mut package),
        };
        decrypted.ok_or(Stop::Damaged)?;
        package.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answer::{By, Container},
        budget::Budget,
        format::fixture::{NOTE, PASSWORD, data, opened, opened_within},
        request::Kind,
    };
    use std::time::Duration;
    use zip::ZipArchive;

    #[test]
    fn both_ways_open() {
        for name in ["agile.docx", "standard.docx"] {
            let container = data(name);
            let answer = opened(Kind::Ooxml, &container, &["Rechnung", PASSWORD]).unwrap();
            assert_eq!(answer.container, Container::Opened(vec![By::Candidate(1)]), "{name}");
            let [package] = &answer.members[..] else { panic!("{name}: {answer:?}") };
            let mut document = Vec::new();
            let mut package = ZipArchive::new(Cursor::new(&package.bytes)).unwrap();
            package.by_name("word/document.xml").unwrap().read_to_end(&mut document).unwrap();
            assert_eq!(document, NOTE.repeat(140), "{name}");
            let sealed = opened(Kind::Ooxml, &container, &["Rechnung"]).unwrap();
            assert_eq!((sealed.container, sealed.members.len()), (Container::Sealed, 0), "{name}");
        }
    }

    #[test]
    fn what_excel_writes_by_itself_needs_no_candidate() {
        let answer = opened(Kind::Ooxml, &data("excel-by-itself.xlsx"), &[]).unwrap();
        assert_eq!(answer.container, Container::Opened(vec![By::Always(2)]));
    }

    #[test]
    fn the_rounds_are_known_before_they_are_run() {
        for (rounds, expected) in [(99_999, Err(Stop::TooMuch(Excess::Rounds))), (100_000, Ok(()))] {
            let budget = Budget::new(1 << 20, 9, rounds, Duration::from_secs(60));
            let ended = opened_within(budget, Kind::Ooxml, &data("agile.docx"), &[PASSWORD]);
            assert_eq!(ended.map(|_| ()), expected);
        }
    }

    #[test]
    fn what_is_too_large_or_no_such_file_ends() {
        let budget = Budget::new(1_000, 9, 1 << 20, Duration::from_secs(60));
        let refused = opened_within(budget, Kind::Ooxml, &data("agile.docx"), &[PASSWORD]);
        assert_eq!(refused, Err(Stop::TooMuch(Excess::Bytes)));
        assert_eq!(opened(Kind::Ooxml, &data("agile.docx")[..600], &[]), Err(Stop::Damaged));
    }
}
