// SPDX-License-Identifier: GPL-3.0-or-later
//! What can happen to a message.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What can happen to a message; the later, the severer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It passes.
    Accept,
    /// It passes with a header that says why somebody should look.
    Tag,
    /// The sender shall try again later.
    Tempfail,
    /// The MTA holds it.
    Quarantine,
    /// The sender gets it back.
    Reject,
    /// It vanishes, and the sender is told it was accepted.
    Discard,
}

impl Action {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Accept, Self::Tag, Self::Tempfail, Self::Quarantine, Self::Reject, Self::Discard];

    /// Its name in the configuration, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Tag => "tag",
            Self::Tempfail => "tempfail",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Discard => "discard",
        }
    }

    /// What the status page says of one mail that was not scanned, and of several.
    pub fn of_unscanned(self) -> [&'static str; 2] {
        match self {
            Self::Tempfail => ["is deferred", "are deferred"],
            Self::Quarantine => ["is held", "are held"],
            Self::Reject => ["is rejected", "are rejected"],
            Self::Discard => ["is discarded", "are discarded"],
            Self::Accept | Self::Tag => ["passes unscanned", "pass unscanned"],
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
