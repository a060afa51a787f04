// SPDX-License-Identifier: GPL-3.0-or-later
//! What a header says of the bytes below it.

use super::{body::Class, container::wide::Charset, decode::Decoding};

/// Characters of a way.
const LONGEST_WAY: usize = 512;

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
    /// The charset that it claims, where ASCII is not itself in it.
    pub(crate) charset: Option<Charset>,
    /// The names of the files that it came in, with slashes between them.
    pub(crate) within: Option<String>,
}

impl Leaf {
    /// One that no header says anything of.
    pub(crate) fn of_any_type() -> Self {
        Self { media_type: "application/octet-stream".into(), ..Self::default() }
    }

    /// Where the files in this one are: in its name, behind the names of those that it came in.
    pub(crate) fn way(&self) -> Option<String> {
        let Some(name) = self.names.first() else { return self.within.clone() };
        let way = self.within.as_ref().map_or_else(|| name.clone(), |within| format!("{within}/{name}"));
        // Of a long way the end says most.
        let skipped = way.chars().count().saturating_sub(LONGEST_WAY);
        Some(way.chars().skip(skipped).collect())
    }
}
