// SPDX-License-Identifier: GPL-3.0-or-later
//! What stands in Redis for a verdict: short where it is clean, bounded where it is not, and for how long where Redis
//! fills. Old and new programs side by side.

use super::*;
use thundergate_common::{
    generation::FarmReport,
    hub::Worker as _,
    verdict::{
        Rule,
        bounds::{LARGEST, LARGEST_ANNOUNCEMENT},
        short::LENGTH,
    },
};

fn clean(instance: &str) -> Arc<Verdict> {
    let signatures = Some("2026/01/12-160550".to_owned());
    Arc::new(Verdict {
        scanned_at: now(),
        scan_ms: 152,
        signatures,
        instance: instance.to_owned(),
        ..Verdict::default()
    })
}

fn name_of(sample: &str) -> String {
    format!("tg:1:{{{}}}:-:verdict", key(sample).digest)
}

fn length_of(server: &RedisServer, sample: &str) -> usize {
    server.ask(&format!("STRLEN {}", name_of(sample))).unwrap()
}

const NAMES: &str = "tg:1:{farm}:names:verdict";

#[tokio::test]
async fn a_clean_verdict_is_short_and_every_process_reads_it() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    for number in 0..4 {
        store(&stage, &format!("clean{number}"), &clean(&format!("storm{}", number % 2))).await;
    }
    assert_eq!(length_of(server, "clean0"), LENGTH);
    assert_eq!(server.ask::<usize>(&format!("HLEN {NAMES}")).unwrap(), 2, "names stand there once");
    let life: i64 = server.ask(&format!("TTL {NAMES}")).unwrap();
    assert!(life > 3600, "{life}: longer than any verdict");
    let reader = connect(|user| at(server.url_of(user)), "reader").await;
    let keys = [key("clean0"), key("nothing"), key("clean1")];
    let expected = [Some(clean("storm0")), None, Some(clean("storm1"))];
    for hub in [&reader.milter, &stage.here.milter] {
        let mut known = hub.look_up(&keys).await.unwrap();
        known
            .iter_mut()
            .flatten()
            .for_each(|verdict| Arc::make_mut(verdict).scanned_at = expected[0].as_ref().unwrap().scanned_at);
        assert_eq!(known, expected);
    }
    let reserved = connect(|user| at(server.url_of(user)), "reserves").await;
    let reserved = reserved.milter.reserve(&[key("clean2")], Lane::Mail).await.unwrap();
    assert!(
        matches!(&reserved[..], [Reservation::Known(verdict)] if verdict.instance == "storm0"),
        "{reserved:?}"
    );
    store(&stage, "found", &verdict()).await;
    assert!(length_of(server, "found") > LENGTH, "what was found has the long form");
}

#[tokio::test]
async fn a_verdict_whose_names_are_gone_is_none_and_its_sample_is_scanned_again() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    store(&stage, "clean", &clean("storm")).await;
    server.command(&format!("DEL {NAMES}")).unwrap();
    let other = connect(|user| at(server.url_of(user)), "other").await;
    assert_eq!(other.milter.look_up(&[key("clean")]).await.unwrap(), [None]);
    submit(&*other.milter, "clean", Lane::Mail).await;
    let mut ticket = other.milter.announcements().subscribe(&key("clean"));
    let claim = claimed(&*other.worker).await;
    assert!(matches!(other.worker.begin(&claim).await.unwrap(), hub::Begin::Scan { .. }));
    other.worker.complete(&claim, &answered(&clean("storm"))).await.unwrap();
    assert!(matches!(ticket.answer().await, Answer::Verdict(_)));
    assert!(stage.here.milter.look_up(&[key("clean")]).await.unwrap()[0].is_some());
    // Another one's names under its id are none.
    let [id]: [String; 1] = server.ask::<Vec<String>>(&format!("HKEYS {NAMES}")).unwrap().try_into().unwrap();
    server.command(&format!("HSET {NAMES} {id} 1\u{a0}")).unwrap();
    let third = connect(|user| at(server.url_of(user)), "third").await;
    assert_eq!(third.milter.look_up(&[key("clean")]).await.unwrap(), [None]);
}

#[tokio::test]
async fn who_does_not_read_the_short_form_gets_the_long_one() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let mut job = job("asked by an old milter", Lane::Mail).1;
    job.reads_short = false;
    let claim = Claim { id: "0-0".into(), job, deliveries: 1 };
    stage.there.worker.complete(&claim, &answered(&clean("storm"))).await.unwrap();
    let text: String = server.ask(&format!("GET {}", name_of("asked by an old milter"))).unwrap();
    assert!(text.starts_with("{\"v\":1,"), "{text}");
    assert!(stage.here.milter.look_up(&[key("asked by an old milter")]).await.unwrap()[0].is_some());
}

#[tokio::test]
async fn a_full_table_of_names_has_verdicts_in_the_long_form() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    for number in 0..260 {
        store(&stage, &format!("clean{number}"), &clean(&format!("storm{number}"))).await;
    }
    assert_eq!(server.ask::<usize>(&format!("HLEN {NAMES}")).unwrap(), 256);
    assert_eq!(length_of(server, "clean255"), LENGTH);
    assert!(length_of(server, "clean256") > LENGTH);
    // What no verdict can refer to any more makes room.
    let ids: Vec<String> = server.ask(&format!("HKEYS {NAMES}")).unwrap();
    server.command(&format!("HSET {NAMES} {} 1", ids[0])).unwrap();
    store(&stage, "one more", &clean("one more")).await;
    assert_eq!(length_of(server, "one more"), LENGTH);
    assert_eq!(server.ask::<usize>(&format!("HLEN {NAMES}")).unwrap(), 256);
}

#[tokio::test]
async fn sealed_names_and_short_verdicts_are_read_with_the_secret_alone() {
    let server = RedisServer::start().unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef").unwrap();
    let sealed = |user: &str| Redis { secret_file: Some(secret.path().into()), ..at(server.url_of(user)) };
    let sealing = stage(sealed).await;
    store(&sealing, "clean", &clean("storm")).await;
    assert!(length_of(&server, "clean") < 80);
    let reader = connect(sealed, "reader").await;
    assert!(reader.milter.look_up(&[key("clean")]).await.unwrap()[0].is_some());
    let entries: Vec<Vec<u8>> = server.ask(&format!("HVALS {NAMES}")).unwrap();
    assert!(entries.iter().all(|entry| !entry.windows(5).any(|window| window == b"storm")));
    let open = connect(|user| at(server.url_of(user)), "open").await;
    assert_eq!(open.milter.look_up(&[key("clean")]).await.unwrap(), [None]);
}

/// What a scanner might say of a hostile sample.
fn enormous(rules: i64) -> Arc<Verdict> {
    let rule = |subscore| Rule { subscore, matched: vec!["x".repeat(1000); 100], ..Rule::default() };
    let finding = Finding { score: 95, rules: (0..rules).map(rule).collect(), ..Finding::default() };
    Arc::new(Verdict { findings: vec![finding], scanned_at: now(), ..Verdict::default() })
}

#[tokio::test]
async fn a_verdict_of_any_size_is_stored_and_announced_within_its_bound() {
    for stage in [in_memory(), over_redis().await] {
        let claim = queued(&stage, "hostile", Lane::Mail).await;
        stage.there.worker.begin(&claim).await.unwrap();
        let mut ticket = stage.here.milter.announcements().subscribe(&key("hostile"));
        stage.there.worker.complete(&claim, &answered(&enormous(100))).await.unwrap();
        let Answer::Verdict(announced) = ticket.answer().await else { panic!("a verdict") };
        let known = stage.here.milter.look_up(&[key("hostile")]).await.unwrap().remove(0).unwrap();
        assert_eq!(known, announced);
        assert!(known.encode().len() <= LARGEST, "{}", known.encode().len());
        assert_eq!((known.score(), known.findings[0].rules_total), (95, 100));
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let stage = over_redis().await;
    let server = stage._server.as_ref().unwrap();
    let large = String::from_utf8(enormous(2).encode()).unwrap().replace(' ', "");
    assert!(large.len() > LARGEST_ANNOUNCEMENT);
    server.command(&format!("SET {} {large}", name_of("large"))).unwrap();
    assert_eq!(stage.here.milter.look_up(&[key("large")]).await.unwrap(), [None]);
    let mut ticket = stage.here.milter.announcements().subscribe(&key("large"));
    let announcement =
        |verdict: &str| format!("{{\"v\":1,\"key\":{},\"answer\":{{\"verdict\":{verdict}}}}}", sample_json());
    server.command(&format!("PUBLISH tg:1:announce:here {}", announcement(&large))).unwrap();
    let small = String::from_utf8(verdict().encode()).unwrap();
    server.command(&format!("PUBLISH tg:1:announce:here {}", announcement(&small))).unwrap();
    let heard = tokio::time::timeout(SOON, ticket.answer()).await.expect("the second is heard");
    assert_eq!(heard, Answer::Verdict(verdict()));
}

/// The sample of [`what_is_too_large_is_not_read`] as an announcement names it.
fn sample_json() -> String {
    serde_json::to_string(&key("large")).unwrap()
}

#[tokio::test]
async fn clean_verdicts_live_shorter_as_redis_fills_and_others_do_not() {
    let server = RedisServer::start().unwrap();
    let cache = |kib| Cache {
        clean_ttl: Duration::from_secs(24 * 3600),
        redis_bytes: bytesize::ByteSize::kib(kib),
        ..ttls()
    };
    let url = server.url_of(WORKER);
    // Beside it what connections take is little.
    server.command("SETRANGE ballast 33554431 x").unwrap();
    let life = async |kib, verdict: &Arc<Verdict>| {
        let hub = RedisHub::connect(&at(url.clone()), &limits(), &cache(kib), "w".into()).await.unwrap();
        hub.report(&FarmReport::default(), None).await.unwrap();
        let claim = Claim { id: "0-0".into(), job: job("sample", Lane::Mail).1, deliveries: 1 };
        hub.complete(&claim, &answered(verdict)).await.unwrap();
        let left: u64 = server.ask(&format!("TTL {}", name_of("sample"))).unwrap();
        server.command(&format!("DEL {}", name_of("sample"))).unwrap();
        (left, hub.memory().unwrap())
    };
    let (whole, memory) = life(0, &clean("storm")).await;
    assert!(whole > 86_300 && memory.bound_bytes == 0, "{whole} {memory:?}");
    assert_eq!(memory.most_bytes, 2 << 30);
    let kib = memory.held_bytes() >> 10;
    let (whole, _) = life(kib * 4, &clean("storm")).await;
    assert!(whole > 86_300, "{whole}: there is room");
    let (shorter, _) = life(kib * 100 / 88, &clean("storm")).await;
    assert!((3600..80_000).contains(&shorter), "{shorter}");
    let (least, _) = life(kib / 2, &clean("storm")).await;
    assert!((800..=900).contains(&least), "{least}: never too short");
    let found = Arc::new(Verdict { scanned_at: now(), ..Verdict::clone(&verdict()) });
    let (found, _) = life(kib / 2, &found).await;
    assert!(found > 500, "{found}: as ever");
}
