// SPDX-License-Identifier: GPL-3.0-or-later
//! The hub: [`contract`] is what every hub does, [`random`] compares random operations with a model, [`access`] says who
//! gets at a Redis, and how.

mod access;
mod contract;
mod random;
