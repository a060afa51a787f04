// SPDX-License-Identifier: GPL-3.0-or-later
//! The real things that scenarios run against: MTAs, the milter protocol from the MTA's side, our programs as processes,
//! Redis, links that fail on request, mails; and [`thunderstorm`], a stand-in for a THOR Thunderstorm server.

pub mod browser;
pub mod clamd;
pub mod machine;
pub mod mails;
pub mod mta;
pub mod postfix;
pub mod process;
pub mod promtool;
pub mod proxy;
pub mod redis;
pub mod rspamd;
pub mod sendmail;
pub mod site;
pub mod smtp;
pub mod thunderstorm;
pub mod waiting;

pub use waiting::{eventually, free_port};
