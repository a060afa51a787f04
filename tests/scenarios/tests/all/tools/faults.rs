// SPDX-License-Identifier: GPL-3.0-or-later
//! The fault suite's own tools: links that fail as they are told, and a checker that sees what it is there to see.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    sync::Arc,
    time::{Duration, Instant},
};
use thundergate_faults::{
    checker::{Outcome, Verdict, check},
    corpus::Item,
    journal::{Answer, Attempt, End, Fault, Measured, Millis, Record, Scan},
    kind::Kind,
};
use thundergate_harness::{
    eventually,
    proxy::{Mode, Proxy},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// What does not come in this time is not on its way.
const MOMENT: Duration = Duration::from_millis(200);

/// A server that sends back what it gets, behind a proxy.
async fn echo() -> (Proxy, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("127.0.0.1 has a free port");
    let proxy =
        Proxy::start(listener.local_addr().expect("it is bound")).await.expect("127.0.0.1 has another");
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut sessions = JoinSet::new();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            sessions.spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            });
        }
    });
    (proxy, running)
}

async fn says(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await?;
    Ok(back)
}

#[tokio::test]
async fn a_link_passes_everything_and_its_end() {
    let (proxy, _server) = echo().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let much: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let (mut from, mut to) = client.split();
    let mut back = Vec::new();
    let sending = async {
        to.write_all(&much).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (_, read) =
        timeout(PATIENCE, async { tokio::join!(sending, from.read_to_end(&mut back)) }).await.unwrap();
    read.unwrap();
    assert!(back == much, "{} of {} bytes", back.len(), much.len());
}

#[tokio::test]
async fn a_stalled_link_loses_nothing_and_lets_nothing_pass() {
    let (proxy, _server) = echo().await;
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(says(&mut open, b"one").await.unwrap(), b"one");
    proxy.set(Mode::Stall);
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(timeout(MOMENT, says(&mut open, b"two")).await.is_err());
    assert!(timeout(MOMENT, says(&mut new, b"two")).await.is_err());
    proxy.set(Mode::Pass);
    for stream in [&mut open, &mut new] {
        let mut back = [0; 3];
        timeout(PATIENCE, stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"two");
    }
}

#[tokio::test]
async fn a_refusing_link_breaks_what_is_open_and_takes_nobody() {
    let (proxy, _server) = echo().await;
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut open, b"one").await.unwrap();
    proxy.set(Mode::Refuse);
    let broken = timeout(PATIENCE, open.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    eventually(PATIENCE, "connections are refused", async || {
        let refused = TcpStream::connect(proxy.address()).await;
        refused.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
    proxy.set(Mode::Pass);
    eventually(PATIENCE, "the link is back", async || match TcpStream::connect(proxy.address()).await {
        Ok(mut stream) => says(&mut stream, b"two").await.is_ok(),
        Err(_) => false,
    })
    .await;
}

#[tokio::test]
async fn a_reset_breaks_connections_and_takes_new_ones() {
    let (proxy, _server) = echo().await;
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    says(&mut open, b"one").await.unwrap();
    proxy.reset();
    let broken = timeout(PATIENCE, open.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(timeout(PATIENCE, says(&mut new, b"two")).await.unwrap().unwrap(), b"two");
}

#[tokio::test]
async fn latency_and_trickle_take_their_time() {
    let (proxy, _server) = echo().await;
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.set(Mode::Latency(Duration::from_millis(60)));
    let began = Instant::now();
    says(&mut open, b"there and back").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
    proxy.set(Mode::Trickle);
    let began = Instant::now();
    says(&mut open, &[7; 40 << 10]).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

/// A run in which all is well: mail 0 is clean, mail 1 is bad; each was deferred once, and a worker was killed.
pub(super) fn well() -> (Record, Outcome) {
    let item = |name: &str, bad| Arc::new(Item { upload_name: name.to_owned(), found: bad, bad });
    let mut record = Record::default();
    record.contents.insert(0, vec![item("aa.pdf", false)]);
    record.contents.insert(1, vec![item("bb.com", true)]);
    record.scans = vec![
        scan(0, "aa.pdf", 100, Some(150), None),
        scan(1, "bb.com", 100, Some(140), Some(Answer::Found)),
        scan(1, "aa.pdf", 3_000, Some(3_050), Some(Answer::Clean)),
    ];
    record.faults = vec![Fault { kind: Kind::WorkerKilled, target: 0, from: 150, to: 2_000 }];
    let deferred = || End::Tempfailed("451".to_owned());
    record.attempts = vec![
        attempt(0, 90, deferred()),
        attempt(1, 90, deferred()),
        attempt(1, 200, End::Held),
        attempt(0, 4_000, End::Accepted),
    ];
    let uploads = BTreeMap::from([("aa.pdf".to_owned(), 2), ("bb.com".to_owned(), 1)]);
    let outcome = Outcome { mails: 2, milters: 1, patience: 10_000, uploads, ..Outcome::default() };
    (record, outcome)
}

pub(super) fn scan(
    worker: usize,
    name: &str,
    began: Millis,
    ended: Option<Millis>,
    answer: Option<Answer>,
) -> Scan {
    Scan { worker, instance: 0, name: name.to_owned(), began, ended, answer }
}

pub(super) fn attempt(mail: u32, began: Millis, end: End) -> Attempt {
    Attempt { mail, milter: Some(0), queue_id: format!("Q{mail}"), began, ended: began + 10, end }
}

fn verdict(change: impl FnOnce(&mut Record, &mut Outcome)) -> Verdict {
    let (mut record, mut outcome) = well();
    change(&mut record, &mut outcome);
    check(&record, &outcome)
}

/// What the checker says after this change of a run in which all was well.
fn says_of(change: impl FnOnce(&mut Record, &mut Outcome)) -> Vec<&'static str> {
    verdict(change).violations.iter().map(|violation| violation.what).collect()
}

#[test]
fn a_good_run_is_good_and_its_second_upload_has_a_reason() {
    let verdict = verdict(|_, _| ());
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.reasons.extra(), verdict.rescues), (1, vec![2_850]));
    assert_eq!(verdict.reasons.because.keys().collect::<Vec<_>>(), ["its scan was cut off"]);
}

#[test]
fn a_mail_without_a_final_decision_is_lost() {
    assert_eq!(says_of(|record, _| drop(record.attempts.pop())), ["lost"]);
    assert_eq!(says_of(|_, outcome| outcome.mails = 3), ["lost"], "never even tried");
    let taken = |record: &mut Record| record.attempts[3].end = End::Taken;
    assert_eq!(says_of(|record, _| taken(record)), ["lost"], "Postfix took it and does not have it");
    let delivered = |record: &mut Record, outcome: &mut Outcome| {
        taken(record);
        outcome.postfix.insert(0, (1, 0));
    };
    assert_eq!(says_of(delivered), [""; 0]);
}

#[test]
fn mail_that_was_accepted_before_a_true_answer_is_unscanned() {
    let early = |record: &mut Record, _: &mut Outcome| record.attempts[3] = attempt(0, 3_039, End::Accepted);
    assert_eq!(says_of(early), ["accepted unscanned"]);
    let lie = |record: &mut Record, _: &mut Outcome| record.scans[2].answer = Some(Answer::Lie);
    assert_eq!(says_of(lie), ["accepted unscanned"]);
    let false_finding = |record: &mut Record, _: &mut Outcome| record.scans[2].answer = Some(Answer::Found);
    assert_eq!(says_of(false_finding), ["accepted unscanned"]);
    let by_postfix = |record: &mut Record, outcome: &mut Outcome| {
        record.attempts[3] = attempt(0, 3_039, End::Taken);
        outcome.postfix.insert(0, (1, 0));
    };
    assert_eq!(says_of(by_postfix), ["accepted unscanned"]);
}

#[test]
fn decisions_that_are_not_right_are_seen() {
    assert_eq!(says_of(|record, _| record.attempts[3].end = End::Held), ["wrong decision"]);
    let bad = |record: &mut Record, _: &mut Outcome| record.attempts[2].end = End::Accepted;
    assert_eq!(says_of(bad), ["wrong decision"]);
    let tagged =
        |record: &mut Record, _: &mut Outcome| record.attempts[3].end = End::Other("tagged".to_owned());
    assert_eq!(says_of(tagged), ["wrong decision"]);
    let delivered = |record: &mut Record, outcome: &mut Outcome| {
        record.attempts[2].end = End::Taken;
        outcome.postfix.insert(1, (1, 1));
    };
    assert_eq!(says_of(delivered), ["wrong decision"], "held once, but delivered, too");
}

#[test]
fn sessions_without_an_answer_are_hung() {
    assert_eq!(says_of(|record, _| record.attempts[0].end = End::Hung), ["hung session"]);
    let late = |record: &mut Record, _: &mut Outcome| record.attempts[3].ended = 4_000 + 11_001;
    assert_eq!(says_of(late), ["hung session"]);
}

#[test]
fn a_session_breaks_only_with_its_milter() {
    let broken = |record: &mut Record| record.attempts[1].end = End::Broken("reset".to_owned());
    assert_eq!(says_of(|record, _| broken(record)), ["broken session"]);
    let with = |kind, target| {
        says_of(move |record, _| {
            broken(record);
            record.faults.push(Fault { kind, target, from: 50, to: 80 });
        })
    };
    assert_eq!(with(Kind::MilterTerminated, 0), [""; 0], "it was idle when its milter ended");
    assert_eq!(with(Kind::MilterKilled, 1), ["broken session"], "another one");
    assert_eq!(with(Kind::MilterReloaded, 0), ["broken session"]);
}

#[test]
fn an_upload_too_many_needs_a_reason() {
    let again = |record: &mut Record, outcome: &mut Outcome| {
        record.scans.push(scan(1, "bb.com", 5_000, Some(5_050), Some(Answer::Found)));
        outcome.uploads.insert("bb.com".to_owned(), 2);
    };
    assert_eq!(says_of(again), ["needless upload"]);
    let with_from = |kind, from| {
        verdict(|record, outcome| {
            again(record, outcome);
            record.faults.push(Fault { kind, target: 1, from, to: 4_500 });
        })
    };
    let with = |kind| with_from(kind, 145);
    assert_eq!(with(Kind::RedisRestarted).violations, [], "its verdict was on no disk yet");
    assert_eq!(with_from(Kind::RedisRestarted, 2_000).violations.len(), 1, "its verdict was on disk");
    assert_eq!(with_from(Kind::RedisEmptied, 2_000).violations, []);
    assert_eq!(with(Kind::WorkerCutFromRedis).violations, []);
    assert_eq!(with(Kind::WorkerKilled).violations, []);
    assert_eq!(with(Kind::MilterKilled).violations.len(), 1, "a milter scans nothing");
    assert_eq!(with(Kind::SignatureUpdate).violations.len(), 1, "a finding does not become stale");
    let unknown = |_: &mut Record, outcome: &mut Outcome| _ = outcome.uploads.insert("cc.bin".to_owned(), 1);
    assert_eq!(says_of(unknown), ["needless upload"], "nobody sent that");
    let unseen = |_: &mut Record, outcome: &mut Outcome| _ = outcome.uploads.insert("bb.com".to_owned(), 2);
    assert_eq!(says_of(unseen), ["needless upload"], "it did not pass over the links");
}

#[test]
fn a_clean_verdict_is_renewed_after_a_signature_update() {
    let again = |record: &mut Record, outcome: &mut Outcome| {
        record.scans.push(scan(1, "aa.pdf", 9_000, Some(9_050), Some(Answer::Clean)));
        outcome.uploads.insert("aa.pdf".to_owned(), 3);
    };
    assert_eq!(says_of(again), ["needless upload"]);
    let updated = |record: &mut Record, outcome: &mut Outcome| {
        again(record, outcome);
        record.faults.push(Fault { kind: Kind::SignatureUpdate, target: 0, from: 7_000, to: 7_500 });
    };
    assert_eq!(says_of(updated), [""; 0]);
}

#[test]
fn what_a_killed_worker_scanned_must_be_scanned_elsewhere_in_time() {
    let late = |record: &mut Record, _: &mut Outcome| {
        (record.scans[2].began, record.scans[2].ended) = (15_151, Some(15_200));
        (record.attempts[3].began, record.attempts[3].ended) = (16_000, 16_010);
    };
    assert_eq!(says_of(late), ["too late"]);
    let never = |record: &mut Record, outcome: &mut Outcome| {
        record.scans.pop();
        record.attempts.pop();
        outcome.uploads.insert("aa.pdf".to_owned(), 1);
    };
    assert_eq!(says_of(never), ["lost", "too late"]);
}

#[test]
fn leftovers_delays_standstill_and_troubles_are_told() {
    let left = |expires| {
        says_of(move |_, outcome| {
            let what = "tg:1:{aa}:.pdf:lease: job".to_owned();
            outcome.leftovers.push(thundergate_faults::checker::Leftover { what, expires });
            outcome.expiring_tolerated = true;
        })
    };
    assert_eq!((left(false), left(true)), (vec!["left over"], vec![]));
    let measured = |took| {
        says_of(move |record, _| {
            let limit = Duration::from_secs(5);
            record.measured.push(Measured { what: "mail flows".to_owned(), at: 0, took, limit });
        })
    };
    assert_eq!(measured(Some(Duration::from_secs(4))), [""; 0]);
    assert_eq!(measured(Some(Duration::from_secs(6))), ["too late"]);
    assert_eq!(measured(None), ["too late"]);
    assert_eq!(says_of(|_, outcome| outcome.long_quiets.push((1_000, 3_000))), ["no progress"]);
    assert_eq!(says_of(|_, outcome| outcome.long_quiets.push((3_000, 5_000))), [""; 0]);
    assert_eq!(says_of(|record, _| record.troubles.push((5, "worker1 has died".to_owned()))), ["trouble"]);
}
