// SPDX-License-Identifier: GPL-3.0-or-later
//! What a header says of the bytes below it.

use super::{body::Class, decode::Decoding};

/// What a header block says of a leaf.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaf {
    /// Lower-case `type/subtype`.
    pub(crate) media_type: String,
    /// The names a client could show, the most dangerous first.
    pub(crate) names: Vec<String>,
    /// How the content counts.
    pub(crate) class: Option<Class>,
    /// The ways to decode it, the likeliest first.
    pub(crate) decodings: Vec<Decoding>,
    /// Its nesting.
    pub(crate) depth: usize,
    /// A client would open it as a message.
    pub(crate) message: bool,
}

impl Leaf {
    /// One that no header says anything of.
    pub(crate) fn of_any_type() -> Self {
        Self { media_type: "application/octet-stream".into(), ..Self::default() }
    }
}
