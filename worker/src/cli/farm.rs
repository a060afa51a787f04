// SPDX-License-Identifier: GPL-3.0-or-later
//! `farm`: every instance, asked directly; Redis is not needed.

use super::{CliError, print_json, print_table};
use crate::{config::Config, farm::Farm, metrics::FarmMetrics};
use thundergate_common::generation::InstanceReport;

/// Prints every instance. An error where none is available.
pub async fn show(config: &Config, json: bool) -> Result<(), CliError> {
    let farm = Farm::new(&config.farm, FarmMetrics::default()).map_err(anyhow::Error::from)?;
    farm.probe().await;
    let instances = farm.reports();
    if json {
        print_json(&instances)?;
    } else {
        print_table(
            ["NAME", "STATE", "THOR", "SIGNATURES", "THREADS", "LATENCY", "LICENCE UNTIL", "URL", "ERROR"],
            &instances.iter().map(row).collect::<Vec<_>>(),
        );
    }
    if farm.available() { Ok(()) } else { Err(CliError::Unavailable("no instance is available")) }
}

fn row(instance: &InstanceReport) -> [String; 9] {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let number = |number: Option<String>| known(&number);
    [
        instance.name.clone(),
        instance.state.clone(),
        known(&instance.thor),
        known(&instance.signatures),
        number(instance.threads.map(|threads| threads.to_string())),
        number(instance.info_ms.map(|ms| format!("{ms} ms"))),
        known(&instance.licence_ends),
        instance.url.clone(),
        instance.last_error.clone().unwrap_or_default(),
    ]
}
