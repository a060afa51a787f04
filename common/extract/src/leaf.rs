// SPDX-License-Identifier: GPL-3.0-or-later
//! What a header says of the bytes below it.

use super::{body::Class, decode::Decoding};

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
