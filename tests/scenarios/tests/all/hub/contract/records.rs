// SPDX-License-Identifier: GPL-3.0-or-later
//! What records of mails take in Redis, and what they must never take: room that mail needs, and what milters may not have.

use super::*;
use redis::{Value, cmd};
use std::fmt::Write as _;
use thundergate_common::{
    hub::HubError,
    record::{MailRecord, PartRecord, VerdictUsed, seen::Sought},
    wire::Versioned,
};

const STREAM: &str = "tg:1:{records-0}:mails";
const MARKS: &str = "tg:1:{records-0}:marks";

/// An ordinary mail: an HTML body and an attachment, one recipient.
fn ordinary(number: usize) -> MailRecord {
    let (html, pdf) = (key(&format!("html {number}")), key(&format!("pdf {number}")));
    let verdict = VerdictUsed {
        scanned_at: now(),
        signatures: Some("2026/01/12-160550".into()),
        instance: "storm1".into(),
        ..VerdictUsed::default()
    };
    let mut record = mail_record(&format!("4cXyZ{number}"), &[html, pdf]);
    record.message_id = Some(format!("{number}.{}@mail.example.org", now()));
    record.client_address = Some("192.0.2.7".parse().unwrap());
    record.client_name = "mail.example.org".into();
    record.helo = "mail.example.org".into();
    record.host = "mx1".into();
    record.mta = "mx1.example.com".into();
    record.policy = Some(Digest::of(b"policy"));
    for (part, media_type) in record.parts.iter_mut().zip(["text/html", "application/pdf"]) {
        *part = PartRecord { media_type: media_type.into(), verdict: Some(verdict.clone()), ..part.clone() };
    }
    record.parts[1].hint = Some(NameHint::Extension("pdf".into()));
    record.parts[1].name = Some(format!("invoice {number}.pdf"));
    record
}

async fn found(stage: &Stage, name: &str) -> usize {
    let sought = Sought { digest: key(name).digest, hint: None };
    stage.there.operator.seen(&sought, 1000).await.unwrap().mails.len()
}

fn used(server: &RedisServer) -> u64 {
    let info: String = server.ask("INFO memory").unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.unwrap().trim().parse().unwrap()
}

/// Bytes of the stream and its marks.
fn taken(server: &RedisServer) -> u64 {
    let usage = |key| server.ask::<Option<u64>>(&format!("MEMORY USAGE {key} SAMPLES 0")).unwrap();
    usage(STREAM).unwrap_or(0) + usage(MARKS).unwrap_or(0)
}

#[tokio::test]
async fn a_record_of_an_ordinary_mail_takes_less_than_its_receipts_did() {
    let server = RedisServer::start().unwrap();
    let queue = Queue { records_bytes: bytesize::ByteSize::mib(16), ..limits() };
    let hub = End::connect(|user| at(server.url_of(user)), &queue, "here").await;
    let mut told = String::new();
    for together in [1, 20, 64] {
        server.command("FLUSHALL").unwrap();
        let before = used(&server);
        let records: Vec<_> = (0..960).map(ordinary).collect();
        for batch in records.chunks(together) {
            hub.milter.record(batch).await.unwrap();
        }
        let (each, by_key) = ((used(&server) - before) / 960, taken(&server) / 960);
        writeln!(told, "{together} at once: {each} bytes of used_memory, {by_key} by MEMORY USAGE").unwrap();
        // The server's buffers are in the first figure, too.
        assert!(by_key < if together == 1 { 480 } else { 250 }, "{told}");
    }
    eprintln!("{told}");
}

#[tokio::test]
async fn a_mail_with_a_thousand_recipients_and_nine_hundred_parts_takes_no_more_than_a_record() {
    const MAILS: u64 = 50;
    let server = RedisServer::start().unwrap();
    let queue = Queue { records_bytes: bytesize::ByteSize::mib(16), ..limits() };
    let hub = End::connect(|user| at(server.url_of(user)), &queue, "here").await;
    let large = |round: u64| {
        let keys: Vec<_> = (0..900).map(|number| key(&format!("{round} {number}"))).collect();
        let mut record = mail_record("4Bq", &keys);
        record.recipients = (0..1000).map(|number| format!("recipient{number}@example.org")).collect();
        record
    };
    hub.milter.record(&[large(MAILS)]).await.unwrap();
    let (before, before_by_key) = (used(&server), taken(&server));
    for round in 0..MAILS {
        hub.milter.record(&[large(round)]).await.unwrap();
    }
    let (more, by_key) =
        (used(&server).saturating_sub(before) / MAILS, (taken(&server) - before_by_key) / MAILS);
    eprintln!("{more} bytes of used_memory, {by_key} by MEMORY USAGE");
    assert!(by_key < 16 << 10, "{more}, {by_key}");
}

#[tokio::test]
async fn the_stream_stays_within_its_bytes_whatever_is_written() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let most = limits().records_bytes.as_u64();
    for round in 0..40 {
        let records: Vec<_> = (0..64).map(|number| ordinary(1000 * round + number)).collect();
        stage.here.milter.record(&records).await.unwrap();
        let keys: Vec<_> = (0..900).map(|number| key(&format!("{round} {number}"))).collect();
        for _ in 0..3 {
            stage.here.milter.record(&[mail_record("large", &keys)]).await.unwrap();
        }
        assert!(taken(server) < most + most / 8, "{} of {most} bytes", taken(server));
    }
    assert!(taken(server) > most / 2, "{} of {most} bytes are used", taken(server));
}

#[tokio::test]
async fn what_is_older_than_two_days_goes_and_the_keys_expire() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let old = (now() - 2 * 24 * 3600 - 60) * 1000;
    for (number, at) in [(0, old - 7_200_000), (1, old - 1)] {
        server.command(&format!("XADD {STREAM} {at}-0 pack {number}")).unwrap();
    }
    server.command(&format!("XADD {STREAM} {}-0 pack 2", old + 3_600_000)).unwrap();
    for (id, bytes) in
        [("0-0", 0), (&*format!("{}-0", old - 1), 66), (&*format!("{}-0", old + 3_600_000), 99)]
    {
        let rpush = cmd("RPUSH").arg(MARKS).arg(format!("{id} {bytes}")).take();
        let client = redis::Client::open(server.unix_url_of(thundergate_harness::redis::HARNESS)).unwrap();
        let _: u64 = rpush.query(&mut client.get_connection().unwrap()).unwrap();
    }
    stage.here.milter.record(&[ordinary(1)]).await.unwrap();
    let ids: Vec<(String, Vec<Value>)> = server.ask(&format!("XRANGE {STREAM} - +")).unwrap();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert_eq!(ids[0].0, format!("{}-0", old + 3_600_000));
    for key in [STREAM, MARKS] {
        let life: i64 = server.ask(&format!("PTTL {key}")).unwrap();
        assert!((1..=2 * 24 * 3600 * 1000).contains(&life), "{key}: {life}");
    }
}

#[tokio::test]
async fn records_give_way_where_redis_is_full() {
    let server = RedisServer::start_with(&["--maxmemory", "64mb"]).unwrap();
    let stage = redis_stage(server).await;
    let server = stage._server.as_ref().unwrap();
    for round in 0..5 {
        let records: Vec<_> = (0..640).map(|number| ordinary(1000 * round + number)).collect();
        stage.here.milter.record(&records).await.unwrap();
    }
    let length = || server.ask::<u64>(&format!("XLEN {STREAM}")).unwrap();
    let before = length();
    server.command("CONFIG SET maxmemory 1mb").unwrap();
    let refused = stage.here.milter.record(&[ordinary(9_000)]).await;
    assert!(matches!(refused, Err(HubError::Unavailable(_))), "{refused:?}");
    assert!((1..before).contains(&length()), "and the oldest go");
    eventually("all of them have given way", async || {
        assert!(stage.here.milter.record(&[ordinary(9_001)]).await.is_err());
        length() == 0
    })
    .await;
    server.command("CONFIG SET maxmemory 64mb").unwrap();
    stage.here.milter.record(&[ordinary(9_002)]).await.unwrap();
    assert_eq!(found(&stage, "pdf 9002").await, 1);
}

#[tokio::test]
async fn a_stream_whose_marks_are_lost_is_bounded_all_the_same() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let most = limits().records_bytes.as_u64();
    for lost in [false, true] {
        if lost {
            server.command(&format!("DEL {MARKS}")).unwrap();
        }
        for round in 0..20 {
            let records: Vec<_> = (0..64).map(|number| ordinary(1000 * round + number)).collect();
            stage.here.milter.record(&records).await.unwrap();
            assert!(taken(server) < most + most / 8, "{} of {most} bytes", taken(server));
        }
    }
    assert_eq!(found(&stage, "pdf 19063").await, 1);
}

#[tokio::test]
async fn a_milter_of_an_older_users_acl_keeps_no_records_and_mail_goes_on() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    server
        .command(&format!(
            "ACL SETUSER {MILTER} -xtrim -lindex -lset -rpush -lpop resetkeys ~tg:1:{{*}}:*:lease"
        ))
        .unwrap();
    for key in
        ["~tg:1:{*}:*:waiters", "%R~tg:1:{*}:*:verdict", "%R~tg:1:{*}:*:failed", "~tg:1:{*}:*:receipts"]
    {
        server.command(&format!("ACL SETUSER {MILTER} {key}")).unwrap();
    }
    let refused = stage.here.milter.record(&[ordinary(1)]).await;
    assert!(matches!(refused, Err(HubError::Unusable(_))), "{refused:?}");
    assert_eq!(stage.here.milter.reserve(&[key("mail")], Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(found(&stage, "pdf 1").await, 0);
}

#[tokio::test]
async fn receipts_of_an_older_milter_are_told_beside_records() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let receipt = |at: u64, queue_id: &str| {
        Versioned::encode(serde_json::json!({
            "at": at, "queue_id": queue_id, "sender": "a@example.org", "recipients": ["b@example.org"],
            "name": null, "decision": "accept",
        }))
    };
    let client = redis::Client::open(server.unix_url_of(thundergate_harness::redis::HARNESS)).unwrap();
    let mut raw = client.get_connection().unwrap();
    for (hint, receipt) in [("-", receipt(3, "third")), (".pdf", receipt(5, "second"))] {
        let name = format!("tg:1:{{{}}}:{hint}:receipts", key("received").digest);
        let _: u64 = cmd("LPUSH").arg(name).arg(receipt).query(&mut raw).unwrap();
    }
    stage.here.milter.record(&[mail_record("first", &[key("received")])]).await.unwrap();
    let told = async |hint| {
        let sought = Sought { digest: key("received").digest, hint };
        let seen = stage.there.operator.seen(&sought, 10).await.unwrap();
        seen.mails.into_iter().map(|mail| mail.queue_id).collect::<Vec<_>>()
    };
    assert_eq!(told(None).await, ["first", "second", "third"]);
    assert_eq!(told(Some(NameHint::Extension("pdf".into()))).await, ["second"]);
}

#[tokio::test]
async fn in_a_cluster_records_are_spread_over_all_shards_and_found_in_each() {
    let cluster = RedisCluster::start().unwrap();
    let stage = stage(|user| over(&cluster, user)).await;
    for _ in 0..40 {
        stage.here.milter.record(&[mail_record("4Bq", &[key("received")])]).await.unwrap();
    }
    assert_eq!(found(&stage, "received").await, 40);
    let sought = Sought { digest: key("received").digest, hint: None };
    assert!(!stage.there.operator.seen(&sought, 40).await.unwrap().is_at_least());
}
