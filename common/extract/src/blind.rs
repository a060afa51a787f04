// SPDX-License-Identifier: GPL-3.0-or-later
//! The reading without the structure, for messages about whose structure readers could differ.
//!
//! Whatever a reader takes for the boundary, its parts begin and end at lines that start with `--`. So the message is cut
//! at every one of them, and in each piece (`segment`) a body may start in several places. From each of these to the end
//! of the piece the bytes are decoded in every way that they look like. What was found before is dropped by its digest;
//! the budget bounds the rest.

use super::{
    body::{Class, has_magic},
    budget::Allowance,
    candidates,
    decode::{Decoding, quoted_printable::is_escape},
    header::lists_names,
    likeness::{is_base64, is_only_base64, may_be_uuencoded},
    names,
    part::Content,
    plausible::Fields,
    samples::{Hidden, Samples},
    seen::Seen,
    segment::{Line, Segment, line_at},
    value::{Value, contains_ignoring_case},
};
use bytes::Bytes;
use memchr::{memchr, memchr_iter, memmem};

/// What looking at one body costs, as bytes of a search.
const LOOK: usize = 6 << 10;
/// What one delimiter costs.
const DELIMITER: usize = 128;
/// Bytes before a body in which its fields are looked for.
const HEAD: usize = 8 * 1024;
/// Bytes of a line in which the name of a field stands, with what may be put before it.
const NAME: usize = 32;
/// Bytes behind `name` in which its sign of equality stands.
const SIGN: usize = 8;
/// Bytes of a body by which its encoding is told.
const WINDOW: usize = 4 * 1024;

/// Reads `message` without its structure: `everywhere`, or only the leaves that may hide parts. Hands what it finds to
/// `samples`.
pub(crate) fn read(message: &Bytes, everywhere: bool, samples: &mut Samples) {
    let (mut start, mut opens) = (0, true);
    while start < message.len() {
        let (end, next) = line_at(message, start);
        if message[start..end].starts_with(b"--") {
            // Delimiters one behind the other: nothing between them.
            if !samples.left.spend_doubtful_search(DELIMITER) {
                return;
            }
            (start, opens) = (next, true);
            continue;
        }
        let mut segment = Segment::scan(message, start);
        segment.opens = opens;
        if !samples.left.spend_doubtful_search(DELIMITER) {
            return;
        }
        let wanted = everywhere || samples.seen.is_suspect(&message.slice(segment.start..segment.end));
        for body in segment.starts().into_iter().filter(|_| wanted) {
            if !samples.left.spend_doubtful_search(LOOK) {
                return;
            }
            read_body(message, &segment, body, samples);
        }
        (start, opens) = (segment.next, segment.delimited);
    }
    if !everywhere {
        return;
    }
    let whole = Content { source: message.clone(), decoding: Decoding::Identity };
    for file in candidates::files_in_text(&whole) {
        samples.hidden(Hidden {
            content: file.content,
            name: file.name,
            class: Class::File,
            fields: Fields { file: true, ..Fields::default() },
        });
    }
}

/// Takes the bytes from `start` to the end of `segment` in every way that they look like, or that their fields name.
fn read_body(message: &Bytes, segment: &Segment, start: usize, samples: &mut Samples) {
    let body = message.slice(start..segment.end);
    let looks = Looks::of(&body, message, segment, start, &samples.seen);
    // The last line end may belong to the content or to the delimiter.
    let trimmed = body.slice(..body.len() - line_end(&body));
    let ways_to_end = if trimmed.len() == body.len() { 1 } else { 2 };
    for body in [&body, &trimmed].into_iter().take(ways_to_end) {
        if looks.quoted {
            looks.take(body, Decoding::QuotedPrintable, looks.class, samples);
        }
        if looks.raw {
            looks.take(body, Decoding::Identity, looks.class, samples);
        }
    }
    if looks.base64 {
        looks.take(&body, Decoding::Base64, Class::File, samples);
    }
    if looks.uuencoded {
        looks.take(&body, Decoding::Uuencode, Class::File, samples);
    }
    if segment.opens && !segment.delimited && (looks.base64 || looks.quoted || looks.file) {
        // The line that ended the segment delimits nothing for readers who know the boundary.
        if let Some(end) = end_of_part(message, segment.next, &mut samples.left) {
            let rest = message.slice(start..end);
            if looks.base64 {
                looks.take(&rest, Decoding::Base64, Class::File, samples);
            }
            if looks.quoted {
                looks.take(&rest, Decoding::QuotedPrintable, Class::File, samples);
            }
            if looks.file {
                looks.take(&rest, Decoding::Identity, Class::File, samples);
            }
        }
    }
}

/// What a body is, by its first bytes and by the fields before it.
struct Looks<'a> {
    /// What stands before it; in its fields the name.
    head: &'a [u8],
    base64: bool,
    quoted: bool,
    uuencoded: bool,
    /// A part of its own, as its fields or its first bytes say.
    file: bool,
    /// One that is not encoded.
    raw: bool,
    /// What its fields say.
    fields: Fields,
    class: Class,
}

impl<'a> Looks<'a> {
    /// Those of `body`, the bytes of `message` from `start` to the end of `segment`.
    fn of(body: &Bytes, message: &'a [u8], segment: &Segment, start: usize, seen: &Seen) -> Self {
        let window = &body[..body.len().min(WINDOW)];
        let head = &message[segment.start.max(start.saturating_sub(HEAD))..start];
        let fields = fields_before(head);
        let named = |word| contains_ignoring_case(fields, word);
        let starts_with_field = Line::of(&message[start..line_at(message, start).0]) == Line::Field;
        let escaped = memchr_iter(b'=', window).any(|sign| is_escape(&window[sign..]));
        let leaf = seen.is_leaf(body);
        let encoded = is_only_base64(window) || escaped && leaf;
        // A field for the encoding, whose value is damaged or encoded itself.
        let known = [&b"7bit"[..], b"8bit", b"binary", b"quoted-printable"];
        let damaged = named(b"encoding") && !known.into_iter().any(named);
        // Fields that stand further before belong to these, for some.
        let before = |word| !fields.is_empty() && contains_ignoring_case(head, word);
        let said = Fields {
            base64: named(b"base64") || (damaged || before(b"base64")) && is_only_base64(window),
            quoted: named(b"quoted") || damaged || before(b"quoted"),
            file: says_that_it_is_a_file(fields) || before(b"name="),
            plain: named(b"text/plain"),
        };
        let file = !fields.is_empty() && !named(b"multipart/") && !named(b"message/") || has_magic(body);
        Self {
            head,
            base64: named(b"base64")
                || !starts_with_field && is_base64(window) && !(leaf && named(b"quoted-printable")),
            // A leaf is escaped only if its fields say so.
            quoted: !starts_with_field && (named(b"quoted") || escaped && (!leaf || said.quoted)),
            uuencoded: may_be_uuencoded(window),
            file,
            fields: said,
            raw: segment.delimited && file && !encoded && !starts_with_field,
            // What no fields stand before is a piece of a text, unless its bytes say otherwise.
            class: if fields.is_empty() { Class::Plain } else { class_of(head, body) },
        }
    }

    /// Takes `source`, decoded so, under the name in the fields.
    fn take(&self, source: &Bytes, decoding: Decoding, class: Class, samples: &mut Samples) {
        let name = names_in(self.head).into_iter().next();
        let content = Content { source: source.clone(), decoding };
        samples.hidden(Hidden { content, name, class, fields: self.fields });
    }
}

/// Where a part ends that goes on at `from`: before the next delimiter with a part behind it. None where the budget does
/// not allow to look.
fn end_of_part(message: &[u8], from: usize, left: &mut Allowance) -> Option<usize> {
    let mut start = from;
    while start < message.len() {
        let segment = Segment::scan(message, start);
        if !left.spend_doubtful_search(segment.next - start) {
            return None;
        }
        if segment.delimited {
            return Some(segment.end);
        }
        start = segment.next;
    }
    Some(message.len())
}

/// The lines directly before a body, where they are fields of MIME; else nothing.
fn fields_before(head: &[u8]) -> &[u8] {
    let head = head.trim_ascii_end();
    let ends = [memmem::rfind(head, b"\n\n"), memmem::rfind(head, b"\n\r\n"), memmem::rfind(head, b"\r\r")];
    let block = &head[ends.into_iter().flatten().max().unwrap_or(0)..];
    let mut at = 0;
    for line in block.split(|byte| matches!(byte, b'\r' | b'\n')) {
        if is_ours(line) {
            return &block[at..];
        }
        at += line.len() + 1;
    }
    &[]
}

/// True where `line` could be a field of MIME to a lenient reader, and not the list of names in a signature.
fn is_ours(line: &[u8]) -> bool {
    let start = &line[..line.len().min(NAME)];
    let content = start.windows(8).enumerate().any(|(at, word)| {
        word[..7].eq_ignore_ascii_case(b"content")
            && matches!(word[7], b'-' | b'_' | b'(' | 0..=b' ')
            && (at == 0 || !start[at - 1].is_ascii_alphanumeric())
    });
    let folded = matches!(line, [b' ' | b'\t', ..]);
    (content || contains_ignoring_case(start, b"-encoding")) && !(folded && lists_names(line))
}

/// True where `fields` name a file, or a type or disposition that clients offer as one. Requests and answers of HTTP are
/// quoted in texts, with their types.
fn says_that_it_is_a_file(fields: &[u8]) -> bool {
    const QUOTED: [&[u8]; 4] = [b"json", b"xml", b"x-www-form-urlencoded", b"javascript"];
    let has = |word| contains_ignoring_case(fields, word);
    let names = fields.windows(4).enumerate().any(|(at, word)| {
        let behind = &fields[at + 4..fields.len().min(at + 4 + SIGN)];
        word.eq_ignore_ascii_case(b"name") && memchr(b'=', behind).is_some()
    });
    names
        || has(b"attachment") && has(b"dispo")
        || has(b"application/") && !QUOTED.iter().any(|subtype| has(subtype))
}

/// The length of the line end that `text` ends with.
fn line_end(text: &[u8]) -> usize {
    match text {
        [.., b'\r', b'\n'] => 2,
        [.., b'\r' | b'\n'] => 1,
        _ => 0,
    }
}

/// A file where its fields or its first bytes say so, else what a client would show.
fn class_of(head: &[u8], body: &[u8]) -> Class {
    if has_magic(body) || !names_in(head).is_empty() || contains_ignoring_case(head, b"attachment") {
        return Class::File;
    }
    let plain = contains_ignoring_case(head, b"text/plain") || !contains_ignoring_case(head, b"content-t");
    if plain { Class::Plain } else { Class::File }
}

/// The names in the fields of `head`, the most dangerous first.
fn names_in(head: &[u8]) -> Vec<String> {
    if !contains_ignoring_case(head, b"name") {
        return Vec::new();
    }
    let mut fields = b"x; ".to_vec();
    let mut at = 0;
    while at < head.len() {
        let (end, next) = line_at(head, at);
        if !matches!(head[at..].first(), Some(b' ' | b'\t')) {
            fields.extend_from_slice(b"; ");
        }
        fields.extend_from_slice(&head[at..end]);
        at = next;
    }
    let value = Value::parse(&fields);
    let all = names::names(&value, "filename").into_iter().chain(names::names(&value, "name")).collect();
    names::most_dangerous_first(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_order_of_fields() {
        let head =
            b"Content-Type: a/b; name=x.txt\r\nContent-Disposition: attachment;\r\n filename=y.exe\r\n";
        assert_eq!(names_in(head), ["y.exe", "x.txt"]);
    }
}
