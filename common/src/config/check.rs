// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with the sections that both programs have although every value is of its kind.

use super::{Cache, Farm, Fault, Instance, Log, ProxyUrl, Queue, Redis, Traces};
use crate::{hub, telemetry};
use redis::RedisError;
use std::{collections::HashSet, path::Path};

/// Finds what contradicts itself or can never work.
///
/// # Errors
///
/// The first fault.
pub fn check_shared(
    redis: Option<&Redis>,
    farm: Option<&Farm>,
    queue: &Queue,
    cache: &Cache,
    log: &Log,
    traces: &Traces,
) -> Result<(), Fault> {
    redis.map_or(Ok(()), check_redis)?;
    farm.map_or(Ok(()), check_farm)?;
    check_queue(queue)?;
    check_cache(cache)?;
    check_traces(traces)?;
    telemetry::check_level(&log.level).map_err(|error| Fault::new(&["log.level"], error.to_string()))
}

fn check_traces(traces: &Traces) -> Result<(), Fault> {
    let usable = |url: &url::Url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    };
    if !traces.endpoint.as_ref().is_none_or(usable) {
        return fault(
            &["traces.endpoint"],
            "must be http:// or https:// without a user: a token belongs in traces.headers_file",
        );
    }
    if !traces.sample_ratio.is_none_or(|ratio| (0.0..=1.0).contains(&ratio)) {
        return fault(&["traces.sample_ratio"], "must be from 0 to 1");
    }
    Ok(())
}

fn check_redis(redis: &Redis) -> Result<(), Fault> {
    if redis.prefix.is_empty()
        || redis.prefix.contains(|c: char| !c.is_ascii_graphic() || "{}:*?[]".contains(c))
    {
        return fault(&["redis.prefix"], "must be printable ASCII without {}:*?[] and blanks");
    }
    if redis.timeout.is_zero() {
        return fault(&["redis.timeout"], "must be more than 0s");
    }
    // The client's errors say what is wrong and nothing of the address, which may hold a password.
    let unreadable = |error: RedisError| Fault::new(&["redis.url"], error.to_string());
    hub::redis::check_address(redis, &redis.access()?).map_err(unreadable)
}

fn check_farm(farm: &Farm) -> Result<(), Fault> {
    if farm.instances.is_empty() {
        return fault(
            &["farm.instances"],
            "must name at least one instance: [{ url = \"http://host:8080\" }]",
        );
    }
    check_instances(&farm.instances)?;
    check_ways(farm)?;
    if farm.quorum.is_some_and(|quorum| quorum.get() > farm.instances.len()) {
        return fault(&["farm.quorum"], "must not be more than there are instances");
    }
    if farm.connect_timeout.is_zero() || farm.connect_timeout >= farm.timeout {
        return fault(
            &["farm.connect_timeout", "farm.timeout"],
            "farm.connect_timeout must be more than 0s and less than farm.timeout",
        );
    }
    if farm.probe_interval.is_zero() {
        return fault(&["farm.probe_interval"], "must be more than 0s");
    }
    if farm.attempts == 0 {
        return fault(&["farm.attempts"], "must be at least 1");
    }
    Ok(())
}

fn check_instances(instances: &[Instance]) -> Result<(), Fault> {
    let mut names = HashSet::new();
    for instance in instances {
        let name = instance.name();
        let wrong = |what: &str| fault(&["farm.instances"], &format!("{name}: {what}"));
        if !matches!(instance.url.scheme(), "http" | "https") {
            return fault(&["farm.instances"], "an instance's url must begin with http:// or https://");
        }
        if !names.insert(instance.name()) {
            return fault(&["farm.instances"], &format!("two instances are called {name}"));
        }
        match (&instance.username, &instance.password_file) {
            (None, None) => continue,
            (Some(user), Some(_)) if user.is_empty() || user.contains(':') => {
                return wrong("username must not be empty nor hold a colon");
            }
            (Some(_), Some(file)) => {
                check_readable("farm.instances", file, &format!("{name}: password_file "))?;
            }
            _ => return wrong("username and password_file belong together"),
        }
        if !instance.url.username().is_empty() || instance.url.password().is_some() {
            return wrong("has a user in its url beside username");
        }
    }
    Ok(())
}

/// How instances are reached.
fn check_ways(farm: &Farm) -> Result<(), Fault> {
    if farm.cert_file.is_some() != farm.key_file.is_some() {
        return fault(
            &["farm.cert_file", "farm.key_file"],
            "farm.cert_file and farm.key_file belong together",
        );
    }
    let files = [
        ("farm.ca_file", &farm.ca_file),
        ("farm.cert_file", &farm.cert_file),
        ("farm.key_file", &farm.key_file),
    ];
    for (key, file) in files {
        file.as_deref().map_or(Ok(()), |file| check_readable(key, file, ""))?;
    }
    let http = |proxy: &ProxyUrl| matches!(proxy.0.scheme(), "http" | "https");
    if farm.proxy.as_ref().is_some_and(|proxy| !http(proxy)) {
        return fault(&["farm.proxy"], "must begin with http:// or https://");
    }
    Ok(())
}

fn check_readable(key: &str, file: &Path, what: &str) -> Result<(), Fault> {
    let unreadable = |error| Fault::new(&[key], format!("{what}{} cannot be read: {error}", file.display()));
    std::fs::read(file).map(drop).map_err(unreadable)
}

fn check_queue(queue: &Queue) -> Result<(), Fault> {
    for (key, zero) in [
        ("queue.max_jobs", queue.max_jobs == 0),
        ("queue.max_bytes", queue.max_bytes.as_u64() == 0),
        ("queue.max_deliveries", queue.max_deliveries == 0),
        ("queue.sample_ttl", queue.sample_ttl.is_zero()),
        ("queue.reserve_ttl", queue.reserve_ttl.is_zero()),
        ("queue.lease_ttl", queue.lease_ttl.is_zero()),
        ("queue.reclaim_after", queue.reclaim_after.is_zero()),
    ] {
        if zero {
            return fault(&[key], "must be more than 0");
        }
    }
    if queue.lease_ttl < queue.reclaim_after {
        return fault(
            &["queue.lease_ttl", "queue.reclaim_after"],
            "queue.lease_ttl must not be below queue.reclaim_after, or a sample is scanned twice",
        );
    }
    if queue.sample_ttl < queue.lease_ttl {
        return fault(&["queue.sample_ttl", "queue.lease_ttl"], "a sample must outlive queue.lease_ttl");
    }
    Ok(())
}

fn check_cache(cache: &Cache) -> Result<(), Fault> {
    if cache.clean_ttl.is_zero() || cache.found_ttl.is_zero() {
        return fault(&["cache.clean_ttl", "cache.found_ttl"], "must be more than 0s");
    }
    if cache.local_ttl > cache.clean_ttl.min(cache.found_ttl) {
        return fault(
            &["cache.local_ttl", "cache.clean_ttl", "cache.found_ttl"],
            "a copy must not outlive its verdict",
        );
    }
    Ok(())
}

fn fault(keys: &[&str], message: &str) -> Result<(), Fault> {
    Err(Fault::new(keys, message))
}
