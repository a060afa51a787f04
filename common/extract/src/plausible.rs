// SPDX-License-Identifier: GPL-3.0-or-later
//! How plausible it is that a doubtful reading is a file. Read without its structure, every text holds pieces that could be
//! decoded somehow; hardly any of that is a file, and each would be a sample.

use super::{
    body::{START, has_magic},
    bytewise::is_binary,
    decode::{
        Decoding,
        base64::{self, Dialect},
        quoted_printable::{escapes_control_characters, is_escape},
    },
    likeness::{is_only_base64, may_be_base64},
    names::danger,
    part::Content,
};
use memchr::memchr;

/// Encoded bytes at the start of a reading by which it is judged.
const WINDOW: usize = 256;
/// Bytes of base64 that some readers drop before the data: the rest of a wrapper, a quantum of junk.
const SHIFTS: usize = 4;
/// Files of such a name run, or hold what runs.
const DANGEROUS: u8 = 3;
/// Printable bytes that words or a script have at least.
const LEAST_TEXT: usize = 24;

/// Bytes that a file has at least which begins like nothing known.
const LEAST_BINARY: usize = 32;

/// What judging `content` costs, as bytes of a search.
pub(crate) fn cost(content: &Content, fields: Fields) -> usize {
    8 * WINDOW + if fields.quoted { content.source.len() / 4 } else { 0 }
}

/// How plausible a reading is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Plausible {
    /// It is clean base64 of something printable.
    Text,
    /// The fields before it say that it is a file, or how it is encoded, and no text is encoded so.
    Declared,
    /// Its name is that of a file that can harm.
    Dangerous,
    /// It begins as files do that can harm.
    Magic,
}

impl Plausible {
    /// All of them, the most plausible first.
    pub(crate) const ALL: [Self; 4] = [Self::Magic, Self::Dangerous, Self::Declared, Self::Text];
}

/// What the fields before a reading say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// That it is a file: a name, an attachment, a type of files.
    pub(crate) file: bool,
    /// That it is plain text.
    pub(crate) plain: bool,
    /// That it is base64.
    pub(crate) base64: bool,
    /// That it is quoted-printable.
    pub(crate) quoted: bool,
}

/// How plausible `content` is, if at all.
pub(crate) fn judge(content: &Content, name: Option<&str>, fields: Fields) -> Option<Plausible> {
    let source = &content.source[..content.source.len().min(START)];
    let start = decoded(content.decoding, source);
    let base64 = content.decoding == Decoding::Base64;
    if begins_like_a_file(&start) || base64 && other_readings(source).any(|start| begins_like_a_file(&start))
    {
        return Some(Plausible::Magic);
    }
    let encoded_so = match content.decoding {
        Decoding::Base64 => fields.base64 || is_only_base64(source),
        Decoding::Base64As(_) => fields.base64,
        Decoding::QuotedPrintable => {
            fields.quoted || memchr(b'=', source).is_some_and(|at| is_escape(&source[at..]))
        }
        Decoding::QuotedPrintableAs(_) => fields.quoted,
        _ => true,
    };
    if fields.file && encoded_so {
        return Some(if danger(name) >= DANGEROUS { Plausible::Dangerous } else { Plausible::Declared });
    }
    let binary = match content.decoding {
        Decoding::Base64 | Decoding::Base64As(_) => {
            fields.base64 && start.len() >= LEAST_BINARY && is_binary(&start) && may_be_base64(source)
        }
        Decoding::QuotedPrintable | Decoding::QuotedPrintableAs(_) => {
            fields.quoted && escapes_control_characters(&content.source)
        }
        _ => false,
    };
    if binary {
        return Some(Plausible::Declared);
    }
    let printable = !fields.plain && start.len() >= LEAST_TEXT && !is_binary(&start) && start.is_ascii();
    (base64 && printable && is_only_base64(source)).then_some(Plausible::Text)
}

/// The start of `source`, decoded.
fn decoded(decoding: Decoding, source: &[u8]) -> Vec<u8> {
    let mut start = Vec::new();
    decoding.decode_into(&source[..source.len().min(WINDOW)], WINDOW as u64, &mut start);
    start
}

/// The same in the ways in which readers differ about base64.
fn other_readings(source: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let dialects = Dialect::ALL.into_iter().map(|dialect| decoded(Decoding::Base64As(dialect), source));
    let shifted = (1..SHIFTS).filter_map(|shift| {
        let mut symbols = source.iter().enumerate().filter(|(_, byte)| base64::belongs(**byte));
        let (from, _) = symbols.nth(shift)?;
        Some(decoded(Decoding::Base64, &source[from..]))
    });
    dialects.chain(shifted)
}

/// True where `start`, or what follows empty lines in it, begins as files do.
fn begins_like_a_file(start: &[u8]) -> bool {
    has_magic(start) || has_magic(start.trim_ascii_start())
}
