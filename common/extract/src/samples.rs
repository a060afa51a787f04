// SPDX-License-Identifier: GPL-3.0-or-later
//! Collects what the walks find: decodes and digests each candidate once, drops duplicates, keeps to the budget.

use super::{
    ambiguity::Ambiguity,
    body::{self, Bodies, Class},
    budget::{Allowance, Budget, Exceeded},
    candidates::{self, Candidate},
    container, declared,
    decode::Decoding,
    decoded::Decoded,
    leaf::Leaf,
    names::{self, danger},
    outline::Step,
    part::{Content, Extraction, Part, Skipped},
    recall::Recall,
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use thundergate_common::{digest::Digest, verdict::SkipReason};

/// Bytes of a file that only the reading without structure finds.
const LEAST_HIDDEN: usize = 4;

/// What walking over bytes once more costs, as a multiple of searching them.
const WALK: usize = 3;

/// Where bytes stand in memory and how to decode them. No place is taken twice: the message and those inside it live
/// as long as the collection.
type Place = (usize, usize, Decoding);

/// What was found so far.
pub(crate) struct Samples {
    bodies: Bodies,
    /// What the budget still allows.
    pub(crate) left: Allowance,
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
    recall: Option<Recall>,
    buffer: Vec<u8>,
    in_doubt: bool,
}

/// A sample that was found, and why it could be read so.
struct Found {
    digest: Digest,
    size: usize,
    why: Option<Ambiguity>,
}

impl Samples {
    /// Nothing found yet in a message of `length` bytes. Steps are recorded where `explain`.
    pub(crate) fn new(bodies: Bodies, budget: &Budget, length: usize, explain: bool) -> Self {
        Self {
            bodies,
            left: Allowance::new(budget, length),
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
            recall: None,
            buffer: Vec::new(),
            in_doubt: false,
        }
    }

    /// Attachments that came before need not be decoded.
    pub(crate) fn recalling(self, recall: &Recall) -> Self {
        Self { recall: Some(recall.clone()), ..self }
    }

    /// A further reading begins: it may have as many parts as the first.
    pub(crate) fn next_reading(&mut self, describe: impl FnOnce() -> String) {
        self.left.next_reading();
        self.note(|| Step::Reading { choices: describe() });
    }

    /// Everything found, and how.
    pub(crate) fn finish(mut self) -> (Extraction, Vec<Step>) {
        self.found.malformed = self.left.exceeded();
        (self.found, self.steps.take().unwrap_or_default())
    }

    /// Records a step, where anybody wants to know.
    pub(crate) fn note(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }

    /// Records a kind of ambiguity.
    pub(crate) fn ambiguous(&mut self, kind: Ambiguity) {
        self.in_doubt |= !kind.is_local();
        if !self.found.ambiguities.contains(&kind) {
            self.found.ambiguities.push(kind);
        }
    }

    /// Readers could differ about the structure, although nothing shows that they do.
    pub(crate) fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// True where the message should be read without its structure.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// A walk goes over `message`.
    pub(crate) fn walked(&mut self, message: &Bytes) {
        let known = |other: &Bytes| other.as_ptr() == message.as_ptr() && other.len() == message.len();
        if self.walked.iter().any(known) {
            return;
        }
        if self.walked.len() >= self.left.budget().parts {
            return self.left.malformed(Exceeded::Parts);
        }
        self.walked.push(message.clone());
    }

    /// The messages that were walked over, without those that are part of another in memory.
    pub(crate) fn all_walked(&self) -> Vec<Bytes> {
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
    pub(crate) fn take_messages(&mut self) -> Vec<(Bytes, usize)> {
        std::mem::take(&mut self.messages)
    }

    /// Takes a leaf whose encoded bytes are `source`, in each way it could be read.
    pub(crate) fn leaf(&mut self, leaf: &Leaf, source: Bytes) {
        let class = leaf.class.unwrap_or(Class::File);
        if leaf.names.len() > 1 && leaf.names.iter().any(|other| names::differ(&leaf.names[0], other)) {
            self.ambiguous(Ambiguity::Names);
        }
        self.sources.insert((source.as_ptr().addr(), source.len()));
        let mut decodings = leaf.decodings.clone();
        if let Some(rare) = decodings.iter().find(|decoding| !decoding.is_standard())
            && !declared::is_one_file(&source, *rare)
        {
            self.ambiguous(Ambiguity::UnknownEncoding);
            if !decodings.contains(&Decoding::Identity) {
                decodings.push(Decoding::Identity);
            }
        }
        for (others, decoding) in decodings.into_iter().enumerate() {
            let content = Content { source: source.clone(), decoding };
            let known = self.places.contains(&(place(&source, decoding), leaf.names.first().cloned()));
            let likeliest = others == 0 && self.left.is_first_reading();
            if !known && !likeliest && !self.left.spend_reading(source.len()) {
                return;
            }
            for candidate in self.consider(leaf, leaf.names.first(), content, class, None) {
                self.further(leaf, candidate);
            }
        }
    }

    /// Takes what hides in `gap`, outside all parts.
    pub(crate) fn gap(&mut self, gap: Bytes, kind: Ambiguity) {
        if !body::is_filler(&gap) {
            self.doubt();
        }
        let leaf = Leaf { media_type: "application/octet-stream".into(), ..Leaf::default() };
        for candidate in candidates::hidden(Content { source: gap, decoding: Decoding::Identity }, kind) {
            self.further(&leaf, candidate);
        }
    }

    /// True where a part consists of these bytes, however it is decoded.
    pub(crate) fn is_part(&self, source: &Bytes) -> bool {
        self.sources.contains(&(source.as_ptr().addr(), source.len()))
    }

    /// Takes what only the reading without structure finds; what is known already does not count.
    pub(crate) fn hidden(&mut self, content: Content, name: Option<String>, class: Class) {
        let leaf = Leaf { media_type: "application/octet-stream".into(), ..Leaf::default() };
        if !self.left.spend_reading(content.source.len()) {
            return;
        }
        for other in self.consider(&leaf, name.as_ref(), content, class, Some(Ambiguity::Hidden)) {
            if !self.left.spend_reading(other.content.source.len()) {
                return;
            }
            self.consider(&leaf, name.as_ref(), other.content, class, Some(Ambiguity::Hidden));
        }
    }

    /// What a part of this type holds cannot be scanned.
    pub(crate) fn unscannable(&mut self, leaf: &Leaf, size: usize, reason: SkipReason) {
        self.skip(leaf, leaf.names.first(), size, reason);
    }

    /// The message inside a leaf: `source` decoded. None where the budget has nothing left for it.
    pub(crate) fn nested(&mut self, source: &Bytes, decoding: Decoding) -> Option<Bytes> {
        if decoding == Decoding::Identity {
            return self.left.spend_search(WALK * source.len()).then(|| source.clone());
        }
        let place = place(source, decoding);
        if let Some(message) = self.nested.get(&place) {
            return Some(message.clone());
        }
        let mut message = Vec::new();
        if self.left.decoded() > 0 {
            decoding.decode_into(source, self.left.decoded(), &mut message);
        }
        if !self.left.spend_bytes(message.len()) {
            return None;
        }
        self.found.held_bytes += message.len();
        let message = Bytes::from(message);
        self.nested.insert(place, message.clone());
        Some(message)
    }

    /// Takes `candidate`, and what else it could be; of base64 in armour there is one reading.
    fn further(&mut self, leaf: &Leaf, candidate: Candidate) {
        let armoured = candidate.kind.is_none() && candidate.content.decoding == Decoding::Base64;
        let others = self.candidate(leaf, candidate);
        for other in others.into_iter().filter(|_| !armoured) {
            self.candidate(leaf, other);
        }
    }

    fn candidate(&mut self, leaf: &Leaf, candidate: Candidate) -> Vec<Candidate> {
        if let Some(kind) = candidate.kind {
            self.ambiguous(kind);
        }
        let reading = candidate.kind.is_none() || self.left.spend_reading(candidate.content.source.len());
        if !reading || !self.left.spend_part() {
            return Vec::new();
        }
        let name = candidate.name.as_ref().or(leaf.names.first());
        self.consider(leaf, name, candidate.content, candidate.class, candidate.kind)
    }

    /// Decodes and digests `content` unless it was before; returns what else it could be.
    fn consider(
        &mut self,
        leaf: &Leaf,
        name: Option<&String>,
        content: Content,
        class: Class,
        why: Option<Ambiguity>,
    ) -> Vec<Candidate> {
        let place = place(&content.source, content.decoding);
        let hidden = why == Some(Ambiguity::Hidden);
        let skipped = hidden && !self.found.ambiguities.is_empty() && self.skipped.remove(&place);
        let harmless = danger(name.map(String::as_str)) == 0;
        let known = hidden && !skipped && harmless && self.places.contains(&(place, None));
        let new = self.places.insert((place, name.cloned())) || skipped;
        if self.left.is_exhausted() || known || !new {
            return Vec::new();
        }
        self.places.insert((place, None));
        // A text that all clients show is no sample by itself, but one in an ambiguous message.
        let (why, class) = if skipped { (None, Class::File) } else { (why, class) };
        let decoded = Decoded::of(
            &content,
            class,
            self.bodies,
            self.left.decoded(),
            self.recall.as_ref(),
            &mut self.buffer,
        );
        if !self.left.spend_bytes(decoded.size) {
            return Vec::new();
        }
        if hidden && decoded.size < LEAST_HIDDEN {
            return Vec::new();
        }
        if decoded.size == 0 {
            if !hidden {
                self.skip(leaf, name, content.source.len(), SkipReason::Empty);
            }
        } else if let Some(digest) = decoded.digest {
            self.keep(leaf, name, &content, Found { digest, size: decoded.size, why });
        } else if !hidden {
            self.skipped.insert(place);
            self.skip(leaf, name, content.source.len(), SkipReason::PlainText);
        }
        if !hidden && class == Class::File && (leaf.message || decoded.message) {
            self.enclosed(leaf, &content);
        }
        if decoded.container {
            let opened = self.open(&content);
            self.unpack(leaf, opened);
        }
        decoded.others
    }

    /// The message that `content` is comes next.
    fn enclosed(&mut self, leaf: &Leaf, content: &Content) {
        if leaf.depth >= self.left.budget().depth {
            return self.left.malformed(Exceeded::Depth);
        }
        if let Some(message) = self.nested(&content.source, content.decoding) {
            self.messages.push((message, leaf.depth + 1));
        }
    }

    /// What is in the container that `content` is.
    fn open(&mut self, content: &Content) -> container::Opened {
        let bytes = content.bytes();
        let opened = container::open(&bytes, self.left.decoded());
        if !opened.files.is_empty() {
            let beside = if content.decoding == Decoding::Identity { 0 } else { bytes.len() };
            self.found.held_bytes += beside + opened.held_bytes;
        }
        if opened.over_limit {
            self.left.malformed(Exceeded::DecodedBytes);
        }
        opened
    }

    /// Takes the files inside a container.
    fn unpack(&mut self, outer: &Leaf, opened: container::Opened) {
        if let Some(reason) = opened.sealed {
            self.skip(outer, outer.names.first(), 0, reason);
        }
        let depth = outer.depth + 1;
        if depth > self.left.budget().depth && !opened.files.is_empty() {
            return self.left.malformed(Exceeded::Depth);
        }
        for file in opened.files {
            if !self.left.spend_part() {
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

    fn keep(&mut self, leaf: &Leaf, name: Option<&String>, content: &Content, found: Found) {
        let harm = danger(name.map(String::as_str));
        let Found { digest, size, why } = found;
        let size = size as u64;
        let hidden = why == Some(Ambiguity::Hidden);
        let new = self.keys.insert((digest, name.cloned()));
        let known = !new || hidden && self.digests.get(&digest).is_some_and(|&known| known >= harm);
        self.note(|| Step::Sample {
            depth: leaf.depth,
            name: name.cloned(),
            decoding: content.decoding.as_str(),
            digest,
            size,
            why,
            known,
        });
        if known {
            return;
        }
        if hidden {
            self.ambiguous(Ambiguity::Hidden);
        }
        let most = self.digests.entry(digest).or_insert(harm);
        *most = harm.max(*most);
        self.found.parts.push(Part {
            name: name.cloned(),
            media_type: leaf.media_type.clone(),
            size,
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

fn place(source: &Bytes, decoding: Decoding) -> Place {
    (source.as_ptr().addr(), source.len(), decoding)
}
