// SPDX-License-Identifier: GPL-3.0-or-later
//! What is held against samples in Redis: whose word counts, and what its bounds are.

use super::{
    sealed::{OLD, kept, written},
    *,
};
use redis::{RedisResult, cmd};
use std::collections::HashMap;
use thundergate_common::{failed::FailedSample, hub::Begin};
use thundergate_harness::redis::HARNESS;

/// About how many letters a shard keeps, and how many of them one node of a stream holds.
const LETTERS: usize = 1000;
const NODE: usize = 100;

fn failed() -> FailedSample {
    FailedSample { reason: "it answered 400".into(), until: now() + 60, ..FailedSample::default() }
}

async fn reserved(hub: &End, name: &str) -> Reservation {
    hub.milter.reserve(&[key(name)], Lane::Mail).await.unwrap().remove(0)
}

async fn fail(stage: &Stage, name: &str) {
    let claim = queued(stage, name, Lane::Mail).await;
    stage.there.worker.begin(&claim).await.unwrap();
    stage.there.worker.complete(&claim, &Completion::Failed(failed())).await.unwrap();
}

fn raw(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.unix_url_of(HARNESS)).unwrap().get_connection().unwrap()
}

fn set(server: &RedisServer, name: &str, record: &[u8]) {
    let outcome: RedisResult<()> = cmd("SET").arg(kept(name, "failed")).arg(record).query(&mut raw(server));
    outcome.unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_nothing_up() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    fail(&stage, "failed").await;
    let written: Vec<u8> = cmd("GET").arg(kept("failed", "failed")).query(&mut raw(server)).unwrap();
    let newer = String::from_utf8(written.clone()).unwrap().replace("\"v\":1", "\"v\":2");
    let long_over = br#"{"v":1,"reason":"x","until":1}"#;
    let records: [&[u8]; 6] =
        [newer.as_bytes(), &written[..written.len() - 1], b"", b"{}", b"\0tgs\x01", long_over];
    for (number, record) in records.into_iter().enumerate() {
        let name = format!("unread {number}");
        set(server, &name, record);
        let claim = queued(&stage, &name, Lane::Mail).await; // which owns it
        assert!(matches!(stage.there.worker.begin(&claim).await.unwrap(), Begin::Scan { .. }), "{record:?}");
    }
    set(server, "readable", &written);
    assert!(matches!(reserved(&stage.here, "readable").await, Reservation::Failed(_)), "and this one can");
}

#[tokio::test]
async fn a_sealed_record_counts_for_its_own_sample_only() {
    let files = tempfile::tempdir().unwrap();
    let server = RedisServer::start().unwrap();
    let secret_file = Some(written(&files, &[OLD]));
    let closed = |user: &str| Redis { secret_file: secret_file.clone(), ..at(server.url_of(user)) };
    let stage = stage(closed).await;
    fail(&stage, "failed").await;
    assert!(matches!(reserved(&stage.here, "failed").await, Reservation::Failed(_)));
    let sealed: Vec<u8> = cmd("GET").arg(kept("failed", "failed")).query(&mut raw(&server)).unwrap();
    set(&server, "moved", &sealed);
    set(&server, "forged", &serde_json::to_vec(&failed()).unwrap());
    for name in ["moved", "forged"] {
        assert_eq!(reserved(&stage.here, name).await, Reservation::Owner, "{name}");
    }
}

#[tokio::test]
async fn users_of_an_older_version_cost_scans_and_no_mail() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    fail(&stage, "failed").await;
    assert!(matches!(reserved(&stage.here, "failed").await, Reservation::Failed(_)));
    let users = include_str!("../../../../../../deploy/redis/users.acl");
    let milter = users.lines().find(|line| line.contains(&format!("user {MILTER} "))).unwrap();
    let older = milter.replace("%R~tg:1:{*}:*:failed ", "");
    assert_ne!(milter, older);
    let rights = older.strip_prefix(&format!("user {MILTER} on resetpass ")).unwrap();
    server.command(&format!("ACL SETUSER {MILTER} {rights}")).unwrap();
    assert_eq!(reserved(&stage.here, "failed").await, Reservation::Owner);
    store(&stage, "known", &verdict()).await;
    assert_eq!(reserved(&stage.here, "known").await, Reservation::Known(verdict()));
}

#[tokio::test]
async fn who_has_which_letter_is_forgotten_with_the_letters() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let mut raw = raw(server);
    let (letters, samples) = ("tg:1:{jobs-0}:dead", "tg:1:{jobs-0}:dead:samples");
    for number in 1..=LETTERS + NODE {
        let (id, name) = (format!("{number}-1"), format!("sample {number}"));
        let mut both = redis::pipe();
        both.cmd("XADD").arg(letters).arg(&id).arg("size").arg(1).arg("letter").arg("x");
        both.cmd("HSET").arg(samples).arg(name).arg(id);
        let _: () = both.query(&mut raw).unwrap();
    }
    fail(&stage, "newest").await;
    let kept: usize = cmd("XLEN").arg(letters).query(&mut raw).unwrap();
    assert!((LETTERS..LETTERS + NODE).contains(&kept), "{kept}");
    let indexed: HashMap<String, String> = cmd("HGETALL").arg(samples).query(&mut raw).unwrap();
    assert_eq!(indexed.len(), kept);
    assert!(indexed.contains_key(&key("newest").to_string()));
    assert!(!indexed.contains_key("sample 1"), "the oldest is gone");
    for key in [letters, samples] {
        let left: i64 = cmd("TTL").arg(key).query(&mut raw).unwrap();
        assert!(left > 0, "{key} expires by itself");
    }
}
