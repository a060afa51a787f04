// SPDX-License-Identifier: GPL-3.0-or-later
//! Boundaries: which ones a field may name, which line of a body is a delimiter of an open multipart, and which looks
//! like one.

use super::{
    bytewise,
    value::{MAX_FIELD, Value, contains_ignoring_case},
};
use encodify::rfc2047;
use memchr::{memchr, memmem};
use std::{cell::Cell, collections::HashMap, ops::Range, sync::LazyLock};

/// Boundaries of one multipart that are considered.
const MOST: usize = 8;

/// Where a line starts that could be a delimiter.
static LINE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\n--"));

/// The boundaries that readers could take from a Content-Type `field`, parsed as `value`, the likeliest first. More than
/// one only where the field leaves a choice.
pub(crate) fn named(field: &[u8], value: &Value) -> Vec<Vec<u8>> {
    let parameters = value.plain("boundary").chain(value.extended("boundary"));
    let mut found: Vec<Vec<u8>> = parameters.map(|text| text.bytes).collect();
    if value.odd {
        let field = &field[..field.len().min(MAX_FIELD)];
        let words = found
            .iter()
            .take(MOST)
            .map(|boundary| rfc2047::decode_text(boundary, rfc2047::utf8_charset).into_owned().into_bytes());
        let words: Vec<_> = words.collect();
        found.extend(words);
        found.extend(literal(field));
    }
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for mut boundary in found {
        boundary.truncate(boundary.trim_ascii_end().len());
        if !kept.contains(&boundary) {
            kept.truncate(MOST - 1);
            kept.push(boundary);
        }
    }
    kept
}

/// What stands behind `boundary=` in `field` for readers who know neither comments nor quotes nor escapes.
fn literal(field: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = field[at..].windows(5).position(|word| word.eq_ignore_ascii_case(b"bound"))
        && found.len() < 2 * MOST
    {
        at += start + 5;
        let Some(sign) = memchr(b'=', &field[at..]) else { break };
        let value = &field[at + sign + 1..];
        let line = value.trim_ascii_start();
        let line = &line[..line.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(line.len())];
        let up_to = |ends: &dyn Fn(u8) -> bool, text: &[u8]| {
            text[..text.iter().position(|&byte| ends(byte)).unwrap_or(text.len())].trim_ascii().to_vec()
        };
        let unquoted = line.strip_prefix(b"\"").unwrap_or(line);
        found.push(up_to(&|byte| byte == b'"', unquoted));
        found.push(up_to(&|byte| byte == b';', line));
        found.push(up_to(&|byte| matches!(byte, b';' | b'"' | b' ' | b'\t' | b'(' | b','), unquoted));
        found.push(
            up_to(&|byte| byte == b';', line)
                .into_iter()
                .filter(|byte| !matches!(byte, b'"' | b'\\'))
                .collect(),
        );
    }
    found
}

/// True where the line `--boundary` stands somewhere in `text`.
pub(crate) fn delimits(boundary: &[u8], text: &[u8]) -> bool {
    let line = [b"\n--", boundary].concat();
    let ends = |rest: &[u8]| {
        let rest = rest.strip_prefix(b"--").unwrap_or(rest);
        rest.is_empty() || rest[0].is_ascii_whitespace()
    };
    text.strip_prefix(&line[1..]).is_some_and(ends)
        || memmem::find_iter(text, &line).take(MOST).any(|at| ends(&text[at + line.len()..]))
}

/// True where `field`, which is no Content-Type, names a boundary.
pub(crate) fn is_mentioned(field: &[u8]) -> bool {
    contains_ignoring_case(&field[..field.len().min(MAX_FIELD)], b"bound")
}

/// The multiparts whose delimiters count, outermost first.
#[derive(Default)]
pub(crate) struct Open {
    pub(crate) stack: Vec<Multipart>,
    /// Where in the stack each boundary stands, so that a line costs one look-up however deep it is.
    places: HashMap<Vec<u8>, Vec<usize>>,
    longest: usize,
    /// A line was nearly a delimiter: some readers compare beginnings.
    pub(crate) near: Cell<bool>,
}

/// A multipart that was opened.
pub(crate) struct Multipart {
    pub(crate) boundary: Vec<u8>,
    /// Of its parts.
    pub(crate) depth: usize,
    /// Their type where they name none.
    pub(crate) default: &'static str,
    /// Its closing delimiter was seen.
    pub(crate) closed: bool,
}

/// A line that delimits the multipart at `index`.
pub(crate) struct Delimiter {
    pub(crate) line: Range<usize>,
    pub(crate) index: usize,
    pub(crate) closes: bool,
}

impl Open {
    pub(crate) fn push(&mut self, multipart: Multipart) {
        self.longest = self.longest.max(multipart.boundary.len());
        if let Some(outer) = self.stack.last() {
            // The delimiter of one closes the other.
            let closes = |one: &[u8], other: &[u8]| one.strip_suffix(b"--") == Some(other);
            let (one, other) = (&outer.boundary, &multipart.boundary);
            self.near.set(self.near.get() || closes(one, other) || closes(other, one));
        }
        self.places.entry(multipart.boundary.clone()).or_default().push(self.stack.len());
        self.stack.push(multipart);
    }

    /// True where the innermost multipart is the one at `index`, and closed.
    pub(crate) fn is_closed(&self, index: usize) -> bool {
        index + 1 == self.stack.len() && self.stack[index].closed
    }

    /// Forgets the multiparts inside the one at `index`.
    pub(crate) fn close_above(&mut self, index: usize) {
        for multipart in self.stack.drain(index + 1..) {
            if let Some(places) = self.places.get_mut(&multipart.boundary) {
                places.pop();
            }
        }
    }

    /// The first delimiter in `message` at or after `from`, which is the start of a line.
    pub(crate) fn next(&self, message: &[u8], from: usize) -> Option<Delimiter> {
        let mut at = from;
        let mut next = message[from..].starts_with(b"--").then_some(from);
        while !self.stack.is_empty() {
            let start = match next {
                Some(start) => start,
                None => at + LINE.find(&message[at..])? + 1,
            };
            let end =
                bytewise::find(b'\n', &message[start..]).map_or(message.len(), |length| start + length + 1);
            if let Some((index, closes)) = self.matches(&message[start..end]) {
                return Some(Delimiter { line: start..end, index, closes });
            }
            // Back to the line end, which the next delimiter needs.
            at = (end - 1).max(start + 1);
            next = message[end..].starts_with(b"--").then_some(end);
        }
        None
    }

    /// The multipart that `line` delimits, and whether it closes it.
    pub(crate) fn matches(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let found = |boundary: &[u8]| {
            let places = match self.stack.as_slice() {
                // A look-up costs more than a comparison.
                [one] => return (one.boundary == boundary).then_some(0),
                _ => self.places.get(boundary)?,
            };
            let open = places.iter().rev().find(|&&index| !self.stack[index].closed);
            open.or(places.last()).copied()
        };
        let exact = (text.len() <= self.longest + 2)
            .then(|| {
                found(text)
                    .map(|index| (index, false))
                    .or_else(|| Some((found(text.strip_suffix(b"--")?)?, true)))
            })
            .flatten();
        if !self.near.get() {
            // Behind a boundary stand blanks at most.
            let behind = line.strip_suffix(b"\n").unwrap_or(line);
            let behind = &behind[2 + text.len()..];
            let behind = behind.strip_suffix(b"\r").unwrap_or(behind);
            let mut ends = self.stack.first().into_iter().chain(self.stack.last());
            self.near.set(match exact {
                Some(_) => behind.iter().any(|byte| !matches!(byte, b' ' | b'\t')),
                None => ends.any(|multipart| text.starts_with(&multipart.boundary)),
            });
        }
        exact
    }
}

/// The first line of `body` that looks like a delimiter: where it starts, and its boundary.
pub(crate) fn likely(body: &[u8]) -> Option<(usize, &[u8])> {
    let starts = body.starts_with(b"--").then_some(0);
    starts.into_iter().chain(memmem::find_iter(body, b"\n--").map(|at| at + 1)).find_map(|start| {
        let boundary = &body[start + 2..];
        let boundary = &boundary[..memchr(b'\n', boundary).unwrap_or(boundary.len())];
        let boundary = boundary.trim_ascii_end();
        let likely = !boundary.is_empty() && boundary.iter().all(|byte| matches!(byte, b' '..=b'~'));
        likely.then_some((start, boundary))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(field: &str) -> Vec<String> {
        let value = Value::parse(field.as_bytes());
        named(field.as_bytes(), &value).into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn a_clear_field_names_one_boundary_and_an_unclear_one_all_that_it_may_mean() {
        assert_eq!(candidates("multipart/mixed; boundary=\"a b\""), ["a b"]);
        for (field, meant) in [
            ("multipart/mixed; boundary=(boundary=foo)bar", "bar"),
            ("multipart/mixed; boundary=\"=?us-ascii?Q?x?=\"", "x"),
            ("multipart/mixed; boundary=a\"b\"", "ab"),
            ("multipart/mixed; boundary=\"X;\"", "X;"),
            ("multipart/mixed; boundary=\"X;\"", "X"),
            ("multipart/mixed; boundary=\"a", "a"),
            ("multipart/mixed; foo=\"bla;boundary=x\"", "x"),
            ("multipart/mixed; \"boundary=x\"", "x"),
            ("multipart/mixed; boundary==x", "=x"),
            ("multipart/mixed; bound=x", "x"),
            ("multipart/mixed; boundary=x y", "x"),
        ] {
            assert!(candidates(field).contains(&meant.to_owned()), "{field}: {:?}", candidates(field));
        }
    }

    #[test]
    fn a_boundary_delimits_where_its_line_stands() {
        assert!(delimits(b"a", b"--a\r\n") && delimits(b"a", b"x\n--a--") && delimits(b"", b"x\n--\n"));
        assert!(!delimits(b"a", b"--ab\n") && !delimits(b"a", b"x --a\n"));
    }
}
