// SPDX-License-Identifier: GPL-3.0-or-later
//! 7z: AES after rounds of SHA-256 that the sender chooses, of the members or of the directory as well. Nothing but a checksum
//! says whether a password fits. A block, which may hold many members, has one password.

use crate::{answer::Why, budget::Budget, failure::Excess, stop::Stop, work::Work};
use sevenz_rust2::{Archive, Block, BlockDecoder, EncoderMethod, Error, Password};
use std::io::Cursor;

/// Dictionaries and directories, in KiB.
const MEMORY_KIB: usize = 128 << 10;

/// Of the coder that seals: 7zFormat.txt calls it 7zAES.
const AES: &[u8] = EncoderMethod::ID_AES256_SHA256;

/// In the first byte of its properties, the logarithm of the rounds; all ones is none at all.
const ROUNDS: u8 = 0x3f;

/// Bytes before the packed streams.
const SIGNATURE_HEADER: usize = 32;

type Source<'a> = Cursor<&'a [u8]>;

/// A file and its bytes.
type File = (String, Vec<u8>);

/// Opens what is sealed in it.
pub(crate) fn open(container: &[u8], work: &mut Work) -> Result<(), Stop> {
    let mut source = Cursor::new(container);
    let archive = read_directory(&mut source, container, work)?;
    let sealed: Vec<bool> = archive.blocks.iter().map(|block| rounds_of(block).is_some()).collect();
    if sealed.contains(&true) {
        for (index, sealed) in sealed.into_iter().enumerate() {
            let opened = if sealed {
                open_sealed(&archive, index, &mut source, work)
            } else {
                open_plain(&archive, index, &mut source, work)
            };
            match opened {
                Err(Stop::Unsupported(why)) => work.found.unsupported(why),
                opened => opened?,
            }
        }
    }
    Ok(())
}

/// The directory, which may be sealed itself.
fn read_directory(source: &mut Source<'_>, container: &[u8], work: &mut Work) -> Result<Archive, Stop> {
    match read_with(source, &Password::empty()) {
        Ok(archive) => return Ok(archive),
        Err(Error::PasswordRequired) => (),
        Err(error) => return Err(stop(&error)),
    }
    let rounds = rounds_of_directory(container);
    let mut opened = None;
    let by = work.passwords.first_that(&work.budget, rounds, |password| {
        opened = read_with(source, &Password::new(password)).ok();
        Ok(opened.is_some())
    })?;
    match (by, opened) {
        (Some(by), Some(archive)) => {
            work.found.opened(by);
            Ok(archive)
        }
        _ => {
            work.found.sealed();
            Ok(Archive::default())
        }
    }
}

fn read_with(source: &mut Source<'_>, password: &Password) -> Result<Archive, Error> {
    Archive::read_with_memory_limit(source, password, MEMORY_KIB)
}

fn open_plain(archive: &Archive, index: usize, source: &mut Source<'_>, work: &mut Work) -> Result<(), Stop> {
    let files = decode(archive, index, &Password::empty(), source, &work.budget)?;
    files.unwrap_or_default().into_iter().try_for_each(|(name, bytes)| work.member(&name, bytes))
}

fn open_sealed(
    archive: &Archive,
    index: usize,
    source: &mut Source<'_>,
    work: &mut Work,
) -> Result<(), Stop> {
    if !is_verifiable(archive, index) {
        return Err(Stop::Unsupported(Why::Unverifiable));
    }
    let rounds = rounds_of(&archive.blocks[index]).unwrap_or_default();
    let mut opened = None;
    let by = work.passwords.first_that(&work.budget, rounds, |password| {
        opened = decode(archive, index, &Password::new(password), source, &work.budget)?;
        Ok(opened.is_some())
    })?;
    match (by, opened) {
        (Some(by), Some(files)) => {
            work.found.opened(by);
            files.into_iter().try_for_each(|(name, bytes)| work.member(&name, bytes))
        }
        _ => {
            work.found.sealed();
            Ok(())
        }
    }
}

/// The files of a block. None where the password does not fit.
fn decode(
    archive: &Archive,
    index: usize,
    password: &Password,
    source: &mut Source<'_>,
    budget: &Budget,
) -> Result<Option<Vec<File>>, Stop> {
    let (mut files, mut bytes, mut ended) = (Vec::new(), 0, None);
    let block = BlockDecoder::new_with_memory_limit(1, MEMORY_KIB, index, archive, password, source);
    let decoded = block.for_each_entries(&mut |entry, reader| {
        if entry.is_directory() {
            return Ok(true);
        }
        match budget.read_beside(bytes, reader) {
            Ok(Some(read)) => {
                bytes += read.len() as u64;
                files.push((entry.name().to_owned(), read));
                return Ok(true);
            }
            Ok(None) => ended = Some(None),
            Err(stop) => ended = Some(Some(stop)),
        }
        Ok(false)
    });
    match (ended, decoded) {
        (Some(Some(stop)), _) => Err(stop),
        (Some(None), _) => Ok(None),
        (None, Ok(_)) => Ok(Some(files)),
        (None, Err(error)) => match stop(&error) {
            Stop::Damaged => Ok(None),
            stop => Err(stop),
        },
    }
}

/// Whether each file of a block has a checksum: without one any password seems to fit.
fn is_verifiable(archive: &Archive, index: usize) -> bool {
    let map = &archive.stream_map;
    let files = archive.files.iter().enumerate();
    archive.blocks[index].has_crc
        || files
            .filter(|(file, entry)| map.file_block_index[*file] == Some(index) && entry.has_stream)
            .all(|(_, entry)| entry.has_crc)
}

/// The rounds of a sealed block.
fn rounds_of(block: &Block) -> Option<u64> {
    let aes = block.coders.iter().filter(|coder| coder.encoder_method_id() == AES);
    aes.map(|coder| coder.properties().first().map_or(u64::MAX, |first| rounds(*first))).max()
}

fn rounds(properties: u8) -> u64 {
    let logarithm = properties & ROUNDS;
    if logarithm == ROUNDS { 0 } else { 1 << logarithm }
}

/// The rounds of a sealed directory, before anything is derived. Its description stands unsealed at the end of the file: the
/// coder's number, then the length of its properties, then these. More than one is looked at, and the dearest counts.
fn rounds_of_directory(container: &[u8]) -> u64 {
    let end = container
        .get(12..20)
        .map(|bytes| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    let start =
        end.and_then(|end| usize::try_from(end).ok()).and_then(|end| end.checked_add(SIGNATURE_HEADER));
    let description = start.and_then(|start| container.get(start..)).unwrap_or_default();
    let coders = description.windows(AES.len() + 2).filter(|window| window.starts_with(AES));
    coders.map(|window| rounds(window[AES.len() + 1])).max().unwrap_or(u64::MAX)
}

fn stop(error: &Error) -> Stop {
    match error {
        Error::UnsupportedCompressionMethod(_) => Stop::Unsupported(Why::Compression),
        Error::Unsupported(_) | Error::ExternalUnsupported | Error::UnsupportedVersion { .. } => {
            Stop::Unsupported(Why::Compression)
        }
        Error::MaxMemLimited { .. } => Stop::TooMuch(Excess::Memory),
        _ => Stop::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answer::{By, Container},
        format::fixture::{NOTE, PASSWORD, assert_both, data, files, opened, opened_within},
        request::Kind,
    };
    use sevenz_rust2::{ArchiveEntry, ArchiveWriter, encoder_options::AesEncoderOptions};
    use std::time::Duration;

    fn sealed(files: &[(&str, &[u8], &str)]) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
        for (name, bytes, password) in files {
            let aes = AesEncoderOptions::new(Password::new(password));
            writer.set_content_methods(vec![aes.into(), EncoderMethod::LZMA2.into()]);
            writer.set_encrypt_header(false);
            writer.push_archive_entry(ArchiveEntry::new_file(name), Some(*bytes)).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn files_and_directories_open() {
        for name in ["files.7z", "directory.7z"] {
            let container = data(name);
            let answer = opened(Kind::SevenZip, &container, &["Rechnung", PASSWORD]).unwrap();
            assert_eq!(answer.container, Container::Opened(vec![By::Candidate(1)]), "{name}");
            assert_both(&answer, name);
            let sealed = opened(Kind::SevenZip, &container, &["Rechnung"]).unwrap();
            assert_eq!((sealed.container, sealed.members.len()), (Container::Sealed, 0), "{name}");
        }
    }

    #[test]
    fn what_nobody_here_can_decompress_is_not_called_sealed() {
        let answer = opened(Kind::SevenZip, &data("ppmd.7z"), &[PASSWORD]).unwrap();
        assert_eq!(answer.container, Container::Unsupported(Why::Compression));
    }

    #[test]
    fn each_block_has_its_own_password() {
        let both = sealed(&[("a", NOTE, "infected"), ("b", NOTE, PASSWORD)]);
        let answer = opened(Kind::SevenZip, &both, &[PASSWORD]).unwrap();
        assert_eq!(answer.container, Container::Opened(vec![By::Always(1), By::Candidate(0)]));
        assert_eq!(files(&answer), [("a", NOTE), ("b", NOTE)]);
        let one = opened(Kind::SevenZip, &both, &[]).unwrap();
        assert_eq!((one.container.clone(), files(&one)), (Container::Sealed, vec![("a", NOTE)]));
    }

    #[test]
    fn the_rounds_are_known_before_they_are_run() {
        assert_eq!(rounds_of_directory(&data("directory.7z")), 1 << 19);
        let archive = read_with(&mut Cursor::new(&data("files.7z")), &Password::empty()).unwrap();
        assert_eq!(rounds_of(&archive.blocks[0]), Some(1 << 19));
        for name in ["files.7z", "directory.7z"] {
            let budget = Budget::new(1 << 20, 9, (1 << 19) - 1, Duration::from_secs(60));
            let refused = opened_within(budget, Kind::SevenZip, &data(name), &[PASSWORD]);
            assert_eq!(refused, Err(Stop::TooMuch(Excess::Rounds)), "{name}");
        }
    }

    #[test]
    fn a_bomb_ends() {
        let zeros = vec![0; 1 << 20];
        let bomb = sealed(&[("a", NOTE, "infected"), ("b", &zeros, "infected")]);
        let budget = Budget::new(100_000, 9, 1 << 20, Duration::from_secs(60));
        let cut = opened_within(budget, Kind::SevenZip, &bomb, &[]).unwrap();
        assert_eq!((files(&cut), cut.cut_off), (vec![("a", NOTE)], Some(Excess::Bytes)));
    }

    #[test]
    fn what_has_no_checksum_cannot_be_told_from_garbage() {
        let mut container = sealed(&[("a", NOTE, "infected")]);
        let mut archive = read_with(&mut Cursor::new(&container), &Password::empty()).unwrap();
        assert!(is_verifiable(&archive, 0));
        archive.files[0].has_crc = false;
        archive.blocks[0].has_crc = false;
        assert!(!is_verifiable(&archive, 0));
        container[3] ^= 1;
        assert_eq!(opened(Kind::SevenZip, &container, &[]), Err(Stop::Damaged));
    }
}
