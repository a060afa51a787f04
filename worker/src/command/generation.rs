// SPDX-License-Identifier: GPL-3.0-or-later
//! `generation`: the signatures that the farm has reached; `generation bump`: new custom rules, which no version shows.

use super::{CliError, print_json};
use std::time::{Duration, UNIX_EPOCH};
use thundergate_common::{
    generation::Generation,
    hub::{Hub, Operator},
    terminal::shown,
};

/// Prints the generation.
pub(super) async fn show(hub: &dyn Hub, json: bool) -> Result<(), CliError> {
    hub.ping().await?;
    print(&hub.generation(), json)
}

/// Makes every clean verdict stale whose scan has begun by now.
pub(super) async fn bump(hub: &dyn Operator, json: bool) -> Result<(), CliError> {
    let generation = hub.bump().await?;
    print(&generation, json)
}

fn print(generation: &Generation, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(generation);
    }
    let bumped = UNIX_EPOCH + Duration::from_secs(generation.bumped_at);
    say!("Signatures: {}", shown(generation.signatures.as_deref().unwrap_or("not known")));
    match generation.bumped_at {
        0 => say!("Bumped: never"),
        _ => say!("Bumped: {}", humantime::format_rfc3339_seconds(bumped)),
    }
    Ok(())
}
