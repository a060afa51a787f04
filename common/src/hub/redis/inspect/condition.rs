// SPDX-License-Identifier: GPL-3.0-or-later
//! How each server is: what it says of itself (`INFO`), and what time it takes it for. Of a cluster each node is asked.

use super::{Inside, Inspection, Role, ask};
use crate::{
    api::check::{Finding, Level},
    check::cause::with_causes,
    clock::{self, TOLERATED},
};
use bytesize::ByteSize;
use futures_util::future::join_all;
use redis::{RedisResult, cmd, from_redis_value};
use std::collections::HashMap;

/// The oldest version that has what is needed.
const OLDEST: (u32, u32) = (7, 0);
/// From such a part of `maxmemory` on it is worth a word.
const ALMOST_FULL: f64 = 0.9;
/// More nodes of a cluster are not asked.
const MOST_NODES: usize = 64;

/// What a server says of itself.
struct Info(HashMap<String, String>);

/// How the servers are.
pub(super) async fn of_servers(inspection: &Inspection<'_>, inside: &Inside) -> Vec<Finding> {
    if !inside.entrance.is_cluster() {
        return of_server(inspection, &inside.wire, "", false).await;
    }
    let nodes = match nodes(inside).await {
        Ok(nodes) => nodes,
        Err(error) => {
            let text = format!("the cluster does not say of which nodes it is: {}", with_causes(&error));
            return vec![Finding::new(Level::Unavailable, "redis.url", text, "look at `CLUSTER INFO`")];
        }
    };
    let looked = nodes.iter().map(|node| async move {
        match inside.entrance.node(&node.host, node.port).await {
            Ok(wire) => of_server(inspection, &wire, &format!(" {}:{}", node.host, node.port), true).await,
            Err(error) => {
                let subject = format!("redis.url {}:{}", node.host, node.port);
                let text = format!("a node of the cluster cannot be used: {}", with_causes(&error));
                let cure = "start it, or have the cluster forget it (`CLUSTER FORGET`)";
                vec![Finding::new(Level::Unavailable, subject, text, cure)]
            }
        }
    });
    join_all(looked).await.into_iter().flatten().collect()
}

/// How one server is; `which` stands behind the key where there are several.
async fn of_server(
    inspection: &Inspection<'_>,
    wire: &super::Wire,
    which: &str,
    is_node: bool,
) -> Vec<Finding> {
    let sent_ms = clock::now_ms();
    let (info, time) = (ask(wire, &cmd("INFO")).await, ask(wire, &cmd("TIME")).await);
    let info = match info.and_then(|text| Ok(from_redis_value::<String>(text)?)) {
        Ok(text) => Info::read(&text),
        Err(error) => {
            let text = format!("Redis does not say how it is: {}", with_causes(&error));
            let cure = "give the user the right to `info`: deploy/redis/users.acl";
            return vec![Finding::new(Level::Wrong, format!("redis.url{which}"), text, cure)];
        }
    };
    let mut findings = vec![info.version(which)];
    findings.extend((!is_node).then(|| info.role()).flatten());
    findings.push(info.policy(which));
    findings.extend(info.memory(which, inspection));
    findings.push(info.disk(which));
    findings.extend(skew(which, sent_ms, time));
    findings
}

/// Another clock than this one.
fn skew(which: &str, sent_ms: u64, time: RedisResult<redis::Value>) -> Option<Finding> {
    let [seconds, _]: [u64; 2] = from_redis_value::<Vec<u64>>(time.ok()?).ok()?.try_into().ok()?;
    let apart = (sent_ms / 1000).abs_diff(seconds);
    if apart <= TOLERATED.as_secs() {
        return Some(Finding::ok(format!("clock{which}"), "the clocks of this host and of Redis agree"));
    }
    let text = format!("the clocks of this host and of Redis are {apart} s apart");
    Some(Finding::new(Level::Warning, format!("clock{which}"), text, "set both by NTP"))
}

impl Info {
    fn read(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_default()
    }

    /// Valkey says as which version of Redis it counts, too.
    fn version(&self, which: &str) -> Finding {
        let subject = format!("redis version{which}");
        let (version, valkey) = (self.text("redis_version"), self.text("valkey_version"));
        let name = if valkey.is_empty() { format!("Redis {version}") } else { format!("Valkey {valkey}") };
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        let numbers = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        if numbers >= OLDEST {
            return Finding::ok(subject, name);
        }
        let text = format!("{name} is too old");
        Finding::new(Level::Wrong, subject, text, "install Redis 7.0 or newer, or Valkey")
    }

    fn role(&self) -> Option<Finding> {
        if self.text("role") == "master" {
            return None;
        }
        let master = format!("{}:{}", self.text("master_host"), self.text("master_port"));
        let text = format!("this Redis is a replica of {master} and takes no writes");
        let cure = "name the master in redis.url, or the Sentinels that know it (redis+sentinel://)";
        Some(Finding::new(Level::Wrong, "redis.url", text, cure))
    }

    fn policy(&self, which: &str) -> Finding {
        let subject = format!("maxmemory-policy{which}");
        let policy = self.text("maxmemory_policy");
        if policy == "noeviction" {
            return Finding::ok(subject, policy);
        }
        let text = format!(
            "{policy}: Redis throws jobs and leases away where it is full, and mail waits for nothing"
        );
        Finding::new(Level::Wrong, subject, text, "set maxmemory-policy noeviction in redis.conf")
    }

    fn memory(&self, which: &str, inspection: &Inspection<'_>) -> Vec<Finding> {
        let subject = format!("maxmemory{which}");
        let (used, most) = (self.number("used_memory"), self.number("maxmemory"));
        let (used_text, most_text) = (bytes(used), bytes(most));
        let warn = |text: String, cure: &str| vec![Finding::new(Level::Warning, &subject, text, cure)];
        if most == 0 {
            let cure = "set maxmemory in redis.conf, above queue.max_bytes and cache.redis_bytes together";
            return warn("nothing bounds the memory of Redis".to_owned(), cure);
        }
        let queue = inspection.queue.max_bytes.as_u64();
        let (beside, key) = match inspection.role {
            Role::Milter => (inspection.queue.records_bytes.as_u64(), "queue.records_bytes"),
            Role::Worker => (inspection.cache.redis_bytes.as_u64(), "cache.redis_bytes"),
        };
        let needed = queue.saturating_add(beside);
        if used as f64 >= most as f64 * ALMOST_FULL {
            let cure =
                "give Redis more memory (maxmemory), or it less to hold (queue.max_bytes, cache.redis_bytes)";
            return warn(format!("Redis is almost full: {used_text} of {most_text}"), cure);
        }
        if needed > most {
            let text = format!(
                "{most_text} is less than queue.max_bytes and {key} together may take ({})",
                bytes(needed)
            );
            return warn(text, "raise maxmemory in redis.conf, or lower them");
        }
        vec![Finding::ok(subject, format!("{used_text} of {most_text} used"))]
    }

    fn disk(&self, which: &str) -> Finding {
        let subject = format!("appendonly{which}");
        if self.text("aof_enabled") != "1" {
            let text =
                "no append-only file: a restart of Redis forgets verdicts, jobs and records".to_owned();
            return Finding::new(Level::Warning, subject, text, "set appendonly yes in redis.conf");
        }
        if self.text("aof_last_write_status") == "err" {
            let text = "Redis could not write its append-only file last time".to_owned();
            return Finding::new(
                Level::Unavailable,
                subject,
                text,
                "look at the room on its disk, and at its log",
            );
        }
        Finding::ok(subject, "verdicts, jobs and records outlive a restart of Redis")
    }
}

fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A node of a cluster.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    host: String,
    port: u16,
}

async fn nodes(inside: &Inside) -> RedisResult<Vec<Node>> {
    let text: String = from_redis_value(inside.ask(cmd("CLUSTER").arg("NODES")).await?)?;
    Ok(text.lines().filter_map(Node::read).take(MOST_NODES).collect())
}

impl Node {
    /// `<id> <ip>:<port>@<bus>[,<name>] …`
    fn read(line: &str) -> Option<Self> {
        let place = line.split(' ').nth(1)?.split(['@', ',']).next()?;
        let (host, port) = place.rsplit_once(':')?;
        Some(Self { host: host.to_owned(), port: port.parse().ok()? }).filter(|node| !node.host.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(fields: &[(&str, &str)]) -> Info {
        Info(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn versions_before_7_are_too_old_and_valkey_is_named() {
        let of = |fields: &[(&str, &str)]| info(fields).version("");
        assert_eq!(of(&[("redis_version", "6.2.14")]).level, Level::Wrong);
        assert_eq!(of(&[("redis_version", "7.0.15")]).level, Level::Ok);
        assert_eq!(of(&[("redis_version", "10.1.0")]).level, Level::Ok);
        let valkey = of(&[("redis_version", "7.2.4"), ("valkey_version", "8.1.0")]);
        assert_eq!((valkey.level, valkey.text.as_str()), (Level::Ok, "Valkey 8.1.0"));
        assert_eq!(of(&[]).level, Level::Wrong);
    }

    #[test]
    fn a_node_is_read_from_its_line() {
        let line = "07c3 127.0.0.1:7001@17001,name slave e7d1 0 1426238317239 4 connected";
        assert_eq!(Node::read(line), Some(Node { host: "127.0.0.1".to_owned(), port: 7001 }));
        assert_eq!(Node::read("07c3 :0@0 master,noaddr"), None);
        assert_eq!(Node::read(""), None);
    }

    #[test]
    fn what_info_says_is_judged() {
        assert_eq!(info(&[("role", "slave")]).role().unwrap().level, Level::Wrong);
        assert_eq!(info(&[("maxmemory_policy", "volatile-ttl")]).policy("").level, Level::Wrong);
        assert_eq!(info(&[("aof_enabled", "0")]).disk("").level, Level::Warning);
        let failed = info(&[("aof_enabled", "1"), ("aof_last_write_status", "err")]);
        assert_eq!(failed.disk("").level, Level::Unavailable);
    }
}
