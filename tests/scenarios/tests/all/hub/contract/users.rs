// SPDX-License-Identifier: GPL-3.0-or-later
//! The users of `deploy/redis/users.acl`: each may do what its program asks of the hub, and no more.

use super::*;
use redis::{RedisResult, Value, cmd};
use tempfile::TempDir;

/// A server, and a file with each user's password.
pub struct Users {
    pub server: RedisServer,
    passwords: TempDir,
}

impl Users {
    pub fn start() -> Self {
        let server = RedisServer::start().unwrap();
        let passwords = tempfile::tempdir().unwrap();
        for user in [MILTER, WORKER, OPERATOR] {
            std::fs::write(passwords.path().join(user), password_of(user)).unwrap();
        }
        Self { server, passwords }
    }

    /// A stage on which nothing has happened yet.
    pub async fn stage(&self) -> Stage {
        self.server.command("FLUSHALL").unwrap();
        let (here, there) = (self.process("here", &limits()).await, self.process("there", &limits()).await);
        Stage { here, there, _server: None }
    }

    /// A process's end of the hub, with these limits.
    pub async fn process(&self, process: &str, queue: &Queue) -> End {
        let redis = |user: &str| {
            let (username, password_file) = (user.to_owned(), self.passwords.path().join(user));
            let bare = at(self.server.bare_url());
            Redis { username: Some(username), password_file: Some(password_file), ..bare }
        };
        End::connect(redis, queue, process).await
    }

    /// What Redis has refused.
    pub fn refused(&self) -> Vec<Value> {
        self.server.ask("ACL LOG").unwrap()
    }
}

#[tokio::test]
async fn a_milter_that_was_taken_over_can_forge_nothing() {
    let users = Users::start();
    let process = users.process("here", &limits()).await;
    submit(&*process.milter, "target", Lane::Mail).await;
    let client = redis::Client::open(users.server.unix_url_of(MILTER)).unwrap();
    let mut milter = client.get_connection().unwrap();
    let verdict = format!("tg:1:{{{}}}:-:verdict", key("target").digest);
    let records = "tg:1:{records-0}:mails";
    process.milter.record(&[mail_record("4Bq", &[key("target")])]).await.unwrap();
    let sample = verdict.replace("verdict", "sample");
    let failed = verdict.replace("verdict", "failed");
    let read: Option<String> = cmd("GET").arg(&failed).query(&mut milter).unwrap();
    assert_eq!(read, None, "it may look");
    let (clean, channel) = (Verdict::default().encode(), "tg:1:announce:here");
    let write = "return redis.call('SET', KEYS[1], ARGV[1])";
    let hidden = format!("return redis.call('SET', '{verdict}', ARGV[1])");
    let publish = "return redis.call('PUBLISH', ARGV[2], ARGV[1])";
    for command in [
        cmd("SET").arg(&verdict).arg(&clean),
        cmd("EVAL").arg(write).arg(1).arg(&verdict).arg(&clean),
        cmd("EVAL").arg(&hidden).arg(0).arg(&clean),
        cmd("EVAL").arg(publish).arg(0).arg(&clean).arg(channel),
        cmd("PUBLISH").arg(channel).arg(&clean),
        cmd("SPUBLISH").arg(channel).arg(&clean),
        cmd("DEL").arg(&verdict),
        cmd("SET").arg(&failed).arg("{}"),
        cmd("EVAL").arg(write).arg(1).arg(&failed).arg("{}"),
        cmd("DEL").arg(&failed),
        cmd("HSET").arg("tg:1:{jobs-0}:dead:samples").arg("x").arg("1-1"),
        cmd("RENAME").arg(&sample).arg(&verdict),
        cmd("COPY").arg(&sample).arg(&verdict),
        cmd("RESTORE").arg(&verdict).arg(0).arg("x"),
        cmd("SET").arg("tg:1:{farm}:signatures").arg("0000/01/01-000000"),
        cmd("DEL").arg("tg:1:{farm}:bumped"),
        cmd("DEL").arg("tg:1:{farm}:blind"),
        cmd("GET").arg("tg:1:{farm}:oversight"),
        cmd("XREADGROUP")
            .arg("GROUP")
            .arg("workers")
            .arg("w")
            .arg("STREAMS")
            .arg("tg:1:{jobs-0}:mail")
            .arg(">"),
        cmd("XDEL").arg("tg:1:{jobs-0}:mail").arg("1-1"),
        cmd("XDEL").arg("tg:1:{jobs-0}:bulk").arg("1-1"),
        cmd("HDEL").arg("tg:1:{jobs-0}:mail:queued").arg("x"),
        cmd("HDEL").arg("tg:1:{jobs-0}:dead:samples").arg("x"),
        cmd("LRANGE").arg(verdict.replace("verdict", "receipts")).arg(0).arg(-1),
        cmd("XRANGE").arg(records).arg("-").arg("+"),
        cmd("XREVRANGE").arg(records).arg("+").arg("-"),
        cmd("XREAD").arg("STREAMS").arg(records).arg("0"),
        cmd("XINFO").arg("STREAM").arg(records),
        cmd("EVAL").arg("return redis.call('XRANGE', ARGV[1], '-', '+')").arg(0).arg(records),
        cmd("COPY").arg(records).arg(&sample),
        cmd("RENAME").arg(records).arg(&sample),
        cmd("SUBSCRIBE").arg("other"),
        cmd("KEYS").arg("*"),
        cmd("CONFIG").arg("GET").arg("*"),
        cmd("ACL").arg("LIST"),
        cmd("FLUSHALL").arg("ASYNC"),
    ] {
        let outcome: RedisResult<Value> = command.query(&mut milter);
        let text = outcome.expect_err("it is not allowed").to_string();
        let words = ["NOPERM", "NoPerm", "has no permissions", "The user executing the script can't"];
        assert!(words.iter().any(|words| text.contains(words)), "{text}");
    }
    assert_eq!(process.milter.look_up(&[key("target")]).await.unwrap(), [None]);
}

/// The rights of a milter's user before there was bulk.
const BEFORE_BULK: &str = "ACL SETUSER thundergate-milter clearselectors resetkeys %R~tg:1:{*}:*:verdict \
    %R~tg:1:{*}:*:failed ~tg:1:{*}:*:sample ~tg:1:{*}:*:lease ~tg:1:{*}:*:waiters ~tg:1:{jobs-*}:mail \
    ~tg:1:{jobs-*}:mail:queued ~tg:1:{jobs-*}:background ~tg:1:{jobs-*}:background:queued ~tg:1:{jobs-*}:bytes \
    %R~tg:1:{farm}:signatures %R~tg:1:{farm}:bumped %R~tg:1:{farm}:outage %R~tg:1:{farm}:blind";

#[tokio::test]
async fn a_milter_with_the_rights_of_an_older_version_goes_on_in_mail() {
    let users = Users::start();
    users.server.command(BEFORE_BULK).unwrap();
    let process = users.process("here", &limits()).await;
    let names: Vec<String> = (0..4).map(|number| format!("part {number}")).collect();
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    assert_eq!(process.milter.reserve(&keys, Lane::Bulk).await.unwrap(), vec![Reservation::Owner; 4]);
    let jobs: Vec<_> = names.iter().map(|name| job(name, Lane::Bulk)).collect();
    assert_eq!(process.milter.submit(&jobs).await.unwrap(), vec![Admission::Queued; 4]);
    let of_lanes = async || {
        let queue = process.operator.queue().await.unwrap();
        queue.lanes.iter().map(|lane| lane.waiting).collect::<Vec<_>>()
    };
    assert_eq!(of_lanes().await, [4, 0, 0]);
    assert_eq!(process.milter.reserve(&keys, Lane::Mail).await.unwrap(), vec![Reservation::Joined; 4]);
    submit(&*process.milter, "mail", Lane::Mail).await;
    submit(&*process.milter, "rescan", Lane::Background).await;
    process.milter.owe(&keys, "4Bq").await.unwrap();
    assert_eq!(of_lanes().await, [5, 0, 1]);
    for number in 0..limits().max_jobs - 6 {
        submit(&*process.milter, &format!("more {number}"), Lane::Mail).await;
    }
    process.milter.reserve(&[key("one more")], Lane::Mail).await.unwrap();
    assert_eq!(
        submit_again(&*process.milter, "one more", Lane::Mail).await,
        Admission::Full,
        "nothing gives way"
    );
    let claims = process.worker.claim("worker", 0, room(limits().max_jobs), SOON).await.unwrap();
    assert_eq!(claims.len(), limits().max_jobs);
    assert!(matches!(process.worker.begin(&claims[0]).await.unwrap(), hub::Begin::Scan { .. }));
}
