// SPDX-License-Identifier: GPL-3.0-or-later
//! What else the bytes of one part could be than what its header says.
//!
//! Each is a sample in addition: what the likeliest reading gave stays.

use super::{
    ambiguity::Ambiguity,
    body::Class,
    bytewise::is_binary,
    decode::{
        Decoding,
        base64::{self, first_junk, has_blanks, has_odd_lines, padding_end},
        quoted_printable::{self, Doubts},
        text_files,
    },
    likeness::is_base64,
    part::Content,
    runs::{self, Run},
};
use memchr::{memchr, memchr2, memmem, memrchr};

/// Another way to read a part.
pub(crate) struct Candidate {
    /// Its bytes.
    pub(crate) content: Content,
    /// The name, where the encoding has one.
    pub(crate) name: Option<String>,
    /// Why it could be read so; none where all who read it so agree.
    pub(crate) kind: Option<Ambiguity>,
    /// How it counts.
    pub(crate) class: Class,
}

/// What else `content` could be that decoded to `decoded`; `clean` as the decoder said, `run` the longest one in a text.
pub(crate) fn further(
    content: &Content,
    class: Class,
    clean: bool,
    decoded: &[u8],
    run: Option<&Run>,
) -> Vec<Candidate> {
    let others = match content.decoding {
        Decoding::Base64 => other_base64(content, clean),
        Decoding::QuotedPrintable => other_quoted_printable(content, class, decoded),
        Decoding::Uuencode if !clean => {
            vec![(content.decoded_as(Decoding::UuencodeAll), Ambiguity::UuencodeLines)]
        }
        Decoding::Identity => return undeclared(content, run),
        other => {
            let besides = other.besides(&content.source).map(|decoding| content.decoded_as(decoding));
            let candidate = |content| Candidate { content, name: None, kind: None, class };
            return besides.into_iter().map(candidate).collect();
        }
    };
    let candidate = |(content, kind)| Candidate { content, name: None, kind: Some(kind), class };
    others.into_iter().map(candidate).collect()
}

fn other_base64(content: &Content, clean: bool) -> Vec<(Content, Ambiguity)> {
    let source = &content.source[..];
    let padding = padding_end(source);
    let odd = has_odd_lines(source);
    if clean && padding.is_none() && !odd {
        return Vec::new();
    }
    let mut found = Vec::new();
    let head = &source[..padding.unwrap_or(source.len())];
    let junk = if clean { None } else { first_junk(source) };
    if let Some(end) = padding {
        found.push((content.up_to(end), Ambiguity::AfterPadding));
        let head_is_clean = junk.is_none_or(|junk| junk >= end) && !has_odd_lines(head);
        let tail = &source[end..];
        if head_is_clean && head.len() >= 1024 && tail.len() <= 4096 && junk.is_some() && !is_base64(tail) {
            // A footer that a mailing list put behind an attachment.
            return found;
        }
    }
    if let Some(junk) = junk {
        found.push((content.up_to(junk), Ambiguity::Base64Junk));
    }
    found.extend(without_prefix(content).into_iter().map(|content| (content, Ambiguity::Base64Lines)));
    let kind = match (junk, padding) {
        (Some(_), _) => Ambiguity::Base64Junk,
        (None, Some(_)) => Ambiguity::AfterPadding,
        (None, None) => Ambiguity::Base64Lines,
    };
    let dialects = base64::Dialect::ALL.into_iter().filter(|dialect| match dialect {
        base64::Dialect::Lines | base64::Dialect::LineTails => true,
        base64::Dialect::CleanLines => junk.is_some(),
        base64::Dialect::UrlSafe => junk.is_some() && memchr2(b'-', b'_', source).is_some(),
        base64::Dialect::CutLines => junk.is_some() || padding.is_some() || has_blanks(source),
        _ => padding.is_some(),
    });
    found.extend(dialects.map(|dialect| (content.decoded_as(Decoding::Base64As(dialect)), kind)));
    found
}

/// Base64 without what stands before it: its first line, or the start of that up to the last byte that is no symbol. And
/// without its first and last lines.
fn without_prefix(content: &Content) -> Vec<Content> {
    let source = &content.source[..];
    let line = &source[..memchr(b'\n', source).unwrap_or(source.len())];
    let junk = line.trim_ascii_end().iter().rposition(|&byte| !base64::belongs(byte));
    let next = (line.len() < source.len()).then_some(line.len() + 1);
    let starts = junk.map(|at| at + 1).into_iter().chain(next);
    let mut found: Vec<_> =
        starts.filter(|&start| start < source.len()).map(|start| content.starting_at(start)).collect();
    // `begin` and `end`, whatever it is that they begin.
    let last = memrchr(b'\n', source.trim_ascii_end()).filter(|&last| next.is_some_and(|next| last > next));
    found.extend(
        last.filter(|last| !source[*last..].contains(&b'='))
            .zip(next)
            .map(|(last, next)| content.up_to(last).starting_at(next)),
    );
    found
}

fn other_quoted_printable(content: &Content, class: Class, decoded: &[u8]) -> Vec<(Content, Ambiguity)> {
    use quoted_printable::Dialect;
    let (doubts, binary) = (Doubts::of(&content.source), is_binary(decoded));
    // In a text that programs wrote, a stray `=` is all too common.
    let broken = doubts.broken && (class == Class::File || binary) || doubts.mostly_broken;
    let strange = broken || doubts.controls;
    // In a text all of these are what programs write, and look the same.
    let file = class == Class::File || binary;
    let breaks = doubts.hard_breaks && (binary || doubts.bare_returns || doubts.escaped_breaks && file);
    let loose = doubts.loose_breaks && file;
    let dialects = [
        (breaks, Dialect::Lf, Ambiguity::BinaryLineBreaks),
        (breaks, Dialect::CrLf, Ambiguity::BinaryLineBreaks),
        (
            doubts.spaced_breaks || doubts.trailing_blanks && (binary || strange),
            Dialect::Trimmed,
            Ambiguity::TrailingBlanks,
        ),
        (doubts.spaced && (binary || strange), Dialect::NoBlanks, Ambiguity::TrailingBlanks),
        (broken, Dialect::SignsDropped, Ambiguity::BrokenEscapes),
        (broken, Dialect::EscapesDropped, Ambiguity::BrokenEscapes),
        (broken, Dialect::PairsDropped, Ambiguity::BrokenEscapes),
        (strange, Dialect::EscapesOnly, Ambiguity::BrokenEscapes),
        (strange || doubts.spaced_breaks || loose, Dialect::Split, Ambiguity::BrokenEscapes),
        (doubts.split_escapes, Dialect::BreaksFirst, Ambiguity::BrokenEscapes),
        (doubts.controls, Dialect::NoControls, Ambiguity::BrokenEscapes),
    ];
    let taken = dialects.into_iter().filter(|(taken, ..)| *taken);
    let read_as = |(_, dialect, kind)| (content.decoded_as(Decoding::QuotedPrintableAs(dialect)), kind);
    let blank = content.source.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let behind = (binary && blank > 0).then(|| (content.starting_at(blank), Ambiguity::LeadingLines));
    taken.map(read_as).chain(behind).collect()
}

/// Bytes before base64 in which armour names itself, with its fields.
const ARMOUR: usize = 512;

/// True where `text` is of a kind that holds base64 as a value: an address card, a calendar, XML. Its readers know, and no
/// mail client takes it for a file of its own.
fn holds_data(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    text.starts_with(b"<") || text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"BEGIN:V"))
}

/// What a part could be that claims to be what it holds.
fn undeclared(content: &Content, run: Option<&Run>) -> Vec<Candidate> {
    let run = run.filter(|run| run.is_nearly_all_of(&content.source) && !holds_data(&content.source));
    let Some(run) = run else { return files_in_text(content) };
    // A certificate, a key, a signature: all who read it know.
    let before = &content.source[..run.range.start];
    let armoured = memmem::find(&before[before.len().saturating_sub(ARMOUR)..], b"-----BEGIN ").is_some();
    base64_in(content, run, (!armoured).then_some(Ambiguity::UndeclaredBase64))
}

fn base64_in(text: &Content, run: &Run, kind: Option<Ambiguity>) -> Vec<Candidate> {
    let candidate = |range| Candidate {
        content: Content { source: text.source.slice(range), decoding: Decoding::Base64 },
        name: None,
        kind,
        class: Class::File,
    };
    run.readings(&text.source).into_iter().map(candidate).collect()
}

/// The base64 or uuencoded files in `gap`, which is no part.
pub(crate) fn hidden(gap: Content, kind: Ambiguity) -> Vec<Candidate> {
    let run = runs::longest(&gap.source);
    let runs = run.map(|run| base64_in(&gap, &run, Some(kind))).unwrap_or_default();
    let files = files_in_text(&gap).into_iter().map(|file| Candidate { kind: Some(kind), ..file });
    runs.into_iter().chain(files).collect()
}

/// The files that `text` holds in encodings which name themselves.
pub(crate) fn files_in_text(text: &Content) -> Vec<Candidate> {
    let files = text_files(&text.source).into_iter().flat_map(|(file, decodings)| {
        let source = text.source.slice(file.range);
        decodings.iter().map(move |&decoding| Candidate {
            content: Content { source: source.clone(), decoding },
            name: Some(file.name.clone()),
            kind: None,
            class: Class::File,
        })
    });
    files.collect()
}
