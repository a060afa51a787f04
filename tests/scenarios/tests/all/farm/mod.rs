// SPDX-License-Identifier: GPL-3.0-or-later
//! The farm: what scanners do that would mislead a careless client, the ways to them, new signatures, and
//! clocks that are wrong.

mod clocks;
mod generation;
mod traps;
mod ways;
