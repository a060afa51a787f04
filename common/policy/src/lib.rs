// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens to a message: the words for it, the configured policy, and the one function that decides.
//!
//! | module | owns |
//! |---|---|
//! | `action`, `cause`, `disposition` | the vocabulary: what can happen, why, and how a part ended |
//! | `settings` | `[policy]`: expressions, the failure table `[policy.on]`, `[policy.trust]` |
//! | `policy`, `expressions` | the expressions, compiled; what they say of a finding |
//! | `decide` | facts and a policy in, a decision out |
//!
//! To add a row to the failure table: a [`Cause`], its field in [`On`] and its line in [`On::action`], its comment and
//! default in `deploy/milter.toml`, and where it comes from: a [`Disposition`] or a [`Trouble`].
//!
//! It must not know how a message is taken apart, where verdicts come from, or what an MTA is told.

#![warn(unreachable_pub)]

mod action;
mod cause;
mod decide;
mod disposition;
mod expressions;
mod network;
mod policy;
mod settings;

#[cfg(any(test, fuzzing))]
pub use expressions::fuzzing;

pub use action::Action;
pub use cause::{Cause, Trouble};
pub use decide::{Decision, Facts, decide};
pub use disposition::{Disposition, Failure, Source};
pub use network::Network;
pub use policy::{Policy, PolicyError};
pub use settings::{On, PolicyConfig, Trust};
