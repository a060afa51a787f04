// SPDX-License-Identifier: GPL-3.0-or-later
//! Collects what the walks find: decodes and digests each candidate once, drops duplicates, keeps to the budget.

use super::{
    Bodies, Budget, Content, Extraction, Part, Skipped, Step, ambiguity, blind,
    body::{self, Class},
    candidates::{self, Candidate},
    container,
    decode::{Decoding, base64},
    names::{self, danger},
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use thundergate_common::{digest::Digest, verdict::SkipReason};

/// Further readings may decode as many bytes as the message has, and so many more; searches may look at four times that.
const SPARE_BYTES: u64 = 4 << 20;
/// All readings together may decode three times what the message has, and so many bytes more, whatever the budget says:
/// real messages decode to less than themselves.
const SPARE_DECODED_BYTES: u64 = 8 << 20;

/// Bytes of a file that only the reading without structure finds.
const LEAST_HIDDEN: usize = 4;

/// What a header block says of a leaf.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    /// Lower-case `type/subtype`.
    pub media_type: String,
    /// The names a client could show, the most dangerous first.
    pub names: Vec<String>,
    /// How the content counts.
    pub class: Option<Class>,
    /// The ways to decode it, the likeliest first.
    pub decodings: Vec<Decoding>,
    /// Its nesting.
    pub depth: usize,
    /// A client would open it as a message.
    pub message: bool,
}

/// Where bytes stand in memory and how to decode them. No place is taken twice: the message and those inside it live
/// as long as the collection.
type Place = (usize, usize, Decoding);

/// What was found so far.
pub(super) struct Samples {
    bodies: Bodies,
    budget: Budget,
    found: Extraction,
    steps: Option<Vec<Step>>,
    /// Each digest with the danger of its most dangerous name.
    digests: HashMap<Digest, u8>,
    keys: HashSet<(Digest, Option<String>)>,
    places: HashSet<(Place, Option<String>)>,
    /// What is among the skipped: one part in two readings stands there once.
    told: HashSet<(String, Option<String>, u64, SkipReason)>,
    /// Places that hold texts which are no samples.
    skipped: HashSet<Place>,
    /// Where the leaves stand.
    sources: HashSet<(usize, usize)>,
    nested: HashMap<Place, Bytes>,
    /// Messages that were walked over, for the reading without structure; by their place.
    walked: Vec<Bytes>,
    /// Messages found inside containers, with their depth, to be walked over next.
    messages: Vec<(Bytes, usize)>,
    buffer: Vec<u8>,
    in_doubt: bool,
    left: Left,
    parts: usize,
}

/// What is left of the budget.
struct Left {
    decoded: u64,
    reading_bytes: u64,
    readings: usize,
    search_bytes: u64,
}

/// What a candidate turned out to be.
struct Decoded {
    digest: Digest,
    size: usize,
    sample: bool,
    /// It starts as messages do.
    message: bool,
    others: Vec<Candidate>,
    inside: Option<container::Opened>,
}

impl Samples {
    /// Nothing found yet in a message of `length` bytes. Steps are recorded where `explain`.
    pub fn new(bodies: Bodies, budget: &Budget, length: usize, explain: bool) -> Self {
        let length = length as u64;
        let left = Left {
            decoded: budget.decoded_bytes.min(3 * length + SPARE_DECODED_BYTES),
            reading_bytes: length + SPARE_BYTES,
            readings: budget.readings,
            search_bytes: 4 * (length + SPARE_BYTES),
        };
        Self {
            bodies,
            budget: *budget,
            found: Extraction::default(),
            steps: explain.then(Vec::new),
            digests: HashMap::new(),
            keys: HashSet::new(),
            places: HashSet::new(),
            told: HashSet::new(),
            skipped: HashSet::new(),
            sources: HashSet::new(),
            nested: HashMap::new(),
            walked: Vec::new(),
            messages: Vec::new(),
            buffer: Vec::new(),
            in_doubt: false,
            left,
            parts: 0,
        }
    }

    /// A further reading begins: it may have as many parts as the first.
    pub fn next_reading(&mut self, describe: impl FnOnce() -> String) {
        self.parts = 0;
        self.note(|| Step::Reading { choices: describe() });
    }

    /// Everything found, and how.
    pub fn finish(mut self) -> (Extraction, Vec<Step>) {
        (self.found, self.steps.take().unwrap_or_default())
    }

    /// Records a step, where anybody wants to know.
    pub fn note(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }

    /// Counts one part; false where the budget has none left, or no bytes.
    pub fn spend_part(&mut self) -> bool {
        if self.is_exhausted() {
            return false;
        }
        self.parts += 1;
        let left = self.parts <= self.budget.parts;
        if !left {
            self.malformed("parts");
        }
        left
    }

    /// True where nothing more may be decoded.
    fn is_exhausted(&mut self) -> bool {
        if self.left.decoded == 0 {
            self.malformed("decoded_bytes");
        }
        self.left.decoded == 0
    }

    /// Counts bytes that a walk looks at a second time; false where the budget has not so many left.
    pub fn spend_search(&mut self, bytes: usize) -> bool {
        let left = self.left.search_bytes.checked_sub(bytes as u64);
        self.left.search_bytes = left.unwrap_or(0);
        if left.is_none() {
            self.malformed("readings");
        }
        left.is_some()
    }

    /// False where the budget has no further readings left.
    pub fn has_readings_left(&self) -> bool {
        self.left.readings > 0 && self.left.reading_bytes > 0 && self.left.decoded > 0
    }

    /// Records why the message is malformed; the first reason stays.
    pub fn malformed(&mut self, why: &'static str) {
        self.found.malformed.get_or_insert(why);
    }

    /// Records a kind of ambiguity.
    pub fn ambiguous(&mut self, kind: &'static str) {
        self.in_doubt |= !ambiguity::is_local(kind);
        if !self.found.ambiguities.contains(&kind) {
            self.found.ambiguities.push(kind);
        }
    }

    /// Readers could differ about the structure, although nothing shows that they do.
    pub fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// True where the message should be read without its structure.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// A walk goes over `message`.
    pub fn walked(&mut self, message: &Bytes) {
        let known = |other: &Bytes| other.as_ptr() == message.as_ptr() && other.len() == message.len();
        if !self.walked.iter().any(known) && self.walked.len() < self.budget.parts {
            self.walked.push(message.clone());
        }
    }

    /// The messages that were walked over, without those that are part of another in memory.
    pub fn all_walked(&self) -> Vec<Bytes> {
        let range = |bytes: &Bytes| bytes.as_ptr_range();
        let mut outer: Vec<Bytes> = Vec::new();
        for message in &self.walked {
            let inside = |other: &Bytes| {
                range(other).start <= range(message).start && range(message).end <= range(other).end
            };
            if !outer.iter().any(inside) {
                outer.push(message.clone());
            }
        }
        outer
    }

    /// The messages found inside containers since the last call, with their depth.
    pub fn take_messages(&mut self) -> Vec<(Bytes, usize)> {
        std::mem::take(&mut self.messages)
    }

    /// Takes a leaf whose encoded bytes are `source`, in each way it could be read.
    pub fn leaf(&mut self, leaf: &Leaf, source: Bytes) {
        let class = leaf.class.unwrap_or(Class::File);
        if leaf.names.len() > 1 && leaf.names.iter().any(|other| differs(&leaf.names[0], other)) {
            self.ambiguous(ambiguity::NAMES);
        }
        self.sources.insert((source.as_ptr().addr(), source.len()));
        let mut decodings = leaf.decodings.clone();
        if let Some(rare) = decodings.iter().find(|decoding| !decoding.is_standard())
            && !candidates::is_one_file(&source, *rare)
        {
            self.ambiguous(ambiguity::UNKNOWN_ENCODING);
            if !decodings.contains(&Decoding::Identity) {
                decodings.push(Decoding::Identity);
            }
        }
        for decoding in decodings {
            let content = Content { source: source.clone(), decoding };
            for candidate in self.consider(leaf, leaf.names.first(), content, class, None) {
                self.further(leaf, candidate);
            }
        }
    }

    /// Takes what hides in `gap`, outside all parts.
    pub fn gap(&mut self, gap: Bytes, kind: &'static str) {
        if !body::is_filler(&gap) {
            self.doubt();
        }
        let leaf = Leaf { media_type: "application/octet-stream".into(), ..Leaf::default() };
        for candidate in candidates::hidden(Content { source: gap, decoding: Decoding::Identity }, kind) {
            self.further(&leaf, candidate);
        }
    }

    /// True where a part consists of these bytes, however it is decoded.
    pub fn is_part(&self, source: &Bytes) -> bool {
        self.sources.contains(&(source.as_ptr().addr(), source.len()))
    }

    /// Takes what only the reading without structure finds; what is known already does not count.
    pub fn hidden(&mut self, content: Content, name: Option<String>, class: Class) {
        let leaf = Leaf { media_type: "application/octet-stream".into(), ..Leaf::default() };
        if !self.spend_reading(content.source.len()) {
            return;
        }
        for other in self.consider(&leaf, name.as_ref(), content, class, Some(blind::KIND)) {
            if !self.spend_reading(other.content.source.len()) {
                return;
            }
            self.consider(&leaf, name.as_ref(), other.content, class, Some(blind::KIND));
        }
    }

    /// What a part of this type holds cannot be scanned.
    pub fn unscannable(&mut self, leaf: &Leaf, size: usize, reason: SkipReason) {
        self.skip(leaf, leaf.names.first(), size, reason);
    }

    /// The message inside a leaf: `source` decoded. None where the budget has nothing left for it.
    pub fn nested(&mut self, source: &Bytes, decoding: Decoding) -> Option<Bytes> {
        if decoding == Decoding::Identity {
            return self.spend_search(source.len()).then(|| source.clone());
        }
        let place = place(source, decoding);
        if let Some(message) = self.nested.get(&place) {
            return Some(message.clone());
        }
        let mut message = Vec::new();
        if self.left.decoded > 0 {
            decoding.decode_into(source, self.left.decoded, &mut message);
        }
        if !self.spend_bytes(message.len()) {
            return None;
        }
        self.found.held_bytes += message.len();
        let message = Bytes::from(message);
        self.nested.insert(place, message.clone());
        Some(message)
    }

    fn further(&mut self, leaf: &Leaf, candidate: Candidate) {
        if let Some(kind) = candidate.kind {
            self.ambiguous(kind);
        }
        let reading = candidate.kind.is_none() || self.spend_reading(candidate.content.source.len());
        if reading && self.spend_part() {
            let name = candidate.name.as_ref().or(leaf.names.first());
            self.consider(leaf, name, candidate.content, candidate.class, candidate.kind);
        }
    }

    /// Decodes and digests `content` unless it was before; returns what else it could be.
    fn consider(
        &mut self,
        leaf: &Leaf,
        name: Option<&String>,
        content: Content,
        class: Class,
        why: Option<&'static str>,
    ) -> Vec<Candidate> {
        let place = place(&content.source, content.decoding);
        let hidden = why == Some(blind::KIND);
        let skipped = hidden && !self.found.ambiguities.is_empty() && self.skipped.remove(&place);
        let harmless = danger(name.map(String::as_str)) == 0;
        let known = hidden && !skipped && harmless && self.places.contains(&(place, None));
        let new = self.places.insert((place, name.cloned())) || skipped;
        if self.is_exhausted() || known || !new {
            return Vec::new();
        }
        self.places.insert((place, None));
        // A text that all clients show is no sample by itself, but one in an ambiguous message.
        let (why, class) = if skipped { (None, Class::File) } else { (why, class) };
        let decoded = self.decode(&content, class);
        if !self.spend_bytes(decoded.size) {
            return Vec::new();
        }
        if hidden && decoded.size < LEAST_HIDDEN {
            return Vec::new();
        }
        if decoded.size == 0 {
            if !hidden {
                self.skip(leaf, name, content.source.len(), SkipReason::Empty);
            }
        } else if !decoded.sample {
            if !hidden {
                self.skipped.insert(place);
                self.skip(leaf, name, content.source.len(), SkipReason::PlainText);
            }
        } else {
            self.keep(leaf, name, &content, &decoded, why);
        }
        if !hidden && class == Class::File && (leaf.message || decoded.message) {
            self.enclosed(leaf, &content);
        }
        if let Some(opened) = decoded.inside {
            self.unpack(leaf, opened);
        }
        decoded.others
    }

    /// The message that `content` is comes next.
    fn enclosed(&mut self, leaf: &Leaf, content: &Content) {
        if leaf.depth >= self.budget.depth {
            return self.malformed("depth");
        }
        if let Some(message) = self.nested(&content.source, content.decoding) {
            self.messages.push((message, leaf.depth + 1));
        }
    }

    fn decode(&mut self, content: &Content, class: Class) -> Decoded {
        let source = &content.source;
        if content.decoding == Decoding::Base64 && class != Class::Plain {
            let mut pieces = Pieces::default();
            if let Some(size) = base64::decode_pieces(source, &mut self.buffer, |piece| pieces.take(piece)) {
                let message = body::is_message(&pieces.start);
                let inside = container::is_one(&pieces.start[..pieces.start.len().min(container::START)])
                    .then(|| self.open(content))
                    .flatten();
                let others = candidates::further(content, class, true, &[]);
                return Decoded {
                    digest: pieces.hasher.finish(),
                    size,
                    sample: true,
                    message,
                    others,
                    inside,
                };
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let clean = content.decode_unless_plain(self.left.decoded, &mut buffer);
        let bytes = if content.decoding == Decoding::Identity { &source[..] } else { &buffer };
        let sample = class.is_sample(self.bodies, bytes);
        let digest = if sample { Digest::of(bytes) } else { Digest::of(&[]) };
        let fits = bytes.len() as u64 <= self.left.decoded;
        let inside = (fits && container::is_one(bytes)).then(|| self.open(content)).flatten();
        let others = candidates::further(content, class, clean, bytes);
        let (size, message) = (bytes.len(), body::is_message(bytes));
        self.buffer = buffer;
        Decoded { digest, size, sample, message, others, inside }
    }

    /// What is in the container that `content` is.
    fn open(&mut self, content: &Content) -> Option<container::Opened> {
        let bytes = content.bytes();
        if content.decoding != Decoding::Identity {
            self.found.held_bytes += bytes.len();
        }
        let opened = container::open(&bytes, self.left.decoded);
        self.found.held_bytes += opened.held_bytes;
        if opened.over_limit {
            self.malformed("decoded_bytes");
        }
        Some(opened)
    }

    /// Takes the files inside a container.
    fn unpack(&mut self, outer: &Leaf, opened: container::Opened) {
        if let Some(reason) = opened.sealed {
            self.skip(outer, outer.names.first(), 0, reason);
        }
        let depth = outer.depth + 1;
        if depth > self.budget.depth && !opened.files.is_empty() {
            return self.malformed("depth");
        }
        for file in opened.files {
            if !self.spend_part() {
                return;
            }
            if file.message {
                self.messages.push((file.content, depth));
                continue;
            }
            let names = names::most_dangerous_first(file.names);
            let class = Class::of(&file.media_type, !names.is_empty());
            let leaf =
                Leaf { media_type: file.media_type, names, class: Some(class), depth, ..Leaf::default() };
            let content = Content { source: file.content, decoding: Decoding::Identity };
            self.consider(&leaf, leaf.names.first(), content, class, None);
        }
    }

    fn spend_bytes(&mut self, count: usize) -> bool {
        let left = self.left.decoded.checked_sub(count as u64);
        self.left.decoded = left.unwrap_or(0);
        if left.is_none() {
            self.malformed("decoded_bytes");
        }
        left.is_some()
    }

    /// Counts a further reading of `bytes`.
    fn spend_reading(&mut self, bytes: usize) -> bool {
        let left = self.left.reading_bytes.checked_sub(bytes as u64).filter(|_| self.left.readings > 0);
        if left.is_none() {
            self.malformed("readings");
        }
        self.left.reading_bytes = left.unwrap_or(0);
        self.left.readings = self.left.readings.saturating_sub(1);
        left.is_some()
    }

    fn keep(
        &mut self,
        leaf: &Leaf,
        name: Option<&String>,
        content: &Content,
        decoded: &Decoded,
        why: Option<&'static str>,
    ) {
        let harm = danger(name.map(String::as_str));
        let digest = decoded.digest;
        let hidden = why == Some(blind::KIND);
        let known = match self.digests.get(&digest) {
            Some(&known) if hidden => known >= harm,
            _ => !self.keys.insert((digest, name.cloned())),
        };
        self.note(|| Step::Sample {
            depth: leaf.depth,
            name: name.cloned(),
            decoding: content.decoding.as_str(),
            digest,
            size: decoded.size as u64,
            why,
            known,
        });
        if known {
            return;
        }
        if hidden {
            self.ambiguous(blind::KIND);
        }
        let most = self.digests.entry(digest).or_insert(harm);
        *most = harm.max(*most);
        self.found.parts.push(Part {
            name: name.cloned(),
            media_type: leaf.media_type.clone(),
            size: decoded.size as u64,
            digest,
            content: content.clone(),
        });
    }

    fn skip(&mut self, leaf: &Leaf, name: Option<&String>, size: usize, reason: SkipReason) {
        let size = size as u64;
        self.note(|| Step::Skipped { depth: leaf.depth, size, reason });
        let (name, media_type) = (name.cloned(), leaf.media_type.clone());
        if !self.told.insert((media_type.clone(), name.clone(), size, reason)) {
            return;
        }
        self.found.skipped.push(Skipped { name, media_type, size, reason });
    }
}

/// Digests what is decoded in pieces, and keeps its start.
#[derive(Default)]
struct Pieces {
    hasher: thundergate_common::digest::Hasher,
    start: Vec<u8>,
}

impl Pieces {
    fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if self.start.is_empty() {
            self.start.extend_from_slice(&piece[..piece.len().min(body::START)]);
        }
    }
}

fn place(source: &Bytes, decoding: Decoding) -> Place {
    (source.as_ptr().addr(), source.len(), decoding)
}

/// True where two names have different extensions, so that a client would open the part with different programs.
fn differs(one: &str, other: &str) -> bool {
    names::extension(one) != names::extension(other)
}
