// SPDX-License-Identifier: GPL-3.0-or-later
//! Opens sealed containers (ZIP, RAR, 7z, PDF, office documents that ask for a password) in a process of their own that can
//! do nothing else: a container and candidates for its password in, its members out.
//!
//! Two sides of one program:
//!
//! * **The parent** ([`Opener`]) starts the running program again as `open`, feeds it a request by pipe, reads the answer
//!   within bounds, and kills the child when its time is up. It never looks into a container.
//! * **The child** ([`run_if_asked`], which `main` calls before anything else) confines itself first (`confine`): no files,
//!   no network, no further processes, bounded memory and time. Then it reads one request, works (`unseal`, with one file a
//!   format under `format`), writes one answer and ends.
//!
//! What is between them is in `wire`. A password stands in the request, and nowhere else: in no argument, no variable, no
//! line. What a container may take is in [`Limits`]; a [`Failure`] says whose it is, and a container that is merely sealed
//! to us is none.
//!
//! This crate knows no Redis, no HTTP, no mail and no policy, and writes no log.

#![warn(unreachable_pub)]

mod answer;
mod budget;
mod child;
mod confine;
mod failure;
mod format;
mod found;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod limits;
mod opener;
mod passwords;
mod request;
mod stop;
mod unseal;
mod wire;
mod work;

pub use answer::{Answer, By, Container, Member, Why};
pub use child::run_if_asked;
pub use confine::{Confinement, confine};
pub use failure::{Excess, Failure};
pub use limits::Limits;
pub use opener::Opener;
pub use request::{ALWAYS, Kind, MOST_CANDIDATES, Request};
