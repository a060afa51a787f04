// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a configuration although every value is of its kind.

use super::{Config, Limits, Tag, Wait};
use crate::{
    ambiguity_results,
    policy::{Action, Policy},
};
use std::time::Duration;
use thundergate_common::{
    config::{Farm, Fault},
    hub::redis::Redis,
};

/// Postfix's milter_command_timeout and libmilter's shortest default: an MTA that hears nothing for this long gives up.
const MTA_PATIENCE: Duration = Duration::from_secs(30);

/// How long an SMTP client waits for the answer to the end of DATA (RFC 5321, 4.5.3.2.6).
const CLIENT_PATIENCE: Duration = Duration::from_secs(600);

/// Files that are looked for in one text are bounded, too.
const MOST_PARTS: usize = 10_000;

/// Finds what contradicts itself or can never work.
pub(super) fn check(config: &Config) -> Result<(), Fault> {
    if config.listen.is_empty() {
        return fault(&["listen"], "must name at least one address, \"inet:127.0.0.1:11337\"");
    }
    config.redis.as_ref().map_or(Ok(()), Redis::check)?;
    config.farm.as_ref().map_or(Ok(()), Farm::check)?;
    config.queue.check()?;
    config.cache.check()?;
    config.traces.check()?;
    config.log.check()?;
    config.admin.check()?;
    check_policy(config)?;
    check_wait(&config.wait)?;
    check_limits(&config.limits)?;
    check_tag(&config.tag)
}

fn check_policy(config: &Config) -> Result<(), Fault> {
    for (row, action) in config.policy.on.rows() {
        if action == Action::Discard {
            return fault(&[&format!("policy.on.{row}")], "a failure must not discard mail");
        }
    }
    Policy::compile(&config.policy)
        .map(drop)
        .map_err(|error| Fault::new(&[&format!("policy.{}", error.action)], error.problem))
}

fn check_wait(wait: &Wait) -> Result<(), Fault> {
    if wait.progress.is_zero() || wait.progress >= MTA_PATIENCE {
        return fault(&["wait.progress"], "must be more than 0s and less than 30s, when MTAs give up");
    }
    if wait.poll.is_zero() {
        return fault(&["wait.poll"], "must be more than 0s");
    }
    if wait.deadline >= CLIENT_PATIENCE {
        return fault(&["wait.deadline"], "must be less than 10min, when SMTP clients give up");
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), Fault> {
    for (key, zero) in [
        ("limits.message_bytes", limits.message_bytes.as_u64() == 0),
        ("limits.sample_bytes", limits.sample_bytes.as_u64() == 0),
        ("limits.decoded_bytes", limits.decoded_bytes.as_u64() == 0),
        ("limits.connections", limits.connections == 0),
        ("limits.parts", limits.parts == 0),
        ("limits.depth", limits.depth == 0),
    ] {
        if zero {
            return fault(&[key], "must be more than 0");
        }
    }
    if limits.parts > MOST_PARTS {
        return fault(&["limits.parts"], "must be 10000 at most");
    }
    if limits.memory_bytes < limits.message_bytes {
        return fault(
            &["limits.memory_bytes", "limits.message_bytes"],
            "limits.memory_bytes must hold at least one message of limits.message_bytes",
        );
    }
    Ok(())
}

fn check_tag(tag: &Tag) -> Result<(), Fault> {
    // RFC 5322, 2.2: printable ASCII without the colon.
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    if !(1..=64).contains(&tag.header.len()) || !is_name(&tag.header) {
        return fault(&["tag.header"], "must be a header's name, such as X-Thundergate");
    }
    if tag.header.eq_ignore_ascii_case(ambiguity_results::NAME) {
        return fault(&["tag.header"], "must not be MIME-Ambiguity-Results, which is written beside it");
    }
    if !tag.authserv_id.is_empty() && !ambiguity_results::is_token(&tag.authserv_id) {
        return fault(&["tag.authserv_id"], "must be a name such as mx.example.org, without blanks");
    }
    Ok(())
}

fn fault(keys: &[&str], message: &str) -> Result<(), Fault> {
    Err(Fault::new(keys, message))
}
