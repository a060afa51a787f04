// SPDX-License-Identifier: GPL-3.0-or-later
//! What a Redis under the delivered settings and users has after a restart: everything that had reached its disk, and
//! nothing that had been deleted.
//!
//! Redis checks its append-only file against the rights of the user `default` while it loads it: a user without rights
//! loses every transaction and what scripts wrote and deleted.

use super::*;
use redis::{RedisError, Value, cmd};
use std::collections::BTreeSet;
use thundergate_common::{hub::Begin, record::seen::Sought};
use users::Users;

const VERDICTS: usize = 50;
/// What waits must outlive a restart on a busy machine.
const LIFE: Duration = Duration::from_secs(600);

fn lives() -> Queue {
    Queue { sample_ttl: LIFE, reserve_ttl: LIFE, lease_ttl: LIFE, ..limits() }
}

fn known(number: usize) -> String {
    format!("known {number}")
}

#[tokio::test]
async fn a_redis_that_was_stopped_has_everything_again_and_no_deleted_sample() {
    a_restart_keeps_everything(|server| server.terminate().unwrap()).await;
}

#[tokio::test]
async fn a_redis_that_crashed_has_everything_again_and_no_deleted_sample() {
    a_restart_keeps_everything(RedisServer::stop).await;
}

async fn a_restart_keeps_everything(end: impl FnOnce(&mut RedisServer)) {
    let mut users = Users::start();
    let before = users.process("before", &lives()).await;
    fill(&before).await;
    let (queue, letters) =
        (before.operator.queue().await.unwrap(), before.operator.dead_letters(10).await.unwrap());
    let written = keys(&users.server);
    let deleted = sample_of(&known(0));
    assert!(written.contains(&sample_of("waiting")) && !written.contains(&deleted), "{written:?}");
    eventually("all of it is on disk", async || is_on_disk(&users.server)).await;

    end(&mut users.server);
    users.server.start_again().unwrap();
    let found = keys(&users.server);
    let (lost, back): (BTreeSet<_>, BTreeSet<_>) = (&written - &found, &found - &written);
    let counts = format!("{} keys were written, {} of them found", written.len(), written.len() - lost.len());
    assert!(lost.is_empty() && back.is_empty(), "{counts}; lost: {lost:#?}; came back: {back:#?}");

    let after = users.process("after", &lives()).await;
    for number in 0..VERDICTS {
        let key = key(&known(number));
        assert_eq!(after.milter.look_up(std::slice::from_ref(&key)).await.unwrap(), [Some(verdict())]);
        let seen = after.operator.seen(&Sought { digest: key.digest, hint: None }, 10).await.unwrap();
        assert_eq!(seen.mails.iter().map(|mail| &mail.queue_id).collect::<Vec<_>>(), [&known(number)]);
    }
    assert_eq!(after.operator.dead_letters(10).await.unwrap(), letters);
    let now = after.operator.queue().await.unwrap();
    assert_eq!((now.dead_letters, now.sample_bytes), (queue.dead_letters, queue.sample_bytes));
    the_queue_goes_on(&after).await;
    assert_eq!(users.refused(), []);
}

/// A site that has worked: what is known and who received it, a dead letter, a job that waits, and one under way.
async fn fill(hub: &End) {
    for number in 0..VERDICTS {
        scan(hub, &known(number), &answered(&verdict())).await;
        hub.milter.record(&[mail_record(&known(number), &[key(&known(number))])]).await.unwrap();
    }
    scan(hub, "dead", &Completion::Dead("no instance could".into())).await;
    submit(&*hub.milter, "under way", Lane::Mail).await;
    hub.worker.begin(&claimed(&*hub.worker).await).await.unwrap();
    submit(&*hub.milter, "waiting", Lane::Mail).await;
}

async fn scan(hub: &End, name: &str, completion: &Completion) {
    submit(&*hub.milter, name, Lane::Mail).await;
    let claim = claimed(&*hub.worker).await;
    assert_eq!(hub.worker.begin(&claim).await.unwrap(), Begin::Scan { bytes: bytes(name), failed: None });
    hub.worker.complete(&claim, completion).await.unwrap();
}

/// The job that waited is scanned, and so is the one of a worker that is not there any more.
async fn the_queue_goes_on(hub: &End) {
    let waiting = claimed(&*hub.worker).await;
    assert_eq!(waiting.job.sample, key("waiting"));
    let under_way = reclaimed(&*hub.worker, "other").await;
    assert_eq!(under_way.job.sample, key("under way"));
    for (claim, name) in [(waiting, "waiting"), (under_way, "under way")] {
        assert_eq!(hub.worker.begin(&claim).await.unwrap(), Begin::Scan { bytes: bytes(name), failed: None });
        hub.worker.complete(&claim, &answered(&verdict())).await.unwrap();
    }
    assert_eq!(hub.operator.queue().await.unwrap().sample_bytes, 0);
}

#[tokio::test]
async fn nobody_logs_in_as_the_default_user() {
    let users = Users::start();
    let client = redis::Client::open(users.server.bare_unix_url()).unwrap();
    let mut nobody = client.get_connection().unwrap();
    let mut refused = |command: &mut redis::Cmd, words: &str| {
        let error: RedisError = command.query::<Value>(&mut nobody).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    for password in ["", "default", "nopass", &password_of(WORKER)] {
        refused(cmd("AUTH").arg(password), "WRONGPASS");
        refused(cmd("AUTH").arg("default").arg(password), "WRONGPASS");
        refused(cmd("HELLO").arg(3).arg("AUTH").arg("default").arg(password), "WRONGPASS");
    }
    for words in ["PING", "GET x", "SET x y", "INFO", "ACL WHOAMI", "CONFIG GET *", "SUBSCRIBE x", "MULTI"] {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap());
        refused(words.fold(&mut command, |command, word| command.arg(word)), "NOAUTH");
    }
    let rights: String = users.server.ask::<Vec<String>>("ACL LIST").unwrap().join("\n");
    let default = rights.lines().find(|line| line.starts_with("user default ")).unwrap();
    assert!(default.starts_with("user default off ") && !default.contains("nopass"), "{default}");
    assert!(!default.contains(['#', '>']), "a password: {default}");
}

fn sample_of(name: &str) -> String {
    format!("tg:1:{{{}}}:-:sample", key(name).digest)
}

fn keys(server: &RedisServer) -> BTreeSet<String> {
    server.ask("KEYS *").unwrap()
}

/// Written, and no `fsync` outstanding.
fn is_on_disk(server: &RedisServer) -> bool {
    let info: String = server.ask("INFO persistence").unwrap();
    ["aof_buffer_length:0", "aof_pending_bio_fsync:0", "aof_last_write_status:ok"]
        .iter()
        .all(|wanted| info.lines().any(|line| line == *wanted))
}
