// SPDX-License-Identifier: GPL-3.0-or-later
//! The tools of the other scenarios and of measurements: harness, stand-in scanner, load generator, fault suite, peers.

mod faults;
mod harness;
mod hostile_files;
mod load;
mod official_client;
mod peers;
mod stand_in;
mod twins;
