// SPDX-License-Identifier: GPL-3.0-or-later
//! The way to Redis: it breaks for a moment, it is slow, its password changes. No mail pays for any of it.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Mail, Reply},
    process::Program,
    proxy::{Mode, Proxy},
    redis::{Certificates, Guard, MILTER, RedisServer, WORKER, password_of},
    site::{Milter, Site},
    thunderstorm::Settings,
};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long the blink lasts.
const BLINK: Duration = Duration::from_millis(600);

fn with_attachment(seed: u64) -> Mail {
    let mail = Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 5_000)).bytes());
    Mail { queue_id: format!("4Q{seed}"), ..mail }
}

fn section(url: &str, rest: &str) -> String {
    format!("[redis]\nurl = \"{url}\"\n{rest}\n")
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap()
}

/// The same Redis by way of `proxy`.
fn by_way_of(proxy: &Proxy, url: &str) -> String {
    url.replace(&format!(":{}", port_of(url)), &format!(":{}", proxy.address().port()))
}

async fn proxy_to(server: &RedisServer) -> Proxy {
    Proxy::start(SocketAddr::from(([127, 0, 0, 1], port_of(&server.bare_url())))).await.unwrap()
}

async fn worker(site: &Site, redis: &str) -> Program {
    let toml = format!("admin.listen = \"127.0.0.1:0\"\n{redis}{}", site.farm_section());
    Program::start("thundergate-worker", &toml).await.unwrap()
}

/// Mails that are sent at the same time, and their answers.
fn send(milter: &Arc<Milter>, seeds: std::ops::Range<u64>) -> JoinSet<Reply> {
    let mut sent = JoinSet::new();
    for seed in seeds {
        let milter = Arc::clone(milter);
        sent.spawn(async move { milter.send(&with_attachment(seed)).await });
    }
    sent
}

async fn all_delivered(mut sent: JoinSet<Reply>) {
    while let Some(reply) = sent.join_next().await {
        let reply = reply.unwrap();
        assert!(reply.delivers(), "{reply:?}");
    }
}

#[tokio::test]
async fn mails_that_wait_or_come_while_redis_blinks_are_delivered() {
    let slow = Settings { service_time: Duration::from_secs(2), threads: 40, ..Settings::default() };
    let site = Site::single(1, slow).await;
    let server = RedisServer::start().unwrap();
    let proxy = proxy_to(&server).await;
    let milter = Arc::new(Milter::start(&section(&by_way_of(&proxy, &server.url_of(MILTER)), "")).await);
    let _worker = worker(&site, &section(&server.url_of(WORKER), "")).await;
    let waiting = send(&milter, 0..20);
    eventually(PATIENCE, "all of them are being scanned", async || site.farm[0].scanning() == 20).await;
    proxy.set(Mode::Refuse);
    // They come at the worst moment.
    let coming = send(&milter, 20..25);
    tokio::time::sleep(BLINK).await;
    proxy.set(Mode::Pass);
    all_delivered(waiting).await;
    all_delivered(coming).await;
}

#[tokio::test]
async fn a_long_outage_holds_up_no_mail() {
    let mut server = RedisServer::start().unwrap();
    let milter = Milter::start(&section(&server.url_of(MILTER), "")).await;
    server.stop();
    let first = milter.send(&with_attachment(1)).await;
    assert!(!first.delivers() && first.eom_latency < PATIENCE, "{first:?}");
    let second = milter.send(&with_attachment(2)).await;
    assert!(!second.delivers() && second.eom_latency < Duration::from_secs(2), "{second:?}");
}

#[tokio::test]
async fn everything_works_at_300_ms_of_round_trip() {
    let certificates = Arc::new(Certificates::make().unwrap());
    let server = RedisServer::start_guarded(&Guard::tls(&certificates, false), &[]).unwrap();
    let site = Site::single(1, Settings::default()).await;
    let proxy = proxy_to(&server).await;
    proxy.set(Mode::Latency(Duration::from_millis(150)));
    let far = |user| {
        let authority = format!("ca_file = {:?}", certificates.ca());
        section(&by_way_of(&proxy, &server.url_of(user)), &authority)
    };
    let milters = [Milter::start(&far(MILTER)).await, Milter::start(&far(MILTER)).await];
    let worker = worker(&site, &far(WORKER)).await;
    let mail = with_attachment(1);
    for milter in &milters {
        let reply = milter.send(&mail).await;
        assert!(reply.delivers(), "{reply:?}");
        assert!(reply.eom_latency < Duration::from_secs(8), "by an announcement or a look-up: {reply:?}");
    }
    assert_eq!(site.scans_of(&noise(1, 5_000)), 1, "the second milter believes the first scan");
    // It comes back, too.
    proxy.set(Mode::Refuse);
    eventually(PATIENCE, "it is away", async || !is_ready(&milters[0].program).await).await;
    proxy.set(Mode::Latency(Duration::from_millis(150)));
    for program in [&milters[0].program, &milters[1].program, &worker] {
        eventually(PATIENCE, "it is back", async || is_ready(program).await).await;
    }
    assert!(milters[0].send(&with_attachment(2)).await.delivers());
}

async fn is_ready(program: &Program) -> bool {
    let _ = rustls::crypto::ring::default_provider().install_default(); // for reqwest
    let address = program.addresses("admin").swap_remove(0);
    reqwest::get(format!("http://{address}/ready")).await.is_ok_and(|answer| answer.status() == 200)
}

/// A server, and a file with the password of its milters.
struct Login {
    server: RedisServer,
    directory: TempDir,
}

impl Login {
    fn new() -> Self {
        let login = Self { server: RedisServer::start().unwrap(), directory: tempfile::tempdir().unwrap() };
        login.write(&password_of(MILTER));
        login
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("password")
    }

    fn write(&self, password: &str) {
        fs::write(self.file(), password).unwrap();
    }

    fn section(&self) -> String {
        let rest = format!("username = \"{MILTER}\"\npassword_file = {:?}", self.file());
        section(&self.server.bare_url(), &rest)
    }

    /// From now on the milters' password is another one, and who is logged in is thrown out.
    fn change(&self, password: &str) {
        self.server.command(&format!("ACL SETUSER {MILTER} resetpass >{password}")).unwrap();
        self.server.command(&format!("CLIENT KILL USER {MILTER}")).unwrap();
    }
}

#[tokio::test]
async fn a_new_password_is_used_without_a_restart() {
    let login = Login::new();
    let site = Site::single(1, Settings::default()).await;
    let milter = Milter::start(&login.section()).await;
    let _worker = worker(&site, &section(&login.server.url_of(WORKER), "")).await;
    assert!(milter.send(&with_attachment(1)).await.delivers());

    // By each new connection, without a word.
    login.write("another");
    login.change("another");
    assert!(milter.send(&with_attachment(2)).await.delivers());

    // And at SIGHUP, while the old password still holds.
    login.write("third");
    login.server.command(&format!("ACL SETUSER {MILTER} >third")).unwrap();
    milter.program.hang_up().unwrap();
    let reloaded = |line: &serde_json::Value| line["event"] == "reloaded";
    milter.program.wait_for(reloaded, PATIENCE).await.expect("it reads its configuration again");
    assert!(milter.send(&with_attachment(3)).await.delivers());
    login.change("third");
    assert!(milter.send(&with_attachment(4)).await.delivers());

    // One that is refused is named, and what is open goes on.
    login.write("a typing error");
    milter.program.hang_up().unwrap();
    let refused = |line: &serde_json::Value| line["event"] == "login_refused";
    let line = milter.program.wait_for(refused, PATIENCE).await.expect("it says that it is refused");
    names_the_file(&line, &login);
    assert!(milter.send(&with_attachment(5)).await.delivers());
}

#[tokio::test]
async fn a_wrong_password_is_named_in_the_milters_log() {
    let login = Login::new();
    login.write("wrong");
    let milter = Milter::start(&login.section()).await;
    let mail = with_attachment(1);
    assert!(!milter.send(&mail).await.delivers());
    assert_eq!(milter.line_of(&mail).await["cause"], "unavailable");
    for event in ["hub_trouble", "announcements_interrupted"] {
        let is_it = move |line: &serde_json::Value| line["event"] == event;
        let line = milter.program.wait_for(is_it, PATIENCE).await.expect("it says that it cannot log in");
        names_the_file(&line, &login);
        assert_eq!(milter.program.events().into_iter().filter(is_it).count(), 1, "once");
    }
    login.write(&password_of(MILTER));
    eventually(PATIENCE, "it gets in", async || is_ready(&milter.program).await).await;
}

fn names_the_file(line: &serde_json::Value, login: &Login) {
    let text = line["error"].as_str().unwrap();
    for word in [MILTER, "redis.password_file", login.file().to_str().unwrap()] {
        assert!(text.contains(word), "{line}");
    }
}
