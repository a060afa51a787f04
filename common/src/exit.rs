// SPDX-License-Identifier: GPL-3.0-or-later
//! Exit statuses of the programs, as sysexits.h numbers them.

/// The command line is wrong (EX_USAGE).
pub const USAGE: u8 = 64;
/// A file that was named cannot be read (EX_NOINPUT).
pub const NO_INPUT: u8 = 66;
/// What is needed is not available (EX_UNAVAILABLE).
pub const UNAVAILABLE: u8 = 69;
/// Something unforeseen (EX_SOFTWARE).
pub const SOFTWARE: u8 = 70;
/// Whoever asks may not do that (EX_NOPERM).
pub const NO_PERMISSION: u8 = 77;
/// The configuration is wrong (EX_CONFIG).
pub const CONFIG: u8 = 78;
