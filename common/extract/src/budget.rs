// SPDX-License-Identifier: GPL-3.0-or-later
//! What one message may cost, and what of that is left. Whatever asks for more than is left makes the message
//! `malformed`.

use serde::{Serialize, Serializer};
use std::fmt::{self, Display, Formatter};

/// How much work one message may cause.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Parts, leaves and containers together.
    pub parts: usize,
    /// Nesting of multiparts and messages.
    pub depth: usize,
    /// Other ways to decode or to delimit something than the likeliest.
    pub readings: usize,
    /// Sum of decoded bytes; what a small message may cause is less ([`Allowance`]).
    pub decoded_bytes: u64,
}

/// Why a message was not taken apart to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exceeded {
    /// [`Budget::parts`].
    Parts,
    /// [`Budget::depth`].
    Depth,
    /// [`Budget::readings`], or what searches for them may look at; not by the reading without structure.
    Readings,
    /// [`Budget::decoded_bytes`].
    DecodedBytes,
    /// A header is too long to read.
    HeaderBytes,
    /// A field of a header is too long to read.
    FieldBytes,
}

/// Encoded bytes that further readings may decode, however long the message is: several readings of a small attachment,
/// none of one that takes long.
const READING_BYTES: u64 = 8 << 20;
/// Searches may look at four times the message and so many bytes more.
const SPARE_SEARCH_BYTES: u64 = 16 << 20;
/// All readings together may decode twice what the message has, and so many bytes more, whatever the budget says: real
/// messages decode to less than themselves, and so do the files in the containers they hold.
const SPARE_DECODED_BYTES: u64 = 8 << 20;

/// The budget of one message, and what was spent of it.
pub(crate) struct Allowance {
    budget: Budget,
    walks: usize,
    parts: usize,
    decoded: u64,
    reading_bytes: u64,
    readings: usize,
    search_bytes: u64,
    out_of_doubtful: bool,
    exceeded: Option<Exceeded>,
}

impl Exceeded {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Parts, Self::Depth, Self::Readings, Self::DecodedBytes, Self::HeaderBytes, Self::FieldBytes];

    /// As in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parts => "parts",
            Self::Depth => "depth",
            Self::Readings => "readings",
            Self::DecodedBytes => "decoded_bytes",
            Self::HeaderBytes => "header_bytes",
            Self::FieldBytes => "field_bytes",
        }
    }
}

impl Display for Exceeded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Exceeded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Allowance {
    /// All of `budget`, for a message of `length` bytes.
    pub(crate) fn new(budget: &Budget, length: usize) -> Self {
        let length = length as u64;
        Self {
            budget: *budget,
            walks: 0,
            parts: 0,
            decoded: budget.decoded_bytes.min(2 * length + SPARE_DECODED_BYTES),
            reading_bytes: READING_BYTES,
            readings: budget.readings,
            search_bytes: 4 * length + SPARE_SEARCH_BYTES,
            out_of_doubtful: false,
            exceeded: None,
        }
    }

    /// The budget itself.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Why the message is malformed, if it is.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// Bytes that may still be decoded.
    pub(crate) fn decoded(&self) -> u64 {
        self.decoded
    }

    /// Records why the message is malformed; the first reason stays.
    pub(crate) fn malformed(&mut self, why: Exceeded) {
        self.exceeded.get_or_insert(why);
    }

    /// A reading of the structure begins: each may have as many parts as the first.
    pub(crate) fn next_reading(&mut self) {
        self.walks += 1;
        self.parts = 0;
    }

    /// True until the second reading of the structure begins.
    pub(crate) fn is_first_reading(&self) -> bool {
        self.walks < 2
    }

    /// True where nothing more may be decoded.
    pub(crate) fn is_exhausted(&mut self) -> bool {
        if self.decoded == 0 {
            self.malformed(Exceeded::DecodedBytes);
        }
        self.decoded == 0
    }

    /// Counts one part; false where none is left, or no bytes.
    pub(crate) fn spend_part(&mut self) -> bool {
        if self.is_exhausted() {
            return false;
        }
        self.parts += 1;
        let left = self.parts <= self.budget.parts;
        if !left {
            self.malformed(Exceeded::Parts);
        }
        left
    }

    /// Counts decoded bytes.
    pub(crate) fn spend_bytes(&mut self, count: usize) -> bool {
        let left = self.decoded.checked_sub(count as u64);
        self.decoded = left.unwrap_or(0);
        self.unless_exceeded(left.is_some(), Exceeded::DecodedBytes)
    }

    /// Counts a further reading of `bytes`.
    pub(crate) fn spend_reading(&mut self, bytes: usize) -> bool {
        let left = self.reading_bytes.checked_sub(bytes as u64).filter(|_| self.readings > 0);
        self.reading_bytes = left.unwrap_or(0);
        self.readings = self.readings.saturating_sub(1);
        self.unless_exceeded(left.is_some(), Exceeded::Readings)
    }

    /// Counts bytes that a walk looks at a second time.
    pub(crate) fn spend_search(&mut self, bytes: usize) -> bool {
        let left = self.search_bytes.checked_sub(bytes as u64);
        self.search_bytes = left.unwrap_or(0);
        self.unless_exceeded(left.is_some(), Exceeded::Readings)
    }

    /// Counts a reading of `bytes` without the structure. Where none is left the message is not malformed: it was read as
    /// what it says that it is.
    pub(crate) fn spend_doubtful(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let left = self.readings > 0 && bytes <= self.reading_bytes && 2 * bytes <= self.decoded;
        if left {
            self.readings -= 1;
            self.reading_bytes -= bytes;
        }
        self.out_of_doubtful |= !left;
        left
    }

    /// Counts bytes at which the reading without structure looks.
    pub(crate) fn spend_doubtful_search(&mut self, bytes: usize) -> bool {
        let left = self.search_bytes.checked_sub(bytes as u64);
        self.search_bytes = left.unwrap_or(0);
        self.out_of_doubtful |= left.is_none();
        left.is_some()
    }

    /// There is more to read without the structure than there is room for.
    pub(crate) fn run_out_of_doubtful(&mut self) {
        self.out_of_doubtful = true;
    }

    /// True where that was said.
    pub(crate) fn is_out_of_doubtful(&self) -> bool {
        self.out_of_doubtful
    }

    fn unless_exceeded(&mut self, left: bool, what: Exceeded) -> bool {
        if !left {
            self.malformed(what);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_left_makes_a_message_malformed() {
        let budget = Budget { parts: 1, depth: 1, readings: 1, decoded_bytes: 10 };
        let mut left = Allowance::new(&budget, 100);
        assert!(left.spend_part() && left.spend_bytes(10) && left.spend_reading(50));
        assert_eq!(left.exceeded(), None);
        assert!(!left.is_out_of_doubtful() && !left.spend_doubtful(1) && left.is_out_of_doubtful());
        assert_eq!(left.exceeded(), None, "it was read as what it says that it is");
        assert!(!left.spend_reading(1));
        assert_eq!(left.exceeded(), Some(Exceeded::Readings), "what is left unread is no clean message");
        assert!(!left.spend_bytes(1));
        assert_eq!(left.exceeded(), Some(Exceeded::Readings), "the first reason stays");
        assert!(left.is_exhausted() && !left.spend_doubtful(1) && !left.spend_part());
    }

    #[test]
    fn the_names_that_operators_know_stay() {
        let names = ["parts", "depth", "readings", "decoded_bytes", "header_bytes", "field_bytes"];
        assert_eq!(Exceeded::ALL.map(Exceeded::as_str), names);
    }

    #[test]
    fn a_small_message_may_not_cause_as_much_as_a_large_one() {
        let budget = Budget { parts: 1, depth: 1, readings: 1, decoded_bytes: u64::MAX };
        assert_eq!(Allowance::new(&budget, 1 << 20).decoded(), (2 << 20) + SPARE_DECODED_BYTES);
    }
}
