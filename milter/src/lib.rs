// SPDX-License-Identifier: GPL-3.0-or-later
//! The milter.

pub mod config;
pub mod extract;
pub mod migrate;
pub mod policy;
