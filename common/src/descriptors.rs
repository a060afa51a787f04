// SPDX-License-Identifier: GPL-3.0-or-later
//! How many files and connections this process may have open (`RLIMIT_NOFILE`; `LimitNOFILE=` of a unit), and how many it
//! may come to need. What the process may raise itself it raises. Where that is not enough, the number of connections that
//! it accepts gives way, so that Redis, scanners, the log and the admin server always find a descriptor.

use crate::{admin, config::Farm};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process has open beside: stdin, stdout and stderr, the log, sockets to listen at, the configuration while it is
/// read, what the runtime and a collector of traces take.
const OWN: u64 = 32;

/// Connections to Redis: more than Sentinels or the nodes of a small cluster take.
const REDIS: u64 = 16;

/// Scans that run at one instance, each on a connection, where `concurrency` does not say more.
const INSTANCE: u64 = 32;

/// Connections from MTAs without which a milter is of no use.
const LEAST: u64 = 8;

/// What a process may come to need.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    connections: u64,
    beside: u64,
}

/// What it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provided {
    /// So many connections may be accepted.
    pub connections: usize,
    /// What an operator should know, where that is less than the configuration allows, or anything else may fail.
    pub advice: Option<String>,
}

/// Not even the least that the process needs fits.
#[derive(Debug, thiserror::Error)]
#[error(
    "only {limit} files and connections may be open (RLIMIT_NOFILE), and {least} is the least that works: LimitNOFILE= of the unit, or ulimit -n"
)]
pub struct TooFew {
    limit: u64,
    least: u64,
}

impl Needs {
    /// Of a process that accepts so many connections (none for a worker) and scans at `farm` itself.
    pub fn of(connections: usize, farm: Option<&Farm>) -> Self {
        let instances = farm.into_iter().flat_map(|farm| &farm.instances);
        let scans: u64 = instances.map(|one| INSTANCE.max(one.concurrency.unwrap_or_default() as u64)).sum();
        Self { connections: connections as u64, beside: OWN + REDIS + admin::MOST_CONNECTIONS as u64 + scans }
    }

    /// Raises the limit as far as it helps, and says what there is.
    ///
    /// # Errors
    ///
    /// [`TooFew`].
    pub fn provide(self) -> Result<Provided, TooFew> {
        self.within(raised(self.connections.saturating_add(self.beside)))
    }

    fn within(self, limit: u64) -> Result<Provided, TooFew> {
        let Self { connections, beside } = self;
        let least = OWN + REDIS + admin::MOST_CONNECTIONS as u64 + LEAST.min(connections);
        if limit < least {
            return Err(TooFew { limit, least });
        }
        let all = connections.saturating_add(beside);
        let fitting = connections.min(limit.saturating_sub(beside).max(LEAST));
        let advice = (limit < all).then(|| advice(limit, all, connections, fitting));
        Ok(Provided { connections: usize::try_from(fitting).unwrap_or(usize::MAX), advice })
    }
}

fn advice(limit: u64, all: u64, connections: u64, fitting: u64) -> String {
    let accepted = if fitting < connections {
        format!("; no more than {fitting} of limits.connections = {connections} are accepted")
    } else {
        String::new()
    };
    format!(
        "{limit} files and connections may be open (RLIMIT_NOFILE) and up to {all} may be needed{accepted}: \
         LimitNOFILE= of the unit, or ulimit -n, raises it"
    )
}

/// The limit, after the process has raised it to `wanted` if it may.
fn raised(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(soft) = current else { return u64::MAX };
    let possible = wanted.min(maximum.unwrap_or(u64::MAX));
    let raised = Rlimit { current: Some(possible), maximum };
    if soft < possible && setrlimit(Resource::Nofile, raised).is_ok() { possible } else { soft }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn farm(concurrency: &str) -> Farm {
        let instances = format!("instances = [{{ url = 'http://a' }}, {{ url = 'http://b'{concurrency} }}]");
        toml::from_str(&instances).unwrap()
    }

    #[test]
    fn connections_give_way_before_anything_else_does() {
        let needs = Needs::of(1_000, Some(&farm(", concurrency = 100")));
        let beside = OWN + REDIS + admin::MOST_CONNECTIONS as u64 + 132;
        assert_eq!((needs.connections, needs.beside), (1_000, beside));
        assert_eq!(needs.within(1_000 + beside).unwrap(), Provided { connections: 1_000, advice: None });
        let short = needs.within(256).unwrap();
        assert_eq!(short.connections as u64, 256 - beside);
        let advice = short.advice.unwrap();
        assert!(
            advice.contains("256 files") && advice.contains(&format!("up to {}", 1_000 + beside)),
            "{advice}"
        );
        assert!(advice.contains("LimitNOFILE="), "{advice}");
    }

    #[test]
    fn a_worker_is_warned_and_what_can_never_work_is_refused() {
        let worker = Needs::of(0, Some(&farm("")));
        assert!(worker.within(1_024).unwrap().advice.is_none());
        assert!(worker.within(128).unwrap().advice.unwrap().contains("128"));
        assert!(worker.within(64).is_err());
        assert!(Needs::of(1_000, None).within(112).is_err());
        assert_eq!(Needs::of(2, None).within(u64::MAX).unwrap().connections, 2);
    }
}
