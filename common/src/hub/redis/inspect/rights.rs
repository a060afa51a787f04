// SPDX-License-Identifier: GPL-3.0-or-later
//! What the user may do. Redis is asked for each command that the program sends, with a key that it sends it for
//! (`redis.acl_check_cmd`, Redis 7.0); none of them is run.

use super::{Inside, Inspection, login_key, needs};
use crate::{
    api::check::{Finding, Level},
    keys::Keys,
};
use redis::{ErrorKind, RedisError, ServerErrorKind, cmd, from_redis_value};

const SCRIPT: &str = include_str!("../scripts/rights.lua");

/// A command that may be refused.
struct Asked {
    /// As people read it.
    shown: String,
    words: Vec<String>,
    /// As [`needs::Need::without`].
    without: Option<&'static str>,
}

/// Whether the user may do all that the program does.
pub(super) async fn of_user(inspection: &Inspection<'_>, inside: &Inside) -> Finding {
    let key = login_key(inspection.redis);
    let asked: Vec<Asked> =
        needs::of(inspection.role).iter().flat_map(|need| need.asked(&inside.keys)).collect();
    let mut command = cmd("EVAL");
    command.arg(SCRIPT).arg(0);
    for one in &asked {
        command.arg(one.words.len()).arg(&one.words);
    }
    let refused = inside.ask(&command).await.and_then(|answer| Ok(from_redis_value::<Vec<usize>>(answer)?));
    match refused {
        Ok(refused) => {
            let refused = refused.into_iter().filter_map(|number| asked.get(number.checked_sub(1)?));
            told(&refused.collect::<Vec<_>>(), key, &inside.user)
        }
        Err(error) => unasked(&error, key, &inside.user),
    }
}

/// What is missing.
fn told(refused: &[&Asked], key: &str, user: &str) -> Finding {
    let (needed, wanted): (Vec<&Asked>, Vec<&Asked>) =
        refused.iter().copied().partition(|one| one.without.is_none());
    if let Some(first) = needed.first() {
        let text = format!("the user {user} may not run {}", list(first, needed.len()));
        return Finding::new(Level::Wrong, key, text, cure(user));
    }
    let Some(first) = wanted.first() else {
        return Finding::ok(key, format!("the user {user} may do all that this program does"));
    };
    let text = format!(
        "users.acl is older than this program: the user {user} may not run {}; mail goes on, but {}",
        list(first, wanted.len()),
        first.without.unwrap_or_default()
    );
    Finding::new(Level::Warning, key, text, cure(user))
}

fn list(first: &Asked, count: usize) -> String {
    match count - 1 {
        0 => first.shown.clone(),
        more => format!("{} ({more} more)", first.shown),
    }
}

fn cure(user: &str) -> String {
    format!(
        "give the user {user} the rights in deploy/redis/users.acl of this version, then `ACL LOAD`; the \
         prefix in there must be redis.prefix"
    )
}

/// Not even that can be asked.
fn unasked(error: &RedisError, key: &str, user: &str) -> Finding {
    if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) {
        let text = format!("the user {user} may not run scripts: {error}");
        return Finding::new(Level::Wrong, key, text, cure(user));
    }
    let text = format!("what the user {user} may do is not known: {error}");
    Finding::new(Level::Unavailable, key, text, "look at the log of Redis, and try again")
}

impl needs::Need {
    fn asked(&self, keys: &Keys) -> impl Iterator<Item = Asked> {
        let (key, without) = ((self.key)(keys), self.without);
        self.commands.split_ascii_whitespace().map(move |command| {
            let words = words(command, &key).into_iter().map(str::to_owned).collect();
            let shown = if key.is_empty() { format!("`{command}`") } else { format!("`{command}` on {key}") };
            Asked { shown, words, without }
        })
    }
}

/// A command with `key` where it belongs; the rest is any.
fn words<'a>(command: &'a str, key: &'a str) -> Vec<&'a str> {
    match command {
        "eval" | "evalsha" => return vec![command, "x", "0"],
        "xreadgroup" => return vec![command, "group", "g", "c", "streams", key, ">"],
        "script|load" => return vec!["script", "load", "x"],
        "scan" => return vec![command, "0"],
        _ if key.is_empty() => return vec![command],
        _ => {}
    }
    let rest: &[&str] = match command {
        "xadd" => &["*", "f", "v"],
        "xrange" | "xrevrange" => &["-", "+"],
        "xtrim" => &["maxlen", "1"],
        "xack" => &["g", "1-1"],
        "xclaim" => &["g", "c", "1", "1-1"],
        "xgroup|create" | "xgroup|delconsumer" => &["g", "0"],
        "hset" => &["f", "v"],
        "lset" | "lrange" => &["0", "0"],
        "get" | "mget" | "del" | "exists" | "xlen" | "hgetall" | "smembers" | "lpop" | "subscribe"
        | "unsubscribe" | "xinfo|groups" | "xinfo|stream" => &[],
        _ => &["1"],
    };
    command.split('|').chain([key]).chain(rest.iter().copied()).collect()
}
