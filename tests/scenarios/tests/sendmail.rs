// SPDX-License-Identifier: GPL-3.0-or-later
//! The same with Sendmail, which sends no ABORT between messages, offers other options and knows the queue id at MAIL.

use std::time::Duration;
use thundergate_harness::{
    eventually,
    mails::{eicar, mail, noise},
    sendmail::Sendmail,
    site::Site,
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn sendmail_delivers_clean_mail_and_quarantines_infected_mail() {
    if let Err(reason) = Sendmail::prepare().await {
        println!("skipped: Sendmail cannot be had here: {reason:#}");
        return;
    }
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let port = milter.address.rsplit(':').next().unwrap();
    let sendmail = Sendmail::start(&format!("inet:{port}@127.0.0.1")).await.unwrap();
    let clean = mail().subject("clean").attach("a.pdf", "application/pdf", noise(1, 100_000)).bytes();
    let infected = mail().subject("infected").attach("a.com", "application/octet-stream", eicar()).bytes();

    let reply = sendmail.submit("anna@example.org", &["bert@example.net"], &infected).await.unwrap();
    assert_eq!(reply.code, 250, "{reply:?}\n{}", sendmail.log());
    let reply = sendmail.submit("anna@example.org", &["bert@example.net"], &clean).await.unwrap();
    assert_eq!(reply.code, 250, "{reply:?}\n{}", sendmail.log());

    let held = sendmail.held().unwrap();
    assert_eq!(held.len(), 1, "{held:?}\n{}", sendmail.log());
    assert!(held[0].reason.contains("thundergate"), "{held:?}");
    eventually(PATIENCE, "delivery", async || !sendmail.delivered().is_empty()).await;
    assert_eq!(sendmail.delivered().len(), 1, "the clean one only");

    let ids: Vec<_> = milter
        .program
        .events()
        .iter()
        .filter(|line| line["event"] == "message")
        .map(|line| line["queue.id"].clone())
        .collect();
    assert!(ids.iter().all(|id| id.as_str().is_some_and(|id| !id.is_empty())), "{ids:?}");
}

#[tokio::test]
async fn sendmail_carries_one_ambiguity_result_of_ours_folded() {
    if let Err(reason) = Sendmail::prepare().await {
        println!("skipped: Sendmail cannot be had here: {reason:#}");
        return;
    }
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("tag.authserv_id = \"mx.example.net\"").await;
    let port = milter.address.rsplit(':').next().unwrap();
    let sendmail = Sendmail::start(&format!("inet:{port}@127.0.0.1")).await.unwrap();
    let message = "MIME-Ambiguity-Results: mx.example.net; scan=clean\r\nmime-ambiguity-results: x; none\r\n\
                   Subject: two types\r\nMIME-Version: 1.0\r\n\
                   Content-Type: application/octet-stream; name=a.bin\r\n\
                   Content-Type: application/x-other; name=a.bin\r\n\
                   Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSGVsbG8gd29ybGQh\r\n";
    let reply = sendmail.submit("anna@example.org", &["bert@example.net"], message.as_bytes()).await.unwrap();
    assert_eq!(reply.code, 250, "{reply:?}\n{}", sendmail.log());
    eventually(PATIENCE, "delivery", async || !sendmail.delivered().is_empty()).await;
    let data = String::from_utf8_lossy(&sendmail.delivered()[0].data).replace("\r\n", "\n");
    let header = data.split("\n\n").next().unwrap().replace("\n ", " ").replace("\n\t", " ");
    let results: Vec<_> =
        header.lines().filter(|line| line.to_lowercase().starts_with("mime-ambiguity-results")).collect();
    assert_eq!(results.len(), 1, "{data}");
    let expected = "MIME-Ambiguity-Results: mx.example.net; scan=clean mime.samples=2 mime.ambiguity=";
    assert!(results[0].starts_with(expected), "{data}");
}

#[tokio::test]
async fn sendmail_delivers_no_forged_field_however_it_is_spelt() {
    if let Err(reason) = Sendmail::prepare().await {
        println!("skipped: Sendmail cannot be had here: {reason:#}");
        return;
    }
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let port = milter.address.rsplit(':').next().unwrap();
    let sendmail = Sendmail::start(&format!("inet:{port}@127.0.0.1")).await.unwrap();
    let spelt = "X-Thundergate : a\r\nMIME-Ambiguity-Results\t: b\r\nx-thundergate \t : c\r\n";
    let many = "MIME-Ambiguity-Results: mx.example.net; scan=clean\r\n".repeat(150);
    let message = format!("{spelt}{many}Subject: forged\r\n\r\nHello\r\n");
    let reply = sendmail.submit("anna@example.org", &["bert@example.net"], message.as_bytes()).await.unwrap();
    assert_eq!(reply.code, 250, "{reply:?}\n{}", sendmail.log());
    eventually(PATIENCE, "delivery", async || !sendmail.delivered().is_empty()).await;
    let data = String::from_utf8_lossy(&sendmail.delivered()[0].data).to_lowercase();
    assert!(data.contains("subject: forged"), "{data}");
    assert!(!data.contains("x-thundergate") && !data.contains("mime-ambiguity-results"), "{data}");
}
