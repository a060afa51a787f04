// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with the sections that both programs have although every value is of its kind.

use super::{Cache, Farm, Fault, Log, Queue, Redis};
use crate::{hub, telemetry};
use redis::RedisError;
use std::collections::HashSet;

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
) -> Result<(), Fault> {
    redis.map_or(Ok(()), check_redis)?;
    farm.map_or(Ok(()), check_farm)?;
    check_queue(queue)?;
    check_cache(cache)?;
    telemetry::check_level(&log.level).map_err(|error| Fault::new(&["log.level"], error.to_string()))
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
    let mut names = HashSet::new();
    for instance in &farm.instances {
        if !matches!(instance.url.scheme(), "http" | "https") {
            return fault(&["farm.instances"], "an instance's url must begin with http:// or https://");
        }
        if !names.insert(instance.name()) {
            return fault(&["farm.instances"], &format!("two instances are called {}", instance.name()));
        }
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
