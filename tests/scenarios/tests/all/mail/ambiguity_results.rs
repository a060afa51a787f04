// SPDX-License-Identifier: GPL-3.0-or-later
//! What a message that clients read differently carries when it is delivered: MIME-Ambiguity-Results, ours alone.

use std::time::Duration;
use thundergate_harness::{
    mails::{base64_lines, eicar, mail, noise},
    mta::{HeaderChange, Mail, Reply},
    site::Site,
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(20);
const RESULTS: &str = "MIME-Ambiguity-Results";

fn clean(seed: u64) -> Mail {
    Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 1000)).bytes())
}

fn infected() -> Mail {
    Mail::of(mail().attach("a.com", "application/octet-stream", eicar()).bytes())
}

/// Clients disagree on the type and on the transfer encoding.
fn ambiguous() -> Mail {
    let fields = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a.bin\r\n\
                  Content-Type: application/x-other; name=a.bin\r\n\
                  Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n";
    Mail::of(format!("{fields}\r\nSGVsbG8gd29ybGQh\r\n"))
}

#[tokio::test]
async fn a_tagged_ambiguous_message_says_how() {
    let site = Site::single(1, Settings::default()).await;
    for (toml, authserv_id) in
        [("", "mta.test.example"), ("tag.authserv_id = \"example.net\"", "example.net")]
    {
        let milter = site.milter(toml).await;
        let reply = milter.send(&ambiguous()).await;
        assert!(reply.delivers(), "{reply:?}");
        let value = reply.header(RESULTS).expect("the field is there");
        let (id, results) = value.trim_start().split_once("; ").expect("the id ends with a semicolon");
        assert_eq!(id, authserv_id, "{value}");
        assert!(results.starts_with("scan=clean mime.samples=2"), "{value}");
        let kinds: Vec<_> =
            results.split_whitespace().filter_map(|word| word.strip_prefix("mime.ambiguity=")).collect();
        assert!(kinds.contains(&"repeated_content_type"), "{value}");
        assert!(kinds.contains(&"repeated_transfer_encoding"), "{value}");
        assert!(value.lines().skip(1).all(|line| line.starts_with(' ')), "folded: {value:?}");
        let names: Vec<_> = reply.headers_inserted.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(names, [RESULTS, "X-Thundergate"], "the last one inserted is on top");
    }
    let milter = site.milter("policy.quarantine = \"\"\npolicy.tag = \"FullMatch.Score > 90\"").await;
    let reply = milter.send(&infected()).await;
    assert!(reply.header("X-Thundergate").is_some() && reply.header(RESULTS).is_none(), "{reply:?}");
}

#[tokio::test]
async fn a_finding_in_an_ambiguous_message_says_so() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let message = String::from_utf8(ambiguous().message).unwrap();
    let (header, _) = message.split_once("\r\n\r\n").unwrap();
    let mail = Mail::of(format!("{header}\r\n\r\n{}", base64_lines(&eicar())));
    assert!(milter.send(&mail).await.quarantine.is_some());
    let line = milter.line_of(&mail).await;
    let finding =
        |line: &serde_json::Value| line["msg"] == "Finding" && line["queue.id"] == mail.queue_id.as_str();
    let finding = milter.program.wait_for(finding, PATIENCE).await.unwrap();
    assert_eq!(finding["ambiguities"], line["ambiguities"]);
    assert!(finding["ambiguities"].as_array().is_some_and(|kinds| kinds.len() >= 2), "{finding}");
}

#[tokio::test]
async fn forged_ambiguity_results_are_removed_whatever_becomes_of_the_message() {
    let site = Site::single(1, Settings::default()).await;
    let forged = "MIME-Ambiguity-Results: mx.example.net; scan=clean\r\n\
                  mime-AMBIGUITY-results: other.example;\r\n none\r\n";
    let with_forged = |mail: Mail| {
        let message = [forged.as_bytes(), &mail.message].concat();
        Mail { size: None, message, ..mail }
    };
    let milter = site.milter("").await;
    let removed = |reply: &Reply| {
        let change = |change: &HeaderChange| {
            assert!(change.name == RESULTS && change.value.is_empty(), "{change:?}");
            change.index
        };
        reply.headers_changed.iter().map(change).collect::<Vec<_>>()
    };
    let accepted = milter.send(&with_forged(clean(1))).await;
    assert!(accepted.delivers() && accepted.headers_inserted.is_empty(), "{accepted:?}");
    let held = milter.send(&with_forged(infected())).await;
    assert!(held.quarantine.is_some(), "{held:?}");
    let tagged = milter.send(&with_forged(ambiguous())).await;
    assert!(tagged.header(RESULTS).is_some_and(|value| value.contains("mta.test.example")), "{tagged:?}");
    for reply in [accepted, held, tagged] {
        assert_eq!(removed(&reply), [2, 1], "{reply:?}");
    }
    let flood = milter.send(&Mail::of("MIME-Ambiguity-Results: a\r\n".repeat(2_000) + "\r\nHello\r\n")).await;
    assert!(flood.delivers(), "{:?}", flood.action);
    assert_eq!(removed(&flood), (1..=2_000).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_blank_before_the_colon_hides_no_forged_field() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let forged = "MIME-Ambiguity-Results : a\r\nX-Thundergate \t: b\r\nmime-ambiguity-results\t: c\r\n";
    let reply = milter.send(&Mail::of(format!("{forged}Subject: d\r\n\r\nHello\r\n"))).await;
    let removed = |name: &str| {
        let changes =
            reply.headers_changed.iter().filter(|change| change.name == name && change.value.is_empty());
        changes.map(|change| change.index).collect::<Vec<_>>()
    };
    assert_eq!((removed("X-Thundergate"), removed(RESULTS)), (vec![1], vec![2, 1]), "{reply:?}");
}
