// SPDX-License-Identifier: GPL-3.0-or-later
//! Containers for the tests of the formats.

use crate::{
    answer::Answer, budget::Budget, passwords::Passwords, request::Kind, stop::Stop, unseal::unseal,
};
use std::{
    fs,
    io::{Cursor, Write as _},
    path::Path,
    time::Duration,
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// What opens the files of `tests/data`.
pub(crate) const PASSWORD: &str = "Rechnung-4711";

/// What is in most of them; a second file has it a hundred times.
pub(crate) const NOTE: &[u8] = b"What is inside is known by now.\n";

/// Limits that no container of a test comes near, unless it is the limit's.
pub(crate) fn budget() -> Budget {
    Budget::new(16 << 20, 100, 1 << 20, Duration::from_secs(60))
}

/// What is in `container`, if one of the candidates fits.
pub(crate) fn opened(kind: Kind, container: &[u8], candidates: &[&str]) -> Result<Answer, Stop> {
    opened_within(budget(), kind, container, candidates)
}

/// The same, within another budget.
pub(crate) fn opened_within(
    budget: Budget,
    kind: Kind,
    container: &[u8],
    candidates: &[&str],
) -> Result<Answer, Stop> {
    let candidates = candidates.iter().enumerate().map(|(index, candidate)| (index, (*candidate).into()));
    unseal(kind, container, Passwords::new(candidates), budget)
}

/// A file of `tests/data`; its README says how each was made.
pub(crate) fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// Names and contents.
pub(crate) fn files(answer: &Answer) -> Vec<(&str, &[u8])> {
    answer.members.iter().map(|member| (member.name.as_str(), &member.bytes[..])).collect()
}

/// What most archives of `tests/data` hold.
pub(crate) fn assert_both(answer: &Answer, what: &str) {
    let second = NOTE.repeat(100);
    assert_eq!(files(answer), [("note.txt", NOTE), ("second.txt", &second)], "{what}");
}

/// A ZIP in which nothing is sealed.
pub(crate) fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let all: Vec<_> =
        files.iter().map(|(name, bytes)| (*name, *bytes, SimpleFileOptions::default())).collect();
    zipped_with(&all)
}

/// A ZIP, each member in its way.
pub(crate) fn zipped_with(files: &[(&str, &[u8], SimpleFileOptions)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, options) in files {
        zip.start_file(*name, *options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
