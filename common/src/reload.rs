// SPDX-License-Identifier: GPL-3.0-or-later
//! SIGHUP: reads the configuration again. What can change while the program runs is as it says from then on; what cannot
//! holds from the next start, and the log names those keys. A configuration that is wrong changes nothing. The log's file
//! is opened anew in any case: whoever has moved it away says so with the same signal.

use crate::{
    causes::with_causes, clock::now_ms, config::ConfigError, metrics, service, shutdown::Hangups,
    telemetry::Control,
};
use serde::Serialize;
use std::sync::Mutex;

/// The last configuration that was read, where it could not be used.
static REFUSED: Mutex<Option<Refused>> = Mutex::new(None);

/// A configuration that was read while the program ran and could not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Why.
    pub reason: String,
}

/// The configuration that was refused last; none where a good one was read since.
pub fn refused() -> Option<Refused> {
    REFUSED.lock().expect("nothing panics while it holds a reason").clone()
}

fn remember(refused: Option<Refused>) {
    *REFUSED.lock().expect("nothing panics while it holds a reason") = refused;
}

/// Why a configuration cannot be used.
pub type Unusable = Box<dyn std::error::Error + Send + Sync>;

/// How a program reloads.
pub struct Reload<Load, Apply> {
    /// Keys that can change while it runs: `log.level`, or a whole section, `farm.`.
    pub live: &'static [&'static str],
    /// The log.
    pub log: Control,
    /// Reads and checks the configuration.
    pub load: Load,
    /// Makes it so; on an error all stays as it is.
    pub apply: Apply,
}

impl<Load, Apply> Reload<Load, Apply> {
    /// Reloads at each of `hangups`, for ever. `started` is the configuration that the program was started with.
    pub async fn heed<Config>(self, started: Config, mut hangups: Hangups)
    where
        Config: Serialize,
        Load: Fn() -> Result<Config, ConfigError>,
        Apply: Fn(&Config) -> Result<(), Unusable>,
    {
        let started = as_table(&started);
        let mut running = started.clone();
        loop {
            hangups.next().await;
            service::reloading();
            self.log.reopen();
            let done = (self.load)().map_err(Unusable::from).and_then(|config| {
                (self.apply)(&config)?;
                Ok(as_table(&config))
            });
            metrics::configuration_was_read(done.is_ok());
            match done {
                Ok(next) => {
                    remember(None);
                    self.tell(&started, &running, &next);
                    running = next;
                }
                Err(error) => {
                    let error = &*error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "The configuration is wrong; going on with the one before");
                    remember(Some(Refused { at_ms: now_ms(), reason: with_causes(error) }));
                }
            }
            service::ready();
        }
    }

    fn tell(&self, started: &toml::Table, running: &toml::Table, next: &toml::Table) {
        let live = |key: &String| {
            self.live.iter().any(|one| key == one || (one.ends_with('.') && key.starts_with(one)))
        };
        let changed: Vec<String> = differences(running, next).into_iter().filter(live).collect();
        let restart: Vec<String> = differences(started, next).into_iter().filter(|key| !live(key)).collect();
        tracing::info!(
            event = "reloaded",
            config.changed = changed.join(","),
            config.needs_restart = restart.join(","),
            "The configuration was read again{}",
            if restart.is_empty() { "" } else { "; some of what has changed needs a restart" }
        );
    }
}

fn as_table(config: &impl Serialize) -> toml::Table {
    toml::Table::try_from(config).expect("a configuration that was read from TOML can be written as TOML")
}

/// The keys whose values differ, with their sections: `log.level`.
fn differences(one: &toml::Table, other: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    differences_in("", one, other, &mut found);
    found
}

fn differences_in(section: &str, one: &toml::Table, other: &toml::Table, found: &mut Vec<String>) {
    let missing = other.keys().filter(|key| !one.contains_key(*key));
    for key in one.keys().chain(missing) {
        match (one.get(key), other.get(key)) {
            (Some(toml::Value::Table(one)), Some(toml::Value::Table(other))) => {
                differences_in(&format!("{section}{key}."), one, other, found);
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
        let found = differences(
            &table("a = 1\nb = 2\n[c]\nd = 1\ne = 1\n[c.f]\ng = 1"),
            &table("a = 1\nh = 2\n[c]\nd = 2\ne = 1\n[c.f]\ng = 2"),
        );
        assert_eq!(found, ["b", "c.d", "c.f.g", "h"]);
    }
}
