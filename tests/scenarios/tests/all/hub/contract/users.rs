// SPDX-License-Identifier: GPL-3.0-or-later
//! The users of `deploy/redis/users.acl`: each may do what its program asks of the hub, and no more.

use super::*;
use async_trait::async_trait;
use redis::{RedisResult, Value, cmd};
use std::num::NonZeroUsize;
use tempfile::TempDir;
use thundergate_common::{
    generation::{FarmReport, Generation},
    hub::{Announcements, Begin, DeadLetter, HubError, QueueState, Receipt, Retried},
};
use thundergate_harness::redis::{Guard, password_of};

/// A server that knows these users alone, and a file with each one's password.
pub struct Users {
    server: RedisServer,
    passwords: TempDir,
}

/// One process's end of the hub, whose calls are made by the user of whose program they are.
struct ByUser {
    milter: Arc<RedisHub>,
    worker: Arc<RedisHub>,
    operator: Arc<RedisHub>,
}

impl Users {
    pub fn start() -> Self {
        let guard = Guard { users: true, ..Guard::default() };
        let server = RedisServer::start_guarded(&guard, &[]).unwrap();
        let passwords = tempfile::tempdir().unwrap();
        for user in ["milter", "worker", "operator"] {
            let password = password_of(&format!("thundergate-{user}"));
            std::fs::write(passwords.path().join(user), password).unwrap();
        }
        Self { server, passwords }
    }

    /// A stage on which nothing has happened yet.
    pub async fn stage(&self) -> Stage {
        self.server.command("FLUSHALL").unwrap();
        let (here, there) = (self.process("here").await, self.process("there").await);
        Stage { here: Arc::new(here), there: Arc::new(there), _server: None }
    }

    async fn process(&self, process: &str) -> ByUser {
        let hub = async |user: &str| {
            let plain = redis("tg", config::RedisUrl::One(self.server.url().into()));
            let (username, password_file) = (format!("thundergate-{user}"), self.passwords.path().join(user));
            let redis =
                config::Redis { username: Some(username), password_file: Some(password_file), ..plain };
            connect(&redis, process).await
        };
        ByUser { milter: hub("milter").await, worker: hub("worker").await, operator: hub("operator").await }
    }

    /// What Redis has refused.
    pub fn refused(&self) -> Vec<Value> {
        self.server.ask("ACL LOG").unwrap()
    }
}

#[tokio::test]
async fn a_milter_that_was_taken_over_can_forge_nothing() {
    let users = Users::start();
    let process = users.process("here").await;
    submit(&process, "target", Lane::Mail).await;
    let client = redis::Client::open(users.server.unix_url()).unwrap();
    let mut milter = client.get_connection().unwrap();
    let (user, password) = ("thundergate-milter", password_of("thundergate-milter"));
    let () = cmd("AUTH").arg(user).arg(password).query(&mut milter).unwrap();
    let verdict = format!("tg:1:{{{}}}:-:verdict", key("target").digest);
    let sample = verdict.replace("verdict", "sample");
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
        cmd("RENAME").arg(&sample).arg(&verdict),
        cmd("COPY").arg(&sample).arg(&verdict),
        cmd("RESTORE").arg(&verdict).arg(0).arg("x"),
        cmd("SET").arg("tg:1:{farm}:signatures").arg("0000/01/01-000000"),
        cmd("DEL").arg("tg:1:{farm}:bumped"),
        cmd("XREADGROUP")
            .arg("GROUP")
            .arg("workers")
            .arg("w")
            .arg("STREAMS")
            .arg("tg:1:{jobs-0}:mail")
            .arg(">"),
        cmd("XDEL").arg("tg:1:{jobs-0}:mail").arg("1-1"),
        cmd("LRANGE").arg(verdict.replace("verdict", "receipts")).arg(0).arg(-1),
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
    assert_eq!(process.look_up(&[key("target")]).await.unwrap(), [None]);
}

#[async_trait]
impl Hub for ByUser {
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError> {
        self.milter.look_up(keys).await
    }
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError> {
        self.milter.reserve(keys, lane).await
    }
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError> {
        self.milter.submit(jobs).await
    }
    fn announcements(&self) -> &Announcements {
        self.milter.announcements()
    }
    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError> {
        self.milter.leave(keys).await
    }
    fn generation(&self) -> Arc<Generation> {
        self.milter.generation()
    }
    async fn record(&self, receipts: &[(SampleKey, Receipt)]) -> Result<(), HubError> {
        self.milter.record(receipts).await
    }
    fn shards(&self) -> usize {
        self.worker.shards()
    }
    async fn claim(
        &self,
        worker: &str,
        shard: usize,
        room: Room,
        patience: Duration,
    ) -> Result<Vec<Claim>, HubError> {
        self.worker.claim(worker, shard, room, patience).await
    }
    async fn reclaim(&self, worker: &str, shard: usize, room: Room) -> Result<Vec<Claim>, HubError> {
        self.worker.reclaim(worker, shard, room).await
    }
    async fn begin(&self, claim: &Claim) -> Result<Begin, HubError> {
        self.worker.begin(claim).await
    }
    async fn renew(&self, worker: &str, claims: &[Claim]) -> Result<(), HubError> {
        self.worker.renew(worker, claims).await
    }
    async fn complete(&self, claim: &Claim, completion: &Completion) -> Result<(), HubError> {
        self.worker.complete(claim, completion).await
    }
    async fn hand_back(&self, claim: &Claim) -> Result<(), HubError> {
        self.worker.hand_back(claim).await
    }
    async fn report(&self, report: &FarmReport, quorum: Option<NonZeroUsize>) -> Result<(), HubError> {
        self.worker.report(report, quorum).await
    }
    async fn farm(&self) -> Result<Vec<FarmReport>, HubError> {
        self.operator.farm().await
    }
    async fn bump(&self) -> Result<Generation, HubError> {
        self.operator.bump().await
    }
    async fn queue(&self) -> Result<QueueState, HubError> {
        self.operator.queue().await
    }
    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, HubError> {
        self.operator.dead_letters(most).await
    }
    async fn retry(&self, letter: &DeadLetter) -> Result<Retried, HubError> {
        self.operator.retry(letter).await
    }
    async fn drop_letter(&self, letter: &DeadLetter) -> Result<bool, HubError> {
        self.operator.drop_letter(letter).await
    }
    async fn receipts(&self, key: &SampleKey, most: usize) -> Result<Vec<Receipt>, HubError> {
        self.operator.receipts(key, most).await
    }
    async fn forget(&self, key: &SampleKey) -> Result<bool, HubError> {
        self.operator.forget(key).await
    }
    async fn ping(&self) -> Result<(), HubError> {
        self.milter.ping().await
    }
}
