// SPDX-License-Identifier: GPL-3.0-or-later
//! What thundergate is tested, shown and measured with.
//!
//! | module | owns |
//! |---|---|
//! | [`thunderstorm`] | a stand-in for a THOR Thunderstorm server: its HTTP API over a few YARA rules, with faults on request |
//! | [`faults`] | the fault suite: a tormented site and a checker |
//! | [`harness`] | the other real things: MTAs, the milter protocol from the MTA's side, our programs as processes, mails |
//! | [`load`] | a load generator: the MTA's side of the milter protocol, cheaply |
//! | [`performance`] | what is promised of its speed, measured |

pub mod faults;
pub mod harness;
pub mod load;
pub mod performance;
pub mod thunderstorm;
