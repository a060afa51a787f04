// SPDX-License-Identifier: GPL-3.0-or-later
//! The readings of the structure: which choices a reader of a whole message has.
//!
//! A reading fixes each choice for the whole message, as one program does; a walk tells which choices it met, and only
//! those cause further walks.

/// What one walk takes where it has a choice. The default is what most clients do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Of several Content-Type fields the last.
    pub(crate) last_type: bool,
    /// Of several boundaries the last.
    pub(crate) last_boundary: bool,
    /// A line in a header that is no field does not end the header.
    pub(crate) skip_junk: bool,
}

impl Reading {
    /// A reading that is not among `done`, with other choices only where `met` says that there are any.
    pub(crate) fn next(met: Self, done: &[Self]) -> Option<Self> {
        let possible = |reading: &Self| {
            (met.last_type || !reading.last_type)
                && (met.last_boundary || !reading.last_boundary)
                && (met.skip_junk || !reading.skip_junk)
        };
        (0..8_u8)
            .map(|bits| Self {
                last_type: bits & 1 > 0,
                last_boundary: bits & 2 > 0,
                skip_junk: bits & 4 > 0,
            })
            .find(|reading| possible(reading) && !done.contains(reading))
    }

    /// The choices of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            last_type: self.last_type || other.last_type,
            last_boundary: self.last_boundary || other.last_boundary,
            skip_junk: self.skip_junk || other.skip_junk,
        }
    }

    /// Its choices, for people.
    pub(crate) fn describe(self) -> String {
        let choices = [
            (self.last_type, "the last Content-Type"),
            (self.last_boundary, "the last boundary"),
            (self.skip_junk, "junk in headers skipped"),
        ];
        let taken: Vec<_> =
            choices.into_iter().filter(|(taken, _)| *taken).map(|(_, choice)| choice).collect();
        if taken.is_empty() { "canonical".to_owned() } else { taken.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_choices_that_were_met_cause_further_readings() {
        let first = Reading::default();
        assert_eq!(Reading::next(first, &[]), Some(first));
        assert_eq!(Reading::next(first, &[first]), None);
        let last = Reading { last_type: true, ..first };
        assert_eq!(Reading::next(last, &[first]), Some(last));
        assert_eq!(Reading::next(last, &[first, last]), None);
        assert_eq!(
            (first.describe().as_str(), last.describe().as_str()),
            ("canonical", "the last Content-Type")
        );
    }
}
