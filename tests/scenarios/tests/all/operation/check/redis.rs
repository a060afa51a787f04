// SPDX-License-Identifier: GPL-3.0-or-later
//! Mistakes with Redis: the way to it, who logs in, how it runs, what is in it.

use super::*;
use std::sync::Arc;
use thundergate_harness::{
    process::Program,
    redis::{Certificates, Guard, MILTER, RedisCluster, RedisServer, WORKER, WatchedRedis},
    site::Site,
    thunderstorm::Standin,
    waiting::free_port,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Redis as it is delivered, and a scanner.
struct Stage {
    server: RedisServer,
    scanner: Standin,
}

impl Stage {
    async fn set(server: RedisServer) -> Self {
        Self { server, scanner: Standin::start(current()).await }
    }

    fn instances(&self) -> String {
        format!("[{{ url = \"{}\" }}]", self.scanner.url())
    }

    fn url(&self) -> String {
        self.server.url_of(WORKER)
    }

    /// The worker finds what was planted, with `redis` as its section.
    fn finds(&self, planted: &Planted<'_>, redis: &str) {
        Check::of("thundergate-worker").finds(planted, &worker(redis, &self.instances()));
    }

    /// The same while these commands hold.
    fn finds_while(&self, planted: &Planted<'_>, begin: &str, end: &str) {
        self.server.command(begin).unwrap();
        self.finds(planted, &at(&self.url()));
        self.server.command(end).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_site_has_nothing_to_be_told_and_nothing_is_left_in_redis() {
    let stage = Stage::set(RedisServer::start().unwrap()).await;
    let toml = worker(&at(&stage.url()), &stage.instances());
    let report = Check::of("thundergate-worker").with("--scan").report(&toml);
    assert_eq!((report.status(), complaints(&report)), (0, Vec::new()), "{report:#?}");
    assert_eq!(stage.scanner.own_uploads_of("thundergate-check"), 1, "its log says who asked");
    let text = String::from_utf8(Check::of("thundergate-worker").run(&toml).stdout).unwrap();
    assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");
    let left: Vec<String> = stage.server.ask("KEYS *").unwrap();
    assert!(left.iter().all(|key| key.contains("pulse-")), "what goes by itself: {left:?}");
    assert_eq!(stage.server.ask::<Vec<::redis::Value>>("ACL LOG").unwrap(), [], "nothing was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_redis_and_who_logs_in() {
    let stage = Stage::set(RedisServer::start().unwrap()).await;
    let (url, wrong, away) = ("redis.url", Level::Wrong, Level::Unavailable);
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "guessed").unwrap();
    let login = |user: &str| {
        let file = password.path().display();
        format!("{}\nusername = \"{user}\"\npassword_file = \"{file}\"", at(&stage.server.bare_url()))
    };
    let bare = stage.server.bare_url();
    let scanner = stage.scanner.url().replace("http", "redis");
    let port = free_port();
    for (what, subject, level, words, redis) in [
        (
            "wrong port",
            url,
            away,
            ["refused", "correct host and port"],
            at(&format!("redis://127.0.0.1:{port}/0")),
        ),
        ("unknown name", url, away, ["lookup", "DNS"], at("redis://redis.invalid/0")),
        ("no socket", url, away, ["No such file", "path in redis.url"], at("unix:///nowhere/redis.sock")),
        ("a web server", url, wrong, ["web server", "host and port"], at(&scanner)),
        (
            "TLS without need",
            url,
            wrong,
            ["speaks no TLS", "redis://"],
            at(&bare.replace("redis:", "rediss:")),
        ),
        ("nobody logs in", url, wrong, ["default", "users.acl"], at(&bare)),
        ("wrong password", "redis.username", wrong, [WORKER, "users.acl"], login(WORKER)),
        ("wrong user", "redis.username", wrong, ["nobody-knows", "users.acl"], login("nobody-knows")),
    ] {
        stage.finds(&Planted { what, subject, level, words: &words }, &redis);
    }
    let unreadable = format!("{}\npassword_file = \"/nowhere/password\"", at(&bare));
    let words = ["/nowhere/password", "readable"];
    let planted = Planted { what: "no file", subject: "redis.password_file", level: wrong, words: &words };
    stage.finds(&planted, &unreadable);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_redis_runs() {
    let stage = Stage::set(RedisServer::start().unwrap()).await;
    for (what, subject, level, words, begin, end) in [
        (
            "eviction",
            "maxmemory-policy",
            Level::Wrong,
            ["allkeys-lru", "noeviction"],
            "CONFIG SET maxmemory-policy allkeys-lru",
            "CONFIG SET maxmemory-policy noeviction",
        ),
        (
            "no disk",
            "appendonly",
            Level::Warning,
            ["restart", "appendonly yes"],
            "CONFIG SET appendonly no",
            "CONFIG SET appendonly yes",
        ),
        (
            "no bound",
            "maxmemory",
            Level::Warning,
            ["nothing bounds", "cache.redis_bytes"],
            "CONFIG SET maxmemory 0",
            "CONFIG SET maxmemory 2gb",
        ),
        (
            "too small",
            "maxmemory",
            Level::Warning,
            ["cache.redis_bytes", "raise maxmemory"],
            "CONFIG SET maxmemory 1gb",
            "CONFIG SET maxmemory 2gb",
        ),
        (
            "a replica",
            "redis.url",
            Level::Wrong,
            ["replica of", "master"],
            "REPLICAOF 127.0.0.1 1",
            "REPLICAOF NO ONE",
        ),
    ] {
        stage.finds_while(&Planted { what, subject, level, words: &words }, begin, end);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_the_lack_of_it() {
    let (certificates, others) = (Arc::new(Certificates::make().unwrap()), Certificates::make().unwrap());
    let stage = Stage::set(RedisServer::start_guarded(&Guard::tls(&certificates, false), &[]).unwrap()).await;
    let with_ca = |ca: &Certificates| format!("{}\nca_file = \"{}\"", at(&stage.url()), ca.ca().display());
    let plain = at(&stage.url().replace("rediss:", "redis:"));
    let by_name = with_ca(&certificates).replace("127.0.0.1", "localhost");
    for (what, words, redis) in [
        ("plain to TLS", ["TLS", "rediss://"], plain),
        ("another authority", ["BadSignature", "redis.ca_file"], with_ca(&others)),
        ("another name", ["not valid for name", "certificate"], by_name),
    ] {
        stage.finds(&Planted { what, subject: "redis.url", level: Level::Wrong, words: &words }, &redis);
    }
    let right = Check::of("thundergate-worker").report(&worker(&with_ca(&certificates), &stage.instances()));
    assert_eq!(complaints(&right), Vec::<&Finding>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_everybodys() {
    let site = Site::cluster(1, current()).await;
    let directory = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("redis.secret_file = \"{}\"\n", path.display())
    };
    let (own, other) = (secret("own", SECRET), secret("other", &SECRET.replace('0', "x")));
    let url = |user: &str| format!("redis.url = \"{}\"\n", site.redis_url_of(user));
    let toml = format!("admin.listen = \"\"\n{}{own}{}", url(WORKER), site.farm_section());
    let _worker = Program::start("thundergate-worker", &toml).await.unwrap();
    let settled = |toml: &str| {
        let report = Check::of("thundergate-milter").env("MAIL_CONFIG", "/nowhere").report(toml);
        report.findings.into_iter().rfind(|finding| finding.subject == "redis.secret_file").unwrap()
    };
    let right = format!("admin.listen = \"\"\nlisten = \"inet:127.0.0.1:0\"\n{}{own}", url(MILTER));
    thundergate_harness::eventually(LONGEST, "the worker has reported", async || {
        settled(&right).text.contains("opens what")
    })
    .await;
    for (secret, words) in [(other.as_str(), "not in redis.secret_file"), ("", "has no redis.secret_file")] {
        let found = settled(&right.replace(&own, secret));
        assert_eq!(found.level, Level::Wrong, "{found:?}");
        assert!(found.text.contains(words) && found.cure.contains("redis.secret_file"), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_of_a_cluster_and_a_lost_sentinel() {
    let (mut cluster, watched) = (RedisCluster::start().unwrap(), WatchedRedis::start().unwrap());
    let scanner = Standin::start(current()).await;
    let instances = format!("[{{ url = \"{}\" }}]", scanner.url());
    let urls = cluster.urls_of(WORKER).iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
    let toml = worker(&format!("url = [{urls}]"), &instances);
    let whole = Check::of("thundergate-worker").report(&toml);
    assert_eq!(complaints(&whole), Vec::<&Finding>::new());
    let versions =
        whole.findings.iter().filter(|finding| finding.subject.starts_with("redis version ")).count();
    assert_eq!(versions, cluster.nodes().len(), "each was asked: {whole:#?}");
    cluster.lose_the_holder_of("tg:1:{jobs-0}:mail").unwrap();
    let report = Check::of("thundergate-worker").report(&toml);
    let lost = complaints(&report);
    assert!(!lost.is_empty() && lost.iter().all(|finding| finding.level == Level::Unavailable), "{lost:#?}");

    let sentinels = watched.url_of(WORKER);
    let right = Check::of("thundergate-worker").report(&worker(&at(&sentinels), &instances));
    assert_eq!(complaints(&right), Vec::<&Finding>::new());
    let words = ["no master of this name", "sentinel monitor"];
    let planted =
        Planted { what: "another service", subject: "redis.url", level: Level::Wrong, words: &words };
    let other = sentinels.replace("/main", "/other");
    Check::of("thundergate-worker").finds(&planted, &worker(&at(&other), &instances));
}
