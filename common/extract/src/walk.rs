// SPDX-License-Identifier: GPL-3.0-or-later
//! One walk over the structure of a message, from its first byte to its last.
//!
//! Steps, in a loop and without recursion: read the header block of the entity at hand; a multipart opens a boundary,
//! a nested message starts again with its own header, anything else is a leaf; then look for the next line that
//! delimits any open multipart. What lies before that line ends there, whichever multipart it belongs to, so a
//! missing closing delimiter loses nothing. Every byte is looked at a constant number of times.
//!
//! Whatever no program writes unless it means to confuse puts the message in doubt (`Found::doubt`), or the leaf that it
//! stands in (`Seen::suspect`), so that it is
//! read once more without its structure.

use super::{
    ambiguity::Ambiguity,
    body::{self, Class},
    boundary::{self, Multipart, Open},
    budget::{Budget, Exceeded},
    container::{self, wide::Charset},
    declared,
    decode::Decoding,
    header::Block,
    leaf::Leaf,
    names,
    opener::Enclosing,
    outline::Step,
    part::Content,
    reading::Reading,
    samples::Samples,
    value::{MAX_FIELD, Value},
};
use bytes::Bytes;
use memchr::memchr;

const PLAIN: &str = "text/plain";
const MESSAGE: &str = "message/rfc822";

/// Walks over `message` as `reading` says. Hands what it finds to `samples`; returns which choices it met.
pub(crate) fn walk(message: &Bytes, reading: Reading, budget: &Budget, samples: &mut Samples) -> Reading {
    let mut met = Reading::default();
    let mut tasks = vec![Task { message: message.clone(), depth: 0, within: None, boundary: None }];
    while let Some(Task { message, depth, within, boundary }) = tasks.pop() {
        if boundary.is_none() {
            samples.walked(&message);
        }
        let open = Open::default();
        let mut walk = Walk { message, within, reading, budget, samples, met, open, tasks: Vec::new() };
        walk.run(depth, boundary);
        met = walk.met;
        tasks.append(&mut walk.tasks);
        let inner = samples.opener.take_waiting();
        tasks.extend(inner.into_iter().map(|Enclosing { message, depth, within }| Task {
            message,
            depth,
            within,
            boundary: None,
        }));
    }
    met
}

/// Bytes to walk over: a message, or the parts of a multipart whose boundary was guessed.
struct Task {
    message: Bytes,
    depth: usize,
    /// The names of the files that it is in.
    within: Option<String>,
    boundary: Option<Vec<u8>>,
}

struct Walk<'a> {
    message: Bytes,
    within: Option<String>,
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
            let Some(found) = delimiter else {
                self.finish(pending, end, opens);
                return self.end();
            };
            at = found.line.end;
            if found.closes && matches!(pending, Pending::Epilogue(_)) && self.open.is_closed(found.index) {
                // Once more: the epilogue goes on.
                continue;
            }
            self.finish(pending, end, opens);
            if self.open.stack[found.index + 1..].iter().any(|inner| !inner.closed) {
                self.samples.found.doubt();
            }
            self.open.close_above(found.index);
            let multipart = &mut self.open.stack[found.index];
            if found.closes {
                multipart.closed = true;
                pending = Pending::Epilogue(at);
                continue;
            }
            if std::mem::take(&mut multipart.closed) {
                self.samples.found.ambiguous(Ambiguity::AfterClose);
            }
            let (depth, default) = (multipart.depth, multipart.default);
            let Some(next) = self.entity(at, depth, default) else { return };
            (pending, at) = next;
        }
    }

    /// The message ends here.
    fn end(&mut self) {
        if self.open.near.get() {
            self.samples.found.ambiguous(Ambiguity::NearDelimiter);
        }
        if self.open.stack.iter().any(|multipart| !multipart.closed) {
            self.samples.found.doubt();
        }
    }

    /// Reads the entity at `at`, and the ones nested in it as messages. Gives what its body is and where that starts;
    /// none where the budget has no part left or the header is too long.
    fn entity(&mut self, mut at: usize, mut depth: usize, mut default: &str) -> Option<(Pending, usize)> {
        loop {
            if !self.samples.left.spend_part() {
                return None;
            }
            let message = self.message.clone();
            let block = self.block(&message, at);
            if block.too_long {
                self.samples.left.malformed(Exceeded::HeaderBytes);
                return None;
            }
            let body = at + block.body;
            let (leaf, multipart) = self.describe(&block, default, depth);
            self.samples.found.note(|| Step::Entity {
                depth,
                media_type: leaf.media_type.clone(),
                offset: at,
            });
            let nested = is_message(&leaf.media_type);
            if multipart.is_none() && !nested {
                return Some((Pending::Leaf(leaf, body, depth), body));
            }
            if depth >= self.budget.depth {
                self.samples.left.malformed(Exceeded::Depth);
                return Some((Pending::Leaf(leaf, body, depth), body));
            }
            if let Some(boundaries) = multipart {
                return Some((self.multipart(leaf, boundaries, body, depth), body));
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

    /// What `block` says of the entity, and its boundaries where it is a multipart.
    fn describe(&mut self, block: &Block<'_>, default: &str, depth: usize) -> (Leaf, Option<Vec<Vec<u8>>>) {
        if block.junk {
            self.met.skip_junk = true;
            self.samples.found.ambiguous(Ambiguity::HeaderJunk);
        }
        if block.odd {
            self.samples.found.ambiguous(Ambiguity::OddHeader);
        }
        if block.types.len() > 1 {
            self.met.last_type = true;
            self.samples.found.ambiguous(Ambiguity::RepeatedType);
        }
        let mut fields = block.types.iter().chain(&block.dispositions);
        if fields.any(|field| field.len() > MAX_FIELD) {
            self.samples.left.malformed(Exceeded::FieldBytes);
        }
        let chosen = if self.reading.last_type { block.types.last() } else { block.types.first() };
        let field = chosen.copied().unwrap_or_default();
        let value = Value::parse(field);
        if value.odd || block.dispositions.iter().any(|field| boundary::is_mentioned(field)) {
            self.samples.found.ambiguous(Ambiguity::UnclearType);
        }
        let media_type = if value.token.is_empty() { default.to_owned() } else { value.token.clone() };
        let names = names::of_part(block, &value);
        let class = Class::of(&media_type, names.attachment || !names.all.is_empty());
        let (decodings, kinds) = declared::decodings(&block.encodings, class);
        for kind in kinds {
            self.samples.found.ambiguous(kind);
        }
        let multipart = media_type.starts_with("multipart") || (value.odd && media_type.contains("ultipart"));
        let boundaries = multipart.then(|| boundary::named(field, &value));
        let leaf = Leaf {
            message: is_file_of_a_message(&media_type, &names.all),
            charset: if is_text(&media_type) { Charset::declared(field) } else { None },
            names: names.all,
            class: Some(class),
            within: self.within.clone(),
            media_type,
            decodings,
            depth,
        };
        (leaf, boundaries)
    }

    /// Opens a multipart; a leaf where it has no boundary.
    fn multipart(&mut self, leaf: Leaf, mut boundaries: Vec<Vec<u8>>, body: usize, depth: usize) -> Pending {
        if boundaries.len() > 1 {
            let text = self.message.slice(body..);
            let first = boundaries[0].clone();
            boundaries.retain(|boundary| {
                self.samples.left.spend_search(text.len()) && boundary::delimits(boundary, &text)
            });
            if boundaries.len() > 1 {
                self.samples.found.ambiguous(Ambiguity::RepeatedBoundary);
                self.met.last_boundary = true;
            }
            if boundaries.is_empty() {
                boundaries.push(first);
            }
        }
        let chosen =
            if self.reading.last_boundary { boundaries.pop() } else { boundaries.into_iter().next() };
        let Some(boundary) = chosen else {
            self.samples.found.ambiguous(Ambiguity::NoDelimiter);
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
                self.samples.gap(self.content(start, end), Ambiguity::Preamble);
            }
            // The header of a message alone, as reports return it.
            Pending::Preamble(_, start, _) if self.message[start..end].trim_ascii().is_empty() => (),
            Pending::Preamble(leaf, start, depth) => {
                self.samples.found.ambiguous(Ambiguity::NoDelimiter);
                self.leaf(&leaf, start, end, depth);
            }
            Pending::Epilogue(start) => self.samples.gap(self.content(start, end), Ambiguity::Epilogue),
        }
    }

    fn leaf(&mut self, leaf: &Leaf, start: usize, end: usize, depth: usize) {
        let source = self.content(start, end);
        self.samples.leaf(leaf, source.clone());
        // In a mailbox the structure is that of its messages, which are walked over.
        let is_mailbox = || leaf.class == Some(Class::File) && container::is_mailbox(&source);
        if leaf.decodings != [Decoding::Base64]
            && body::hides_structure(&source, leaf.class)
            && !is_mailbox()
            && !self.samples.seen.suspect(&source)
        {
            self.samples.found.doubt();
        }
        if let Some(reason) = container::unscannable(&leaf.media_type) {
            self.samples.found.skip(leaf, leaf.names.first(), source.len(), reason);
        }
        if leaf.media_type.contains("multipart") {
            self.samples.gap(source.clone(), Ambiguity::NoDelimiter);
            self.guess(&source, depth);
            let encoded = leaf.decodings.iter().filter(|&&decoding| decoding != Decoding::Identity);
            for &decoding in encoded {
                let content = Content { source: source.clone(), decoding };
                if let Some(parts) = self.samples.opener.decode(&content, &mut self.samples.left) {
                    self.guess(&parts, depth);
                }
            }
        }
    }

    /// A multipart without its delimiter may have that of the first line that looks like one.
    fn guess(&mut self, source: &Bytes, depth: usize) {
        if let Some((start, boundary)) = boundary::likely(source).filter(|_| depth < self.budget.depth) {
            let boundary = Some(boundary.to_vec());
            let within = self.within.clone();
            self.tasks.push(Task { message: source.slice(start..), depth: depth + 1, within, boundary });
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

/// Where the header starts: after a byte order mark, empty lines and the `From ` line of a mailbox.
fn skip_envelope(message: &[u8]) -> usize {
    let mut at = if message.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    at += message[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if message[at..].starts_with(b"From ") || message[at..].starts_with(b">From ") {
        at = memchr(b'\n', &message[at..]).map_or(message.len(), |length| at + length + 1);
    }
    at
}

fn is_message(media_type: &str) -> bool {
    matches!(media_type, MESSAGE | "message/global" | "message/news")
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text") || media_type.ends_with("ml")
}

/// True where a client would open a file of this type or name as a message.
fn is_file_of_a_message(media_type: &str, names: &[String]) -> bool {
    let named = |name: &String| {
        names::extension(name)
            .is_some_and(|extension| matches!(extension.as_str(), "eml" | "mht" | "mhtml" | "nws"))
    };
    is_message(media_type) || media_type == "message/partial" || names.iter().any(named)
}
