// SPDX-License-Identifier: GPL-3.0-or-later
//! Every input that fuzzing kept goes through its target again: the corpus, and what once broke a promise.

use std::{fs, path::Path};

/// Feeds `target` with what is kept for it.
fn replay(name: &str, target: fn(&[u8])) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
    let corpus = feed(&kept.join("corpus").join(name), target);
    assert!(corpus > 0, "no corpus for {name}");
    feed(&kept.join("regressions").join(name), target);
}

/// How many files there were in `folder`.
fn feed(folder: &Path, target: fn(&[u8])) -> usize {
    let Ok(files) = fs::read_dir(folder) else { return 0 };
    let files = files.map(|file| file.expect("a folder of this repository").path());
    files
        .inspect(|file| {
            println!("{}", file.display()); // the last line that a failing test prints
            target(&fs::read(file).expect("a file of this repository"));
        })
        .count()
}

#[test]
fn header() {
    replay("header", super::header);
}

#[test]
fn structure() {
    replay("structure", super::structure);
}

#[test]
fn repeated() {
    replay("repeated", super::repeated);
}

#[test]
fn decoders() {
    replay("decoders", super::decoders);
}

#[test]
fn containers() {
    replay("containers", super::containers);
}

#[test]
fn extract() {
    replay("extract", super::extract);
}

#[test]
fn passwords() {
    replay("passwords", super::passwords);
}
