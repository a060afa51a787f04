// SPDX-License-Identifier: GPL-3.0-or-later
//! Opens what holds parts in its turn: messages in a transfer encoding, and containers. Decodes each once, counts the
//! memory that this takes, and keeps the messages for the walk that goes over them next.

use super::{
    body::Class,
    budget::{Allowance, Exceeded},
    candidates::Candidate,
    container::{self, Enclosed, Opened},
    decode::Decoding,
    leaf::Leaf,
    names,
    part::Content,
    seen::Place,
};
use bytes::Bytes;
use std::collections::HashMap;

/// What walking over bytes once more costs, as a multiple of searching them.
const WALK: usize = 3;

/// A message in a file.
pub(crate) struct Enclosing {
    pub(crate) message: Bytes,
    /// Its nesting.
    pub(crate) depth: usize,
    /// The names of the files that it is in.
    pub(crate) within: Option<String>,
}

/// What was opened so far.
#[derive(Default)]
pub(crate) struct Opener {
    /// Messages by where they stand encoded.
    decoded: HashMap<Place, Bytes>,
    /// Messages to be walked over next.
    waiting: Vec<Enclosing>,
    /// The files of all containers: as long as they live, nothing else stands in their place.
    kept: Vec<Bytes>,
    held_bytes: usize,
}

impl Opener {
    /// Bytes that were decoded and stay in memory beside the message.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// `content` decoded, to be walked over. None where nothing is left for it.
    pub(crate) fn decode(&mut self, content: &Content, left: &mut Allowance) -> Option<Bytes> {
        let Content { source, decoding } = content;
        if *decoding == Decoding::Identity {
            return left.spend_search(WALK * source.len()).then(|| source.clone());
        }
        let place = Place::of(content);
        if let Some(message) = self.decoded.get(&place) {
            return Some(message.clone());
        }
        let mut message = Vec::new();
        if left.decoded() > 0 {
            decoding.decode_into(source, left.decoded(), &mut message);
        }
        if !left.spend_bytes(message.len()) {
            return None;
        }
        self.held_bytes += message.len();
        let message = Bytes::from(message);
        self.decoded.insert(place, message.clone());
        Some(message)
    }

    /// `message`, which was in `leaf`, is walked over next.
    pub(crate) fn walk_next(&mut self, message: Bytes, leaf: &Leaf) {
        self.waiting.push(Enclosing { message, depth: leaf.depth + 1, within: leaf.way() });
    }

    /// The messages to be walked over next.
    pub(crate) fn take_waiting(&mut self) -> Vec<Enclosing> {
        std::mem::take(&mut self.waiting)
    }

    /// `text`, which is not in the message itself, is looked at next.
    pub(crate) fn keep(&mut self, text: Vec<u8>) -> Content {
        self.held_bytes += text.len();
        let source = Bytes::from(text);
        self.kept.push(source.clone());
        Content { source, decoding: Decoding::Identity }
    }

    /// What is in the container that `content` is.
    pub(crate) fn open(&mut self, content: &Content, left: &mut Allowance) -> Opened {
        let bytes = content.bytes();
        let opened = container::open(&bytes, left.decoded());
        if !opened.files.is_empty() {
            let beside = if content.decoding == Decoding::Identity { 0 } else { bytes.len() };
            self.held_bytes += beside + opened.held_bytes;
            self.kept.extend(opened.files.iter().map(|file| file.content.clone()));
        }
        if opened.over_limit {
            left.malformed(Exceeded::DecodedBytes);
        }
        opened
    }
}

/// A file in the container `leaf`, as if it were a part.
pub(crate) fn as_part(file: Enclosed, leaf: &Leaf) -> (Leaf, Candidate) {
    let Enclosed { names, media_type, content, .. } = file;
    let names = names::most_dangerous_first(names);
    let class = Class::of(&media_type, !names.is_empty());
    let content = Content { source: content, decoding: Decoding::Identity };
    let (depth, within) = (leaf.depth + 1, leaf.way());
    let inner = Leaf { media_type, names, class: Some(class), depth, within, ..Leaf::default() };
    (inner, Candidate { content, name: None, kind: None, class })
}
