// SPDX-License-Identifier: GPL-3.0-or-later
//! What a scanner says is bounded, whatever it says.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{fs, time::Duration};
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::Mail,
    process::Program,
    site::Site,
    thunderstorm::{Fault, Settings},
};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(30);

/// Scans that are answered at once.
const SCANS: usize = 32;

fn with_attachment(seed: u64) -> Mail {
    Mail::of(mail().attach("a.bin", "application/octet-stream", noise(seed, 500)).bytes())
}

/// The most memory that the process has had, in bytes.
fn peak(program: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn huge_answers_of_a_scanner_take_no_memory_and_are_named() {
    let settings =
        Settings { threads: SCANS, service_time: Duration::from_millis(200), ..Settings::default() };
    let site = Site::cluster(1, settings).await;
    let worker = site.worker("").await;
    let milter = site.milter("wait.deadline = \"20s\"").await;
    assert!(milter.send(&with_attachment(1)).await.delivers());
    let before = peak(&worker);
    site.farm[0].fault_of_mail(Fault::Huge);
    let mut sent = JoinSet::new();
    for seed in 0..SCANS as u64 {
        let address = milter.address.clone();
        sent.spawn(async move {
            let mut mta = thundergate_harness::mta::Mta::connect(&address).await.unwrap();
            mta.send(&with_attachment(100 + seed)).await.unwrap()
        });
    }
    while let Some(reply) = sent.join_next().await {
        assert!(!reply.unwrap().delivers(), "nothing was scanned");
    }
    let taken = peak(&worker) - before;
    assert!(taken < 100 << 20, "{taken} bytes");
    let named = |line: &Value| {
        line["error"].as_str().is_some_and(|error| error.contains("longer than 1048576 bytes"))
    };
    let line = worker.wait_for(named, PATIENCE).await;
    assert!(line.is_some(), "{:#?}", worker.log_lines());
    site.farm[0].fault(Fault::None);
    eventually(PATIENCE, "the next mail is scanned", async || {
        milter.send(&with_attachment(200)).await.delivers()
    })
    .await;
}
