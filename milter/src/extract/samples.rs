// SPDX-License-Identifier: GPL-3.0-or-later
//! Collects what the walks find: decodes and digests each candidate once, drops duplicates, keeps to the budget.

use super::{
    Bodies, Budget, Content, Extraction, Part, Skipped, ambiguity,
    body::Class,
    decode::Decoding,
    reading::{self, Candidate},
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use thundergate_common::{digest::Digest, verdict::SkipReason};

/// What a header block says of a leaf.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// Lower-case `type/subtype`.
    pub media_type: String,
    /// The names a client could show, the likeliest first.
    pub names: Vec<String>,
    /// How the content counts.
    pub class: Option<Class>,
    /// The ways to decode it, the likeliest first.
    pub decodings: Vec<Decoding>,
}

/// Where bytes stand in memory and how to decode them. No place is taken twice: the message and those inside it live
/// as long as the collection.
type Place = (usize, usize, Decoding);

/// What was found so far.
pub(super) struct Samples {
    bodies: Bodies,
    budget: Budget,
    found: Extraction,
    digests: HashSet<(Digest, Option<String>)>,
    places: HashSet<(Place, Option<String>)>,
    nested: HashMap<Place, Bytes>,
    buffer: Vec<u8>,
    decoded: u64,
    parts: usize,
}

impl Samples {
    /// Nothing found yet.
    pub fn new(bodies: Bodies, budget: &Budget) -> Self {
        Self {
            bodies,
            budget: *budget,
            found: Extraction::default(),
            digests: HashSet::new(),
            places: HashSet::new(),
            nested: HashMap::new(),
            buffer: Vec::new(),
            decoded: 0,
            parts: 0,
        }
    }

    /// A further reading begins: it may have as many parts as the first.
    pub fn next_reading(&mut self) {
        self.parts = 0;
    }

    /// Everything found.
    pub fn finish(self) -> Extraction {
        self.found
    }

    /// Counts one part; false where the budget has none left, or no bytes.
    pub fn spend_part(&mut self) -> bool {
        if self.decoded > self.budget.decoded_bytes {
            return false;
        }
        self.parts += 1;
        let left = self.parts <= self.budget.parts;
        if !left {
            self.malformed("parts");
        }
        left
    }

    /// Records why the message is malformed; the first reason stays.
    pub fn malformed(&mut self, why: &'static str) {
        self.found.malformed.get_or_insert(why);
    }

    /// Records a kind of ambiguity.
    pub fn ambiguous(&mut self, kind: &'static str) {
        if !self.found.ambiguities.contains(&kind) {
            self.found.ambiguities.push(kind);
        }
    }

    /// Takes a leaf whose encoded bytes are `source`, in each way it could be read.
    pub fn leaf(&mut self, leaf: &Leaf, source: Bytes) {
        let class = leaf.class.unwrap_or(Class::File);
        for &decoding in &leaf.decodings {
            let content = Content { source: source.clone(), decoding };
            for candidate in self.consider(leaf, leaf.names.first(), content, class) {
                self.further(leaf, candidate);
            }
        }
    }

    /// Takes what hides in `gap`, outside all parts.
    pub fn gap(&mut self, gap: Bytes, kind: &'static str) {
        let leaf = Leaf { media_type: "application/octet-stream".into(), ..Leaf::default() };
        for candidate in reading::hidden(Content { source: gap, decoding: Decoding::Identity }, kind) {
            self.further(&leaf, candidate);
        }
    }

    /// The message inside a leaf: `source` decoded. None where the budget has nothing left for it.
    pub fn nested(&mut self, source: &Bytes, decoding: Decoding) -> Option<Bytes> {
        if decoding == Decoding::Identity {
            return Some(source.clone());
        }
        let place = place(source, decoding);
        if let Some(message) = self.nested.get(&place) {
            return Some(message.clone());
        }
        let mut message = Vec::new();
        if self.decoded <= self.budget.decoded_bytes {
            decoding.decode_into(source, &mut message);
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
        if self.spend_part() {
            let name = candidate.name.as_ref().or(leaf.names.first());
            self.consider(leaf, name, candidate.content, candidate.class);
        }
    }

    /// Decodes and digests `content` unless it was before; returns what else it could be.
    fn consider(
        &mut self,
        leaf: &Leaf,
        name: Option<&String>,
        content: Content,
        class: Class,
    ) -> Vec<Candidate> {
        let exhausted = self.decoded > self.budget.decoded_bytes;
        if exhausted || !self.places.insert((place(&content.source, content.decoding), name.cloned())) {
            return Vec::new();
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let clean = content.decode_unless_plain(&mut buffer);
        let decoded = if content.decoding == Decoding::Identity { &content.source[..] } else { &buffer };
        let mut others = Vec::new();
        if self.spend_bytes(decoded.len()) {
            self.judge(leaf, name, &content, class, decoded);
            others = reading::further(&content, class, clean, decoded);
        }
        self.buffer = buffer;
        others
    }

    fn spend_bytes(&mut self, count: usize) -> bool {
        self.decoded = self.decoded.saturating_add(count as u64);
        let left = self.decoded <= self.budget.decoded_bytes;
        if !left {
            self.malformed("decoded_bytes");
        }
        left
    }

    fn judge(&mut self, leaf: &Leaf, name: Option<&String>, content: &Content, class: Class, decoded: &[u8]) {
        if decoded.is_empty() {
            return self.skip(leaf, name, content, SkipReason::Empty);
        }
        if !class.is_sample(self.bodies, decoded) {
            return self.skip(leaf, name, content, SkipReason::PlainText);
        }
        let digest = Digest::of(decoded);
        let others = leaf.names.iter().filter(|other| name.is_some_and(|name| differs(name, other)));
        for name in std::iter::once(name).chain(others.map(Some)) {
            if self.digests.insert((digest, name.cloned())) {
                self.found.parts.push(Part {
                    name: name.cloned(),
                    media_type: leaf.media_type.clone(),
                    size: decoded.len() as u64,
                    digest,
                    content: content.clone(),
                });
            }
        }
        if leaf.names.iter().any(|other| differs(&leaf.names[0], other)) {
            self.ambiguous(ambiguity::NAMES);
        }
    }

    fn skip(&mut self, leaf: &Leaf, name: Option<&String>, content: &Content, reason: SkipReason) {
        self.found.skipped.push(Skipped {
            name: name.cloned(),
            media_type: leaf.media_type.clone(),
            size: content.source.len() as u64,
            reason,
        });
    }
}

fn place(source: &Bytes, decoding: Decoding) -> Place {
    (source.as_ptr().addr(), source.len(), decoding)
}

/// True where two names have different extensions, so that a client would open the part with different programs.
fn differs(one: &str, other: &str) -> bool {
    let extension = |name: &str| name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension(one) != extension(other)
}
