// SPDX-License-Identifier: GPL-3.0-or-later
//! Every row of the failure table, provoked over the milter protocol: what the MTA is told by default, what the log line
//! says, and that the configured alternative is taken.

use std::time::Duration;
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Action, Mail, Mta, Reply},
    redis::{MILTER, RedisServer},
    site::{Milter, Site},
    thunderstorm::{Fault, Settings},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Clients disagree on which of its transfer encodings counts.
const AMBIGUOUS: &str = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a.bin\r\n\
     Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSGVsbG8gd29ybGQh\r\n";

fn with_attachment(seed: u64) -> Mail {
    Mail::of(mail().attach("report.pdf", "application/pdf", noise(seed, 5_000)).bytes())
}

/// EnvelopedData (RFC 5652, 6.1) with `content` as its encrypted content.
fn enveloped(content: &[u8]) -> Vec<u8> {
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("tests use little content").to_be_bytes();
        [&[tag, 0x82], length.as_slice(), content].concat()
    }
    const PKCS7: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];
    let oid = |last: u8| [&[0x06, 9], PKCS7.as_slice(), &[last]].concat();
    let aes_256_cbc = [0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 3, 4, 1, 42];
    let encrypted = [oid(1), der(0x30, &aes_256_cbc), der(0x80, content)].concat();
    let enveloped = [&[2, 1, 0], der(0x31, &[]).as_slice(), &der(0x30, &encrypted)].concat();
    der(0x30, &[oid(3), der(0xa0, &der(0x30, &enveloped))].concat())
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
    site.farm[0].fault_of_mail(Fault::Hang);
    let milter = site.milter("wait.deadline = \"300ms\"").await;
    let reply = told(&milter, &with_attachment(1), "pending").await;
    assert!(is_tempfail(&reply, "4.7.1"), "{reply:?}");
}

#[tokio::test]
async fn pending_can_be_accepted_or_quarantined() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault_of_mail(Fault::Hang);
    let milter = site.milter("wait.deadline = \"300ms\"\npolicy.on.pending = \"accept\"").await;
    assert!(told(&milter, &with_attachment(1), "pending").await.delivers());
    let milter = site.milter("wait.deadline = \"300ms\"\npolicy.on.pending = \"quarantine\"").await;
    assert!(told(&milter, &with_attachment(1), "pending").await.quarantine.is_some());
}

#[tokio::test]
async fn without_a_seat_the_answer_comes_at_once() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault_of_mail(Fault::Hang);
    let milter = site.milter("wait.deadline = \"20s\"\nwait.sessions = 0").await;
    let reply = told(&milter, &with_attachment(1), "pending").await;
    assert!(is_tempfail(&reply, "4.7.1"), "{reply:?}");
    assert!(reply.eom_latency.as_secs() < 5, "{reply:?}");
}

#[tokio::test]
async fn a_scan_that_failed_for_good_gives_tempfail() {
    for fault in [
        Fault::Html,
        Fault::TruncatedJson,
        Fault::WrongHash,
        Fault::NotAnArray,
        Fault::Huge,
        Fault::Status(500),
    ] {
        let site = Site::single(1, Settings::default()).await;
        site.farm[0].fault_of_mail(fault);
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
async fn what_a_failing_scanner_did_not_scan_is_scanned_once_it_is_back() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("wait.deadline = \"5s\"").await;
    assert!(milter.send(&with_attachment(1)).await.delivers());
    site.farm[0].fault(Fault::Html);
    let mail = with_attachment(2);
    assert!(!milter.send(&mail).await.delivers());
    site.farm[0].fault(Fault::None);
    let again = Mail { queue_id: "AGAIN".to_owned(), ..mail };
    eventually(PATIENCE, "a failure of the scanner is held against no sample", async || {
        milter.send(&again).await.delivers()
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_hub_gives_tempfail() {
    let mut redis = RedisServer::start().unwrap();
    let milter = Milter::start(&format!("[redis]\nurl = \"{}\"\n", redis.url_of(MILTER))).await;
    redis.stop();
    let reply = told(&milter, &with_attachment(1), "unavailable").await;
    assert!(is_tempfail(&reply, "4.7.1"), "{reply:?}");
}

#[tokio::test]
async fn a_full_queue_gives_tempfail() {
    let site = Site::single(1, Settings::default()).await;
    site.farm[0].fault_of_mail(Fault::Hang);
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
    let reply = told(&milter, &Mail::of(format!("X-Thundergate: accept\r\n{AMBIGUOUS}")), "ambiguous").await;
    assert!(reply.delivers(), "{reply:?}");
    assert_eq!(reply.header("X-Thundergate").map(str::trim), Some("tag; cause=ambiguous"), "{reply:?}");
    let removed = |change: &thundergate_harness::mta::HeaderChange| {
        (change.name == "X-Thundergate", change.index, change.value.is_empty())
    };
    assert_eq!(reply.headers_changed.iter().map(removed).collect::<Vec<_>>(), [(true, 1, true)]);
    assert_eq!(site.scans(), 2, "both readings are scanned");
}

#[tokio::test]
async fn an_ambiguous_message_can_be_accepted_held_or_refused() {
    let site = Site::single(1, Settings::default()).await;
    let mail = Mail::of(AMBIGUOUS);
    let milter = site.milter("policy.on.ambiguous = \"accept\"").await;
    let reply = told(&milter, &mail, "ambiguous").await;
    assert!(reply.delivers() && reply.headers_inserted.is_empty(), "{reply:?}");
    let milter = site.milter("policy.on.ambiguous = \"quarantine\"").await;
    assert!(told(&milter, &mail, "ambiguous").await.quarantine.is_some());
    let milter = site.milter("policy.on.ambiguous = \"reject\"").await;
    assert!(!told(&milter, &mail, "ambiguous").await.delivers());
}

/// What becomes of `mail`, which holds what no scanner can see: `default`, or what the row says that `cause` names.
async fn unscannable(mail: Mail, cause: &str, default: &str) {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let reply = told(&milter, &mail, cause).await;
    let done = match (&reply.quarantine, reply.header("X-Thundergate")) {
        (Some(_), _) => "quarantine",
        (None, Some(_)) => "tag",
        (None, None) => "accept",
    };
    assert!(matches!(reply.action, Action::Accept | Action::Continue), "{reply:?}");
    assert_eq!(done, default, "{reply:?}");
    let line = milter.line_of(&mail).await;
    let skipped = |part: &serde_json::Value| part["disposition"] == "skipped" && part["reason"] == cause;
    assert!(line["parts"].as_array().is_some_and(|parts| parts.iter().any(skipped)), "{line}");
    assert_eq!(site.scans(), 1, "the bytes that travel are scanned all the same");
    let strict = site.milter(&format!("policy.on.{cause} = \"reject\"")).await;
    assert!(!told(&strict, &mail, cause).await.delivers(), "{cause}");
}

#[tokio::test]
async fn an_encrypted_part_is_accepted() {
    let smime = "application/pkcs7-mime; smime-type=enveloped-data";
    let mail = mail().attach("smime.p7m", smime, enveloped(&noise(1, 1000)));
    unscannable(Mail::of(mail.bytes()), "encrypted", "accept").await;
}

#[tokio::test]
async fn content_that_is_elsewhere_is_tagged() {
    let mail = "MIME-Version: 1.0\r\n\
                Content-Type: message/external-body; access-type=URL; URL=\"http://files.example/a.exe\"\r\n\r\n\
                Content-Type: application/octet-stream\r\n\r\n";
    unscannable(Mail::of(mail), "external_body", "tag").await;
}

#[tokio::test]
async fn a_fragment_of_a_message_is_quarantined() {
    let mail = "MIME-Version: 1.0\r\n\
                Content-Type: message/partial; id=\"1@example.org\"; number=1; total=2\r\n\r\n\
                Subject: half\r\n\r\nSGVsbG8";
    unscannable(Mail::of(mail), "partial", "quarantine").await;
}

#[tokio::test]
async fn a_message_of_forged_tags_neither_occupies_the_mta_nor_is_delivered() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mail = || Mail::of("X-Thundergate: accept\r\n".repeat(5_000) + "\r\nHello\r\n");
    let first = mail();
    let reply = told(&milter, &first, "malformed").await;
    assert!(reply.quarantine.is_some() && reply.headers_changed.is_empty(), "{:?}", reply.action);
    assert_eq!(milter.line_of(&first).await["malformed"], "forged_headers");
    for toml in ["policy.on.malformed = \"tag\"", "policy.trust.networks = [\"192.0.2.0/24\"]"] {
        let milter = site.milter(toml).await;
        let reply = milter.send(&mail()).await;
        assert!(is_tempfail(&reply, "4.7.1"), "{toml}: {:?}", reply.action);
    }
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
    site.farm[0].fault_of_mail(Fault::Hang);
    let milter = site.milter("mode = \"passive\"\nwait.deadline = \"300ms\"").await;
    let mail = with_attachment(1);
    assert!(milter.send(&mail).await.delivers());
    let line = milter.line_of(&mail).await;
    assert_eq!((&line["decision"], &line["passive"]), (&"tempfail".into(), &true.into()), "{line}");
}
