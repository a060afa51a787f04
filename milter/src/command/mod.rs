// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line: what each subcommand does, and how a process is put together of the rest. Nothing else knows it.

pub mod assembly;
pub mod cli;
pub mod explain;
pub mod reload;
pub mod scan;
pub mod serve;
pub mod standalone;
pub mod status;
