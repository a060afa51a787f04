// SPDX-License-Identifier: GPL-3.0-or-later
//! `check --connect`: what is wrong with what a worker needs, found by asking.

use super::cli::CheckArgs;
use crate::{check, config::Config, people::print::say};
use std::path::Path;
use thundergate_common::{
    api::check::{Finding, Report, Wanted},
    check::user,
    terminal,
};

/// Looks, and prints what was found. Gives the exit status.
pub(super) async fn connected(file: Option<&Path>, args: CheckArgs) -> u8 {
    if let Some(note) = user::as_the_service(file) {
        eprintln!("note: {note}");
    }
    let report = match Config::load(file) {
        Ok(config) => check::report(&config, Wanted { scan: args.scan }).await,
        Err(error) => Report::of("worker", vec![Finding::of_config(&error)]),
    };
    if args.json {
        say(terminal::json(&report, true).expect("texts always serialise"));
    } else {
        say(report.as_text().trim_end());
    }
    report.status()
}
