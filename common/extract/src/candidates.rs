// SPDX-License-Identifier: GPL-3.0-or-later
//! The ways to read one part: what its transfer encoding may mean, and what else its bytes could be.
//!
//! Each is a sample in addition: what the likeliest reading gave stays.

use super::{
    ambiguity::Ambiguity,
    body::{Class, is_binary},
    bytewise,
    decode::{
        Decoding,
        base64::{self, first_junk, has_blanks, has_odd_lines, padding_end},
        is_whole_uu_line,
        quoted_printable::{self, Doubts},
        text_files,
    },
    part::Content,
    runs::{self, Run},
    value::without_comments,
};
use encodify::rfc2047;
use memchr::{memchr, memchr_iter, memchr2, memmem, memrchr};

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

/// The ways to decode that the Content-Transfer-Encoding `fields` name, and why there is more than one.
pub(crate) fn decodings(fields: &[&[u8]], class: Class) -> (Vec<Decoding>, Vec<Ambiguity>) {
    let (mut decodings, mut kinds) = (Vec::new(), Vec::new());
    for field in fields {
        match declared(field) {
            Ok(decoding) => decodings.push(decoding),
            Err(likely) => {
                kinds.push(Ambiguity::UnknownEncoding);
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
        kinds.push(Ambiguity::RepeatedEncoding);
    }
    (decodings, kinds)
}

/// The bytes of a transfer encoding that are looked at: a name and whatever an attacker puts around it.
const MAX_ENCODING: usize = 16 * 1024;

/// The one decoding that `field` names, or those that it may mean.
fn declared(field: &[u8]) -> Result<Decoding, Vec<Decoding>> {
    if let Ok(name) = std::str::from_utf8(field)
        && let Some(decoding) = known(&name.trim_ascii().to_ascii_lowercase())
    {
        return Ok(decoding);
    }
    let clean = without_comments(&field[..field.len().min(MAX_ENCODING)]);
    let name = rfc2047::decode_text(&clean, rfc2047::utf8_charset).to_ascii_lowercase();
    let name: String = name.chars().filter(|character| !character.is_whitespace()).collect();
    let means = [
        ("base64", Decoding::Base64),
        ("quot", Decoding::QuotedPrintable),
        ("print", Decoding::QuotedPrintable),
        ("uu", Decoding::Uuencode),
        ("yenc", Decoding::Yenc),
        ("binhex", Decoding::BinHex),
    ];
    let mut likely: Vec<_> =
        means.into_iter().filter(|(word, _)| name.contains(word)).map(|(_, decoding)| decoding).collect();
    likely.dedup();
    Err(likely)
}

/// True where a body in the encoding `decoding`, which no standard knows nor do most clients, is one file in that encoding
/// and nothing else: to other clients it is a text that makes no harm.
pub(crate) fn is_one_file(source: &[u8], decoding: Decoding) -> bool {
    let files = text_files(source);
    let whole = |file: &crate::decode::TextFile| {
        let (before, after) = (&source[..file.range.start], &source[file.range.end..]);
        let after = after.trim_ascii();
        let after = after.strip_prefix(b"`").unwrap_or(after).trim_ascii_start();
        before.trim_ascii().is_empty() && matches!(after, b"" | b"end")
    };
    files.iter().any(|(file, decodings)| decodings.contains(&decoding) && whole(file))
}

fn known(name: &str) -> Option<Decoding> {
    Some(match name {
        "" | "7bit" | "8bit" | "binary" => Decoding::Identity,
        "base64" => Decoding::Base64,
        "quoted-printable" => Decoding::QuotedPrintable,
        "x-uuencode" | "uuencode" | "x-uue" | "uue" | "x-uu" => Decoding::Uuencode,
        "x-yencode" | "x-yenc" | "yenc" => Decoding::Yenc,
        "binhex" | "x-binhex" | "binhex40" | "x-binhex40" | "mac-binhex40" | "mac-binhex" => Decoding::BinHex,
        "gzip64" | "x-gzip64" => Decoding::Gzip64,
        _ => return None,
    })
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

/// Bytes from which one can tell what a text is.
const WINDOW: usize = 2048;

/// Kinds of bytes that an attacker strews into base64, at most; binary content has far more.
const KINDS_OF_JUNK: usize = 24;

/// True where the start of `text` looks like base64, whatever stands between its symbols: in words upper-case letters and
/// digits are rare, in markup angle brackets are not, in binary content everything stands beside everything.
pub(crate) fn is_base64(text: &[u8]) -> bool {
    let text = &text[..text.len().min(WINDOW)];
    let (mut counts, mut symbols, mut rare, mut visible) = ([0_usize; 256], 0, 0, 0);
    for &byte in text {
        counts[usize::from(byte)] += 1;
        symbols += usize::from(base64::belongs(byte));
        rare +=
            usize::from(byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'/'));
        visible += usize::from(!byte.is_ascii_whitespace());
    }
    let kinds = (0..=255_u8).filter(|&byte| counts[usize::from(byte)] > 0 && !base64::belongs(byte)).count();
    let of = |byte: u8| counts[usize::from(byte)];
    symbols >= 16
        && rare * 4 >= symbols
        && symbols * 6 >= visible
        && kinds <= KINDS_OF_JUNK
        && of(b'<') * 50 < symbols.max(50)
        && !(of(b'=') * 8 > symbols && is_escaped(text))
        && !is_prose(text)
        && !is_uuencoded(text)
}

/// True where `text` consists of words: of many lengths, none of them long.
fn is_prose(text: &[u8]) -> bool {
    let (mut lengths, mut words, mut longest) = (0_u32, 0, 0);
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        lengths |= 1 << word.len().min(31);
        longest = longest.max(word.len());
        words += 1;
    }
    words >= 8 && lengths.count_ones() >= 6 && longest < 40
}

/// True where the first lines of `text` are uuencoded, each as long as it says it is.
fn is_uuencoded(text: &[u8]) -> bool {
    let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = lines.filter(|line| !line.is_empty()).take(3).peekable();
    lines.peek().is_some() && lines.all(is_whole_uu_line)
}

/// True where most of the `=` in `text` begin an escape of quoted-printable.
fn is_escaped(text: &[u8]) -> bool {
    let signs = memchr_iter(b'=', text).map(|at| quoted_printable::is_escape(&text[at..]));
    let (good, all) = signs.fold((0, 0), |(good, all), escape| (good + usize::from(escape), all + 1));
    good * 2 > all
}

/// True where there is hardly anything but base64 in the start of `text`.
pub(crate) fn is_only_base64(text: &[u8]) -> bool {
    let text = &text[..text.len().min(WINDOW)];
    let visible = bytewise::count(text, |byte| !byte.is_ascii_whitespace());
    let symbols = bytewise::count(text, base64::belongs);
    is_base64(text) && symbols * 20 >= visible * 19
}

fn other_quoted_printable(content: &Content, class: Class, decoded: &[u8]) -> Vec<(Content, Ambiguity)> {
    use quoted_printable::Dialect;
    let (doubts, binary) = (Doubts::of(&content.source), is_binary(decoded));
    // In a text that programs wrote, a stray `=` is all too common.
    let broken = doubts.broken && (class == Class::File || binary) || doubts.mostly_broken;
    let strange = broken || doubts.controls;
    let breaks = doubts.hard_breaks && (binary || doubts.mixed_breaks);
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
        (strange || doubts.spaced_breaks || doubts.loose_breaks, Dialect::Split, Ambiguity::BrokenEscapes),
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

/// What a part could be that claims to be what it holds.
fn undeclared(content: &Content, run: Option<&Run>) -> Vec<Candidate> {
    let Some(run) = run.filter(|run| run.is_nearly_all_of(&content.source)) else {
        return files_in_text(content);
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_encoding_is_sure_or_all_that_it_may_mean() {
        assert_eq!(declared(b" BASE64 "), Ok(Decoding::Base64));
        for unsure in [
            "base64 (comment)",
            "(c) base64",
            "base64;",
            "\"base64\"",
            "base64 xx",
            "=?UTF-8?B?YmFzZTY0?=",
            "x-base64",
            "bas\re64",
            "bas\r\n e64",
        ] {
            assert_eq!(declared(unsure.as_bytes()), Err(vec![Decoding::Base64]), "{unsure}");
        }
        let both = declared(b"base64, quoted-printable");
        assert_eq!(both, Err(vec![Decoding::Base64, Decoding::QuotedPrintable]));
        assert_eq!(declared(b"8-bit"), Err(vec![]));
    }

    #[test]
    fn repeated_fields_are_all_read() {
        let fields = [&b"base64"[..], b"7bit", b"quoted-printable"];
        let (ways, kinds) = decodings(&fields, Class::File);
        assert_eq!(ways, [Decoding::Base64, Decoding::Identity, Decoding::QuotedPrintable]);
        assert_eq!(kinds, [Ambiguity::RepeatedEncoding]);
    }

    #[test]
    fn base64_is_told_from_words() {
        assert!(is_base64("WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0ND".as_bytes()));
        assert!(is_base64("W#D#V#P#I#V#A#l#Q#E#F#Q#W#z#R#c#U#F#p#Y".as_bytes()));
        assert!(!is_base64(
            b"_______________________________________\r\nThis list is run by people who like lists.\r\n"
        ));
    }
}
