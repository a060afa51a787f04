// SPDX-License-Identifier: GPL-3.0-or-later
//! Mail sent by SMTP to a real Postfix: what it delivers, holds, rejects and defers, read from Postfix itself.

use std::{sync::Arc, time::Duration};
use thundergate_harness::{
    eventually,
    mails::{eicar, mail, noise},
    postfix::Postfix,
    site::{Milter, Site},
    thunderstorm::{Fault, Settings},
};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(20);
const SENDER: &str = "anna@example.org";
const RECIPIENTS: [&str; 2] = ["bert@example.net", "cora@example.net"];

async fn postfix(milter: &Milter) -> Postfix {
    Postfix::start(std::slice::from_ref(&milter.address)).await.expect("Postfix starts")
}

/// Postfix's log has `text`. Its lines pass through a process of their own and may come after the reply.
async fn logged(postfix: &Postfix, text: &str) {
    eventually(PATIENCE, text, async || postfix.log().contains(text)).await;
}

fn clean() -> Vec<u8> {
    mail().subject("clean").attach("a.pdf", "application/pdf", noise(1, 50_000)).bytes()
}

fn infected() -> Vec<u8> {
    mail().subject("infected").attach("a.com", "application/octet-stream", eicar()).bytes()
}

#[tokio::test]
async fn clean_mail_is_delivered_and_infected_mail_waits_in_the_hold_queue() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let postfix = postfix(&milter).await;
    let reply = postfix.submit(SENDER, &RECIPIENTS, &clean()).await.unwrap();
    assert_eq!(reply.code, 250, "{reply:?}");
    eventually(PATIENCE, "delivery", async || !postfix.delivered().is_empty()).await;

    let reply = postfix.submit(SENDER, &RECIPIENTS, &infected()).await.unwrap();
    assert_eq!(reply.code, 250, "{reply:?}");
    let held = postfix.held().await.unwrap();
    assert_eq!(held.len(), 1, "{held:?}\n{}", postfix.log());
    assert_eq!((held[0].sender.as_str(), held[0].recipients.len()), (SENDER, 2));
    logged(&postfix, "milter triggers HOLD action").await;

    // The line in our log names Postfix's queue id, both recipients and the client.
    let wanted = |line: &serde_json::Value| {
        line["event"] == "message" && line["queue.id"] == held[0].queue_id.as_str()
    };
    let line = milter.program.wait_for(wanted, PATIENCE).await.expect("the message is logged");
    assert_eq!(line["recipients"], serde_json::json!(RECIPIENTS), "{line}");
    assert_eq!(line["client.address"], "127.0.0.1");

    // Released by the operator, it is delivered as it was, and the milter is not asked again.
    postfix.release(&held[0].queue_id).await.unwrap();
    let infected_delivered = || {
        postfix
            .delivered()
            .iter()
            .any(|mail| String::from_utf8_lossy(&mail.data).contains("Subject: infected"))
    };
    eventually(PATIENCE, "delivery of the released mail", async || infected_delivered()).await;
    assert!(postfix.held().await.unwrap().is_empty());
}

#[tokio::test]
async fn over_a_unix_socket_too() {
    let site = Site::single(1, Settings::default()).await;
    let directory = tempfile::Builder::new().prefix("tg").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let socket = directory.path().join("m.sock");
    let milter =
        site.milter(&format!("listen = [\"unix:{}\"]\nsocket_mode = \"666\"", socket.display())).await;
    let postfix = postfix(&milter).await;
    postfix.submit(SENDER, &RECIPIENTS, &infected()).await.unwrap();
    assert_eq!(postfix.held().await.unwrap().len(), 1, "{}", postfix.log());
}

#[tokio::test]
async fn rejected_mail_is_refused_with_550() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("policy.reject = \"FullMatch.Score > 90\"").await;
    let postfix = postfix(&milter).await;
    let reply = postfix.submit(SENDER, &RECIPIENTS, &infected()).await.unwrap();
    assert_eq!(reply.code, 550, "{reply:?}");
    assert!(reply.text.contains("5.7.1") && !reply.text.to_lowercase().contains("eicar"), "{reply:?}");
    logged(&postfix, "milter-reject: END-OF-MESSAGE").await;
}

#[tokio::test]
async fn mail_is_deferred_while_the_farm_is_down_and_accepted_afterwards() {
    let site = Site::single(2, Settings::default()).await;
    let milter = site.milter("wait.deadline = \"500ms\"").await;
    let postfix = postfix(&milter).await;
    for instance in &site.farm {
        instance.stop().await;
    }
    let reply = postfix.submit(SENDER, &RECIPIENTS, &clean()).await.unwrap();
    assert_eq!(reply.code, 451, "{reply:?}");
    assert!(reply.text.contains("4.7.1"), "{reply:?}");
    for instance in &site.farm {
        instance.start_again().await;
    }
    eventually(PATIENCE, "the retry is accepted", async || {
        postfix.submit(SENDER, &RECIPIENTS, &clean()).await.unwrap().code == 250
    })
    .await;
    eventually(PATIENCE, "delivery", async || !postfix.delivered().is_empty()).await;
    assert_eq!(site.scans_of(&noise(1, 50_000)), 1);
}

#[tokio::test]
async fn a_milter_that_was_killed_makes_postfix_defer() {
    let site = Site::single(1, Settings::default()).await;
    let mut milter = site.milter("").await;
    let postfix = postfix(&milter).await;
    site.farm[0].fault_of_mail(Fault::Hang);
    let body = clean();
    let submitting = postfix.submit(SENDER, &RECIPIENTS, &body);
    let killing = async {
        eventually(PATIENCE, "the scan has begun", async || site.farm[0].requests() > 0).await;
        milter.program.kill9().await.unwrap();
    };
    let (reply, ()) = tokio::join!(submitting, killing);
    assert_eq!(reply.unwrap().code / 100, 4);
    assert!(postfix.delivered().is_empty() && postfix.held().await.unwrap().is_empty());
}

#[tokio::test]
async fn tagged_mail_carries_one_tag() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("policy.quarantine = \"\"\npolicy.tag = \"FullMatch.Score > 90\"").await;
    let postfix = postfix(&milter).await;
    let forged = [b"X-Thundergate: clean\r\nX-THUNDERGATE: clean\r\n".as_slice(), &infected()].concat();
    postfix.submit(SENDER, &RECIPIENTS, &forged).await.unwrap();
    eventually(PATIENCE, "delivery", async || !postfix.delivered().is_empty()).await;
    let data = String::from_utf8_lossy(&postfix.delivered()[0].data).to_lowercase();
    let tags: Vec<_> = data.lines().filter(|line| line.starts_with("x-thundergate")).collect();
    assert_eq!(tags, ["x-thundergate: tag; cause=found"]);
}

#[tokio::test]
async fn ambiguous_mail_carries_one_result_of_ours_folded() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("tag.authserv_id = \"mx.example.net\"").await;
    let postfix = postfix(&milter).await;
    let forged = "MIME-Ambiguity-Results: mx.example.net; scan=clean\r\nmime-ambiguity-results: x; none\r\n";
    let message = format!(
        "{forged}MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a.bin\r\n\
         Content-Type: application/x-other; name=a.bin\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSGVsbG8gd29ybGQh\r\n"
    );
    postfix.submit(SENDER, &RECIPIENTS, message.as_bytes()).await.unwrap();
    eventually(PATIENCE, "delivery", async || !postfix.delivered().is_empty()).await;
    let data = String::from_utf8_lossy(&postfix.delivered()[0].data).replace("\r\n", "\n");
    let header = data.split("\n\n").next().unwrap();
    assert!(header.lines().all(|line| line.len() <= 78 || !line.contains("mime.")), "{header}");
    let unfolded = header.replace("\n ", " ");
    let results: Vec<_> =
        unfolded.lines().filter(|line| line.to_lowercase().starts_with("mime-ambiguity-results")).collect();
    assert_eq!(results.len(), 1, "{header}");
    let expected = "MIME-Ambiguity-Results: mx.example.net; scan=clean mime.samples=2 mime.ambiguity=";
    assert!(results[0].starts_with(expected), "{header}");
    assert!(unfolded.contains("X-Thundergate: tag; cause=ambiguous\n"), "{header}");
}

#[tokio::test]
async fn no_forged_field_is_delivered_however_many_there_are_and_however_they_are_spelt() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let postfix = postfix(&milter).await;
    let spelt = "X-Thundergate : a\r\nMIME-Ambiguity-Results\t: b\r\nx-thundergate \t : c\r\n";
    let many = "MIME-Ambiguity-Results: mx.example.net; scan=clean\r\n".repeat(1_000);
    let message = format!("{spelt}{many}Subject: forged\r\n\r\nHello\r\n");
    postfix.submit(SENDER, &RECIPIENTS, message.as_bytes()).await.unwrap();
    eventually(PATIENCE, "delivery", async || !postfix.delivered().is_empty()).await;
    let data = String::from_utf8_lossy(&postfix.delivered()[0].data).to_lowercase();
    assert!(data.contains("subject: forged"), "{data}");
    assert!(!data.contains("x-thundergate") && !data.contains("mime-ambiguity-results"), "{data}");
}

#[tokio::test]
async fn two_milters_in_front_of_one_redis_scan_once() {
    let site = Site::cluster(1, Settings::default()).await;
    let _worker = site.worker("").await;
    let (first, second) = (site.milter("").await, site.milter("").await);
    let (one, other) = (postfix(&first).await, postfix(&second).await);
    for postfix in [&one, &other] {
        assert_eq!(postfix.submit(SENDER, &RECIPIENTS, &infected()).await.unwrap().code, 250);
        assert_eq!(postfix.held().await.unwrap().len(), 1);
    }
    assert_eq!(site.scans_of(&eicar()), 1);
}

#[tokio::test]
async fn the_same_attachment_in_200_mails_through_two_postfixes_is_uploaded_once() {
    let settings = Settings { service_time: Duration::from_millis(500), ..Settings::default() };
    let site = Site::cluster(3, settings).await;
    let _workers = [site.worker("").await, site.worker("").await, site.worker("").await];
    let milters = [site.milter("").await, site.milter("").await];
    let mtas = [Arc::new(postfix(&milters[0]).await), Arc::new(postfix(&milters[1]).await)];
    let large = [noise(9, 1 << 20).as_slice(), b"THUNDERGATE-TEST-STRONG-1"].concat();
    let message: Arc<[u8]> =
        mail().attach("report.bin", "application/octet-stream", large.clone()).bytes().into();
    let mut clients = JoinSet::new();
    for number in 0..20 {
        let (mta, message) = (Arc::clone(&mtas[number % 2]), Arc::clone(&message));
        clients.spawn(async move {
            for _ in 0..10 {
                let reply = mta.submit(SENDER, &RECIPIENTS, &message).await.unwrap();
                assert_eq!(reply.code, 250, "{reply:?}");
            }
        });
    }
    clients.join_all().await;
    let held = [mtas[0].held().await.unwrap().len(), mtas[1].held().await.unwrap().len()];
    assert_eq!(held, [100, 100]);
    assert_eq!(site.scans_of(&large), 1);
}
