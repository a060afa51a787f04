// SPDX-License-Identifier: GPL-3.0-or-later
//! Talking to one THOR Thunderstorm server.
//!
//! | module | owns |
//! |---|---|
//! | [`client`] | the HTTP calls; the only file that names reqwest |
//! | [`complaint`] | what people are told of a call that failed |
//! | [`error`] | why a call failed, and what that may mean |
//! | [`resolution`] | what a server's name resolves to, and when that changes |
//! | [`settings`] | how one is reached, with what stands in the files that the configuration names |
//! | [`address`] | which API a configured URL means |
//! | [`facts`] | what `/api/info` and the asynchronous calls answer |
//! | [`shapes`] | the shapes of scan results, all turned into the same findings |

pub mod address;
pub mod client;
pub mod complaint;
pub mod error;
pub mod facts;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod resolution;
pub mod settings;
pub mod shapes;
