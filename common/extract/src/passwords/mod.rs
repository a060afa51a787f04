// SPDX-License-Identifier: GPL-3.0-or-later
//! Candidates for the password of a sealed attachment, from the mail that brought it.
//!
//! Whoever seals a file and mails it mostly writes the password into the same mail. Steps:
//!
//! 1. `texts` goes over the structure once more and decodes what a person reads: subjects, bodies (`html` without its
//!    tags), attached texts; `inner` opens what holds a message. `clean` makes one kind of blank of all kinds.
//! 2. `tokens` splits a text, `cues` knows the words for "password", `actions` those for what one does with it, `marks`
//!    finds what stands in brackets, in quotes or is emphasized, `forms` tells which of the marks around a word may belong
//!    to it. `search` puts them together; `file_names` does the same for the names of the parts.
//! 3. `looks` says how much a word looks like a password, `ranked` keeps the likeliest.
//!
//! It costs what the texts are long, of which [`texts::MOST_TEXT`] bytes are read, and it is for those to call who hold
//! a sealed part: other mail pays nothing. Nothing here fails, and nothing is written anywhere: candidates are secrets.
//!
//! It knows how a message is taken apart, and nothing of who seals or opens.

mod actions;
mod candidate;
mod clean;
mod cues;
mod east_asia;
mod file_names;
mod forms;
mod html;
mod inner;
mod looks;
mod marks;
mod ranked;
mod search;
mod texts;
mod tokens;

use super::part::Extraction;
use bytes::Bytes;
pub use candidate::{Candidate, Place};
use ranked::Ranked;

/// Configured ones that are taken.
const MOST_CONFIGURED: usize = 16;
/// Parts whose names are read.
const MOST_NAMES: usize = 32;

/// What may be the password of something sealed in `message`, which was taken apart into `extraction`: the likeliest
/// first, each once, at most [`candidate::MOST`]. The first `configured` ones are always among them.
pub fn passwords(message: &Bytes, extraction: &Extraction, configured: &[String]) -> Vec<Candidate> {
    let mut ranked = Ranked::default();
    for text in texts::texts(message) {
        search::search(&text, &mut ranked);
    }
    let parts = extraction.parts.iter().map(|part| &part.name);
    let skipped = extraction.skipped.iter().map(|skipped| &skipped.name);
    for name in parts.chain(skipped).flatten().take(MOST_NAMES) {
        file_names::search(name, &mut ranked);
    }
    for word in configured.iter().take(MOST_CONFIGURED) {
        ranked.configured(word);
    }
    ranked.likeliest()
}

#[cfg(test)]
mod tests;
