// SPDX-License-Identifier: GPL-3.0-or-later
//! What people and programs are told of messages: log lines, metrics, traces, the status page. It decides nothing, and no
//! failure of it keeps a message from being answered.

pub mod activity;
pub mod metrics;
pub mod report;
pub mod spans;
