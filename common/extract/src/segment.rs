// SPDX-License-Identifier: GPL-3.0-or-later
//! The pieces of a message between lines that start with `--`, and where in each of them a body may start: at its
//! beginning, behind each empty line, behind the last line that could be a field, and where base64 begins.

use super::{bytewise, decode::base64::belongs, value::contains_ignoring_case};
use memchr::{memchr, memchr2};

/// Starts of bodies in one segment: the first ones and the last.
const FIRST_STARTS: usize = 8;
const LAST_STARTS: usize = 4;
/// Bytes of a body that can hold a file.
const LEAST: usize = 12;

/// The bytes between two lines that start with `--`.
pub(crate) struct Segment {
    pub(crate) start: usize,
    /// Without the line end before the delimiter.
    pub(crate) end: usize,
    /// Where the next segment starts.
    pub(crate) next: usize,
    /// What follows the line at its end could be the start of a part, or nothing follows.
    pub(crate) delimited: bool,
    /// The line before its start could be a delimiter.
    pub(crate) opens: bool,
    /// Where its bodies may start: the first places, the last ones, and the last ones directly behind fields of MIME.
    first: Vec<usize>,
    last: Vec<usize>,
    declared: Vec<usize>,
}

/// What a line could be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Blank,
    Field,
    Symbols,
    Delimiter,
    Other,
}

impl Segment {
    /// The segment that starts at `start`.
    pub(crate) fn scan(message: &[u8], start: usize) -> Self {
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

    /// Where its bodies may start.
    pub(crate) fn starts(&self) -> Vec<usize> {
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
    /// What `line`, without its end, could be.
    pub(crate) fn of(line: &[u8]) -> Self {
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
pub(crate) fn line_at(message: &[u8], at: usize) -> (usize, usize) {
    let end = bytewise::find2(b'\r', b'\n', &message[at..]).map_or(message.len(), |length| at + length);
    let next = match &message[end..] {
        [b'\r', b'\n', ..] => end + 2,
        [] => end,
        _ => end + 1,
    };
    (end, next)
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
}
