// SPDX-License-Identifier: GPL-3.0-or-later
//! thundergate's milter: takes messages apart, asks for verdicts, decides.
//!
//! | folder | owns |
//! |---|---|
//! | [`command`] | the command line, and what puts a process together |
//! | [`check`] | what is wrong with what a milter needs |
//! | [`config`] | `milter.toml`: loading it, and postfix2thunderstorm's |
//! | [`front`] | where mail comes in: the milter protocol |
//! | [`mail`] | what is known of one message: envelope, bytes, the memory that they take |
//! | [`inspect`] | what happens to one message, in one function: taken apart, looked up, scanned, awaited |
//! | [`outcome`] | what became of it, and the header field that tells |
//! | [`observe`] | what log, metrics, traces and the status page are told |
//!
//! Data flows from `front` to `inspect` and, as an `outcome`, back.

#![warn(unreachable_pub)]

pub mod check;
pub mod command;
pub mod config;
pub mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod inspect;
pub mod mail;
pub mod observe;
pub mod outcome;
