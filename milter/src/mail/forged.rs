// SPDX-License-Identifier: GPL-3.0-or-later
//! Header fields that a message brings although only we may write them.

/// How many header fields a message brought that only we may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forged {
    /// With the name of our tag.
    pub tags: usize,
    /// MIME-Ambiguity-Results.
    pub results: usize,
    /// All its header fields, whatever their name.
    pub fields: usize,
}

/// Header fields that the MTA looks at to remove the forged ones from one message: it looks each up from the start. A
/// message of nothing else may have 3,162, which keep a Postfix busy for 2 s; it takes as many as fit into
/// `message_size_limit`, and those of 10 MB would keep it busy for hours.
const MOST_LOOKED_AT: usize = 10_000_000;

impl Forged {
    /// Whether the MTA can remove them all in a short time.
    pub(crate) fn are_removable(self) -> bool {
        (self.tags + self.results).saturating_mul(self.fields) <= MOST_LOOKED_AT
    }
}
