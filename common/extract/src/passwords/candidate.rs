// SPDX-License-Identifier: GPL-3.0-or-later
//! One candidate, and where it stands.

use std::fmt;

/// Candidates of one mail.
pub(crate) const MOST: usize = 64;
/// Bytes of one candidate: more than any of these formats takes without cutting it.
pub(crate) const LONGEST: usize = 128;

/// What may be the password. Its text is a secret: no log may show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    text: String,
    place: Place,
}

/// Where a candidate stands; of several places the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the configured list.
    Configured,
    /// Near a word for "password".
    Password,
    /// In brackets, in quotes or emphasized.
    Marked,
    /// In the name of a part.
    FileName,
    /// Anywhere else.
    Word,
}

impl Candidate {
    pub(crate) fn new(text: String, place: Place) -> Self {
        Self { text, place }
    }

    /// The password itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.place
    }
}

impl Place {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Password => "near a password word",
            Self::Marked => "in brackets or quotes",
            Self::FileName => "in a file name",
            Self::Word => "other word",
        }
    }

    /// True where somebody meant it as a password, so that it is worth trying on what other mails could not open.
    pub fn is_meant(self) -> bool {
        matches!(self, Self::Password | Self::Marked | Self::FileName)
    }
}

/// Without the text, which no log may show.
impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Candidate({}, {} bytes)", self.place.as_str(), self.text.len())
    }
}
