// SPDX-License-Identifier: GPL-3.0-or-later
//! What each program asks of Redis: which command for which key, itself and in scripts. `deploy/redis/users.acl` permits
//! that; a scenario takes each right away from there and sees that it is missed here.

use super::Role;
use crate::{
    digest::Digest,
    job::Lane,
    keys::{Kept, Keys},
    sample::{NameHint, SampleKey},
};

/// What is done with a kind of keys.
pub(super) struct Need {
    /// One of them; empty for what concerns no key.
    pub key: fn(&Keys) -> String,
    /// Commands, with their subcommands behind `|`.
    pub commands: &'static str,
    /// What does not work where it is not permitted; none: nothing works.
    pub without: Option<&'static str>,
}

/// What is needed by `role`.
pub(super) fn of(role: Role) -> &'static [Need] {
    match role {
        Role::Milter => MILTER,
        Role::Worker => WORKER,
    }
}

const fn needed(key: fn(&Keys) -> String, commands: &'static str) -> Need {
    Need { key, commands, without: None }
}

const fn wanted(key: fn(&Keys) -> String, commands: &'static str, without: &'static str) -> Need {
    Need { key, commands, without: Some(without) }
}

const LANES: &str = "one sender's samples may hold up others'";
const RECORDS: &str = "nothing is kept of mails for people";
const FAILURES: &str = "each retry of a failed sample is scanned again";
const PASSWORDS: &str = "words of a mail are not tried on its sealed attachments";
const BLIND: &str = "verdicts of blind scanners are believed";
const PEOPLE: &str = "`thundergate` cannot show everything";

const ANYTHING: &str = "eval evalsha script|load info time";

const MILTER: &[Need] = &[
    needed(nothing, ANYTHING),
    needed(channel, "subscribe unsubscribe"),
    needed(verdict, "get mget"),
    needed(sample, "set del"),
    needed(lease, "get set del exists pexpire"),
    needed(waiters, "sadd srem pexpire"),
    needed(|keys| keys.jobs(0, Lane::Mail), "xadd xlen xrange xpending"),
    needed(|keys| keys.queued(0, Lane::Mail), "hget hset"),
    needed(|keys| keys.jobs(0, Lane::Background), "xadd xlen xrange xpending"),
    needed(|keys| keys.queued(0, Lane::Background), "hget hset"),
    needed(|keys| keys.job_bytes(0), "get set exists"),
    needed(Keys::signatures, "get"),
    needed(Keys::bumped, "get"),
    needed(Keys::outage, "get"),
    needed(Keys::names, "hget"),
    wanted(Keys::blind, "get", BLIND),
    wanted(failed, "get", FAILURES),
    wanted(passwords, "hset pexpire", PASSWORDS),
    wanted(|keys| keys.jobs(0, Lane::Bulk), "xadd xlen xrange xpending", LANES),
    wanted(|keys| keys.queued(0, Lane::Bulk), "hget hset", LANES),
    wanted(|keys| keys.jobs(0, Lane::Background), "xdel xinfo|groups", LANES),
    wanted(|keys| keys.queued(0, Lane::Background), "hdel", LANES),
    wanted(|keys| keys.buried(0), "hget", LANES),
    wanted(|keys| keys.owed(0), "hget hset hdel pexpire", LANES),
    wanted(|keys| keys.job_bytes(0), "decrby", LANES),
    wanted(|keys| keys.records(0), "xadd xlen xtrim pexpire", RECORDS),
    wanted(|keys| keys.record_marks(0), "lindex lset lpop rpush pexpire", RECORDS),
];

const LANE: &str = "xadd xlen xrange xdel xack xclaim xpending xreadgroup exists xgroup|create \
                    xgroup|delconsumer xinfo|groups xinfo|consumers";

const WORKER: &[Need] = &[
    needed(nothing, ANYTHING),
    needed(channel, "publish subscribe unsubscribe"),
    needed(verdict, "get mget set del exists"),
    needed(sample, "get set del exists"),
    needed(lease, "get set del pexpire"),
    needed(waiters, "exists smembers del"),
    needed(failed, "get set del"),
    needed(|keys| keys.jobs(0, Lane::Mail), LANE),
    needed(|keys| keys.jobs(0, Lane::Bulk), LANE),
    needed(|keys| keys.jobs(0, Lane::Background), LANE),
    needed(|keys| keys.queued(0, Lane::Mail), "hget hset hdel"),
    needed(|keys| keys.queued(0, Lane::Bulk), "hget hset hdel"),
    needed(|keys| keys.queued(0, Lane::Background), "hget hset hdel"),
    needed(|keys| keys.job_bytes(0), "get set exists incrby decrby"),
    needed(|keys| keys.owed(0), "hget hset hdel"),
    needed(|keys| keys.dead_letters(0), "xadd xdel xlen xrange xrevrange pexpire"),
    needed(|keys| keys.buried(0), "hget hset hdel hgetall pexpire"),
    needed(Keys::reports, "hset hdel hgetall expire"),
    needed(Keys::names, "hget hset hdel hgetall expire"),
    needed(Keys::signatures, "get set del"),
    needed(Keys::outage, "get set del"),
    needed(Keys::bumped, "get set"),
    needed(Keys::blind, "get set del"),
    needed(Keys::oversight, "get set"),
    needed(Keys::leader, "get set"),
    needed(Keys::suspect, "get set del"),
    needed(passwords, "hgetall del"),
    wanted(nothing, "scan", PEOPLE),
    wanted(|keys| keys.records(0), "xrevrange xinfo|stream", PEOPLE),
    wanted(receipts, "lrange", PEOPLE),
];

fn nothing(_: &Keys) -> String {
    String::new()
}

fn channel(keys: &Keys) -> String {
    keys.announce("check")
}

fn of_sample(keys: &Keys, kept: Kept) -> String {
    keys.of(&SampleKey { digest: Digest::of(b"thundergate check"), hint: NameHint::None }, kept)
}

fn verdict(keys: &Keys) -> String {
    of_sample(keys, Kept::Verdict)
}

fn sample(keys: &Keys) -> String {
    of_sample(keys, Kept::Sample)
}

fn lease(keys: &Keys) -> String {
    of_sample(keys, Kept::Lease)
}

fn waiters(keys: &Keys) -> String {
    of_sample(keys, Kept::Waiters)
}

fn failed(keys: &Keys) -> String {
    of_sample(keys, Kept::Failed)
}

fn passwords(keys: &Keys) -> String {
    of_sample(keys, Kept::Passwords)
}

fn receipts(keys: &Keys) -> String {
    of_sample(keys, Kept::Receipts)
}
