// SPDX-License-Identifier: GPL-3.0-or-later
//! `check --connect`: what is wrong with what a milter needs, found by asking.

use crate::{check, config::Config};
use std::path::Path;
use thundergate_common::{
    api::check::{Finding, Report, Wanted},
    check::user,
    terminal,
};

/// Looks, and gives what was found as it is printed, and the exit status.
pub(super) async fn connected(
    file: Option<&Path>,
    wanted: Wanted,
    json: bool,
) -> anyhow::Result<(String, u8)> {
    if let Some(note) = user::as_the_service(file) {
        eprintln!("note: {note}");
    }
    let report = match Config::load(file) {
        Ok(config) => check::report(&config, wanted).await,
        Err(error) => Report::of("milter", vec![Finding::of_config(&error)]),
    };
    let text = if json { terminal::json(&report, true)? + "\n" } else { report.as_text() };
    Ok((text, report.status()))
}
