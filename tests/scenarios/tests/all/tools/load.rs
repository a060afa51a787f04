// SPDX-License-Identifier: GPL-3.0-or-later
//! The load generator: what it says it sent must be what arrived.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use indymilter::{Callbacks, Config, Status};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use thundergate_bench::load::{Length, Plan, Process, Report, run_beside};
use thundergate_harness::{
    mails::{eicar, mail},
    mta::Mta,
    process::{Program, binary},
    site::Site,
    thunderstorm::Settings,
};
use tokio::{net::TcpListener, process::Command, task::JoinSet};

async fn null_milter(arguments: &[&str]) -> (Program, String) {
    let mut command = Command::new(binary("null-milter").unwrap());
    command.args(["--listen", "inet:127.0.0.1:0"]).args(arguments);
    let mut program = Program::launch(command).unwrap();
    program.wait_until_ready().await.unwrap();
    let address = program.addresses("listen").swap_remove(0);
    (program, address)
}

fn plan(milter: &str, messages: u64) -> Plan {
    let plan = Plan::to(milter).unwrap();
    Plan { length: Length::Messages(messages), connections: 4, timeout: Duration::from_secs(20), ..plan }
}

#[tokio::test]
async fn the_null_milter_negotiates_what_ours_does() {
    let (_null, address) = null_milter(&[]).await;
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let null = Mta::connect(&address).await.unwrap().agreed();
    assert_eq!(null, Mta::connect(&milter.address).await.unwrap().agreed());
}

#[tokio::test]
async fn every_message_is_counted_once_whatever_the_milter_answers() {
    for arguments in [&[][..], &["--replies"]] {
        let (program, address) = null_milter(arguments).await;
        let watched = Process { name: "null".to_owned(), id: program.id().unwrap() };
        let mut plan = Plan { threads: 2, messages_per_connection: 10, ..plan(&address, 500) };
        plan.processes = vec![watched];
        plan.mix.sizes = vec![20, 1000, 200_000];
        let report = run_beside(&plan).await.unwrap();
        assert_eq!((report.messages, report.decisions.accept), (500, 500));
        assert_eq!(report.errors.total(), 0);
        assert!((45..=55).contains(&report.reconnects), "{} reconnects", report.reconnects);
        assert!(report.messages_per_second > 0.0 && report.after_end.p50 <= report.whole.max);
        assert!(report.processes[0].cpu_seconds > 0.0 && report.generator.cpu_seconds > 0.0);
    }
}

#[tokio::test]
async fn over_a_unix_socket_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", dir.path().join("milter.sock").display());
    let mut command = Command::new(binary("null-milter").unwrap());
    command.args(["--listen", &address]);
    let mut program = Program::launch(command).unwrap();
    program.wait_until_ready().await.unwrap();
    let report = run_beside(&plan(&address, 100)).await.unwrap();
    assert_eq!((report.decisions.accept, report.errors.total()), (100, 0));
}

#[tokio::test]
async fn new_attachments_reach_the_scanner_once_and_known_ones_no_more_than_once() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let mut plan = plan(&milter.address, 200);
    plan.mix.sizes = vec![500, 5000];
    (plan.mix.repeats, plan.mix.pool) = (90.0, 3);
    (plan.mix.look.attachments, plan.mix.look.distinct_names) = (2, true);
    let report = run_beside(&plan).await.unwrap();
    assert_eq!(report.decisions.accept, 200);
    let new = report.new_attachments;
    assert!((36..=44).contains(&new), "{new} in a tenth of the messages, two in each");
    assert_eq!(site.scans(), new + 2 * 3 * 2, "sizes, pool, attachments");
    assert!(site.farm[0].uploads().values().all(|scans| *scans == 1));
    // The next run's are new again.
    let again = run_beside(&plan).await.unwrap();
    assert_eq!(site.scans(), new + again.new_attachments + 2 * 3 * 2);
}

#[tokio::test]
async fn decisions_are_told_apart() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let message = mail().attach("eicar.com", "application/octet-stream", eicar()).bytes();
    let mut plan = plan(&milter.address, 10);
    plan.mix.message = Some(message);
    let report = run_beside(&plan).await.unwrap();
    assert_eq!((report.decisions.quarantine, report.decisions.total()), (10, 10));
    let rejecting = site.milter("policy.reject = \"FullMatch.Score > 0\"").await;
    plan.milter = Plan::to(&rejecting.address).unwrap().milter;
    let report = run_beside(&plan).await.unwrap();
    assert_eq!((report.decisions.reject, report.decisions.total()), (10, 10));
}

#[tokio::test]
async fn messages_that_are_given_up_do_not_count_and_do_not_end_the_connection() {
    let (_program, address) = null_milter(&[]).await;
    let plan = Plan { abort_percent: 50.0, abort_between: true, ..plan(&address, 300) };
    let report = run_beside(&plan).await.unwrap();
    assert_eq!(report.decisions.accept, 300);
    assert!((250..=350).contains(&report.aborted), "{} given up", report.aborted);
    assert_eq!((report.errors.total(), report.reconnects), (0, 0));
}

/// A milter that sleeps at the end of its first message.
async fn stalls(pause: Duration) -> (JoinSet<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("inet:{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU64::new(0));
    let callbacks = Callbacks::<()>::new().on_eom(move |_| {
        let count = count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if count == 0 {
                tokio::time::sleep(pause).await;
            }
            Status::Accept
        })
    });
    let mut running = JoinSet::new();
    running.spawn(async move {
        indymilter::run(listener, callbacks, Config::default(), std::future::pending::<()>()).await.unwrap();
    });
    (running, address)
}

async fn at_a_rate(pause: Duration) -> Report {
    let (_running, address) = stalls(pause).await;
    let mut plan = Plan {
        rate: Some(200.0),
        connections: 1,
        prepare: false,
        length: Length::Time(Duration::from_secs(2)),
        ..Plan::to(&address).unwrap()
    };
    plan.mix.sizes = vec![100];
    run_beside(&plan).await.unwrap()
}

#[tokio::test]
async fn with_a_rate_a_stall_shows_in_all_messages_that_were_due_meanwhile() {
    let report = at_a_rate(Duration::from_secs(1)).await;
    // 200 of the 400 were due during the stall, and waited half a second on average.
    assert!(report.whole.p90 > 500.0, "{:?}", report.whole);
    assert!(report.backlog_max > 100, "{}", report.backlog_max);
    let began_late = report.after_end;
    assert!(began_late.p90 < report.whole.p90 / 2.0, "one message alone was slow at its end: {began_late:?}");
}

#[tokio::test]
async fn messages_that_never_began_are_a_backlog_and_count_as_slow() {
    let report = at_a_rate(Duration::from_secs(3)).await;
    assert_eq!(report.messages, 1, "the one that was under way");
    assert!(report.backlog >= 390, "{}", report.backlog);
    assert!(report.whole.p50 > 900.0, "{:?}", report.whole);
}

#[tokio::test]
async fn a_lost_connection_is_counted_and_opened_again() {
    let (mut first, address) = null_milter(&[]).await;
    let plan = Plan { length: Length::Time(Duration::from_secs(3)), ..plan(&address, 1) };
    let listen = address.clone();
    let mut restarts = JoinSet::new();
    restarts.spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.kill9().await.unwrap();
        let mut command = Command::new(binary("null-milter").unwrap());
        command.args(["--listen", &listen]);
        let mut second = Program::launch(command).unwrap();
        second.wait_until_ready().await.unwrap();
        second
    });
    let report = run_beside(&plan).await.unwrap();
    assert!(report.errors.total() >= 4 && report.reconnects >= 4, "{:?}", report.errors);
    assert!(report.decisions.total() == report.decisions.accept && report.messages > 0);
    restarts.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn the_program_prints_json_and_ends_with_69_where_there_is_no_milter() {
    let (_program, address) = null_milter(&[]).await;
    let load = binary("load").unwrap();
    let arguments = ["--messages", "20", "--warm-up", "0", "--size", "1KiB,2000", "--json"];
    let output = Command::new(&load).arg(&address).args(arguments).output().await.unwrap();
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report.messages, report.decisions.accept), (20, 20));
    let output = Command::new(&load).arg("inet:127.0.0.1:1").output().await.unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no milter at inet:127.0.0.1:1"));
}
