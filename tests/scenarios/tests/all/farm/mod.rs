// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm: what scanners do that would mislead a careless client, the ways to them, new signatures, and
//! clocks that are wrong, and scanners that
//! find nothing.

mod answers;
mod blind;
mod clocks;
mod generation;
mod traps;
mod ways;
