// SPDX-License-Identifier: GPL-3.0-or-later
//! SIGHUP: reads the configuration again and makes the farm what it says now. A configuration that is wrong changes
//! nothing. What changed outside `[farm]` holds from the next start on; the log says which keys.

use crate::{
    config::Config,
    farm::{Changes, Farm, with_causes},
};
use sd_notify::NotifyState;
use std::{path::PathBuf, sync::Arc};
use thundergate_common::shutdown::Hangups;

/// What a reload needs.
pub struct Reload {
    /// The file that the command line names.
    pub file: Option<PathBuf>,
    /// What the program runs with.
    pub running: Config,
    /// What changes.
    pub farm: Arc<Farm>,
}

impl Reload {
    /// Reloads at each of `hangups`, for ever.
    pub async fn heed(self, mut hangups: Hangups) {
        loop {
            hangups.next().await;
            say_reloading();
            match self.reload() {
                Ok((changes, restart)) => log(&changes, &restart),
                Err(error) => tracing::warn!(
                    error = with_causes(&*error),
                    "The configuration is wrong; going on with the one before"
                ),
            }
            // Without systemd there is nobody to tell.
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        }
    }

    /// The changes of the farm, and the keys that need a restart.
    fn reload(&self) -> Result<(Changes, Vec<String>), Box<dyn std::error::Error>> {
        let config = Config::load(self.file.as_deref())?;
        let changes = self.farm.reconfigure(&config.farm)?;
        let (running, new) = (toml::Table::try_from(&self.running)?, toml::Table::try_from(&config)?);
        let mut restart = Vec::new();
        differences("", &running, &new, &mut restart);
        restart.retain(|key| !key.starts_with("farm."));
        Ok((changes, restart))
    }
}

fn say_reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    let _ = sd_notify::notify(&states);
}

fn log(changes: &Changes, restart: &[String]) {
    tracing::info!(
        farm.added = changes.added.join(","),
        farm.removed = changes.removed.join(","),
        farm.changed = changes.changed.join(","),
        farm.kept = changes.kept.join(","),
        config.needs_restart = restart.join(","),
        "The farm is what the configuration says now{}",
        if restart.is_empty() { "" } else { "; other keys have changed too and need a restart" }
    );
}

/// The keys whose values differ, with their sections: `log.level`.
fn differences(section: &str, one: &toml::Table, other: &toml::Table, found: &mut Vec<String>) {
    let missing = other.keys().filter(|key| !one.contains_key(*key));
    for key in one.keys().chain(missing) {
        match (one.get(key), other.get(key)) {
            (Some(toml::Value::Table(one)), Some(toml::Value::Table(other))) => {
                differences(&format!("{section}{key}."), one, other, found);
            }
            (one, other) if one != other => found.push(format!("{section}{key}")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_found_wherever_they_are() {
        let table = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        let mut found = Vec::new();
        differences(
            "",
            &table("a = 1\nb = 2\n[c]\nd = 1\ne = 1\n[c.f]\ng = 1"),
            &table("a = 1\nh = 2\n[c]\nd = 2\ne = 1\n[c.f]\ng = 2"),
            &mut found,
        );
        assert_eq!(found, ["b", "c.d", "c.f.g", "h"]);
    }
}
