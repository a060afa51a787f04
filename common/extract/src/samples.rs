// SPDX-License-Identifier: GPL-3.0-or-later
//! The way from a leaf to samples. Each leaf is read in all the ways that its header names, and each of these is a
//! candidate: it is decoded and digested once, asked what else it could be, and opened if something is in it.
//!
//! [`Allowance`] says what may still be done, [`Seen`] what was done before, [`Opener`] opens, [`Found`] collects.

use super::{
    ambiguity::Ambiguity,
    body::{self, Bodies, Class},
    budget::{Allowance, Budget, Exceeded},
    candidates::{self, Candidate},
    container::{Readers, wide::Charset},
    declared,
    decode::Decoding,
    decoded::Decoded,
    found::{Found, Sample},
    leaf::Leaf,
    names,
    opener::{self, Opener},
    outline::Step,
    part::{Content, Extraction},
    plausible::{self, Fields, Plausible},
    recall::Recall,
    seen::{Look, Place, Seen},
    signs::Signs,
};
use bytes::Bytes;
use thundergate_common::verdict::SkipReason;

/// Bytes of a file that only the reading without structure finds.
const LEAST_HIDDEN: usize = 4;
/// Readings without structure that are remembered until the most plausible of them are taken.
const MOST_HIDDEN: usize = 4096;

/// Files with names of this danger do more than show a text.
const ACTIVE: u8 = 3;

/// What only the reading without structure comes to.
pub(crate) struct Hidden {
    pub(crate) content: Content,
    pub(crate) name: Option<String>,
    pub(crate) class: Class,
    /// What the fields before it say.
    pub(crate) fields: Fields,
}

/// The samples of one message, while it is taken apart.
pub(crate) struct Samples {
    bodies: Bodies,
    recall: Option<Recall>,
    /// What the message may still cost.
    pub(crate) left: Allowance,
    /// Where was looked before.
    pub(crate) seen: Seen,
    /// What was opened.
    pub(crate) opener: Opener,
    /// What was found.
    pub(crate) found: Found,
    /// What may be hidden, with how plausible it is.
    hidden: Vec<(Plausible, Hidden)>,
    /// For what is decoded, one after the other.
    buffer: Vec<u8>,
}

impl Samples {
    /// Nothing found yet in a message of `length` bytes. Steps are recorded where `explain`.
    pub(crate) fn new(bodies: Bodies, budget: &Budget, length: usize, explain: bool) -> Self {
        Self {
            bodies,
            recall: None,
            left: Allowance::new(budget, length),
            seen: Seen::default(),
            opener: Opener::default(),
            found: Found::new(explain),
            hidden: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Attachments that came before need not be decoded.
    pub(crate) fn recalling(self, recall: &Recall) -> Self {
        Self { recall: Some(recall.clone()), ..self }
    }

    /// A further reading begins: it may have as many parts as the first.
    pub(crate) fn next_reading(&mut self, describe: impl FnOnce() -> String) {
        self.left.next_reading();
        self.found.note(|| Step::Reading { choices: describe() });
    }

    /// A walk goes over `message`.
    pub(crate) fn walked(&mut self, message: &Bytes) {
        if !self.seen.message(message, self.left.budget().parts) {
            self.left.malformed(Exceeded::Parts);
        }
    }

    /// Everything found, and how.
    pub(crate) fn finish(self) -> (Extraction, Vec<Step>) {
        self.found.finish(self.left.exceeded(), self.opener.held_bytes())
    }

    /// Takes a leaf whose encoded bytes are `source`, in each way it could be read.
    pub(crate) fn leaf(&mut self, leaf: &Leaf, source: Bytes) {
        let class = leaf.class.unwrap_or(Class::File);
        if leaf.names.len() > 1 && leaf.names.iter().any(|other| names::differ(&leaf.names[0], other)) {
            self.found.ambiguous(Ambiguity::Names);
        }
        self.seen.leaf(&source);
        for (others, decoding) in self.decodings(leaf, &source).into_iter().enumerate() {
            let content = Content { source: source.clone(), decoding };
            let known = self.seen.knows(Place::of(&content), leaf.names.first());
            let likeliest = others == 0 && self.left.is_first_reading();
            if !known && !likeliest && !self.left.spend_reading(source.len()) {
                return;
            }
            for other in self.consider(leaf, Candidate { content, name: None, kind: None, class }) {
                self.further(leaf, other);
            }
        }
    }

    /// The ways to decode `leaf`. What is in an encoding that few clients know is a text to the others.
    fn decodings(&mut self, leaf: &Leaf, source: &[u8]) -> Vec<Decoding> {
        let mut decodings = leaf.decodings.clone();
        if let Some(rare) = decodings.iter().find(|decoding| !decoding.is_standard())
            && !declared::is_one_file(source, *rare)
        {
            self.found.ambiguous(Ambiguity::UnknownEncoding);
            if !decodings.contains(&Decoding::Identity) {
                decodings.push(Decoding::Identity);
            }
        }
        decodings
    }

    /// Takes what hides in `gap`, outside all parts.
    pub(crate) fn gap(&mut self, gap: Bytes, kind: Ambiguity) {
        if !body::is_filler(&gap) {
            self.found.doubt();
        }
        let leaf = Leaf::of_any_type();
        let text = Content { source: gap, decoding: Decoding::Identity };
        if self.bodies == Bodies::All && !text.source.trim_ascii().is_empty() {
            let content = text.clone();
            self.consider(&leaf, Candidate { content, name: None, kind: None, class: Class::Plain });
        }
        for candidate in candidates::hidden(text, kind) {
            self.further(&leaf, candidate);
        }
    }

    /// Remembers what only the reading without structure finds, where it is plausible as a file.
    pub(crate) fn hidden(&mut self, hidden: Hidden) {
        if !self.left.spend_doubtful_search(plausible::cost(&hidden.content, hidden.fields)) {
            return;
        }
        let name = hidden.name.as_deref();
        let Some(plausible) = plausible::judge(&hidden.content, name, hidden.fields) else { return };
        if self.hidden.len() < MOST_HIDDEN {
            self.hidden.push((plausible, hidden));
        } else {
            self.left.run_out_of_doubtful();
        }
    }

    /// Takes what was remembered, the most plausible first; what is known already does not count.
    pub(crate) fn take_hidden(&mut self) {
        let mut waiting = std::mem::take(&mut self.hidden);
        for level in Plausible::ALL {
            let mut others = Vec::new();
            for (_, hidden) in waiting.extract_if(.., |(plausible, _)| *plausible == level) {
                others.extend(self.take_one_hidden(&hidden));
            }
            // What else they could be comes behind them.
            waiting.extend(others);
            for (_, hidden) in waiting.extract_if(.., |(plausible, _)| *plausible >= level) {
                self.take_one_hidden(&hidden);
            }
        }
        if self.left.is_out_of_doubtful() {
            self.found.ambiguous(Ambiguity::TooMany);
        }
    }

    /// Gives what else it could be that is plausible.
    fn take_one_hidden(&mut self, hidden: &Hidden) -> Vec<(Plausible, Hidden)> {
        let Hidden { content, name, class, fields } = hidden;
        if !self.left.spend_doubtful(content.source.len()) {
            return Vec::new();
        }
        let (content, kind) = (content.clone(), Some(Ambiguity::Hidden));
        let candidate = Candidate { content, name: name.clone(), kind, class: *class };
        let others = self.consider(&Leaf::of_any_type(), candidate).into_iter().filter_map(|other| {
            let plausible = plausible::judge(&other.content, name.as_deref(), *fields)?;
            Some((plausible, Hidden { content: other.content, name: name.clone(), ..*hidden }))
        });
        others.collect()
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
            self.found.ambiguous(kind);
        }
        let reading = candidate.kind.is_none() || self.left.spend_reading(candidate.content.source.len());
        if !reading || !self.left.spend_part() {
            return Vec::new();
        }
        self.consider(leaf, candidate)
    }

    /// Decodes and digests `candidate` unless it was before; returns what else it could be.
    fn consider(&mut self, leaf: &Leaf, candidate: Candidate) -> Vec<Candidate> {
        if self.left.is_exhausted() {
            return Vec::new();
        }
        let Candidate { content, name, kind, class } = candidate;
        let name = name.as_ref().or(leaf.names.first());
        let hidden = kind == Some(Ambiguity::Hidden);
        let place = Place::of(&content);
        let look = if hidden {
            self.seen.look_again(place, name, self.found.is_ambiguous())
        } else {
            self.seen.look(place, name)
        };
        let (why, class) = match look {
            Look::New => (kind, class),
            Look::Text => (None, Class::File),
            Look::Known => return Vec::new(),
        };
        let decoded = self.decode(&content, class);
        if !self.left.spend_bytes(decoded.size) || hidden && decoded.size < LEAST_HIDDEN {
            return Vec::new();
        }
        if let Some(digest) = decoded.digest.filter(|_| decoded.size > 0) {
            let (size, unopened) = (decoded.size, decoded.signs.unopened);
            self.found.sample(leaf, name, &content, &Sample { digest, size, why, unopened });
        } else if !hidden {
            self.no_sample(leaf, name, &content, decoded.size);
        }
        if !hidden && class == Class::File && (leaf.message || decoded.signs.message) {
            self.enclosed(leaf, &content);
        }
        self.open(leaf, &content, class, decoded.signs);
        decoded.others
    }

    /// Takes what is in `content`, of which `signs` tell what that is.
    fn open(&mut self, leaf: &Leaf, content: &Content, class: Class, signs: Signs) {
        if signs.container && !(signs.compound && names::are_documents(&leaf.names)) {
            self.unpack(leaf, content, class);
        }
        if signs.files {
            self.unpack_text(leaf, content);
        }
        if let Some(charset) = signs.charset.or(leaf.charset) {
            self.copy(leaf, content, class, charset);
        }
    }

    fn decode(&mut self, content: &Content, class: Class) -> Decoded {
        let limit = self.left.decoded();
        Decoded::of(content, class, self.bodies, limit, self.recall.as_ref(), &mut self.buffer)
    }

    /// `content`, decoded `size` bytes, is empty, or a text that nobody wants scanned.
    fn no_sample(&mut self, leaf: &Leaf, name: Option<&String>, content: &Content, size: usize) {
        let reason = if size == 0 { SkipReason::Empty } else { SkipReason::PlainText };
        if reason == SkipReason::PlainText {
            self.seen.text(Place::of(content));
        }
        self.found.skip(leaf, name, content.source.len(), reason);
    }

    /// The message that `content` is comes next.
    fn enclosed(&mut self, leaf: &Leaf, content: &Content) {
        if !self.may_go_deeper(leaf) {
            return;
        }
        if let Some(message) = self.opener.decode(content, &mut self.left) {
            self.opener.walk_next(message, leaf);
        }
    }

    /// True where something in `leaf` may be looked at.
    fn may_go_deeper(&mut self, leaf: &Leaf) -> bool {
        let may = leaf.depth < self.left.budget().depth;
        if !may {
            self.left.malformed(Exceeded::Depth);
        }
        may
    }

    /// Takes what is in the container that `content` is.
    fn unpack(&mut self, leaf: &Leaf, content: &Content, class: Class) {
        let opened = self.opener.open(content, &mut self.left);
        if let Some(reason) = opened.sealed {
            self.found.skip(leaf, leaf.names.first(), 0, reason);
        }
        if opened.files.is_empty() || !self.may_go_deeper(leaf) {
            return;
        }
        for file in opened.files {
            if !comes_to(file.readers, leaf, class) {
                continue;
            }
            if !self.left.spend_part() {
                return;
            }
            if file.message {
                self.opener.walk_next(file.content, leaf);
                continue;
            }
            let file = if opened.kind == "cms" { file.named_after(&leaf.names) } else { file };
            let (inner, candidate) = opener::as_part(file, leaf);
            self.within(&inner, candidate);
        }
    }

    /// Takes the encoded files in the text that `content` decodes to.
    fn unpack_text(&mut self, leaf: &Leaf, content: &Content) {
        if !self.may_go_deeper(leaf) {
            return;
        }
        let Some(source) = self.opener.decode(content, &mut self.left) else { return };
        let (depth, within) = (leaf.depth + 1, leaf.way());
        let inner = Leaf { names: Vec::new(), depth, within, message: false, ..leaf.clone() };
        for file in candidates::files_in_text(&Content { source, decoding: Decoding::Identity }) {
            self.further(&inner, file);
        }
    }

    /// Takes the text that `content` decodes to once more, in UTF-8.
    fn copy(&mut self, leaf: &Leaf, content: &Content, class: Class, charset: Charset) {
        let Some(text) = charset.to_utf8(&content.bytes()) else { return };
        if !self.may_go_deeper(leaf) || !self.left.spend_part() {
            return;
        }
        let content = self.opener.keep(text);
        // A text in UTF-16 is a sample whatever it holds.
        let class = if charset != Charset::Utf7 && class == Class::Plain { Class::File } else { class };
        let inner = Leaf { depth: leaf.depth + 1, charset: None, class: Some(class), ..leaf.clone() };
        self.within(&inner, Candidate { content, name: None, kind: None, class });
    }

    /// Takes `candidate`, which is in a file, and the encoded files in it.
    fn within(&mut self, leaf: &Leaf, candidate: Candidate) {
        let others = self.consider(leaf, candidate);
        for file in others.into_iter().filter(|other| other.kind.is_none()) {
            self.further(leaf, file);
        }
    }
}

/// True where `readers` come to what is in `leaf`.
fn comes_to(readers: Readers, leaf: &Leaf, class: Class) -> bool {
    match readers {
        Readers::All => true,
        Readers::OfFiles => class == Class::File,
        Readers::OfDocuments => {
            let active = names::danger(leaf.names.first().map(String::as_str)) >= ACTIVE;
            class == Class::File && (active || leaf.media_type.starts_with("application/"))
        }
    }
}
