// SPDX-License-Identifier: GPL-3.0-or-later
//! Attachments that ask for a password: opened with a word of their mail or one that everybody tries, or told as sealed.

use std::io::{Cursor, Write as _};
use thundergate_harness::{
    mails::{eicar, mail, noise},
    mta::{Mail, Reply},
    process::Program,
    redis::{MILTER, WORKER},
    site::{Milter, Site},
    thunderstorm::Settings,
};
use zip::{AesMode, ZipWriter, write::SimpleFileOptions};

/// A ZIP with `content` as `invoice.com`, sealed with `password`.
fn sealed(password: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().with_aes_encryption(AesMode::Aes256, password);
    archive.start_file("invoice.com", options).expect("memory takes everything");
    archive.write_all(content).expect("memory takes everything");
    archive.finish().expect("memory takes everything").into_inner()
}

fn with(text: &str, archive: Vec<u8>) -> Mail {
    Mail::of(mail().text(text).attach("invoice.zip", "application/zip", archive).bytes())
}

/// What the milter says of `mail`; the log line calls its archive `container` and the decision `cause`.
async fn told(milter: &Milter, mail: &Mail, cause: &str, container: &str) -> Reply {
    let reply = milter.send(mail).await;
    let line = milter.line_of(mail).await;
    assert_eq!(line["cause"], cause, "{line}");
    let named = |part: &&serde_json::Value| part["name"] == "invoice.zip";
    let part = line["parts"].as_array().and_then(|parts| parts.iter().find(named)).cloned();
    assert_eq!(part.expect("a part of that name")["container"], container, "{line}");
    reply
}

#[tokio::test]
async fn a_word_of_the_mail_opens_its_archive_and_what_is_in_it_decides() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let archive = sealed("Herbst-4711", &eicar());
    let text = "Please find the invoice attached.\r\nPassword: Herbst-4711\r\nKind regards";
    let reply = told(&milter, &with(text, archive.clone()), "found", "opened").await;
    assert!(reply.quarantine.is_some(), "{reply:?}");
    assert_eq!(site.scans(), 2, "the archive and what is in it");
    let again = told(&milter, &with("Another text.", archive), "found", "opened").await;
    assert!(again.quarantine.is_some() && site.scans() == 2, "it is known: {again:?}");
}

#[tokio::test]
async fn what_nothing_opens_is_scanned_as_it_is_and_tagged() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let archive = sealed("nobody-knows-4711", &eicar());
    let mail = with("The password comes by telephone.", archive.clone());
    let reply = told(&milter, &mail, "sealed", "sealed").await;
    let tag = reply.header("X-Thundergate").unwrap_or_default();
    assert!(reply.delivers() && tag.contains("cause=sealed"), "{reply:?}");
    assert_eq!(site.scans_of(&archive), 1);
    let strict = site.milter("policy.on.sealed = \"quarantine\"").await;
    assert!(told(&strict, &mail, "sealed", "sealed").await.quarantine.is_some());
}

#[tokio::test]
async fn an_archive_beyond_the_limits_is_its_own_fault_and_costs_no_other_mail() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("[open]\nconcurrency = 1\ntimeout = \"20s\"\nmemory_bytes = \"512MiB\"\nbytes_out = \"1KiB\"\nmembers = 10\nrounds = 1048576\nunconfined = false").await;
    let large = with("Password: infected", sealed("infected", &noise(1, 100_000)));
    let reply = told(&milter, &large, "sealed", "unsupported").await;
    assert!(reply.delivers(), "{reply:?}");
    let plain = Mail::of(mail().attach("a.pdf", "application/pdf", noise(2, 5_000)).bytes());
    assert!(milter.send(&plain).await.delivers());
}

#[tokio::test]
async fn workers_open_with_the_passwords_that_everybody_tries() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("").await;
    let _worker = site.worker("").await;
    let reply =
        told(&milter, &with("See the document.", sealed("infected", &eicar())), "found", "opened").await;
    assert!(reply.quarantine.is_some(), "{reply:?}");
    let mail = with("See the document.", sealed("nobody-knows-4711", &eicar()));
    let reply = told(&milter, &mail, "sealed", "sealed").await;
    assert!(reply.delivers(), "{reply:?}");
}

#[tokio::test]
async fn words_of_a_mail_reach_a_worker_only_where_redis_sees_them_sealed() {
    let site = Site::cluster(1, Settings::default()).await;
    let secret = tempfile::NamedTempFile::new().expect("a file for the secret");
    std::fs::write(secret.path(), "a secret of more than 32 characters, for tests")
        .expect("it takes the secret");
    let text = "Password: Herbst-4711";
    let closed = format!("secret_file = \"{}\"", secret.path().display());
    for (number, (extra, cause, container)) in
        [("", "sealed", "sealed"), (closed.as_str(), "found", "opened")].into_iter().enumerate()
    {
        let redis = |user| format!("[redis]\nurl = \"{}\"\n{extra}\n", site.redis_url_of(user));
        let milter = Milter::start(&redis(MILTER)).await;
        let worker = format!("admin.listen = \"\"\n{}{}", redis(WORKER), site.farm_section());
        let _worker = Program::start("thundergate-worker", &worker).await.expect("the worker starts");
        let content = [eicar(), vec![b' '; number]].concat();
        told(&milter, &with(text, sealed("Herbst-4711", &content)), cause, container).await;
    }
}

#[tokio::test]
async fn an_archive_that_nobody_opens_is_accepted_unless_the_policy_says_otherwise() {
    let site = Site::single(1, Settings::default()).await;
    let archive = [&b"\xfd7zXZ\0\0\x04"[..], &noise(3, 500)].concat();
    let mail = Mail::of(mail().attach("disk.img.xz", "application/x-xz", archive).bytes());
    let milter = site.milter("").await;
    assert!(milter.send(&mail).await.delivers());
    let line = milter.line_of(&mail).await;
    assert_eq!((&line["decision"], &line["cause"]), (&"accept".into(), &"unopened".into()), "{line}");
    assert!(
        line["parts"].as_array().is_some_and(|parts| parts.iter().any(|part| part["unopened"] == "xz")),
        "{line}"
    );
    let strict = site.milter("policy.on.unopened = \"quarantine\"").await;
    assert!(strict.send(&mail).await.quarantine.is_some());
}
