// SPDX-License-Identifier: GPL-3.0-or-later
//! The worker: samples go from the queue to the scanners, verdicts come back.
//!
//! | module | owns |
//! |---|---|
//! | [`command`], [`config`] | the command line and its configuration |
//! | [`check`] | what is wrong with what a worker needs |
//! | [`runner`] | the life of a worker: claim, scan, drain |
//! | [`consumer`], [`reclaimer`], [`renewer`] | jobs from the queue, jobs of dead workers, leases |
//! | [`scan`] | one delivery of one job, from its claim to its completion |
//! | `containers` | what is inside samples that ask for a password |
//! | [`memory`] | what the samples in its hands may take |
//! | [`reporter`] | what the hub is told of the farm |
//! | [`oversee`] | who is blind or late, how large a file each instance scans: one worker finds out for all |
//! | [`people`] | `thundergate`, the people's command: asks a program that runs |
//! | [`farm`] | the scanners as a whole: which one gets a sample, and which gets none |
//! | [`thunderstorm`] | talking to one of them |
//! | [`metrics`], [`status`] | what is counted, and what the status page tells |
//!
//! The milter's one-process mode uses the same entry as the program: [`Worker::new`] and [`Worker::run`].

#![warn(unreachable_pub)]

pub mod check;
pub mod command;
pub mod config;
pub mod consumer;
pub mod containers;
pub mod farm;
pub mod memory;
pub mod metrics;
pub mod oversee;
pub mod people;
pub(crate) mod reclaimer;
pub(crate) mod renewer;
pub(crate) mod reporter;
pub mod runner;
pub mod scan;
pub mod status;
pub(crate) mod suspects;
pub mod thunderstorm;

pub use runner::Worker;
