// SPDX-License-Identifier: GPL-3.0-or-later
//! What thundergate's tests share.

pub mod harness;
