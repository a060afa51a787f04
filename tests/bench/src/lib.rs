// SPDX-License-Identifier: GPL-3.0-or-later
//! What thundergate is measured with.
//!
//! | module | owns |
//! |---|---|
//! | [`load`] | a load generator: the MTA's side of the milter protocol, cheaply |
//! | [`performance`] | what is promised of its speed, measured |
//!
//! The programs beside them measure one thing each: the queue, the farm, memory.

pub mod load;
pub mod performance;
