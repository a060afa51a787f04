// SPDX-License-Identifier: GPL-3.0-or-later
//! The way of a mail: the protocol, what is decided, and several milters and workers at once.

mod ambiguity_results;
mod blame;
mod cluster;
mod failure_table;
mod milter_protocol;
mod sealed;
mod shares;
