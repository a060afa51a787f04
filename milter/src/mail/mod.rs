// SPDX-License-Identifier: GPL-3.0-or-later
//! One message as it came: who sent it to whom, its bytes, and what these may take of the process' memory. It must not
//! know what happens to it.

pub mod envelope;
pub mod forged;
pub mod limits;
pub mod message;
pub mod party;
pub mod permits;
pub mod repeated;
