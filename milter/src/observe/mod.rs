// SPDX-License-Identifier: GPL-3.0-or-later
//! What people and programs are told of messages: log lines, metrics, traces, the status page. It decides nothing, and no
//! failure of it keeps a message from being answered. [`observer`] is the one who tells all of them.

pub(crate) mod activity;
pub mod metrics;
pub mod observer;
pub mod report;
pub mod spans;
