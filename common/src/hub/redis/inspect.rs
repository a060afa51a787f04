// SPDX-License-Identifier: GPL-3.0-or-later
//! What is wrong with Redis, for `check --connect`: from the way to it to what is in it, as one of the two programs needs it.
//!
//! | file | owns |
//! |---|---|
//! | `reach` | whether there is a connection; and if not, why |
//! | `condition` | each server by itself: version, role, memory, disk, clock |
//! | `rights`, `needs` | what the user may do, and has to |
//! | `sealed` | whether what stands there opens with `redis.secret_file` |
//!
//! [`super::pulse`] says in the end whether writes are taken. Nothing is changed but for what that writes.

mod condition;
mod needs;
mod reach;
mod rights;
mod sealed;

pub use super::pulse::Role;

use super::{
    connection::Connection,
    entrance::Entrance,
    pulse,
    seal::Seal,
    settings::{Access, Redis, RedisUrl},
    target::{Target, Wire},
};
use crate::{
    api::check::{Finding, Level},
    config::Fault,
    freshness::Cache,
    hub::Queue,
    keys::{CLUSTER_SHARDS, Keys},
    telemetry,
};
use redis::{Cmd, RedisResult, Value};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// No command of a check waits longer, whatever `redis.timeout` says.
const LONGEST: Duration = Duration::from_millis(1500);

/// What is looked for, as the configuration of one program has it.
pub struct Inspection<'a> {
    /// `[redis]`.
    pub redis: &'a Redis,
    /// `[queue]`.
    pub queue: &'a Queue,
    /// `[cache]`.
    pub cache: &'a Cache,
    /// Whose configuration that is.
    pub role: Role,
}

/// A Redis that lets this process in.
struct Inside {
    wire: Wire,
    entrance: Arc<Entrance>,
    keys: Keys,
    seal: Seal,
    user: String,
}

impl Inspection<'_> {
    /// All that was found, in the order of looking.
    pub async fn findings(&self) -> Vec<Finding> {
        match self.enter().await {
            Ok((inside, mut findings)) => {
                self.look_inside(&inside, &mut findings).await;
                findings
            }
            Err(findings) => findings,
        }
    }

    async fn enter(&self) -> Result<(Inside, Vec<Finding>), Vec<Finding>> {
        let redis = self.redis;
        let access = redis.access().map_err(|fault| vec![Finding::of_fault(&fault)])?;
        let unusable = |error: redis::RedisError| {
            vec![Finding::of_fault(&Fault::new(&["redis.url"], error.to_string()))]
        };
        let target = Target::new(redis, &access).map_err(unusable)?;
        let mut findings = reach::others(redis).await;
        let entrance = Arc::new(Entrance::new(redis, target));
        let began = Instant::now();
        let wire = match reach::connect(&entrance, redis).await {
            Ok(wire) => wire,
            Err(finding) => {
                findings.push(finding);
                return Err(findings);
            }
        };
        let user = user_of(redis, &entrance);
        let text = format!(
            "connected to {} as {user} in {} ms",
            redis.url.redacted().join(", "),
            began.elapsed().as_millis()
        );
        findings.insert(0, Finding::ok("redis.url", text));
        Ok((self.inside(wire, entrance, &access, user), findings))
    }

    fn inside(&self, wire: Wire, entrance: Arc<Entrance>, access: &Access, user: String) -> Inside {
        let shards = if entrance.is_cluster() { CLUSTER_SHARDS } else { 1 };
        let prefix = &self.redis.prefix;
        Inside {
            wire,
            entrance,
            keys: Keys::new(prefix, shards),
            seal: Seal::new(&access.secrets, prefix),
            user,
        }
    }

    async fn look_inside(&self, inside: &Inside, findings: &mut Vec<Finding>) {
        findings.extend(condition::of_servers(self, inside).await);
        findings.push(rights::of_user(self, inside).await);
        findings.extend(sealed::opens(inside, self.role, self.redis.secret_file.is_some()).await);
        findings.push(self.pulse(inside).await);
    }

    /// Whether Redis takes what this program writes.
    async fn pulse(&self, inside: &Inside) -> Finding {
        let connection = Connection::new(Arc::clone(&inside.entrance), self.patience());
        let asked = pulse::Asked {
            connection: &connection,
            keys: &inside.keys,
            process: &telemetry::process_name(),
            role: self.role,
            user: &inside.user,
        };
        match asked.first_fault().await {
            None => Finding::ok("redis.url", "takes what this program writes"),
            Some(trouble) => Finding::new(Level::Unavailable, "redis.url", trouble.reason, ""),
        }
    }

    /// How long a command may take.
    fn patience(&self) -> Duration {
        self.redis.timeout.min(LONGEST)
    }
}

impl Inside {
    /// Runs one command, in time.
    async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        ask(&self.wire, command).await
    }
}

async fn ask(wire: &Wire, command: &Cmd) -> RedisResult<Value> {
    let mut wire = wire.clone();
    let late = |_| Err((redis::ErrorKind::Io, "no answer in time").into());
    timeout(LONGEST, wire.query(command)).await.unwrap_or_else(late)
}

/// Who logs in, for people.
fn user_of(redis: &Redis, entrance: &Entrance) -> String {
    match (&redis.username, super::entrance::user_in(&redis.url)) {
        (None, Some(user)) => user,
        (None, None) => "default".to_owned(),
        (Some(_), _) => entrance.user(),
    }
}

/// The key that a user's rights are told under.
fn login_key(redis: &Redis) -> &'static str {
    if redis.username.is_some() { "redis.username" } else { "redis.url" }
}

/// The nodes and Sentinels that a URL names: host and port of each; none of a socket.
fn places(url: &RedisUrl) -> Vec<String> {
    let of_one = |url: &String| {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let hosts = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let port = if scheme.ends_with("sentinel") { 26379 } else { 6379 };
        let with_port = |host: &str| match host.rsplit_once(':') {
            Some((_, after)) if !after.ends_with(']') => host.to_owned(),
            _ => format!("{host}:{port}"),
        };
        match scheme {
            "redis" | "rediss" | "redis+sentinel" | "rediss+sentinel" => {
                hosts.split(',').map(with_port).collect()
            }
            _ => Vec::new(),
        }
    };
    url.redacted().iter().flat_map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_of_a_url_is_named_with_its_port() {
        let of = |url: &str| places(&RedisUrl::One(url.into()));
        assert_eq!(of("redis://u:p@storm:1/0"), ["storm:1"]);
        assert_eq!(of("rediss://[::1]/0?x=1"), ["[::1]:6379"]);
        assert_eq!(of("redis+sentinel://:p@a:1,b/main"), ["a:1", "b:26379"]);
        assert!(of("unix:///run/redis.sock").is_empty());
        assert_eq!(
            places(&RedisUrl::Cluster(vec!["redis://a:1".into(), "redis://b:2".into()])),
            ["a:1", "b:2"]
        );
    }
}
