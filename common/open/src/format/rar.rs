// SPDX-License-Identifier: GPL-3.0-or-later
//! RAR 4 and 5, sealed with or without their directory. RAR 5 has a value that says whether a password fits, after rounds
//! that the sender chooses; RAR 4, whose rounds are fixed, has nothing but checksums, and so the smallest sealed member is
//! tried. An archive has one password: where members have others, which WinRAR can do, those are left sealed.

use crate::{answer::Why, budget::Budget, failure::Excess, stop::Stop, work::Work};
use rars::{
    Archive, ArchiveMember, ArchiveMemberDetail, ArchiveReadOptions, ArchiveReader, Error, ErrorKind,
    ExtractionDecision, ExtractionErrorAction,
};
use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

/// What RAR 4 prescribes.
const RAR4_ROUNDS: u64 = 1 << 18;

const RAR5_SIGNATURE: &[u8] = b"Rar!\x1a\x07\x01\x00";

/// The type of the block that says how a directory is sealed.
const SEALED_DIRECTORY: u64 = 4;

/// Dictionaries, and what a decoder holds beside.
const MEMORY_BYTES: u64 = 128 << 20;

/// Headers are counted before anything else is.
const MOST_HEADERS: u64 = 10_000;

/// A file, and its bytes so far.
type File = (String, Sink);

/// Opens what is sealed in it.
pub(crate) fn open(container: &[u8], work: &mut Work) -> Result<(), Stop> {
    let rounds = match parse(container, None) {
        Ok(archive) => match rounds_of(&archive)? {
            Some(rounds) => rounds,
            None => return Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::PasswordRequired => rounds_of_directory(container),
        Err(error) => return Err(stop(&error)),
    };
    let mut opened = None;
    let by = work.passwords.first_that(&work.budget, rounds, |password| {
        opened = open_with(container, password.as_bytes(), &work.budget)?;
        Ok(opened.is_some())
    })?;
    match (by, opened) {
        (Some(by), Some(extracted)) => {
            work.found.opened(by);
            if extracted.left {
                work.found.sealed();
            }
            extracted.files.into_iter().try_for_each(|(name, sink)| work.member(&name, sink.0.take()))
        }
        _ => {
            work.found.sealed();
            Ok(())
        }
    }
}

/// What came of an archive.
struct Extracted {
    files: Vec<File>,
    /// Something did not open.
    left: bool,
}

/// None where the password does not fit.
fn open_with(container: &[u8], password: &[u8], budget: &Budget) -> Result<Option<Extracted>, Stop> {
    let Some(archive) = fitting(parse(container, Some(password)))? else { return Ok(None) };
    let members: Vec<ArchiveMember> = archive.members().collect();
    refuse(&members)?;
    let solid = members.iter().any(ArchiveMember::is_solid);
    if let Some(cheapest) = cheapest(&members, solid)
        && fitting(test(&archive, password, budget, cheapest, solid))?.is_none()
    {
        return Ok(None);
    }
    fitting(extract(&archive, password, budget))
}

/// What cannot be told from garbage, or is not all here.
fn refuse(members: &[ArchiveMember]) -> Result<(), Stop> {
    for member in members.iter().filter(|member| member.meta.is_encrypted) {
        let detail = &member.detail;
        if matches!(detail, ArchiveMemberDetail::Rar50Plus { crc32: None, hash: None, .. }) {
            return Err(Stop::Unsupported(Why::Unverifiable));
        }
        if member.meta.is_split_before || member.meta.is_split_after {
            return Err(Stop::Unsupported(Why::Volumes));
        }
    }
    Ok(())
}

/// The sealed member that is tried first: the smallest, or in a solid archive the first.
fn cheapest(members: &[ArchiveMember], solid: bool) -> Option<usize> {
    let mut sealed = members.iter().enumerate().filter(|(_, member)| member.meta.is_encrypted);
    let cheapest =
        if solid { sealed.next() } else { sealed.min_by_key(|(_, member)| member.meta.packed_size) };
    cheapest.map(|(index, _)| index)
}

/// Whether the member with this index opens. In a solid archive those before it have to be read.
fn test(archive: &Archive, password: &[u8], budget: &Budget, index: usize, solid: bool) -> Result<(), Error> {
    let mut next = 0;
    archive.extract_with_control(within(budget, password), |member| {
        let this = next;
        next += 1;
        let skipped = this < index && !solid;
        Ok(match this {
            _ if skipped || member.meta.is_directory || member.meta.is_redirection => {
                ExtractionDecision::Skip
            }
            after if after > index => ExtractionDecision::Stop,
            _ => ExtractionDecision::Extract(Box::new(io::sink())),
        })
    })?;
    Ok(())
}

/// Every file that opens.
fn extract(archive: &Archive, password: &[u8], budget: &Budget) -> Result<Extracted, Error> {
    let (mut files, mut left): (Vec<File>, usize) = (Vec::new(), 0);
    let open = RefCell::new(&mut files);
    archive.extract_with_control_and_errors(
        within(budget, password),
        |member| {
            if member.meta.is_directory || member.meta.is_redirection {
                return Ok(ExtractionDecision::Skip);
            }
            let sink = Sink::default();
            open.borrow_mut().push((member.meta.name_lossy(), sink.clone()));
            Ok(ExtractionDecision::Extract(Box::new(sink)))
        },
        |_, _| {
            open.borrow_mut().pop();
            left += 1;
            Ok(ExtractionErrorAction::Continue)
        },
    )?;
    Ok(Extracted { files, left: left > 0 })
}

fn within<'a>(budget: &Budget, password: &'a [u8]) -> ArchiveReadOptions<'a> {
    options(Some(password)).with_max_total_output_bytes(budget.bytes())
}

fn parse(container: &[u8], password: Option<&[u8]>) -> Result<Archive, Error> {
    ArchiveReader::read_with_options(container, options(password))
}

fn options(password: Option<&[u8]>) -> ArchiveReadOptions<'_> {
    ArchiveReadOptions::with_optional_password(password)
        .with_max_header_count(MOST_HEADERS)
        .with_max_reader_workspace_bytes(MEMORY_BYTES)
        .with_rar50_dictionary_size_limit(MEMORY_BYTES)
}

/// None where nothing is sealed.
fn rounds_of(archive: &Archive) -> Result<Option<u64>, Stop> {
    match archive {
        Archive::Rar15To40(_) => {
            Ok(archive.members().any(|member| member.meta.is_encrypted).then_some(RAR4_ROUNDS))
        }
        Archive::Rar50Plus(archive) => {
            let sealed = archive.files().filter_map(|file| file.encryption.as_ref());
            Ok(sealed.map(|sealed| rounds(sealed.kdf_count)).max())
        }
        _ => Err(Stop::Unsupported(Why::Cipher)),
    }
}

fn rounds(logarithm: u8) -> u64 {
    1_u64.checked_shl(u32::from(logarithm)).unwrap_or(u64::MAX)
}

/// The rounds of a sealed directory, before anything is derived.
fn rounds_of_directory(container: &[u8]) -> u64 {
    match memchr::memmem::find(container, RAR5_SIGNATURE) {
        None => RAR4_ROUNDS,
        Some(start) => {
            let logarithm = logarithm(&container[start + RAR5_SIGNATURE.len()..]);
            logarithm.map_or(u64::MAX, rounds)
        }
    }
}

/// As the first block has it: checksum, size, type, flags; then version, flags, logarithm of the rounds.
fn logarithm(block: &[u8]) -> Option<u8> {
    let mut rest = block.get(4..)?;
    let [_size, kind, _flags, _version, _sealed] = [(); 5].map(|()| number(&mut rest));
    if kind? == SEALED_DIRECTORY { rest.first().copied() } else { None }
}

/// Seven bits a byte, the lowest first, as long as the eighth is set.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let length = rest.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f)))
}

/// None where it may be the password.
fn fitting<T>(read: Result<T, Error>) -> Result<Option<T>, Stop> {
    match read.map_err(|error| stop(&error)) {
        Ok(read) => Ok(Some(read)),
        Err(Stop::Damaged) => Ok(None),
        Err(stop) => Err(stop),
    }
}

fn stop(error: &Error) -> Stop {
    match error.root_cause() {
        Error::Rar50DictionaryLimitExceeded { .. } | Error::MemoryLimitExceeded { .. } => {
            return Stop::TooMuch(Excess::Memory);
        }
        Error::UnsupportedSignature => return Stop::Damaged,
        _ => (),
    }
    match error.kind() {
        ErrorKind::ResourceLimit => Stop::TooMuch(Excess::Bytes),
        ErrorKind::UnsupportedFormat | ErrorKind::UnsupportedFeature => Stop::Unsupported(Why::Compression),
        _ => Stop::Damaged,
    }
}

/// Where a member's bytes are written to.
#[derive(Clone, Debug, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
    use std::time::Duration;

    #[test]
    fn both_generations_open_with_and_without_their_directory() {
        for name in
            ["files.rar4.rar", "solid.rar4.rar", "directory.rar4.rar", "files.rar5.rar", "directory.rar5.rar"]
        {
            let container = data(name);
            let kind = Kind::of(&container).unwrap();
            let answer = opened(kind, &container, &["Rechnung", PASSWORD]).unwrap();
            assert_eq!(answer.container, Container::Opened(vec![By::Candidate(1)]), "{name}");
            assert_both(&answer, name);
            let sealed = opened(kind, &container, &["Rechnung"]).unwrap();
            assert_eq!((sealed.container, sealed.members.len()), (Container::Sealed, 0), "{name}");
        }
    }

    #[test]
    fn a_member_with_another_password_stays_sealed() {
        let answer = opened(Kind::Rar4, &data("two.rar4.rar"), &[PASSWORD]).unwrap();
        assert_eq!((answer.container.clone(), files(&answer)), (Container::Sealed, vec![("note.txt", NOTE)]));
    }

    #[test]
    fn the_rounds_are_known_before_they_are_run() {
        let directory = data("directory.rar5.rar");
        assert_eq!(rounds_of_directory(&directory), 1 << 15);
        assert_eq!(rounds_of_directory(&data("directory.rar4.rar")), RAR4_ROUNDS);
        assert_eq!(rounds_of_directory(&directory[..16]), u64::MAX);
        assert_eq!(rounds(64), u64::MAX);
        for name in ["files.rar5.rar", "directory.rar5.rar"] {
            let budget = Budget::new(1 << 20, 9, (1 << 15) - 1, Duration::from_secs(60));
            let refused = opened_within(budget, Kind::Rar5, &data(name), &[PASSWORD]);
            assert_eq!(refused, Err(Stop::TooMuch(Excess::Rounds)), "{name}");
        }
    }

    #[test]
    fn a_bomb_ends() {
        let bomb = opened(Kind::Rar5, &data("bomb.rar5.rar"), &[PASSWORD]);
        assert_eq!(bomb, Err(Stop::TooMuch(Excess::Bytes)));
    }

    #[test]
    fn numbers_are_read_within_their_bytes() {
        let mut rest = &[0x81, 0x02, 0x7f, 0xff][..];
        assert_eq!(number(&mut rest), Some(0x101));
        assert_eq!(number(&mut rest), Some(0x7f));
        assert_eq!(number(&mut rest), None);
        assert_eq!(number(&mut &[0xff; 20][..]), None);
    }
}
