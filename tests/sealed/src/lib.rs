// SPDX-License-Identifier: GPL-3.0-or-later
//! Mails with a sealed attachment whose password stands in the mail, and how often it is found.
//!
//! Each mail follows from its number: [`mail`] chooses a language, a place for the password, what kind of password it is
//! ([`secret`]) and a format ([`seal`]), and writes the rest from the texts of the language ([`texts`], [`prose`], [`noise`]):
//! other attachments, tables, signatures, replies, sentences that speak of other passwords. [`mime`] makes bytes of it, in UTF-8 or in
//! an older charset. [`tally`] counts.
//!
//! Two halves have texts of their own. Candidates are developed with one and judged with the other, which nobody looks
//! into to make them better: a list of candidates that knows its mails by heart would find everything.

#![warn(unreachable_pub)]

pub mod mail;
mod mime;
mod noise;
mod prose;
mod seal;
mod secret;
pub mod tally;
pub mod texts;

pub use mail::{Mail, Place};
pub use seal::{Format, INSIDE};
pub use secret::Kind;
pub use texts::Half;
