// SPDX-License-Identifier: GPL-3.0-or-later
//! What one mail may cost in log: a sender chooses how many parts, recipients and findings it has.

use serde_json::Value;
use std::{fmt::Write as _, time::Duration};
use thundergate_harness::{
    mails::eicar,
    mta::{Mail, Reply},
    site::{Milter, Site},
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of a line; what writes logs to elsewhere cuts longer ones.
const LONGEST: usize = 16 << 10;

/// A text and `parts` attachments that are found, each another sample where `distinct` says so, to 1,000 recipients of 64
/// bytes.
fn flood(parts: usize, distinct: bool) -> Mail {
    let eicar = String::from_utf8(eicar()).expect("it is ASCII");
    let mut message = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    message.push_str("--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n");
    for number in 0..parts {
        let ending = if distinct { number } else { 0 };
        write!(
            message,
            "--b\r\nContent-Disposition: attachment; filename=a{number}.txt\r\n\r\n{eicar}{ending}\r\n"
        )
        .expect("a string takes everything");
    }
    message.push_str("--b--\r\n");
    let recipients = (0..1_000).map(|number| format!("{number:x<52}@example.net")).collect();
    Mail { recipients, ..Mail::of(message) }
}

/// The lines about this message, its own last.
async fn lines_of(milter: &Milter, mail: &Mail) -> Vec<String> {
    let id = &mail.queue_id;
    let own = |line: &Value| line["event"] == "message" && line["queue.id"] == id.as_str();
    milter.program.wait_for(own, PATIENCE).await.expect("the message is logged");
    milter.program.log_lines().into_iter().filter(|line| line.contains(id)).collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("a line is JSON")
}

fn held(reply: &Reply) {
    assert!(reply.quarantine.is_some(), "{reply:?}");
}

#[tokio::test]
async fn one_mail_costs_a_bounded_log() {
    let site = Site::single(1, Settings { threads: 16, ..Settings::default() }).await;
    let milter = site.milter("limits.parts = 1000\nwait.deadline = \"90s\"").await;
    let (distinct, equal) = (flood(990, true), flood(900, false));
    for mail in [&distinct, &equal] {
        held(&milter.send(mail).await);
        let lines = lines_of(&milter, mail).await;
        assert!(lines.iter().all(|line| line.len() < LONGEST), "{:?}", lines.iter().map(String::len).max());
        let (own, findings) = lines.split_last().expect("there are lines");
        let findings: Vec<_> = findings.iter().filter(|line| line.contains("\"finding\"")).collect();
        let bytes: usize = findings.iter().map(|line| line.len()).sum::<usize>() + own.len();
        assert!(findings.len() == 20 && bytes < 150_000, "{} {bytes}", findings.len());
        let (own, finding) = (parsed(own), parsed(findings[0]));
        let parts = if mail.queue_id == distinct.queue_id { 990 } else { 900 };
        assert_eq!(own["omitted.findings"], parts - 20, "{own}");
        assert_eq!(own["omitted.parts"], parts + 1 - 50, "{own}");
        assert_eq!((&own["omitted.recipients"], &finding["omitted.recipients"]), (&950.into(), &950.into()));
        let listed = own["parts"].as_array().expect("parts are a list");
        assert!(!listed.is_empty() && listed.iter().all(|part| part["disposition"] == "found"), "{own}");
        assert_eq!(finding["recipients"].as_array().map(Vec::len), Some(50), "{finding}");
    }
}

#[tokio::test]
async fn how_many_findings_have_a_line_can_be_chosen_and_a_usual_mail_counts_nothing() {
    let site = Site::single(1, Settings::default()).await;
    for (most, lines) in [(0, 0), (2, 2), (5, 3)] {
        let milter = site.milter(&format!("log.findings = {most}")).await;
        let mail = Mail { recipients: vec!["bert@example.net".to_owned(); 50], ..flood(3, true) };
        held(&milter.send(&mail).await);
        let logged = lines_of(&milter, &mail).await;
        let findings = logged.iter().filter(|line| line.contains("\"event\":\"finding\"")).count();
        assert_eq!(findings, lines, "{logged:#?}");
        let own = parsed(logged.last().expect("there are lines"));
        assert_eq!(own["omitted.findings"].as_u64(), (lines < 3).then_some(3 - lines as u64), "{own}");
        assert!(own["omitted.parts"].is_null() && own["omitted.recipients"].is_null(), "{own}");
    }
}
