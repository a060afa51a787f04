// SPDX-License-Identifier: GPL-3.0-or-later
//! A Redis that answers and takes nothing: `/ready` says whose fault it is and what to do, the log says it once, and what
//! is known is served. Each trouble comes and goes while milter and worker run.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Action, Mail},
    process::Program,
    redis::{MILTER, RedisServer, WORKER},
    site::{Milter, Site},
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(15);

/// A trouble: how it begins, what both programs or one of them say of it, and how it ends.
struct Trouble {
    begins: &'static [&'static str],
    ends: &'static [&'static str],
    milter: Option<&'static [&'static str]>,
    worker: Option<&'static [&'static str]>,
}

const REPLICA: Trouble = Trouble {
    begins: &["REPLICAOF 127.0.0.1 1"],
    ends: &["REPLICAOF NO ONE"],
    milter: Some(&["READONLY", "redis.url"]),
    worker: Some(&["READONLY", "redis.url"]),
};

const FULL: Trouble = Trouble {
    begins: &["CONFIG SET maxmemory 1mb"],
    ends: &["CONFIG SET maxmemory 2gb"],
    milter: Some(&["Redis is full"]),
    worker: Some(&["Redis is full"]),
};

const OTHERS: [Trouble; 5] = [
    Trouble {
        begins: &["CONFIG SET min-replicas-to-write 1"],
        ends: &["CONFIG SET min-replicas-to-write 0"],
        milter: Some(&["NOREPLICAS"]),
        worker: Some(&["NOREPLICAS"]),
    },
    Trouble {
        begins: &["ACL SETUSER thundergate-milter -set"],
        ends: &["ACL SETUSER thundergate-milter +set"],
        milter: Some(&["NOPERM", "thundergate-milter", "users.acl"]),
        worker: None,
    },
    Trouble {
        begins: &["ACL SETUSER thundergate-milter -xadd"],
        ends: &["ACL SETUSER thundergate-milter +xadd"],
        milter: Some(&["NOPERM", "tg:1:{jobs-0}:mail", "users.acl"]),
        worker: None,
    },
    Trouble {
        begins: &["ACL SETUSER thundergate-worker -publish"],
        ends: &["ACL SETUSER thundergate-worker +publish"],
        milter: None,
        worker: Some(&["NOPERM", "announce", "users.acl"]),
    },
    Trouble {
        begins: &["RENAME tg:1:{jobs-0}:mail kept", "SET tg:1:{jobs-0}:mail mine"],
        ends: &["RENAME kept tg:1:{jobs-0}:mail"],
        milter: Some(&["WRONGTYPE", "tg:1:{jobs-0}:mail"]),
        worker: Some(&["WRONGTYPE", "tg:1:{jobs-0}:mail"]),
    },
];

/// A server with a milter and a worker that have names of their own there.
struct Stage {
    server: RedisServer,
    site: Site,
    milter: Milter,
    worker: Program,
}

impl Stage {
    async fn set(server: RedisServer) -> Self {
        let site = Site::single(1, Settings::default()).await;
        let section = |user: &str| {
            let login = format!("redis://{}", server.url_of(user).trim_start_matches("redis://"));
            format!("[redis]\nurl = \"{login}\"\nusername = \"{user}\"\n")
        };
        let milter = Milter::start(&section(MILTER)).await;
        let worker = format!("admin.listen = \"127.0.0.1:0\"\n{}{}", section(WORKER), site.farm_section());
        let worker = Program::start("thundergate-worker", &worker).await.unwrap();
        let stage = Self { server, site, milter, worker };
        assert!(stage.milter.send(&with_attachment(1)).await.delivers(), "it works");
        stage
    }

    fn run(&self, commands: &[&str]) {
        for command in commands {
            self.server.command(command).unwrap();
        }
    }

    async fn says(&self, program: &Program, words: Option<&[&str]>) {
        let expected = words.unwrap_or_default();
        let told = format!("/ready tells of {expected:?}");
        eventually(PATIENCE, &told, async || {
            let (status, text) = ready(program).await;
            (status == 200) == words.is_none() && expected.iter().all(|word| text.contains(word))
        })
        .await;
    }

    /// The trouble comes, is told, and goes.
    async fn meets(&self, trouble: &Trouble) {
        self.run(trouble.begins);
        self.says(&self.milter.program, trouble.milter).await;
        self.says(&self.worker, trouble.worker).await;
        self.run(trouble.ends);
        self.says(&self.milter.program, None).await;
        self.says(&self.worker, None).await;
    }
}

fn with_attachment(seed: u64) -> Mail {
    let mail = Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 5_000)).bytes());
    Mail { queue_id: format!("4Q{seed}"), ..mail }
}

async fn ready(program: &Program) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default(); // for reqwest
    let address = program.addresses("admin").swap_remove(0);
    let answer = reqwest::get(format!("http://{address}/ready")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The lines of a trouble that a program has written.
fn told(program: &Program) -> Vec<String> {
    let events = program.events();
    let lines = events.iter().filter(|line| line["event"] == "hub_trouble");
    lines.map(|line| line["error"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn what_redis_refuses_is_not_ready_and_told_with_whose_it_is() {
    let stage = Stage::set(RedisServer::start().unwrap()).await;
    stage.meets(&REPLICA).await;
    for trouble in &OTHERS {
        stage.meets(trouble).await;
    }
    assert!(stage.milter.send(&with_attachment(2)).await.delivers(), "it works again");
    for program in [&stage.milter.program, &stage.worker] {
        let lines = told(program);
        let different: BTreeSet<_> = lines.iter().collect();
        assert_eq!(lines.len(), different.len(), "once each: {lines:#?}");
    }
}

#[tokio::test]
async fn a_disk_that_takes_no_snapshot_is_not_ready() {
    let stage = Stage::set(RedisServer::start_with(&["--save", "3600 1"]).unwrap()).await;
    let [_, directory]: [String; 2] =
        stage.server.ask::<Vec<String>>("CONFIG GET dir").unwrap().try_into().unwrap();
    // A folder where the snapshot should be.
    let in_the_way = PathBuf::from(directory).join("dump.rdb").join("folder");
    fs::create_dir_all(&in_the_way).unwrap();
    stage.run(&["BGSAVE"]);
    for program in [&stage.milter.program, &stage.worker] {
        stage.says(program, Some(&["MISCONF", "disk"])).await;
    }
    fs::remove_dir_all(in_the_way.parent().unwrap()).unwrap();
    eventually(PATIENCE, "a snapshot is made", async || stage.server.command("BGSAVE").is_ok()).await;
    for program in [&stage.milter.program, &stage.worker] {
        stage.says(program, None).await;
    }
}

#[tokio::test]
async fn a_full_redis_is_told_as_that_and_no_longer_as_a_full_queue() {
    let stage = Stage::set(RedisServer::start().unwrap()).await;
    stage.run(FULL.begins);
    for program in [&stage.milter.program, &stage.worker] {
        stage.says(program, FULL.milter).await;
    }
    let (mail, line) = (with_attachment(3), "it is told");
    let reply = stage.milter.send(&mail).await;
    assert!(matches!(&reply.action, Action::ReplyCode(text) if text.starts_with("451 ")), "{reply:?}");
    assert_eq!(stage.milter.line_of(&mail).await["cause"], "overload", "as policy.on.overload says");
    let said = |words: &'static str| {
        move |line: &serde_json::Value| line["msg"].as_str().unwrap_or_default().contains(words)
    };
    stage.milter.program.wait_for(said("Redis is full (maxmemory)"), PATIENCE).await.expect(line);
    assert!(!stage.milter.program.events().iter().any(said("The queue is full")));
    assert!(stage.milter.send(&with_attachment(1)).await.delivers(), "what is known is served");
    stage.run(FULL.ends);
    stage.says(&stage.milter.program, None).await;
    let again = Mail { queue_id: "AGAIN".to_owned(), ..with_attachment(3) };
    assert!(stage.milter.send(&again).await.delivers());
    assert_eq!(stage.site.scans_of(&noise(3, 5_000)), 1);
}

#[tokio::test]
async fn a_full_redis_is_gone_round_where_the_milter_can_scan() {
    let site = Site::single(1, Settings::default()).await;
    let server = RedisServer::start().unwrap();
    let redis = format!("[redis]\nurl = \"{}\"\n{}", server.url_of(MILTER), site.farm_section());
    let milter = Milter::start(&redis).await;
    server.command("CONFIG SET maxmemory 1mb").unwrap();
    eventually(PATIENCE, "it is not ready, since somebody must act", async || {
        let (status, text) = ready(&milter.program).await;
        status == 503 && text.contains("Redis is full")
    })
    .await;
    for seed in 0..3 {
        assert!(milter.send(&with_attachment(seed)).await.delivers(), "it is scanned directly");
    }
    assert_eq!(site.scans(), 3);
    let full = |line: &serde_json::Value| line["event"] == "redis_full";
    let lines: Vec<_> = milter.program.events().into_iter().filter(full).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0]["msg"].as_str().unwrap().contains("scanned directly"), "{lines:#?}");
}
