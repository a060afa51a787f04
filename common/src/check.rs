// SPDX-License-Identifier: GPL-3.0-or-later
//! `check --connect`: what both programs look at, beside what is in [`crate::hub::redis`] and the worker's farm. Nothing here
//! changes anything, but for a file or a socket that is made to see whether it can be, and is gone at once.
//!
//! | module | owns |
//! |---|---|
//! | [`cause`] | why a server cannot be used, and what to do |
//! | [`files`] | files and folders that the configuration names |
//! | [`listening`] | addresses that a program wants to listen at |
//! | [`machine`] | what a program needs of this system |
//! | [`user`] | as whom it looks |
//! | [`visit`] | how long it may take, and how it is told |

pub mod cause;
pub mod files;
pub mod listening;
pub mod machine;
pub mod user;
pub mod visit;
