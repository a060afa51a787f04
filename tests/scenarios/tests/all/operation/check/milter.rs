// SPDX-License-Identifier: GPL-3.0-or-later
//! Mistakes of a milter: what Postfix is told, where it listens, files and folders. And a right site with a milter that
//! runs.

use super::*;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};
use thundergate_harness::{
    process::Program,
    redis::{MILTER, RedisServer},
    thunderstorm::Standin,
    waiting::free_port,
};

/// Postfix's values for a milter at this port.
fn main_cf(port: u16) -> String {
    format!(
        "smtpd_milters = {{ inet:localhost:{port}, default_action=tempfail, content_timeout=60s }}\n\
         non_smtpd_milters = $smtpd_milters\nmessage_size_limit = 20971520\n"
    )
}

/// A milter that scans by itself, and its Postfix.
struct Stage {
    scanner: Standin,
    port: u16,
}

impl Stage {
    async fn set() -> Self {
        Self { scanner: Standin::start(current()).await, port: free_port() }
    }

    fn toml(&self, extra: &str) -> String {
        format!(
            "admin.listen = \"127.0.0.1:0\"\nlisten = [\"inet:127.0.0.1:{}\"]\n{extra}\n\
             [farm]\ninstances = [{{ url = \"{}\" }}]\n",
            self.port,
            self.scanner.url()
        )
    }

    /// The check of a milter whose Postfix has these values.
    fn check(main_cf: &str) -> Check {
        let check = Check::of("thundergate-milter");
        check.file("main.cf", main_cf);
        let folder = check.directory.path().display().to_string();
        check.env("MAIL_CONFIG", folder)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_milter_has_nothing_to_be_told_before_and_while_it_runs() {
    let (stage, server) = (Stage::set().await, RedisServer::start().unwrap());
    let postfix = main_cf(stage.port);
    let alone = stage.toml("");
    let over_redis = format!("{alone}[redis]\n{}\n", at(&server.url_of(MILTER)));
    for toml in [&alone, &over_redis] {
        let report = Stage::check(&postfix).with("--scan").report(toml);
        assert_eq!((report.status(), complaints(&report)), (0, Vec::new()), "{report:#?}");
    }
    let admin = format!("admin.listen = \"127.0.0.1:{}\"", free_port());
    let toml = alone.replace("admin.listen = \"127.0.0.1:0\"", &admin);
    let _running = Program::start("thundergate-milter", &toml).await.unwrap();
    let report = Stage::check(&postfix).report(&toml);
    assert_eq!((report.status(), complaints(&report)), (0, Vec::new()), "{report:#?}");
    let told = |words: &str| report.findings.iter().any(|finding| finding.text.contains(words));
    assert!(told("a milter answers there") && told("a program of thundergate runs there"), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postfix_is_told_is_compared_with_the_configuration() {
    let stage = Stage::set().await;
    let right = main_cf(stage.port);
    let place = format!("localhost:{}", stage.port);
    let (wrong, warning) = (Level::Wrong, Level::Warning);
    for (name, level, words, from, to) in [
        ("smtpd_milters", wrong, ["not this milter", "postconf -e"], place.as_str(), "localhost:1"),
        ("milter_content_timeout", wrong, ["wait.deadline", "milter_content_timeout=60s"], "=60s", "=15s"),
        ("milter_content_timeout", warning, ["hardly more", "30s or more"], "=60s", "=25s"),
        ("milter_default_action", warning, ["unscanned", "tempfail"], "=tempfail", "=accept"),
        (
            "message_size_limit",
            warning,
            ["limits.message_bytes", "message_size_limit=52428800"],
            "= 2",
            "= 92",
        ),
    ] {
        let subject = format!("main.cf {name}");
        let planted = Planted { what: to, subject: &subject, level, words: &words };
        Stage::check(&right.replace(from, to)).finds(&planted, &stage.toml(""));
    }
    for (name, words, line) in [
        ("milter_command_timeout", ["wait.progress", "30s"], "milter_command_timeout = 5s"),
        ("milter_protocol", ["older", "milter_protocol=6"], "milter_protocol = 4"),
    ] {
        let subject = format!("main.cf {name}");
        let planted = Planted { what: line, subject: &subject, level: wrong, words: &words };
        Stage::check(&format!("{right}{line}\n")).finds(&planted, &stage.toml(""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_files_and_folders() {
    let stage = Stage::set().await;
    let postfix = main_cf(stage.port);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let readable = directory.path().join("token");
    fs::write(&readable, "0123456789abcdef").unwrap();
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o644)).unwrap();
    let (wrong, warning) = (Level::Wrong, Level::Warning);
    let right = stage.toml("");
    let listen = format!("inet:127.0.0.1:{}", stage.port);
    let token = format!("admin.token_file = \"{}\"", readable.display());
    for (what, subject, level, words, toml) in [
        (
            "taken",
            "listen",
            wrong,
            ["another program", "ss -lptn"],
            right.replace(&listen, &format!("inet:{address}")),
        ),
        (
            "no address",
            "listen",
            wrong,
            ["no such address", "listen"],
            right.replace(&listen, "inet:192.0.2.1:1"),
        ),
        (
            "no folder",
            "listen",
            wrong,
            ["cannot be written", "folder"],
            right.replace(&listen, "unix:/nowhere/m.sock"),
        ),
        (
            "admin taken",
            "admin.listen",
            wrong,
            ["another program", "admin.listen"],
            right.replace("127.0.0.1:0", &address.to_string()),
        ),
        (
            "no log folder",
            "log.file",
            wrong,
            ["/nowhere", "folder"],
            stage.toml("log.file = \"/nowhere/log\""),
        ),
        (
            "no token",
            "admin.token_file",
            wrong,
            ["cannot be read", "readable"],
            stage.toml("admin.token_file = \"/no\""),
        ),
        (
            "a token for all",
            "admin.token_file",
            warning,
            ["read by everybody", "chmod 640"],
            stage.toml(&token),
        ),
        ("unknown key", "wait.dedline", wrong, ["unknown", "correct"], stage.toml("wait.dedline = \"20s\"")),
    ] {
        Stage::check(&postfix).finds(&Planted { what, subject, level, words: &words }, &toml);
    }
}
