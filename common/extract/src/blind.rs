// SPDX-License-Identifier: GPL-3.0-or-later
//! The reading without the structure, for messages about whose structure readers could differ.
//!
//! Whatever a reader takes for the boundary, its parts begin and end at lines that start with `--`. So the message is cut
//! at every one of them; in each segment a body may start at its beginning, behind each empty line, behind the last line
//! that could be a field, and where base64 begins. From each start to the end of the segment the bytes are decoded in
//! every way that they look like. What was found before is dropped by its digest; the budget bounds the rest.

use super::{
    body::{Class, has_magic},
    bytewise,
    candidates::{self, is_base64, is_only_base64},
    decode::{Decoding, base64::belongs, is_uu_line, quoted_printable::is_escape},
    names,
    part::Content,
    samples::Samples,
    value::{Value, contains_ignoring_case},
};
use bytes::Bytes;
use memchr::{memchr, memchr_iter, memchr2, memmem};

/// Starts of bodies in one segment: the first ones and the last.
const FIRST_STARTS: usize = 8;
const LAST_STARTS: usize = 4;
/// Bytes of a body that can hold a file.
const LEAST: usize = 12;
/// What looking at one body costs, as bytes of a search.
const LOOK: usize = 2048;
/// What one delimiter costs.
const DELIMITER: usize = 128;
/// Bytes before a body in which its fields are looked for.
const HEAD: usize = 8 * 1024;
/// Bytes of a line in which the name of a field stands, with what may be put before it.
const NAME: usize = 32;
/// Bytes of a body by which its encoding is told.
const WINDOW: usize = 4 * 1024;

/// Reads `message` without its structure. Hands what it finds to `samples`.
pub(crate) fn read(message: &Bytes, samples: &mut Samples) {
    let (mut start, mut opens) = (0, true);
    while start < message.len() && samples.left.has_readings_left() {
        let (end, next) = line_at(message, start);
        if message[start..end].starts_with(b"--") {
            // Delimiters one behind the other: nothing between them.
            if !samples.left.spend_search(DELIMITER) {
                return;
            }
            (start, opens) = (next, true);
            continue;
        }
        let segment = Segment { opens, ..Segment::scan(message, start) };
        if !samples.left.spend_search(DELIMITER) {
            return;
        }
        for body in segment.starts() {
            if !samples.left.has_readings_left() || !samples.left.spend_search(LOOK) {
                return;
            }
            read_body(message, &segment, body, samples);
        }
        (start, opens) = (segment.next, segment.delimited);
    }
    let whole = Content { source: message.clone(), decoding: Decoding::Identity };
    for file in candidates::files_in_text(&whole) {
        samples.hidden(file.content, file.name, Class::File);
    }
}

/// The bytes between two lines that start with `--`.
struct Segment {
    start: usize,
    /// Without the line end before the delimiter.
    end: usize,
    /// Where the next segment starts.
    next: usize,
    /// What follows the line at its end could be the start of a part, or nothing follows.
    delimited: bool,
    /// The line before its start could be a delimiter.
    opens: bool,
    /// Where its bodies may start: the first places, the last ones, and the last ones directly behind fields of MIME.
    first: Vec<usize>,
    last: Vec<usize>,
    declared: Vec<usize>,
}

/// What a line could be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Blank,
    Field,
    Symbols,
    Delimiter,
    Other,
}

impl Segment {
    /// The segment that starts at `start`.
    fn scan(message: &[u8], start: usize) -> Self {
        let mut segment = Self {
            start,
            end: message.len(),
            next: message.len(),
            delimited: true,
            opens: true,
            first: Vec::new(),
            last: Vec::new(),
            declared: Vec::new(),
        };
        segment.add(start, false);
        // The last line that is not empty, if it could be a field.
        let mut field = 0..0;
        let (mut at, mut before) = (start, Line::Other);
        while at < message.len() {
            let (end, next) = line_at(message, at);
            let line = Line::of(&message[at..end]);
            match (before, line) {
                (_, Line::Delimiter) => {
                    segment.next = next;
                    segment.delimited = next == message.len() || {
                        let (end, _) = line_at(message, next);
                        !matches!(Line::of(&message[next..end]), Line::Symbols | Line::Other)
                    };
                    return segment.ending_before(message, at);
                }
                // Behind the first empty line, and behind the last.
                (Line::Blank, _) if before != line => segment.add(at, is_mime(&message[field.clone()])),
                (Line::Field, Line::Symbols | Line::Other) if !message[at].is_ascii_whitespace() => {
                    segment.add(at, is_mime(&message[field.clone()]));
                }
                (Line::Other, Line::Symbols) => segment.add(at, false),
                _ => (),
            }
            if line == Line::Blank && before != Line::Blank {
                segment.add(next, is_mime(&message[field.clone()]));
            }
            if line != Line::Blank {
                field = if line == Line::Field { at..end } else { 0..0 };
            }
            (at, before) = (next, line);
            if line == Line::Blank {
                // Nothing changes in further empty lines.
                at += message[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            }
        }
        segment
    }

    fn ending_before(mut self, message: &[u8], delimiter: usize) -> Self {
        let text = &message[self.start..delimiter];
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.end = self.start + text.len();
        self
    }

    fn add(&mut self, at: usize, declared: bool) {
        if declared && self.declared.last() != Some(&at) {
            push_last(&mut self.declared, at);
        }
        if self.first.last() == Some(&at) || self.last.last() == Some(&at) {
            return;
        }
        if self.first.len() < FIRST_STARTS {
            self.first.push(at);
            return;
        }
        push_last(&mut self.last, at);
    }

    fn starts(&self) -> Vec<usize> {
        let all = self.declared.iter().chain(&self.first).chain(&self.last).copied();
        let least = if self.delimited { LEAST } else { 1 };
        let mut starts: Vec<usize> = all.filter(|&start| start + least <= self.end).collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

/// Adds `at` to the last places.
fn push_last(last: &mut Vec<usize>, at: usize) {
    if last.len() == LAST_STARTS {
        last.remove(0);
    }
    last.push(at);
}

/// True where `line` could be a field that says how to read a body.
fn is_mime(line: &[u8]) -> bool {
    let start = &line[..line.len().min(100)];
    memchr(b'-', start).is_some()
        && (contains_ignoring_case(start, b"content-") || contains_ignoring_case(start, b"-encoding"))
}

impl Line {
    fn of(line: &[u8]) -> Self {
        let control = |byte: &&u8| **byte <= b' ';
        let line = &line[line.iter().take_while(control).count()..];
        let line = &line[..line.len() - line.iter().rev().take_while(control).count()];
        if line.is_empty() {
            return Self::Blank;
        }
        if line.starts_with(b"--") {
            return Self::Delimiter;
        }
        let start = &line[..line.len().min(100)];
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if let Some(first) = memchr2(b':', b'-', start) {
            let colon = memchr(b':', &start[first..]).map_or(0, |length| first + length);
            if colon > 0 && start[..colon].iter().all(word) || is_mime(start) {
                return Self::Field;
            }
        }
        if bytewise::all(line, belongs) { Self::Symbols } else { Self::Other }
    }
}

/// Where the line at `at` ends, and where the next one starts. Every kind of line end counts.
fn line_at(message: &[u8], at: usize) -> (usize, usize) {
    let end = bytewise::find2(b'\r', b'\n', &message[at..]).map_or(message.len(), |length| at + length);
    let next = match &message[end..] {
        [b'\r', b'\n', ..] => end + 2,
        [] => end,
        _ => end + 1,
    };
    (end, next)
}

/// Takes the bytes from `start` to the end of `segment` in every way that they look like, or that their fields name.
fn read_body(message: &Bytes, segment: &Segment, start: usize, samples: &mut Samples) {
    let body = message.slice(start..segment.end);
    let window = &body[..body.len().min(WINDOW)];
    let head = &message[segment.start.max(start.saturating_sub(HEAD))..start];
    let fields = fields_before(head);
    let first = Line::of(&message[start..line_at(message, start).0]);
    let escaped = memchr_iter(b'=', window).any(|sign| is_escape(&window[sign..]));
    let names = |word| contains_ignoring_case(fields, word);
    let base64 = names(b"base64") || first != Line::Field && is_base64(window);
    let quoted = first != Line::Field && (names(b"quoted") || escaped);
    let file = !fields.is_empty() && !names(b"multipart/") && !names(b"message/") || has_magic(&body);
    let encoded = is_only_base64(window) || escaped && samples.is_part(&body);
    let raw = segment.delimited && file && !encoded && first != Line::Field;
    // What no fields stand before is a piece of a text, unless its bytes say otherwise.
    let class = if fields.is_empty() { Class::Plain } else { class_of(head, &body) };
    let mut take = |source: &Bytes, decoding, class| {
        let name = names_in(head).into_iter().next();
        samples.hidden(Content { source: source.clone(), decoding }, name, class);
    };
    // The last line end may belong to the content or to the delimiter.
    let mut bodies = vec![body.clone(), body.slice(..body.len() - line_end(&body))];
    bodies.dedup();
    for body in &bodies {
        if quoted {
            take(body, Decoding::QuotedPrintable, class);
        }
        if raw {
            take(body, Decoding::Identity, class);
        }
    }
    if base64 {
        take(&body, Decoding::Base64, Class::File);
    }
    if is_uuencoded(window) {
        take(&body, Decoding::Uuencode, Class::File);
    }
    if segment.opens && !segment.delimited && (base64 || quoted || file) {
        // The line that ended the segment delimits nothing for readers who know the boundary.
        if let Some(end) = end_of_part(message, segment.next, samples) {
            let rest = message.slice(start..end);
            let decodings =
                [(base64, Decoding::Base64), (quoted, Decoding::QuotedPrintable), (file, Decoding::Identity)];
            for (_, decoding) in decodings.into_iter().filter(|(taken, _)| *taken) {
                let name = names_in(head).into_iter().next();
                samples.hidden(Content { source: rest.clone(), decoding }, name, Class::File);
            }
        }
    }
}

/// Where a part ends that goes on at `from`: before the next delimiter with a part behind it. None where the budget does
/// not allow to look.
fn end_of_part(message: &[u8], from: usize, samples: &mut Samples) -> Option<usize> {
    let mut start = from;
    while start < message.len() {
        let segment = Segment::scan(message, start);
        if !samples.left.spend_search(segment.next - start) {
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
    let named = block.split(|byte| matches!(byte, b'\r' | b'\n')).any(|line| {
        let start = &line[..line.len().min(NAME)];
        let content = start.windows(8).enumerate().any(|(at, word)| {
            word[..7].eq_ignore_ascii_case(b"content")
                && matches!(word[7], b'-' | b'_' | b'(' | 0..=b' ')
                && (at == 0 || !start[at - 1].is_ascii_alphanumeric())
        });
        content || contains_ignoring_case(start, b"-encoding")
    });
    if named { block } else { &[] }
}

/// The length of the line end that `text` ends with.
fn line_end(text: &[u8]) -> usize {
    match text {
        [.., b'\r', b'\n'] => 2,
        [.., b'\r' | b'\n'] => 1,
        _ => 0,
    }
}

/// True where the first lines could be uuencoded.
fn is_uuencoded(text: &[u8]) -> bool {
    let mut lines =
        text.split(|&byte| byte == b'\n').take(3).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.next().is_some_and(|line| line.len() > 4 && is_uu_line(line))
        && lines.all(|line| line.is_empty() || is_uu_line(line) || line == b"end")
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

    fn starts(text: &str) -> Vec<&str> {
        let segment = Segment::scan(text.as_bytes(), 0);
        segment.starts().into_iter().map(|start| &text[start..segment.end]).collect()
    }

    #[test]
    fn a_body_may_start_in_several_places() {
        let end = "a body that is long enough";
        let text = format!("A: b\r\n\r\n\r\n{end}\r\n--x\r\n");
        assert_eq!(starts(&text), [&format!("A: b\r\n\r\n\r\n{end}"), &format!("\r\n{end}"), end]);
        let run = "QUJD".repeat(5);
        let text = format!("A: b\n{run}\nhi!\n{run}");
        assert_eq!(starts(&text), [&text, &text[5..], &run]);
        let text = format!("A: b\rcontent-x\r{end}");
        assert_eq!(starts(&text), [&text, end]);
        assert!(starts("A: b\n\nshort").is_empty());
    }

    #[test]
    fn many_starts_keep_the_first_and_the_last() {
        let text = "x\n\n".repeat(1000) + &"x".repeat(LEAST);
        let found = starts(&text);
        assert_eq!(
            (found.len(), found[0].len(), found[11].len()),
            (FIRST_STARTS + LAST_STARTS, text.len(), LEAST)
        );
    }

    #[test]
    fn names_are_found_in_any_order_of_fields() {
        let head =
            b"Content-Type: a/b; name=x.txt\r\nContent-Disposition: attachment;\r\n filename=y.exe\r\n";
        assert_eq!(names_in(head), ["y.exe", "x.txt"]);
    }
}
