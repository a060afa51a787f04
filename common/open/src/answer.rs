// SPDX-License-Identifier: GPL-3.0-or-later
//! What came of a request.

use super::failure::Excess;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub container: Container,
    /// What was inside, whole and verified: of each container in which anything is sealed all files that could be read,
    /// inner containers as well as what is in these. Of a PDF the same document without its password, and the files embedded
    /// in it; of an office document its package, a ZIP. Empty where nothing is sealed.
    pub members: Vec<Member>,
    /// There is more than `members`: this limit was met.
    pub cut_off: Option<Excess>,
}

/// What a container turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// Nothing in it asks for a password.
    Unsealed,
    /// By these passwords, each once: members of one container may have different ones.
    Opened(Vec<By>),
    /// No password fits something in it. What did open is in the members.
    Sealed,
    /// Nobody knows whether a password fits, for something in it. What did open is in the members.
    Unsupported(Why),
}

/// Which password fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The candidate with this index.
    Candidate(usize),
    /// The one of [`ALWAYS`](super::ALWAYS) with this index.
    Always(usize),
}

impl By {
    /// None is needed.
    pub(crate) const EMPTY: Self = Self::Always(0);
}

/// Why nobody knows whether a password fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A cipher, or a way to seal, that is not implemented.
    Cipher,
    /// A compression that is not implemented.
    Compression,
    /// No checksum: what a wrong password makes of it cannot be told from what it is.
    Unverifiable,
    /// It goes on in another volume.
    Volumes,
    /// An inner container that cannot be read.
    Damaged,
    /// A container inside as many containers as are opened.
    Depth,
}

impl Why {
    /// The word for it, in reports and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cipher => "cipher",
            Self::Compression => "compression",
            Self::Unverifiable => "unverifiable",
            Self::Volumes => "volumes",
            Self::Damaged => "damaged",
            Self::Depth => "depth",
        }
    }
}

/// One file of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As the container has it, with its folders; without control characters, at most 255 characters. Empty where it has none.
    pub name: String,
    pub bytes: Bytes,
}
