// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether what other processes have written opens with this one's `redis.secret_file`. Read is what every program of a
//! site writes or needs: the generation; and of a worker's reports, which a milter may not read, the first ones.

use super::{Inside, Role};
use crate::{
    api::check::{Finding, Level},
    hub::redis::{
        farm::{BUMPED, SIGNATURES},
        seal::{Purpose, Unsealed},
    },
};
use redis::{Cmd, FromRedisValue, cmd, from_redis_value};
use std::collections::HashMap;

const KEY: &str = "redis.secret_file";
/// So many reports are looked at.
const REPORTS: usize = 32;

/// Whether it opens; none where there is nothing yet.
pub(super) async fn opens(inside: &Inside, role: Role, has_secret: bool) -> Vec<Finding> {
    let (mut seen, mut closed) = (0, None);
    for (purpose, of, bytes) in stored(inside, role).await {
        seen += 1;
        closed = closed.or(inside.seal.open(purpose, of, bytes).err());
    }
    vec![match (closed, seen) {
        (Some(why), _) => told(why),
        (None, 0) => Finding::ok(KEY, "nothing in Redis yet that another process has written"),
        (None, _) if has_secret => Finding::ok(KEY, "opens what other processes have written"),
        (None, _) => Finding::ok(KEY, "not set, and nothing in Redis is sealed"),
    }]
}

fn told(why: Unsealed) -> Finding {
    let (text, cure) = match why {
        Unsealed::Plain => (
            "a process without redis.secret_file writes into this Redis",
            "name the same redis.secret_file in the configuration of every milter and worker",
        ),
        Unsealed::NoSecret => (
            "what stands in Redis is sealed, and this program has no redis.secret_file",
            "name the redis.secret_file of the other milters and workers",
        ),
        Unsealed::UnknownSecret => (
            "what stands in Redis is sealed with a secret that is not in redis.secret_file",
            "have the same lines in redis.secret_file on every host",
        ),
        Unsealed::UnknownForm => (
            "what stands in Redis is sealed by a newer version",
            "upgrade this program: deploy/upgrade.md has the order",
        ),
        Unsealed::Changed => (
            "what stands in Redis was changed by somebody who has no secret",
            "find out who else writes into this Redis",
        ),
    };
    Finding::new(Level::Wrong, KEY, text, cure)
}

async fn stored(inside: &Inside, role: Role) -> Vec<(Purpose, &'static str, Vec<u8>)> {
    let mut stored = Vec::new();
    for (key, of) in [(inside.keys.signatures(), SIGNATURES), (inside.keys.bumped(), BUMPED)] {
        let read: Option<Option<Vec<u8>>> = read(inside, cmd("GET").arg(key)).await;
        stored.extend(read.flatten().map(|bytes| (Purpose::Generation, of, bytes)));
    }
    if role == Role::Worker {
        let read: Option<HashMap<Vec<u8>, Vec<u8>>> =
            read(inside, cmd("HGETALL").arg(inside.keys.reports())).await;
        let reports = read.unwrap_or_default().into_values().take(REPORTS).filter_map(|entry| {
            let blank = entry.iter().position(|byte| *byte == b' ')?;
            Some((Purpose::Report, "", entry[blank + 1..].to_vec()))
        });
        stored.extend(reports);
    }
    stored
}

async fn read<T: FromRedisValue>(inside: &Inside, command: &Cmd) -> Option<T> {
    from_redis_value(inside.ask(command).await.ok()?).ok()
}
