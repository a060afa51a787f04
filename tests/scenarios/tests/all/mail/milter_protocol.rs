// SPDX-License-Identifier: GPL-3.0-or-later
//! The milter protocol as MTAs speak it, as broken peers do, and as nobody should.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net,
    os::{fd::OwnedFd, unix::net::UnixListener},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use thundergate_harness::{
    eventually,
    mails::{eicar, mail, noise},
    mta::{Action, Mail, Mta, Offer},
    process::{Program, binary},
    site::Site,
    thunderstorm::{Fault, Settings},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// How long Linux waits at least before it acknowledges a packet alone. An answer that waits for that is never faster.
const STALL: Duration = Duration::from_millis(40);

fn clean(seed: u64) -> Mail {
    Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 1000)).bytes())
}

fn infected() -> Mail {
    Mail::of(mail().attach("a.com", "application/octet-stream", eicar()).bytes())
}

#[tokio::test]
async fn messages_of_one_connection_are_kept_apart_without_abort() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap();
    for _ in 0..3 {
        assert!(mta.send(&infected()).await.unwrap().quarantine.is_some());
        assert!(mta.send(&clean(1)).await.unwrap().delivers());
    }
    // Given up in the middle, without ABORT: nothing of it is left in the next one.
    mta.send_without_end(&infected()).await.unwrap();
    let next = clean(2);
    assert!(mta.send(&next).await.unwrap().delivers());
    let line = milter.line_of(&next).await;
    assert_eq!(line["recipients"].as_array().unwrap().len(), 1, "{line}");
    mta.send_without_end(&infected()).await.unwrap();
    mta.abort().await.unwrap();
    assert!(mta.send(&clean(3)).await.unwrap().delivers());
}

#[tokio::test]
async fn the_last_chunk_may_come_with_the_end_of_the_message() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap();
    mta.last_chunk_with_end = true;
    assert!(mta.send(&infected()).await.unwrap().quarantine.is_some());
    assert!(mta.send(&clean(1)).await.unwrap().delivers());
}

#[tokio::test]
async fn stalwart_sends_the_header_twice_and_no_queue_id() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap();
    mta.stalwart = true;
    let text = BASE64_STANDARD.encode("hello ".repeat(100));
    let program = BASE64_STANDARD.encode([b"MZ".as_slice(), &eicar()].concat());
    let mails = [
        ("plain", format!("Content-Type: text/plain\r\n\r\n{}", "hello")),
        ("folded", "Content-Type: text/plain;\r\n\tcharset=utf-8\r\nX-Empty:\r\n\r\nhello".to_owned()),
        ("base64", format!("Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}")),
        (
            "program",
            format!(
                "Content-Type: application/x-msdownload; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n{program}"
            ),
        ),
    ];
    let mut ids = BTreeSet::new();
    for (name, rest) in mails {
        let head = format!(
            "From: a@example.org\r\nSubject: {name}\r\nMessage-ID: <{name}@example.org>\r\nMIME-Version: 1.0\r\n"
        );
        let reply = mta.send(&Mail::of(format!("{head}{rest}\r\n"))).await.unwrap();
        assert_eq!(reply.quarantine.is_some(), name == "program", "{name}");
        let is_it =
            |line: &Value| line["event"] == "message" && line["message.id"] == format!("{name}@example.org");
        let line = milter.program.wait_for(is_it, PATIENCE).await.unwrap();
        assert!(line["ambiguities"].is_null() || line["ambiguities"] == json!([]), "{line}");
        let id = line["queue.id"].as_str().unwrap();
        assert!(id.starts_with("tg-") && ids.insert(id.to_owned()), "{line}");
    }
    assert!(mta.send(&infected()).await.unwrap().quarantine.is_some());
}

#[tokio::test]
async fn clients_have_ipv6_addresses_however_the_mta_spells_them() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    for ipv6_tag in [false, true] {
        let mut mta = Mta::connect(&milter.address).await.unwrap();
        mta.ipv6_tag = ipv6_tag;
        let mail = Mail { client: "[2001:db8::7]:25".parse().unwrap(), ..infected() };
        assert!(mta.send(&mail).await.unwrap().quarantine.is_some());
        assert_eq!(milter.line_of(&mail).await["client.address"], "2001:db8::7");
    }
}

#[tokio::test]
async fn a_login_ends_with_its_message() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("policy.trust.authenticated = true").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap();
    let trusted = Mail { auth: Some("anna".to_owned()), ..infected() };
    assert!(mta.send(&trusted).await.unwrap().delivers());
    // The next one comes without any macros, as after a MAIL that the MTA has none to tell of.
    let message = String::from_utf8(infected().message).unwrap();
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let packet = |command: u8, data: &[u8]| {
        let length = u32::try_from(data.len() + 1).unwrap().to_be_bytes();
        [length.as_slice(), &[command], data].concat()
    };
    let fields = header.split("\r\n").flat_map(|field| {
        let (name, value) = field.split_once(':').unwrap();
        packet(b'L', format!("{name}\0{value}\0").as_bytes())
    });
    let before =
        [packet(b'M', b"<a@x.example>\0"), packet(b'R', b"<b@x.example>\0"), packet(b'T', b"")].concat();
    mta.raw(&before).await.unwrap();
    mta.take().await.unwrap();
    mta.raw(&[fields.collect(), packet(b'N', b""), packet(b'B', body.as_bytes())].concat()).await.unwrap();
    mta.take().await.unwrap();
    mta.raw(&packet(b'E', b"")).await.unwrap();
    assert_eq!(mta.take().await.unwrap().0, b'q', "it is quarantined");
}

#[tokio::test]
async fn a_unix_socket_works_and_is_removed_at_the_end() {
    let site = Site::single(1, Settings::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("milter.sock");
    let mut milter = site.milter(&format!("listen = [\"unix:{}\"]", path.display())).await;
    assert!(milter.send(&infected()).await.quarantine.is_some());
    assert!(milter.program.terminate().await.unwrap().success());
    assert!(!path.exists());
}

/// The milter, with this as the socket that the service manager passes on (sd_listen_fds(3)).
fn with_passed(passed: impl Into<OwnedFd>, site: &Site, directory: &TempDir) -> Program {
    let config = directory.path().join("milter.toml");
    let listen = "listen = \"inet:127.0.0.1:1\"\nadmin.listen = \"127.0.0.1:0\"\n";
    std::fs::write(&config, format!("{listen}{}", site.farm_section())).expect("a temporary file");
    let mut shell = Command::new("sh");
    shell.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0", "sh"]);
    shell
        .arg(binary("thundergate-milter").expect("the milter builds"))
        .args(["serve", "--config"])
        .arg(config);
    shell.stdin(Stdio::from(passed.into()));
    Program::launch(shell).expect("there is a shell")
}

#[tokio::test]
async fn sockets_of_the_service_manager_outlive_the_milter() {
    let site = Site::single(1, Settings::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("milter.sock");
    let (tcp, unix) = (net::TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let addresses = [format!("inet:{}", tcp.local_addr().unwrap()), format!("unix:{}", path.display())];
    let pass = |n: usize| -> OwnedFd {
        if n == 0 { tcp.try_clone().unwrap().into() } else { unix.try_clone().unwrap().into() }
    };
    for (n, address) in addresses.iter().enumerate() {
        let mut first = with_passed(pass(n), &site, &directory);
        first.wait_until_ready().await.unwrap();
        assert_eq!(first.addresses("listen"), [address.as_str()], "in the place of `listen`");
        assert!(Mta::connect(address).await.unwrap().send(&clean(1)).await.unwrap().delivers());
        assert!(first.terminate().await.unwrap().success());
        // Nobody is there who accepts, and nobody is refused.
        let waiting = async { Mta::connect(address).await?.send(&infected()).await };
        let mut second = with_passed(pass(n), &site, &directory);
        let (reply, ready) = tokio::join!(waiting, second.wait_until_ready());
        ready.unwrap();
        assert!(reply.unwrap().quarantine.is_some());
        assert!(second.terminate().await.unwrap().success());
    }
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_no_listening_socket_is_refused_with_words() {
    let site = Site::single(1, Settings::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let udp = net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let refusal = with_passed(udp, &site, &directory).wait_until_ready().await.unwrap_err().to_string();
    assert!(refusal.contains("a socket passed on is neither TCP nor unix stream"), "{refusal}");
}

#[tokio::test]
async fn an_mta_that_offers_less_is_asked_for_no_more() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    for offer in [
        Offer { actions: 0x3f, options: 0x7f, version: 2 },
        Offer { actions: 0x1ff, options: 0, version: 6 },
        Offer { actions: 0x1ff, options: 0x1f_ffff, version: 6 },
    ] {
        let mut mta = Mta::connect_with(&milter.address, offer).await.unwrap();
        assert!(mta.send(&infected()).await.unwrap().quarantine.is_some(), "{offer:?}");
        assert!(mta.send(&clean(1)).await.unwrap().delivers(), "{offer:?}");
    }
}

#[tokio::test]
async fn a_quarantine_that_the_mta_does_not_offer_becomes_a_tempfail() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut mta =
        Mta::connect_with(&milter.address, Offer { actions: 0x1f, ..Offer::default() }).await.unwrap();
    let reply = mta.send(&infected()).await.unwrap();
    assert!(matches!(&reply.action, Action::ReplyCode(text) if text.starts_with("451 ")), "{reply:?}");
}

#[tokio::test]
async fn reject_discard_and_tag_reach_the_mta() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("policy.quarantine = \"\"\npolicy.reject = \"FullMatch.Score > 90\"").await;
    let reply = milter.send(&infected()).await;
    assert!(matches!(&reply.action, Action::ReplyCode(text) if text.starts_with("550 5.7.1 ")), "{reply:?}");
    let milter = site.milter("policy.discard = \"FullMatch.Score > 90\"").await;
    assert_eq!(milter.send(&infected()).await.action, Action::Discard);
    let milter = site.milter("policy.quarantine = \"\"\npolicy.tag = \"FullMatch.Score > 90\"").await;
    let reply = milter.send(&infected()).await;
    assert_eq!(reply.header("X-Thundergate").map(str::trim), Some("tag; cause=found"), "{reply:?}");
}

#[tokio::test]
async fn garbage_harms_only_its_own_session() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let address = milter.address.trim_start_matches("inet:").to_owned();
    let mut healthy = Mta::connect(&milter.address).await.unwrap();
    let attacks: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, b'O'],
        &[0, 0, 0, 1, b'E'],
        &[0, 0, 0, 13, b'O', 0, 0, 0, 6],
        &[0x80; 4096],
    ];
    for attack in attacks {
        let mut peer = TcpStream::connect(&address).await.unwrap();
        peer.write_all(attack).await.unwrap();
        peer.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, peer.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the session ends: {attack:?}");
        assert!(healthy.send(&clean(1)).await.unwrap().delivers(), "{attack:?}");
    }
    assert!(
        milter.program.events().iter().all(|line| line["level"] != "error"),
        "{:?}",
        milter.program.log_lines()
    );
}

#[tokio::test]
async fn random_bytes_within_a_conversation_never_accept_and_never_end_the_milter() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    for seed in 0..50 {
        let mut mta = Mta::connect(&milter.address).await.unwrap();
        mta.send_without_end(&infected()).await.unwrap();
        let _ = mta.raw(&noise(seed, 200)).await;
        let answer = tokio::time::timeout(Duration::from_millis(20), mta.take()).await;
        assert!(!matches!(answer, Ok(Ok((b'a', _)))), "seed {seed}: {answer:?}");
    }
    assert!(milter.send(&clean(1)).await.delivers());
}

#[tokio::test]
async fn half_a_conversation_accepts_nothing() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap();
    mta.send_without_end(&infected()).await.unwrap();
    drop(mta);
    assert!(milter.send(&clean(1)).await.delivers());
    let infected = |line: &serde_json::Value| line["event"] == "message" && line["cause"] == "found";
    assert!(!milter.program.events().iter().any(infected), "a message without an end is no message");
}

#[tokio::test]
async fn a_waiting_mta_hears_of_progress() {
    let settings = Settings { service_time: Duration::from_secs(2), ..Settings::default() };
    let site = Site::single(1, settings).await;
    let milter = site.milter("wait.progress = \"200ms\"").await;
    let reply = milter.send(&clean(1)).await;
    assert!(reply.delivers() && reply.progress >= 3, "{reply:?}");
}

#[tokio::test]
async fn the_scan_goes_on_when_the_mta_has_gone() {
    let settings = Settings { service_time: Duration::from_secs(1), ..Settings::default() };
    let site = Site::single(1, settings).await;
    let milter = site.milter("wait.progress = \"100ms\"").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap();
    mta.send_without_waiting(&clean(1)).await.unwrap();
    eventually(PATIENCE, "the scan has begun", async || site.farm[0].scanning() > 0).await;
    drop(mta);
    assert!(milter.send(&clean(1)).await.delivers());
    assert_eq!(site.scans_of(&noise(1, 1000)), 1);
}

#[tokio::test]
async fn a_drained_milter_finishes_open_messages_and_defers_new_ones() {
    let settings = Settings { service_time: Duration::from_secs(1), ..Settings::default() };
    let site = Site::single(1, settings).await;
    let mut milter = site.milter("").await;
    let mut open = Mta::connect(&milter.address).await.unwrap();
    let mut idle = Mta::connect(&milter.address).await.unwrap();
    assert!(idle.send(&clean(2)).await.unwrap().delivers());
    let finish = async {
        let reply = open.send(&clean(1)).await.unwrap();
        assert!(reply.delivers(), "{reply:?}");
    };
    let terminate = async {
        eventually(PATIENCE, "the scan has begun", async || site.farm[0].scanning() > 0).await;
        milter.program.ask_to_end().unwrap();
        let draining =
            |line: &serde_json::Value| line["msg"].as_str().is_some_and(|msg| msg.starts_with("draining"));
        milter.program.wait_for(draining, PATIENCE).await.expect("the drain is logged");
        match idle.send(&clean(2)).await {
            Ok(reply) => assert!(
                matches!(&reply.action, Action::ReplyCode(text) if text.starts_with("451 4.3.2")),
                "{reply:?}"
            ),
            Err(_closed) => {}
        }
    };
    tokio::join!(finish, terminate);
    assert!(milter.program.ended().await.unwrap().success());
}

#[tokio::test]
async fn trusted_mail_is_not_scanned_and_the_line_says_why() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("policy.trust.networks = [\"192.0.2.0/24\"]").await;
    let mail = infected();
    assert!(milter.send(&mail).await.delivers());
    let line = milter.line_of(&mail).await;
    assert_eq!(line["cause"], "trusted", "{line}");
    assert_eq!(line["parts"][0]["reason"], "trusted", "{line}");
    let elsewhere = Mail { client: "198.51.100.1:1".parse().unwrap(), ..infected() };
    assert!(milter.send(&elsewhere).await.quarantine.is_some());
}

#[tokio::test]
async fn a_known_attachment_is_answered_without_a_stall() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap(); // without TCP_NODELAY, as Postfix
    let known = clean(1);
    mta.send(&known).await.unwrap();
    let mut latencies = Vec::new();
    for _ in 0..200 {
        let reply = mta.send(&known).await.unwrap();
        assert!(reply.delivers());
        latencies.push(reply.eom_latency);
    }
    let fastest = latencies.iter().min().unwrap();
    assert!(*fastest < STALL, "{fastest:?}");
    assert_eq!(site.scans(), 1);
}

/// A quarantine is two packets. Without TCP_NODELAY the second waits until the MTA acknowledges the first.
#[tokio::test]
async fn an_answer_of_several_packets_does_not_stall() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut mta = Mta::connect(&milter.address).await.unwrap();
    let known = infected();
    let mut latencies = Vec::new();
    for _ in 0..50 {
        let reply = mta.send(&known).await.unwrap();
        assert!(reply.quarantine.is_some());
        latencies.push(reply.eom_latency);
    }
    let fastest = latencies.iter().min().unwrap();
    assert!(*fastest < STALL, "{fastest:?}");
}

#[tokio::test]
async fn findings_are_logged_as_postfix2thunderstorm_named_them() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mail = Mail { recipients: vec!["a@x.example".into(), "b@x.example".into()], ..infected() };
    milter.send(&mail).await;
    let line = milter.line_of(&mail).await;
    assert_eq!((&line["msg"], &line["level"]), (&"Quarantined email".into(), &"warning".into()), "{line}");
    assert_eq!(line["recipients"].as_array().unwrap().len(), 2);
    let finding =
        |line: &serde_json::Value| line["msg"] == "Finding" && line["queue.id"] == mail.queue_id.as_str();
    let finding = milter.program.wait_for(finding, PATIENCE).await.unwrap();
    assert_eq!(finding["level"], "warning");
    for field in ["sender", "recipients", "digest", "finding.score", "rules", "client.address", "message.id"]
    {
        assert!(!finding[field].is_null(), "{field}: {finding}");
    }
}

#[tokio::test]
async fn slow_scanners_do_not_hold_up_known_mail() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    milter.send(&clean(1)).await;
    site.farm[0].fault_of_mail(Fault::Hang);
    let mut stuck = Mta::connect(&milter.address).await.unwrap();
    stuck.send_without_waiting(&clean(2)).await.unwrap();
    eventually(PATIENCE, "the scanner is stuck", async || site.farm[0].requests() > 1).await;
    // One that waited for the scanner would be told to try again.
    assert!(milter.send(&clean(1)).await.delivers());
    assert_eq!(site.scans(), 1);
}
