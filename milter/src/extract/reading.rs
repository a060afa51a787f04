// SPDX-License-Identifier: GPL-3.0-or-later
//! The readings of one message: which choices a reader has, and what else an ambiguous part could be.
//!
//! Two kinds. A *reading* of the structure fixes one choice for the whole message ([`Reading`]); a walk tells which
//! choices it met, and only those cause further walks. A *candidate* is another way to decode one part
//! ([`further`]). Both are samples in addition: what the first reading found stays.

use super::{
    Content, ambiguity,
    body::{Class, is_binary},
    decode::{Decoding, Doubts, UuFile, first_junk, padding_end, uu_files},
    runs::{self, Run},
    value::without_comments,
};
use encodify::rfc2047;

/// What one walk takes where it has a choice. The default is what most clients do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Of several Content-Type fields the last.
    pub last_type: bool,
    /// Of several boundaries the last.
    pub last_boundary: bool,
    /// A line in a header that is no field does not end the header.
    pub skip_junk: bool,
}

impl Reading {
    /// A reading that is not among `done`, with other choices only where `met` says that there are any.
    pub fn next(met: Self, done: &[Self]) -> Option<Self> {
        let possible = |reading: &Self| {
            (met.last_type || !reading.last_type)
                && (met.last_boundary || !reading.last_boundary)
                && (met.skip_junk || !reading.skip_junk)
        };
        (0..8_u8)
            .map(|bits| Self {
                last_type: bits & 1 > 0,
                last_boundary: bits & 2 > 0,
                skip_junk: bits & 4 > 0,
            })
            .find(|reading| possible(reading) && !done.contains(reading))
    }

    /// The choices of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            last_type: self.last_type || other.last_type,
            last_boundary: self.last_boundary || other.last_boundary,
            skip_junk: self.skip_junk || other.skip_junk,
        }
    }
}

/// Another way to read a part.
pub(super) struct Candidate {
    /// Its bytes.
    pub content: Content,
    /// The name, where the encoding has one.
    pub name: Option<String>,
    /// Why it could be read so; none where all who read it so agree.
    pub kind: Option<&'static str>,
    /// How it counts.
    pub class: Class,
}

/// The ways to decode that the Content-Transfer-Encoding `fields` name, and why there is more than one.
pub(super) fn decodings(fields: &[&[u8]], class: Class) -> (Vec<Decoding>, Vec<&'static str>) {
    let (mut decodings, mut kinds) = (Vec::new(), Vec::new());
    for field in fields {
        match declared(field) {
            Ok(decoding) => decodings.push(decoding),
            Err(likely) => {
                kinds.push(ambiguity::UNKNOWN_ENCODING);
                decodings.extend(likely);
                decodings.push(Decoding::Identity);
                if class == Class::File {
                    decodings.push(Decoding::Base64);
                }
            }
        }
    }
    if decodings.is_empty() {
        decodings.push(Decoding::Identity);
    }
    let mut known = Vec::new();
    decodings.retain(|decoding| !known.contains(decoding) && (known.push(*decoding), true).1);
    if fields.len() > 1 && decodings.len() > 1 {
        kinds.push(ambiguity::REPEATED_ENCODING);
    }
    (decodings, kinds)
}

/// The bytes of a transfer encoding that are looked at: a name and whatever an attacker puts around it.
const MAX_ENCODING: usize = 16 * 1024;

/// The one decoding that `field` names, or those that it may mean.
fn declared(field: &[u8]) -> Result<Decoding, Vec<Decoding>> {
    let clean = without_comments(&field[..field.len().min(MAX_ENCODING)]);
    let name = rfc2047::decode_text(&clean, rfc2047::utf8_charset).trim().to_ascii_lowercase();
    if clean.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
        && let Some(decoding) = known(&name)
    {
        return Ok(decoding);
    }
    let means =
        [("base64", Decoding::Base64), ("quoted", Decoding::QuotedPrintable), ("uu", Decoding::Uuencode)];
    Err(means.into_iter().filter(|(word, _)| name.contains(word)).map(|(_, decoding)| decoding).collect())
}

fn known(name: &str) -> Option<Decoding> {
    Some(match name {
        "" | "7bit" | "8bit" | "binary" => Decoding::Identity,
        "base64" => Decoding::Base64,
        "quoted-printable" => Decoding::QuotedPrintable,
        "x-uuencode" | "uuencode" | "x-uue" | "uue" | "x-uu" => Decoding::Uuencode,
        _ => return None,
    })
}

/// What else `content` could be that decoded to `decoded`; `clean` as the decoder said.
pub(super) fn further(content: &Content, class: Class, clean: bool, decoded: &[u8]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut add = |content, kind, class| found.push(Candidate { content, name: None, kind, class });
    let source = &content.source;
    match content.decoding {
        Decoding::Base64 => {
            if let Some(end) = padding_end(source) {
                add(content.up_to(end), Some(ambiguity::AFTER_PADDING), class);
            }
            if let Some(junk) = (!clean).then(|| first_junk(source)).flatten() {
                add(content.up_to(junk), Some(ambiguity::BASE64_JUNK), class);
            }
        }
        Decoding::QuotedPrintable if is_binary(decoded) => {
            let doubts = Doubts::of(source);
            let variants = [
                (doubts.hard_breaks, Decoding::QuotedPrintableLf, ambiguity::BINARY_LINE_BREAKS),
                (doubts.hard_breaks, Decoding::QuotedPrintableCrLf, ambiguity::BINARY_LINE_BREAKS),
                (doubts.trailing_blanks, Decoding::QuotedPrintableTrimmed, ambiguity::TRAILING_BLANKS),
            ];
            for (_, decoding, kind) in variants.into_iter().filter(|(doubtful, ..)| *doubtful) {
                add(content.decoded_as(decoding), Some(kind), class);
            }
        }
        Decoding::Identity => found.extend(undeclared(content, class)),
        _ => (),
    }
    found
}

/// What a part could be that claims to be what it holds.
fn undeclared(content: &Content, class: Class) -> Vec<Candidate> {
    let Some(run) = runs::nothing_but(&content.source) else {
        return if class == Class::Plain { uuencoded(content) } else { Vec::new() };
    };
    // A certificate, a key, a signature: all who read it know.
    let armoured = content.source.trim_ascii_start().starts_with(b"-----BEGIN ");
    base64_in(content, &run, (!armoured).then_some(ambiguity::UNDECLARED_BASE64))
}

fn base64_in(text: &Content, run: &Run, kind: Option<&'static str>) -> Vec<Candidate> {
    let candidate = |range| Candidate {
        content: Content { source: text.source.slice(range), decoding: Decoding::Base64 },
        name: None,
        kind,
        class: Class::File,
    };
    run.readings(&text.source).into_iter().map(candidate).collect()
}

/// The base64 or uuencoded files in `gap`, which is no part.
pub(super) fn hidden(gap: Content, kind: &'static str) -> Vec<Candidate> {
    let run = runs::longest(&gap.source);
    let runs = run.map(|run| base64_in(&gap, &run, Some(kind))).unwrap_or_default();
    let files = uuencoded(&gap).into_iter().map(|file| Candidate { kind: Some(kind), ..file });
    runs.into_iter().chain(files).collect()
}

fn uuencoded(text: &Content) -> Vec<Candidate> {
    let candidate = |file: UuFile| Candidate {
        content: Content { source: text.source.slice(file.range), decoding: Decoding::Uuencode },
        name: Some(file.name),
        kind: None,
        class: Class::File,
    };
    uu_files(&text.source).into_iter().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_encoding_is_sure_or_all_that_it_may_mean() {
        for sure in ["base64", "BASE64 (comment)", "(c) base64"] {
            assert_eq!(declared(sure.as_bytes()), Ok(Decoding::Base64), "{sure}");
        }
        for unsure in ["base64;", "\"base64\"", "base64 xx", "=?UTF-8?B?YmFzZTY0?=", "x-base64", "bas\re64"] {
            let means = declared(unsure.as_bytes()).map_or_else(|means| means, |sure| vec![sure]);
            assert_eq!(means, [Decoding::Base64], "{unsure}");
        }
        assert_eq!(
            declared(b"base64, quoted-printable"),
            Err(vec![Decoding::Base64, Decoding::QuotedPrintable])
        );
        assert_eq!(declared(b"8-bit"), Err(vec![]));
    }

    #[test]
    fn repeated_fields_are_all_read() {
        let fields = [&b"base64"[..], b"7bit", b"quoted-printable"];
        let (ways, kinds) = decodings(&fields, Class::File);
        assert_eq!(ways, [Decoding::Base64, Decoding::Identity, Decoding::QuotedPrintable]);
        assert_eq!(kinds, [ambiguity::REPEATED_ENCODING]);
    }

    #[test]
    fn only_choices_that_were_met_cause_further_readings() {
        let first = Reading::default();
        assert_eq!(Reading::next(first, &[]), Some(first));
        assert_eq!(Reading::next(first, &[first]), None);
        let last = Reading { last_type: true, ..first };
        assert_eq!(Reading::next(last, &[first]), Some(last));
        assert_eq!(Reading::next(last, &[first, last]), None);
    }
}
