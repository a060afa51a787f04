// SPDX-License-Identifier: GPL-3.0-or-later
//! Who starts a program, or has it scan a file, with a scanner or a Redis that cannot be used, reads the cause at once.

use super::*;
use thundergate_harness::{
    mails::{mail, noise},
    process::Program,
    redis::RedisServer,
    site::Site,
    waiting::free_port,
};

/// Within so long: 3 s, and more where other tests have the processors, but never `wait.deadline` (20 s).
const AT_ONCE: Duration = Duration::from_secs(10);

/// What `scan` says of a mail with an attachment: on stdout, on stderr, and its status.
fn scan(toml: &str) -> (String, String, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    let (config, message) = (directory.path().join("config.toml"), directory.path().join("message.eml"));
    std::fs::write(&config, toml).unwrap();
    std::fs::write(&message, mail().attach("a.bin", "application/octet-stream", noise(1, 900)).bytes())
        .unwrap();
    let began = Instant::now();
    let mut command = Command::new(binary("thundergate-milter").unwrap());
    let output = command.args(["scan", "--config"]).args([&config, &message]).output().unwrap();
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Wrong scanners, and what is said of each.
fn wrong_scanners(web_server: &str) -> [(String, [&'static str; 2]); 3] {
    [
        (format!("http://127.0.0.1:{}", free_port()), ["refused", "start the scanner"]),
        ("http://storm.invalid:8080".to_owned(), ["lookup", "DNS"]),
        (web_server.to_owned(), ["404", "no Thunderstorm"]),
    ]
}

/// The admin server of a milter, which is no Thunderstorm.
async fn web_server(site: &Site) -> (thundergate_harness::site::Milter, String) {
    let milter = site.milter("").await;
    let url = format!("http://{}", milter.program.addresses("admin").swap_remove(0));
    (milter, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn scan_says_why_nothing_can_be_scanned() {
    let site = Site::single(1, current()).await;
    let (_milter, other) = web_server(&site).await;
    for (url, words) in wrong_scanners(&other) {
        let (out, error, status) = scan(&format!("[farm]\ninstances = [{{ url = \"{url}\" }}]\n"));
        assert!(words.iter().all(|word| error.contains(word)) && error.contains(&url), "{error}");
        assert!(out.contains("tempfail (pending)"), "the decision as ever: {out}");
        assert_eq!(status, Some(69));
    }
    let (out, error, status) = scan(&site.farm_section());
    assert_eq!((error.as_str(), status), ("", Some(0)), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scan_says_what_is_wrong_with_redis() {
    let server = RedisServer::start().unwrap();
    for (url, words) in [
        (format!("redis://127.0.0.1:{}/0", free_port()), ["refused", "redis.url"]),
        (server.url_of("nobody"), ["nobody", "users.acl"]),
    ] {
        let (out, error, status) = scan(&format!("[redis]\nurl = \"{url}\"\n"));
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert!(out.contains("tempfail (unavailable)"), "{out}");
        assert_eq!(status, Some(69));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_logs_the_cause_and_what_to_do() {
    let (site, server) = (Site::single(1, current()).await, RedisServer::start().unwrap());
    let (_milter, other) = web_server(&site).await;
    for (url, words) in wrong_scanners(&other) {
        let farm = format!("[farm]\ninstances = [{{ name = \"wrong\", url = \"{url}\" }}]\n");
        let worker =
            format!("admin.listen = \"\"\n[redis]\n{}\n{farm}", at(&server.url_of("thundergate-worker")));
        let milter = format!("admin.listen = \"\"\nlisten = \"inet:127.0.0.1:0\"\n{farm}");
        for (program, toml) in [("thundergate-worker", worker), ("thundergate-milter", milter)] {
            let running = Program::start(program, &toml).await.unwrap();
            let is_it = |line: &serde_json::Value| line["event"] == "instance_unavailable";
            let line = running.wait_for(is_it, AT_ONCE).await.expect("it is logged at once");
            let told = line.to_string();
            assert!(words.iter().all(|word| told.contains(word)), "{told}");
            assert_eq!(
                (line["farm.instance"].as_str(), line["level"].as_str()),
                (Some("wrong"), Some("warning"))
            );
            assert!(line["farm.url"].as_str().unwrap().starts_with(&url), "{told}");
            let lines = running.events().iter().filter(|line| is_it(line)).count();
            assert_eq!(lines, 1, "once");
        }
    }
}
