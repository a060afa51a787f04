// SPDX-License-Identifier: GPL-3.0-or-later
//! The language of the policy's expressions.
//!
//! It is Go's expr, as postfix2thunderstorm has it, over the same names: `FullMatch` is the finding, with
//! `FullMatch.Context` for the file; `Matches` are the rules that matched. `.Subscore` inside a predicate is the rule
//! at hand. `one` means exactly one; `any` is what most people want.
//!
//! What can be wrong with an expression is found when it is compiled, see [`check`]; what still fails later is an error,
//! which the caller turns into a temporary failure, never into "did not match".

mod check;
mod environment;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod names;
mod tokens;

pub(crate) use check::compile;
pub(crate) use environment::{Environment, holds};
#[cfg(test)]
pub(crate) use tokens::MOST as MOST_TOKENS;
