// SPDX-License-Identifier: GPL-3.0-or-later
//! thundergate's milter: takes messages apart, asks for verdicts, decides.
//!
//! `mta` speaks to the MTA, `session` keeps what belongs together, [`inspect`] is the whole flow of
//! one message in one function, [`decision`] decides, `reply` says so. Data flows in this direction only.

pub mod activity;
pub mod assembly;
pub mod cli;
pub mod config;
pub mod decision;
pub mod envelope;
pub mod explain;
pub mod inspect;
pub mod inspection;
pub mod ledger;
pub mod message;
pub mod metrics;
pub mod migrate;
pub mod permits;
pub mod policy;
pub mod reload;
pub mod report;
pub mod resolve;
pub mod scan;
pub mod serve;
pub mod status;

mod ambiguity_results;
mod mta;
pub mod outage;
mod session;
mod spans;
mod standalone;
