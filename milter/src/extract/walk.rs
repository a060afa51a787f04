// SPDX-License-Identifier: GPL-3.0-or-later
//! One walk over the structure of a message, from its first byte to its last.
//!
//! Steps, in a loop and without recursion: read the header block of the entity at hand; a multipart opens a boundary,
//! a nested message starts again with its own header, anything else is a leaf; then look for the next line that
//! delimits any open multipart. What lies before that line ends there, whichever multipart it belongs to, so a
//! missing closing delimiter loses nothing. Every byte is looked at a constant number of times.

use super::{
    Budget, ambiguity,
    body::Class,
    decode::Decoding,
    header::Block,
    reading::{self, Reading},
    samples::{Leaf, Samples},
    value::{MAX_FIELD, Value},
};
use bytes::Bytes;
use memchr::{memchr, memmem};
use std::{collections::HashMap, ops::Range};

const PLAIN: &str = "text/plain";
const MESSAGE: &str = "message/rfc822";
/// Names of one part; those of a hostile header come to more.
const MAX_NAMES: usize = 8;
const UNREAD: &str = "field_bytes";

/// Walks over `message` as `reading` says. Hands what it finds to `samples`; returns which choices it met.
pub(super) fn walk(message: &Bytes, reading: Reading, budget: &Budget, samples: &mut Samples) -> Reading {
    let mut met = Reading::default();
    let mut tasks = vec![Task { message: message.clone(), depth: 0, boundary: None }];
    while let Some(Task { message, depth, boundary }) = tasks.pop() {
        let open = Open::default();
        let mut walk = Walk { message, reading, budget, samples, met, open, tasks: Vec::new() };
        walk.run(depth, boundary);
        met = walk.met;
        tasks.append(&mut walk.tasks);
    }
    met
}

/// Bytes to walk over: a message, or the parts of a multipart whose boundary was guessed.
struct Task {
    message: Bytes,
    depth: usize,
    boundary: Option<Vec<u8>>,
}

struct Walk<'a> {
    message: Bytes,
    reading: Reading,
    budget: &'a Budget,
    samples: &'a mut Samples,
    met: Reading,
    open: Open,
    /// To be walked over next: messages inside encoded parts, multiparts with a guessed boundary.
    tasks: Vec<Task>,
}

/// What the bytes up to the next delimiter are.
enum Pending {
    Leaf(Leaf, usize, usize),
    /// Before the first delimiter of the innermost multipart; a leaf if it never comes.
    Preamble(Leaf, usize, usize),
    Epilogue(usize),
}

impl Walk<'_> {
    fn run(&mut self, depth: usize, boundary: Option<Vec<u8>>) {
        let first = match boundary {
            Some(boundary) => {
                self.open.push(Multipart { boundary, depth, default: PLAIN, closed: false });
                Some((Pending::Epilogue(0), 0))
            }
            None => self.entity(skip_envelope(&self.message), depth, PLAIN),
        };
        let Some((mut pending, mut at)) = first else { return };
        loop {
            let delimiter = self.open.next(&self.message, at);
            let end = delimiter.as_ref().map_or(self.message.len(), |found| found.line.start);
            let opens = delimiter
                .as_ref()
                .is_some_and(|found| !found.closes && found.index + 1 == self.open.stack.len());
            self.finish(pending, end, opens);
            let Some(found) = delimiter else { return };
            at = found.line.end;
            self.open.close_above(found.index);
            let multipart = &mut self.open.stack[found.index];
            if found.closes {
                multipart.closed = true;
                pending = Pending::Epilogue(at);
                continue;
            }
            if std::mem::take(&mut multipart.closed) {
                self.samples.ambiguous(ambiguity::AFTER_CLOSE);
            }
            let (depth, default) = (multipart.depth, multipart.default);
            let Some(next) = self.entity(at, depth, default) else { return };
            (pending, at) = next;
        }
    }

    /// Reads the entity at `at`, and the ones nested in it as messages. Gives what its body is and where that starts;
    /// none where the budget has no part left.
    fn entity(&mut self, mut at: usize, mut depth: usize, mut default: &str) -> Option<(Pending, usize)> {
        loop {
            if !self.samples.spend_part() {
                return None;
            }
            let message = self.message.clone();
            let block = self.block(&message, at);
            let body = at + block.body;
            let (leaf, value) = self.describe(&block, default);
            let multipart = leaf.media_type.starts_with("multipart");
            let nested = is_message(&leaf.media_type);
            if !multipart && !nested {
                return Some((Pending::Leaf(leaf, body, depth), body));
            }
            if depth >= self.budget.depth {
                self.samples.malformed("depth");
                return Some((Pending::Leaf(leaf, body, depth), body));
            }
            if multipart {
                return Some((self.multipart(leaf, &value, body, depth), body));
            }
            let start = body + skip_envelope(&message[body..]);
            if leaf.decodings != [Decoding::Identity] || self.block(&message, start).fields == 0 {
                return Some((Pending::Leaf(leaf, body, depth), body));
            }
            (at, depth, default) = (start, depth + 1, PLAIN);
        }
    }

    fn block<'b>(&self, message: &'b Bytes, at: usize) -> Block<'b> {
        Block::parse(&message[at..], self.reading.skip_junk, |line| self.open.matches(line).is_some())
    }

    /// What `block` says of the entity, and its Content-Type.
    fn describe(&mut self, block: &Block<'_>, default: &str) -> (Leaf, Value) {
        if block.junk {
            self.met.skip_junk = true;
            self.samples.ambiguous(ambiguity::HEADER_JUNK);
        }
        if block.types.len() > 1 {
            self.met.last_type = true;
            self.samples.ambiguous(ambiguity::REPEATED_TYPE);
        }
        let mut fields = block.types.iter().chain(&block.dispositions);
        if fields.any(|field| field.len() > MAX_FIELD) {
            self.samples.malformed(UNREAD);
        }
        let chosen = if self.reading.last_type { block.types.last() } else { block.types.first() };
        let value = chosen.map(|field| Value::parse(field)).unwrap_or_default();
        let media_type = if value.token.is_empty() { default.to_owned() } else { value.token.clone() };
        let (names, attachment) = names(block, &value);
        let class = Class::of(&media_type, attachment || !names.is_empty());
        let (decodings, kinds) = reading::decodings(&block.encodings, class);
        for kind in kinds {
            self.samples.ambiguous(kind);
        }
        (Leaf { media_type, names, class: Some(class), decodings }, value)
    }

    /// Opens a multipart; a leaf where it has no boundary.
    fn multipart(&mut self, leaf: Leaf, value: &Value, body: usize, depth: usize) -> Pending {
        let mut boundaries = value.all("boundary");
        boundaries.iter_mut().for_each(|boundary| boundary.truncate(boundary.trim_ascii_end().len()));
        if boundaries.len() > 1 {
            self.met.last_boundary = true;
            self.samples.ambiguous(ambiguity::REPEATED_BOUNDARY);
        }
        let at = if self.reading.last_boundary { boundaries.len().saturating_sub(1) } else { 0 };
        let Some(boundary) = boundaries.into_iter().nth(at) else {
            self.samples.ambiguous(ambiguity::NO_DELIMITER);
            return Pending::Leaf(leaf, body, depth);
        };
        let default = if leaf.media_type == "multipart/digest" { MESSAGE } else { PLAIN };
        self.open.push(Multipart { boundary, depth: depth + 1, default, closed: false });
        Pending::Preamble(leaf, body, depth)
    }

    /// `pending` ends before a delimiter line at `end`, which `opens` the innermost multipart if it waits for that.
    fn finish(&mut self, pending: Pending, end: usize, opens: bool) {
        match pending {
            Pending::Leaf(leaf, start, depth) => self.leaf(&leaf, start, end, depth),
            Pending::Preamble(_, start, _) if opens => {
                self.samples.gap(self.content(start, end), ambiguity::PREAMBLE);
            }
            Pending::Preamble(leaf, start, depth) => {
                self.samples.ambiguous(ambiguity::NO_DELIMITER);
                self.leaf(&leaf, start, end, depth);
            }
            Pending::Epilogue(start) => self.samples.gap(self.content(start, end), ambiguity::EPILOGUE),
        }
    }

    fn leaf(&mut self, leaf: &Leaf, start: usize, end: usize, depth: usize) {
        let source = self.content(start, end);
        self.samples.leaf(leaf, source.clone());
        if leaf.media_type.starts_with("multipart") {
            self.samples.gap(source.clone(), ambiguity::NO_DELIMITER);
            self.guess(&source, depth);
        } else if is_message(&leaf.media_type) && leaf.decodings != [Decoding::Identity] {
            self.nested(leaf, &source, depth);
        }
    }

    /// The messages that an encoded leaf holds come next.
    fn nested(&mut self, leaf: &Leaf, source: &Bytes, depth: usize) {
        if depth >= self.budget.depth {
            return self.samples.malformed("depth");
        }
        let messages = leaf.decodings.iter().filter_map(|&decoding| self.samples.nested(source, decoding));
        self.tasks.extend(messages.map(|message| Task { message, depth: depth + 1, boundary: None }));
    }

    /// A multipart without its delimiter may have that of the first line that looks like one.
    fn guess(&mut self, source: &Bytes, depth: usize) {
        if let Some((start, boundary)) = likely_boundary(source).filter(|_| depth < self.budget.depth) {
            let boundary = Some(boundary.to_vec());
            self.tasks.push(Task { message: source.slice(start..), depth: depth + 1, boundary });
        }
    }

    /// The bytes from `start` up to the delimiter line at `end`, to which the line end before it belongs.
    fn content(&self, start: usize, end: usize) -> Bytes {
        let mut end = end;
        if end < self.message.len() && end > start && self.message[end - 1] == b'\n' {
            end -= 1;
            if end > start && self.message[end - 1] == b'\r' {
                end -= 1;
            }
        }
        self.message.slice(start..end.max(start))
    }
}

/// The multiparts whose delimiters count, outermost first.
#[derive(Default)]
struct Open {
    stack: Vec<Multipart>,
    /// Where in the stack each boundary stands, so that a line costs one look-up however deep it is.
    places: HashMap<Vec<u8>, Vec<usize>>,
    longest: usize,
}

struct Multipart {
    boundary: Vec<u8>,
    /// Of its parts.
    depth: usize,
    /// Their type where they name none.
    default: &'static str,
    /// Its closing delimiter was seen.
    closed: bool,
}

/// A line that delimits the multipart at `index`.
struct Delimiter {
    line: Range<usize>,
    index: usize,
    closes: bool,
}

impl Open {
    fn push(&mut self, multipart: Multipart) {
        self.longest = self.longest.max(multipart.boundary.len());
        self.places.entry(multipart.boundary.clone()).or_default().push(self.stack.len());
        self.stack.push(multipart);
    }

    /// Forgets the multiparts inside the one at `index`.
    fn close_above(&mut self, index: usize) {
        for multipart in self.stack.drain(index + 1..) {
            if let Some(places) = self.places.get_mut(&multipart.boundary) {
                places.pop();
            }
        }
    }

    /// The first delimiter in `message` at or after `from`, which is the start of a line.
    fn next(&self, message: &[u8], from: usize) -> Option<Delimiter> {
        let mut at = from;
        while !self.stack.is_empty() {
            let starts = at == from && message[at..].starts_with(b"--");
            let start = if starts { at } else { at + memmem::find(&message[at..], b"\n--")? + 1 };
            let end = memchr(b'\n', &message[start..]).map_or(message.len(), |length| start + length + 1);
            if let Some((index, closes)) = self.matches(&message[start..end]) {
                return Some(Delimiter { line: start..end, index, closes });
            }
            // Back to the line end, which the next delimiter needs.
            at = (end - 1).max(start + 1);
        }
        None
    }

    /// The multipart that `line` delimits, and whether it closes it.
    fn matches(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        if text.len() > self.longest + 2 {
            return None;
        }
        let found = |boundary: &[u8]| {
            let places = self.places.get(boundary)?;
            let open = places.iter().rev().find(|&&index| !self.stack[index].closed);
            open.or(places.last()).copied()
        };
        found(text).map(|index| (index, false)).or_else(|| Some((found(text.strip_suffix(b"--")?)?, true)))
    }
}

/// Where the header starts: after a byte order mark, empty lines and the `From ` line of a mailbox.
fn skip_envelope(message: &[u8]) -> usize {
    let mut at = if message.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    at += message[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if message[at..].starts_with(b"From ") || message[at..].starts_with(b">From ") {
        at = memchr(b'\n', &message[at..]).map_or(message.len(), |length| at + length + 1);
    }
    at
}

/// The first line of `body` that looks like a delimiter: where it starts, and its boundary.
fn likely_boundary(body: &[u8]) -> Option<(usize, &[u8])> {
    let starts = body.starts_with(b"--").then_some(0);
    starts.into_iter().chain(memmem::find_iter(body, b"\n--").map(|at| at + 1)).find_map(|start| {
        let boundary = &body[start + 2..];
        let boundary = &boundary[..memchr(b'\n', boundary).unwrap_or(boundary.len())];
        let boundary = boundary.trim_ascii_end();
        let likely = !boundary.is_empty() && boundary.iter().all(|byte| matches!(byte, b' '..=b'~'));
        likely.then_some((start, boundary))
    })
}

fn is_message(media_type: &str) -> bool {
    matches!(media_type, MESSAGE | "message/global" | "message/news")
}

/// The names of a part, the one that most clients show first, and whether it is an attachment.
fn names(block: &Block<'_>, value: &Value) -> (Vec<String>, bool) {
    let dispositions: Vec<Value> = block.dispositions.iter().map(|field| Value::parse(field)).collect();
    let attachment =
        dispositions.iter().any(|disposition| !matches!(disposition.token.as_str(), "" | "inline"));
    let mut names: Vec<String> =
        dispositions.iter().flat_map(|disposition| disposition.names("filename")).collect();
    names.extend(value.names("name"));
    let mut known = Vec::new();
    names.retain(|name| !known.contains(name) && (known.push(name.clone()), true).1);
    names.truncate(MAX_NAMES);
    (names, attachment)
}
