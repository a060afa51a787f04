// SPDX-License-Identifier: GPL-3.0-or-later
//! Real servers for tests, each private, on free ports, gone with the test.

pub mod redis;
