// SPDX-License-Identifier: GPL-3.0-or-later
//! What a secret is good for: who reads Redis learns nothing, and who writes to it is not believed.

use super::*;
use redis::{Commands, cmd};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};
use tempfile::TempDir;
use thundergate_common::{
    failed::FailedSample,
    generation::{FarmReport, Generation, InstanceReport},
    hub::{
        Begin,
        redis::seal::{Purpose, Seal},
    },
    record::{pack, seen::Sought},
    verdict::Rule,
};
use thundergate_harness::redis::HARNESS;
use tokio::time::timeout;

pub const OLD: &str = "the old secret, of 32 characters";
const NEW: &str = "the new secret, of 32 characters";

/// A Redis, and files of secrets for its hubs.
struct Site {
    server: RedisServer,
    files: TempDir,
}

impl Site {
    fn start() -> Self {
        Self { server: RedisServer::start().unwrap(), files: tempfile::tempdir().unwrap() }
    }

    /// A process's hub with these secrets.
    async fn hub(&self, process: &str, secrets: &[&str]) -> End {
        let secret_file = (!secrets.is_empty()).then(|| written(&self.files, secrets));
        let redis = |user: &str| Redis { secret_file: secret_file.clone(), ..at(self.server.url_of(user)) };
        connect(redis, process).await
    }

    fn raw(&self) -> redis::Connection {
        redis::Client::open(self.server.unix_url_of(HARNESS)).unwrap().get_connection().unwrap()
    }
}

/// A file of secrets.
pub fn written(files: &TempDir, secrets: &[&str]) -> std::path::PathBuf {
    let file = files.path().join(Digest::of(secrets.concat().as_bytes()).to_string());
    std::fs::write(&file, secrets.join("\n")).unwrap();
    file
}

pub fn kept(name: &str, what: &str) -> String {
    format!("tg:1:{{{}}}:-:{what}", key(name).digest)
}

#[tokio::test]
async fn who_reads_all_of_redis_learns_nothing() {
    for secrets in [[OLD].as_slice(), &[]] {
        let site = Site::start();
        let seen = everything_said_to(&site);
        let hub = site.hub("here", secrets).await;
        everything_about_a_sample(&hub).await;
        let _: () = site.raw().set("end", "end").unwrap();
        let seen = seen.join().unwrap();
        for telling in ["the mail's text", "Rule_X", "dead reason", "storm1", "2026/01"] {
            assert_eq!(seen.contains(telling), secrets.is_empty(), "{telling}");
        }
        assert!(!seen.contains("a@b.example") || secrets.is_empty());
        let entries: Vec<(String, Vec<Vec<u8>>)> =
            cmd("XRANGE").arg("tg:1:{records-0}:mails").arg("-").arg("+").query(&mut site.raw()).unwrap();
        let records = pack::records(&entries[0].1[1]);
        assert_eq!(records.iter().any(|record| record.sender == "a@b.example"), secrets.is_empty());
    }
}

/// All commands that Redis gets from now on, scripts' ones too, until one says "end".
fn everything_said_to(site: &Site) -> std::thread::JoinHandle<String> {
    let address = site.server.bare_url().replace("redis://", "").replace("/0", "");
    let mut stream = TcpStream::connect(address).unwrap();
    let mut login = cmd("AUTH");
    login.arg(HARNESS).arg(password_of(HARNESS));
    stream.write_all(&[login.get_packed_command(), cmd("MONITOR").get_packed_command()].concat()).unwrap();
    let mut lines = BufReader::new(stream);
    for _ in ["AUTH", "MONITOR"] {
        let mut answer = String::new();
        lines.read_line(&mut answer).unwrap();
        assert_eq!(answer, "+OK\r\n");
    }
    std::thread::spawn(move || {
        let mut seen = String::new();
        while !seen.ends_with("\"end\"\r\n") {
            lines.read_line(&mut seen).unwrap();
        }
        seen
    })
}

async fn everything_about_a_sample(hub: &End) {
    let large = format!("the mail's text{}", "x".repeat(300 << 10));
    let claim = a_job(hub, &large).await;
    assert_eq!(hub.worker.begin(&claim).await.unwrap(), Begin::Scan { bytes: bytes(&large), failed: None });
    let rule = Rule { name: "Rule_X".into(), ..Rule::default() };
    let finding = Finding { rules: vec![rule], ..Finding::default() };
    let verdict = Arc::new(Verdict { findings: vec![finding], scanned_at: now(), ..Verdict::default() });
    hub.worker.complete(&claim, &answered(&verdict)).await.unwrap();
    assert_eq!(hub.milter.look_up(&[key(&large)]).await.unwrap(), [Some(verdict)]);
    let dead = a_job(hub, "dead").await;
    hub.worker.begin(&dead).await.unwrap();
    let failed = FailedSample {
        reason: "dead reason".into(),
        instance: "storm1".into(),
        until: now() + 60,
        ..FailedSample::default()
    };
    hub.worker.complete(&dead, &Completion::Failed(failed.clone())).await.unwrap();
    let found = hub.milter.reserve(&[key("dead")], Lane::Mail).await.unwrap();
    assert_eq!(found, [Reservation::Failed(Arc::new(failed))]);
    assert_eq!(hub.operator.dead_letters(1).await.unwrap()[0].reason, "dead reason");
    let mut record = mail_record("4Bq", &[key(&large)]);
    record.sender = "a@b.example".into();
    record.recipients = vec!["c@d.example".into()];
    hub.milter.record(&[record]).await.unwrap();
    let seen = hub.operator.seen(&Sought { digest: key(&large).digest, hint: None }, 1).await.unwrap();
    assert_eq!((seen.mails.len(), seen.mails[0].sender.as_str()), (1, "a@b.example"));
    let instance = InstanceReport {
        name: "storm1".into(),
        healthy: true,
        signatures: Some("2026/01/12-160550".into()),
        ..InstanceReport::default()
    };
    let report = FarmReport { worker: "w".into(), at: now(), instances: vec![instance], doubt: None };
    hub.worker.report(&report, None).await.unwrap();
    assert_eq!(hub.operator.farm().await.unwrap(), [report]);
    let bumped_at = hub.operator.bump().await.unwrap().bumped_at;
    let generation =
        Generation { signatures: Some("2026/01/12-160550".into()), bumped_at, blind: Vec::new() };
    assert!(bumped_at > 0);
    eventually("the milter learns of it", async || *hub.milter.generation() == generation).await;
}

async fn a_job(hub: &End, name: &str) -> Claim {
    submit(&*hub.milter, name, Lane::Mail).await;
    claimed(&*hub.worker).await
}

#[tokio::test]
async fn a_forged_or_moved_verdict_is_a_miss_and_the_sample_is_scanned() {
    let site = Site::start();
    let stage =
        Stage { here: site.hub("here", &[OLD]).await, there: site.hub("there", &[OLD]).await, _server: None };
    store(&stage, "harmless", &verdict()).await;
    assert_eq!(stage.here.milter.look_up(&[key("harmless")]).await.unwrap(), [Some(verdict())]);
    let clean = Verdict { scanned_at: now(), ..Verdict::default() }.encode();
    let true_one: Vec<u8> = site.raw().get(kept("harmless", "verdict")).unwrap();
    let elsewhere = Seal::new(&[OLD.into()], "tg")
        .seal(Purpose::Job, &key("evil").to_string(), clean.clone())
        .into_owned();
    let by_others = Seal::new(&[NEW.into()], "tg")
        .seal(Purpose::Verdict, &key("evil").to_string(), clean.clone())
        .into_owned();
    for (at, forged) in [clean, true_one, elsewhere, by_others].into_iter().enumerate() {
        let name = "evil";
        let _: () = site.raw().set(kept(name, "verdict"), forged).unwrap();
        assert_eq!(stage.here.milter.look_up(&[key(name)]).await.unwrap(), [None], "forgery {at}");
        let claim = queued(&stage, name, Lane::Mail).await;
        assert_eq!(
            stage.there.worker.begin(&claim).await.unwrap(),
            Begin::Scan { bytes: bytes(name), failed: None }
        );
        stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
        assert_eq!(stage.here.milter.look_up(&[key(name)]).await.unwrap(), [Some(verdict())]);
        stage.here.operator.forget(&key(name)).await.unwrap();
    }
}

#[tokio::test]
async fn an_old_verdict_put_back_is_a_miss() {
    let site = Site::start();
    let hub = site.hub("here", &[OLD]).await;
    let seal = Seal::new(&[OLD.into()], "tg");
    let of_age = |seconds: u64| {
        let verdict = Verdict { scanned_at: now() - seconds, ..Verdict::default() };
        let sealed = seal.seal(Purpose::Verdict, &key("old").to_string(), verdict.encode()).into_owned();
        let _: () = site.raw().set(kept("old", "verdict"), sealed).unwrap();
        Arc::new(verdict)
    };
    let fresh = of_age(60);
    assert_eq!(hub.milter.look_up(&[key("old")]).await.unwrap(), [Some(fresh)]);
    of_age(ttls().clean_ttl.as_secs() + 1);
    assert_eq!(hub.milter.look_up(&[key("old")]).await.unwrap(), [None]);
    assert_eq!(hub.milter.reserve(&[key("old")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
}

#[tokio::test]
async fn a_milter_that_believes_a_verdict_no_longer_gets_another_scan() {
    let site = Site::start();
    let (here, there) = (site.hub("here", &[]).await, site.hub("there", &[]).await);
    let stage = Stage { here: here.clone(), there, _server: None };
    let not_seen = Verdict { scanned_at: now() - 100, ..Verdict::default() };
    let just_stored = Verdict { scanned_at: now() - 1, ..Verdict::default() };
    for (verdict, begun) in
        [(not_seen, Begin::Scan { bytes: bytes("again"), failed: None }), (just_stored, Begin::Nothing)]
    {
        let claim = queued(&stage, "again", Lane::Mail).await;
        let _: () = site.raw().set(kept("again", "verdict"), verdict.encode()).unwrap();
        assert_eq!(stage.there.worker.begin(&claim).await.unwrap(), begun);
        stage.there.worker.complete(&claim, &answered(&self::verdict())).await.unwrap();
        here.operator.forget(&key("again")).await.unwrap();
    }
}

#[tokio::test]
async fn only_a_sealed_and_fresh_announcement_is_heard() {
    let site = Site::start();
    let hub = site.hub("here", &[OLD]).await;
    let seal = Seal::new(&[OLD.into()], "tg");
    let mut ticket = hub.milter.announcements().subscribe(&key("awaited"));
    let announcement = |score, age| {
        let finding = Finding { score, ..Finding::default() };
        let verdict = Verdict { findings: vec![finding], scanned_at: now() - age, ..Verdict::default() };
        let answer = Answer::Verdict(verdict.into());
        let json = serde_json::json!({ "v": 1, "key": key("awaited"), "answer": answer });
        (json.to_string().into_bytes(), answer)
    };
    let (forged, _) = announcement(1, 0);
    let (old, _) = announcement(2, ttls().found_ttl.as_secs() + 1);
    let (fresh, answer) = announcement(3, 0);
    let sealed = |plain: Vec<u8>| seal.seal(Purpose::Announcement, "", plain).into_owned();
    for payload in
        [forged.clone(), sealed(old), seal.seal(Purpose::Verdict, "", forged).into_owned(), sealed(fresh)]
    {
        let heard: i64 = site.raw().publish("tg:1:announce:here", payload).unwrap();
        assert_eq!(heard, 3, "its three users");
    }
    assert_eq!(timeout(SOON, ticket.answer()).await.unwrap(), answer);
}

#[tokio::test]
async fn a_forged_job_is_dropped() {
    let site = Site::start();
    let hub = site.hub("here", &[OLD]).await;
    submit(&*hub.milter, "true", Lane::Mail).await;
    let forged = serde_json::to_vec(&job("forged", Lane::Mail).1).unwrap();
    let mut add = cmd("XADD");
    add.arg("tg:1:{jobs-0}:mail").arg("*").arg("sample").arg(key("forged").to_string());
    let _: String =
        add.arg("size").arg(1).arg("tries").arg(0).arg("job").arg(forged).query(&mut site.raw()).unwrap();
    assert_eq!(names(&hub.worker.claim("worker", 0, room(10), SOON).await.unwrap()), [key("true")]);
    let queue = hub.operator.queue().await.unwrap();
    assert_eq!(queue.lanes.iter().map(|lane| lane.waiting + lane.claimed).sum::<u64>(), 1);
}

#[tokio::test]
async fn what_was_sealed_elsewhere_does_not_change_the_generation() {
    let site = Site::start();
    let hub = site.hub("here", &[OLD]).await;
    let before = hub.operator.bump().await.unwrap();
    eventually("the milter learns of it", async || *hub.milter.generation() == before).await;
    let _: () = site.raw().set("tg:1:{farm}:bumped", "1").unwrap();
    let _: () = site.raw().set("tg:1:{farm}:signatures", "0000/01/01-000000").unwrap();
    let report = FarmReport { worker: "w".into(), at: now(), instances: Vec::new(), doubt: None };
    hub.worker.report(&report, None).await.unwrap();
    assert_eq!(*hub.milter.generation(), before);
    let _: () = site.raw().hset("tg:1:{farm}:reports", "x", format!("{} {{}}", now())).unwrap();
    assert_eq!(hub.operator.farm().await.unwrap(), [report]);
}

#[tokio::test]
async fn a_secret_is_changed_without_a_pause() {
    let site = Site::start();
    let steps: [&[&str]; 4] = [&[OLD], &[OLD, NEW], &[NEW, OLD], &[NEW]];
    for neighbours in steps.windows(2) {
        for (milter, worker) in [(0, 1), (1, 0)] {
            let stage = Stage {
                here: site.hub("here", neighbours[milter]).await,
                there: site.hub("there", neighbours[worker]).await,
                _server: None,
            };
            let mut ticket = stage.here.milter.announcements().subscribe(&key("passing"));
            let claim = queued(&stage, "passing", Lane::Mail).await;
            assert_eq!(
                stage.there.worker.begin(&claim).await.unwrap(),
                Begin::Scan { bytes: bytes("passing"), failed: None }
            );
            stage.there.worker.complete(&claim, &answered(&verdict())).await.unwrap();
            assert_eq!(timeout(SOON, ticket.answer()).await.unwrap(), Answer::Verdict(verdict()));
            assert_eq!(stage.here.milter.look_up(&[key("passing")]).await.unwrap(), [Some(verdict())]);
            assert!(stage.here.operator.forget(&key("passing")).await.unwrap());
        }
    }
}

#[tokio::test]
async fn with_and_without_a_secret_neither_accept_nor_lose_anything() {
    for (here, there) in [([OLD].as_slice(), [].as_slice()), (&[], &[OLD])] {
        let site = Site::start();
        let (ours, stranger) = (site.hub("here", here).await, site.hub("there", there).await);
        submit(&*ours.milter, "strange", Lane::Mail).await;
        assert_eq!(stranger.worker.claim("worker", 0, room(1), Duration::from_millis(50)).await.unwrap(), []);
        let other = Stage { here: stranger.clone(), there: stranger, _server: None };
        store(&other, "strange", &verdict()).await;
        assert_eq!(ours.milter.look_up(&[key("strange")]).await.unwrap(), [None]);
        // Its sender comes again, and finds a worker of the same mind.
        let worker = site.hub("worker", here).await.worker;
        eventually("the reservation is over", async || {
            ours.milter.reserve(&[key("strange")], Lane::Mail).await.unwrap() == [Reservation::Owner]
        })
        .await;
        assert_eq!(submit_again(&*ours.milter, "strange", Lane::Mail).await, Admission::Queued);
        let claim = claimed(&*worker).await;
        assert_eq!(
            worker.begin(&claim).await.unwrap(),
            Begin::Scan { bytes: bytes("strange"), failed: None }
        );
        worker.complete(&claim, &answered(&verdict())).await.unwrap();
        assert_eq!(ours.milter.look_up(&[key("strange")]).await.unwrap(), [Some(verdict())]);
    }
}
