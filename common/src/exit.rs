// SPDX-License-Identifier: GPL-3.0-or-later
//! Exit statuses of both programs, as sysexits.h numbers them.

/// The command line is wrong (EX_USAGE).
pub const USAGE: u8 = 64;
/// A file that was named cannot be read (EX_NOINPUT).
pub const NO_INPUT: u8 = 66;
/// What is needed is not available (EX_UNAVAILABLE).
pub const UNAVAILABLE: u8 = 69;
/// Something unforeseen (EX_SOFTWARE).
pub const SOFTWARE: u8 = 70;
/// The configuration is wrong (EX_CONFIG).
pub const CONFIG: u8 = 78;
