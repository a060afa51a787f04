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

/// What was opened so far.
#[derive(Default)]
pub(crate) struct Opener {
    /// Messages by where they stand encoded.
    decoded: HashMap<Place, Bytes>,
    /// Messages to be walked over next, with their depth.
    waiting: Vec<(Bytes, usize)>,
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

    /// `message` is walked over next.
    pub(crate) fn walk_next(&mut self, message: Bytes, depth: usize) {
        self.waiting.push((message, depth));
    }

    /// The messages to be walked over next, with their depth.
    pub(crate) fn take_waiting(&mut self) -> Vec<(Bytes, usize)> {
        std::mem::take(&mut self.waiting)
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

/// A file in a container, as if it were a part.
pub(crate) fn as_part(file: Enclosed, depth: usize) -> (Leaf, Candidate) {
    let Enclosed { names, media_type, content, .. } = file;
    let names = names::most_dangerous_first(names);
    let class = Class::of(&media_type, !names.is_empty());
    let content = Content { source: content, decoding: Decoding::Identity };
    let leaf = Leaf { media_type, names, class: Some(class), depth, ..Leaf::default() };
    (leaf, Candidate { content, name: None, kind: None, class })
}
