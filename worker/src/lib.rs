// SPDX-License-Identifier: GPL-3.0-or-later
//! worker

pub mod farm;
pub mod metrics;
pub mod thunderstorm;
