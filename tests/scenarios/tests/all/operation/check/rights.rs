// SPDX-License-Identifier: GPL-3.0-or-later
//! The rights of Redis's users: each that `deploy/redis/users.acl` gives is missed where it is taken away, so the lists of
//! what a program needs are whole.

use super::*;
use thundergate_common::hub::redis::{
    Redis, RedisUrl,
    inspect::{Inspection, Role},
};
use thundergate_harness::redis::{MILTER, RedisServer, WORKER};
use thundergate_milter::config::Config;

const USERS: &str = include_str!("../../../../../../deploy/redis/users.acl");
/// What a client of a cluster or of Sentinels asks by itself, and what older versions of the programs asked.
const UNASKED_BY_MILTERS: [&str; 6] =
    ["+@connection", "+role", "+cluster|slots", "+cluster|shards", "+cluster|nodes", "+script|exists"];
const UNASKED_BY_WORKERS: [&str; 14] = [
    "+@connection",
    "+role",
    "+cluster|slots",
    "+cluster|shards",
    "+cluster|nodes",
    "+script|exists",
    "+unlink",
    "+pttl",
    "+strlen",
    "+sadd",
    "+srem",
    "+hmget",
    "+xtrim",
    "+xautoclaim",
];

/// The rights in a user's line, the braces of selectors left out.
fn rights_of(user: &str) -> (Vec<&'static str>, &'static str) {
    let line = USERS.lines().find(|line| line.starts_with(&format!("user {user} "))).unwrap();
    let (line, selectors) = line.split_at(line.find(" (").unwrap_or(line.len()));
    let rights = line.split(' ').skip(3);
    (rights.filter(|right| !right.starts_with("reset") && !right.starts_with("-@")).collect(), selectors)
}

/// What the check says of the user's rights.
async fn told(server: &RedisServer, user: &str, role: Role) -> Finding {
    let config = Config::from_toml("").unwrap();
    let redis = Redis::at(RedisUrl::One(server.url_of(user).into()));
    let inspection = Inspection { redis: &redis, queue: &config.queue, cache: &config.cache, role };
    let found = inspection.findings().await;
    let of_rights = found.iter().find(|finding| finding.text.contains(&format!("the user {user}")));
    of_rights.unwrap_or_else(|| panic!("{found:#?}")).clone()
}

async fn each_right_is_missed(user: &str, role: Role, unasked: &[&str]) {
    let server = RedisServer::start().unwrap();
    assert_eq!(told(&server, user, role).await.level, Level::Ok, "as delivered");
    let (rights, selectors) = rights_of(user);
    let mut unmissed = Vec::new();
    for taken in &rights {
        let left: Vec<&str> = rights.iter().copied().filter(|right| right != taken).collect();
        let words = ["ACL", "SETUSER", user, "clearselectors", "resetkeys", "resetchannels", "-@all"];
        // The selector follows as one word, which `command` would take apart.
        let selectors = if selectors.is_empty() { Vec::new() } else { vec![selectors.trim()] };
        server.run::<String>(&[words.as_slice(), left.as_slice(), selectors.as_slice()].concat()).unwrap();
        let found = told(&server, user, role).await;
        if found.level == Level::Ok {
            unmissed.push(*taken);
            continue;
        }
        if let Some(name) = taken.strip_prefix('+') {
            let is_named =
                ["`", "'"].iter().any(|quote| found.text.contains(&format!("{quote}{name}{quote}")));
            assert!(is_named, "{taken}: {found:?}");
        }
        assert!(found.cure.contains("users.acl"), "{found:?}");
    }
    assert_eq!(unmissed, unasked);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_of_a_milter_is_missed() {
    each_right_is_missed(MILTER, Role::Milter, &UNASKED_BY_MILTERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_of_a_worker_is_missed() {
    each_right_is_missed(WORKER, Role::Worker, &UNASKED_BY_WORKERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_users_acl_is_a_warning_that_says_what_does_not_work() {
    let server = RedisServer::start().unwrap();
    let (rights, _) = rights_of(MILTER);
    let old: Vec<&str> =
        rights.into_iter().filter(|right| !right.contains("bulk") && !right.contains("owed")).collect();
    let words = ["ACL", "SETUSER", MILTER, "clearselectors", "resetkeys"];
    server.run::<String>(&[words.as_slice(), old.as_slice()].concat()).unwrap();
    let found = told(&server, MILTER, Role::Milter).await;
    assert_eq!(found.level, Level::Warning, "{found:?}");
    assert!(
        found.text.contains("older than this program") && found.text.contains("mail goes on"),
        "{found:?}"
    );
}
