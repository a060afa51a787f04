// SPDX-License-Identifier: GPL-3.0-or-later
//! Why the work on one container ends before its end.

use super::{answer::Why, failure::Excess};

/// Why the work on one container ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Everything ends with it.
    TooMuch(Excess),
    /// Only this container does.
    Damaged,
    /// Only this container does.
    Unsupported(Why),
}
