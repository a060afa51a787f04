// SPDX-License-Identifier: GPL-3.0-or-later
//! Every row of the failure table, provoked over the milter protocol: what the MTA is told by default, what the log line
//! says, and that the configured alternative is taken.

use std::time::Duration;
use thundergate_tests::{
    harness::{
        eventually,
        mails::{mail, noise},
        mta::{Action, Mail, Mta, Reply},
        redis::RedisServer,
        site::{Milter, Site},
    },
    thunderstorm::{Fault, Settings},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn with_attachment(seed: u64) -> Mail {
    Mail::of(mail().attach("report.pdf", "application/pdf", noise(seed, 5_000)).bytes())
}

fn is_tempfail(reply: &Reply, code: &str) -> bool {
    matches!(&reply.action, Action::ReplyCode(text) if text.starts_with(&format!("451 {code} ")))
}

/// What the milter says of `mail`, with the cause in its log.
async fn told(milter: &Milter, mail: &Mail, cause: &str) -> Reply {
    let reply = milter.send(mail).await;
    let line = milter.line_of(mail).await;
    assert_eq!(line["cause"], cause, "{line}");
    reply
}

#[tokio::test]
async fn pending_at_the_deadline_gives_tempfail() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault(Fault::Hang);
    let milter = site.milter("wait.deadline = \"300ms\"").await;
    let reply = told(&milter, &with_attachment(1), "pending").await;
    assert!(is_tempfail(&reply, "4.7.1"), "{reply:?}");
}

#[tokio::test]
async fn pending_can_be_accepted_or_quarantined() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault(Fault::Hang);
    let milter = site.milter("wait.deadline = \"300ms\"\npolicy.on.pending = \"accept\"").await;
    assert!(told(&milter, &with_attachment(1), "pending").await.delivers());
    let milter = site.milter("wait.deadline = \"300ms\"\npolicy.on.pending = \"quarantine\"").await;
    assert!(told(&milter, &with_attachment(1), "pending").await.quarantine.is_some());
}

#[tokio::test]
async fn without_a_seat_the_answer_comes_at_once() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault(Fault::Hang);
    let milter = site.milter("wait.deadline = \"20s\"\nwait.sessions = 0").await;
    let reply = told(&milter, &with_attachment(1), "pending").await;
    assert!(is_tempfail(&reply, "4.7.1"), "{reply:?}");
    assert!(reply.eom_latency.as_secs() < 5, "{reply:?}");
}

#[tokio::test]
async fn a_scan_that_failed_for_good_gives_tempfail() {
    for fault in [Fault::Html, Fault::TruncatedJson, Fault::WrongHash, Fault::NotAnArray, Fault::Status(500)]
    {
        let site = Site::single(1, Settings::default()).await;
        site.farm[0].fault(fault);
        let milter = site.milter("queue.max_deliveries = 1\nwait.deadline = \"15s\"").await;
        let mail = with_attachment(1);
        let reply = told(&milter, &mail, "scan_failed").await;
        assert!(is_tempfail(&reply, "4.7.1"), "{fault:?}: {reply:?}");
        let line = milter.line_of(&mail).await;
        let failed = line["parts"].as_array().unwrap().iter().any(|part| part["disposition"] == "failed");
        assert!(failed, "{fault:?}: {line}");
    }
}

#[tokio::test]
async fn a_failed_scan_is_not_remembered() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault(Fault::Html);
    let milter = site.milter("queue.max_deliveries = 1\nwait.deadline = \"15s\"").await;
    let mail = with_attachment(1);
    assert!(!milter.send(&mail).await.delivers());
    site.farm[0].fault(Fault::None);
    assert!(milter.send(&Mail { queue_id: "AGAIN".to_owned(), ..mail }).await.delivers());
}

#[tokio::test]
async fn an_unreachable_hub_gives_tempfail() {
    let mut redis = RedisServer::start().unwrap();
    let milter = Milter::start(&format!("[redis]\nurl = \"{}\"\n", redis.url())).await;
    redis.stop();
    let reply = told(&milter, &with_attachment(1), "unavailable").await;
    assert!(is_tempfail(&reply, "4.7.1"), "{reply:?}");
}

#[tokio::test]
async fn a_full_queue_gives_tempfail() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault(Fault::Hang);
    let milter = site.milter("wait.deadline = \"300ms\"\nqueue.max_jobs = 1\nwait.sessions = 0").await;
    told(&milter, &with_attachment(1), "pending").await;
    // The scanner's slots hold the first ones; the queue behind them takes one.
    let mut replies = Vec::new();
    for seed in 2..20 {
        let mail = with_attachment(seed);
        replies.push((milter.send(&mail).await, milter.line_of(&mail).await["cause"].clone()));
    }
    let refused: Vec<_> = replies.iter().filter(|(_, cause)| cause == "overload").collect();
    assert!(!refused.is_empty(), "{replies:?}");
    assert!(refused.iter().all(|(reply, _)| is_tempfail(reply, "4.3.1")), "{refused:?}");
}

#[tokio::test]
async fn no_memory_gives_tempfail() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("limits.message_bytes = \"700KiB\"\nlimits.memory_bytes = \"700KiB\"").await;
    let large = Mail::of(mail().attach("a.bin", "application/octet-stream", noise(1, 300_000)).bytes());
    let mut open = Mta::connect(&milter.address).await.unwrap();
    open.send_without_end(&large).await.unwrap();
    let reply = told(&milter, &large, "overload").await;
    assert!(is_tempfail(&reply, "4.3.1"), "{reply:?}");
    drop(open);
    eventually(PATIENCE, "the memory is there again", async || milter.send(&large).await.delivers()).await;
}

#[tokio::test]
async fn an_oversize_message_is_quarantined() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("limits.message_bytes = \"100KiB\"").await;
    let large = Mail::of(mail().attach("a.bin", "application/octet-stream", noise(1, 400_000)).bytes());
    assert!(told(&milter, &large, "oversize").await.quarantine.is_some());
    assert_eq!(site.scans(), 0);
}

#[tokio::test]
async fn an_oversize_part_is_quarantined_and_not_sent() {
    let site = Site::single(1, Settings::default()).await;
    let large = Mail::of(mail().attach("a.bin", "application/octet-stream", noise(1, 40_000)).bytes());
    let milter = site.milter("limits.sample_bytes = \"20KiB\"").await;
    assert!(told(&milter, &large, "oversize").await.quarantine.is_some());
    assert_eq!(site.scans(), 0);
    for (action, delivered) in [("tag", true), ("reject", false), ("tempfail", false)] {
        let milter =
            site.milter(&format!("limits.sample_bytes = \"20KiB\"\npolicy.on.oversize = \"{action}\"")).await;
        assert_eq!(told(&milter, &large, "oversize").await.delivers(), delivered, "{action}");
    }
}

#[tokio::test]
async fn a_part_above_the_scanners_own_limit_is_never_called_clean() {
    let settings = Settings { max_file_bytes: 10_000, ..Settings::default() };
    let site = Site::single(1, settings).await;
    let hub = site.farm_section().replace("[farm]", "[farm]\nmax_file_bytes = \"10KB\"");
    let milter = Milter::start(&hub).await;
    let large = Mail::of(mail().attach("a.bin", "application/octet-stream", noise(1, 40_000)).bytes());
    assert!(told(&milter, &large, "oversize").await.quarantine.is_some());
    assert_eq!(site.scans(), 0);
}

#[tokio::test]
async fn a_message_past_its_budget_is_quarantined() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("limits.parts = 5").await;
    let mut many = mail();
    for seed in 0..20 {
        many = many.attach("a.bin", "application/octet-stream", noise(seed, 100));
    }
    assert!(told(&milter, &Mail::of(many.bytes()), "malformed").await.quarantine.is_some());
}

#[tokio::test]
async fn an_ambiguous_message_is_tagged_and_a_forged_tag_removed() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let message = "X-Thundergate: accept\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a.bin\r\n\
                   Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSGVsbG8gd29ybGQh\r\n";
    let reply = told(&milter, &Mail::of(message), "ambiguous").await;
    assert!(reply.delivers(), "{reply:?}");
    assert_eq!(reply.header("X-Thundergate").map(str::trim), Some("tag; cause=ambiguous"), "{reply:?}");
    let removed = |change: &thundergate_tests::harness::mta::HeaderChange| {
        (change.name == "X-Thundergate", change.index, change.value.is_empty())
    };
    assert_eq!(reply.headers_changed.iter().map(removed).collect::<Vec<_>>(), [(true, 1, true)]);
    assert_eq!(site.scans(), 2, "both readings are scanned");
}

#[tokio::test]
async fn a_message_of_forged_tags_does_not_occupy_the_mta() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let message = "X-Thundergate: accept\r\n".repeat(5_000) + "\r\nHello\r\n";
    let reply = milter.send(&Mail::of(message)).await;
    assert!(reply.delivers(), "{:?}", reply.action);
    assert_eq!(reply.headers_changed.len(), 100);
}

#[tokio::test]
async fn a_bug_gives_tempfail_whatever_the_policy_says() {
    let site = Site::single(1, Settings::default()).await;
    // Divides by zero for files of 27 bytes, an error that the check at load does not foresee.
    let on = "pending = \"accept\"\nscan_failed = \"accept\"\nunavailable = \"accept\"\n";
    let toml = format!(
        "[policy]\nquarantine = \"FullMatch.Score % (FullMatch.Context.Size - 9 * 3) > 50\"\n[policy.on]\n{on}"
    );
    let milter = site.milter(&toml).await;
    let suspicious = mail().attach("note.txt", "text/plain", b"THUNDERGATE-TEST-SUSPICIOUS".to_vec());
    let reply = told(&milter, &Mail::of(suspicious.bytes()), "bug").await;
    assert!(is_tempfail(&reply, "4.3.0"), "{reply:?}");
}

#[tokio::test]
async fn passive_mode_accepts_and_says_what_it_would_have_done() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault(Fault::Hang);
    let milter = site.milter("mode = \"passive\"\nwait.deadline = \"300ms\"").await;
    let mail = with_attachment(1);
    assert!(milter.send(&mail).await.delivers());
    let line = milter.line_of(&mail).await;
    assert_eq!((&line["decision"], &line["passive"]), (&"tempfail".into(), &true.into()), "{line}");
}
