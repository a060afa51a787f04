// SPDX-License-Identifier: GPL-3.0-or-later
//! The stand-in scanner under files that refuse to be scanned, that kill it, and that only newer signatures know; and
//! what it counts of the workers' own samples.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use super::stand_in::{check, client, post};
use reqwest::{
    Response, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use std::time::Duration;
use thundergate_common::digest::Digest;
use thundergate_harness::{
    eventually,
    mails::eicar,
    thunderstorm::{Fault, Hostility, SINCE, Settings, Standin},
    waiting::PATIENCE,
};
use tokio::time::timeout;

/// Longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(300);

fn hostile(hostility: Hostility) -> Vec<u8> {
    format!("a file with {} in it", hostility.mark()).into_bytes()
}

/// A member of a ZIP, stored as it is; nobody looks for the directory at the end.
fn stored(name: &str, bytes: &[u8]) -> Vec<u8> {
    let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
    [b"PK\x03\x04".as_slice(), &[0; 14], &size, &size, &name_length, &[0; 2], name.as_bytes(), bytes].concat()
}

async fn scan(standin: &Standin, bytes: &[u8]) -> reqwest::Result<Response> {
    post(&standin.url(), "/api/check", "a.bin", bytes).await
}

async fn from(standin: &Standin, source: &str, bytes: &[u8]) -> reqwest::Result<Response> {
    let part = Part::bytes(bytes.to_vec()).file_name("own.txt");
    let url = format!("{}/api/check?source={source}", standin.url());
    client().post(url).multipart(Form::new().part("file", part)).send().await
}

#[tokio::test]
async fn a_file_is_refused_reported_as_an_error_or_hung_up_on_each_time_and_counts_as_scanned() {
    let standin = Standin::start(Settings::default()).await;
    for _ in 0..2 {
        let refused = scan(&standin, &hostile(Hostility::Refused)).await.unwrap();
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let error = check(&standin, "/api/check", "a.bin", &hostile(Hostility::Error)).await;
        assert_eq!((error.as_array().unwrap().len(), &error[0]["level"]), (1, &json!("Error")));
        let hung_up = scan(&standin, &hostile(Hostility::HungUp)).await.unwrap_err();
        assert!(!hung_up.is_connect() && !hung_up.is_timeout(), "{hung_up:?}");
    }
    for hostility in [Hostility::Refused, Hostility::Error, Hostility::HungUp] {
        assert_eq!(standin.uploads_of(&Digest::of(&hostile(hostility))), 2, "{hostility:?}");
    }
    assert_eq!(check(&standin, "/api/check", "a.bin", b"innocent").await, json!([]));
}

#[tokio::test]
async fn a_file_that_kills_it_takes_everybodys_scan_along_and_it_comes_back() {
    let settings = Settings { restart: SHORT, service_time: FOR_EVER, ..Settings::default() };
    let standin = Standin::start(settings).await;
    let (innocent, killer) = (scan(&standin, b"innocent"), hostile(Hostility::Crash));
    let killers = async {
        eventually(PATIENCE, "the innocent one is being scanned", async || standin.scanning() == 1).await;
        tokio::join!(scan(&standin, &killer), scan(&standin, &killer))
    };
    let (innocent, (one, two)) = timeout(PATIENCE, async { tokio::join!(innocent, killers) }).await.unwrap();
    assert!(innocent.is_err() && one.is_err() && two.is_err());

    let info = standin.url() + "/api/info";
    let answers = async || client().get(&info).send().await;
    assert!(answers().await.unwrap_err().is_connect(), "its port is closed");
    standin.settings(|settings| settings.service_time = Duration::ZERO);
    eventually(PATIENCE, "it is back", async || answers().await.is_ok()).await;
    assert_eq!(standin.scanning(), 0);
    assert_eq!(check(&standin, "/api/check", "a.bin", b"innocent").await, json!([]));
    assert!(scan(&standin, &killer).await.is_err(), "it can die again");
}

#[tokio::test]
async fn a_slow_file_keeps_its_thread_after_its_client_has_gone() {
    let settings = Settings { threads: 1, waiting: 0, slow: FOR_EVER, ..Settings::default() };
    let standin = Standin::start(settings).await;
    let slow = hostile(Hostility::Slow);
    tokio::select! {
        ended = scan(&standin, &slow) => panic!("{ended:?}"),
        () = eventually(PATIENCE, "it is being scanned", async || standin.scanning() == 1) => (),
    }
    let freed = eventually(PATIENCE, "a thread is free", async || {
        scan(&standin, b"innocent").await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    });
    assert!(timeout(SHORT, freed).await.is_err(), "its client has gone");
    assert_eq!((standin.scanning(), standin.total()), (1, 1));

    standin.stop().await;
    standin.start_again().await;
    eventually(PATIENCE, "a restart ends it", async || standin.scanning() == 0).await;
    standin.settings(|settings| settings.slow = SHORT);
    assert_eq!(check(&standin, "/api/check", "a.bin", &slow).await, json!([]));
    assert!(standin.busy() >= SHORT);
}

#[tokio::test]
async fn one_that_unpacks_finds_what_is_stored_in_an_archive_up_to_its_limit() {
    let standin = Standin::start(Settings::default()).await;
    let archive = [stored("filler.bin", &[b'x'; 5_000]), stored("eicar.com", &eicar())].concat();
    let is_found = async || check(&standin, "/api/check", "a.zip", &archive).await != json!([]);
    assert!(!is_found().await);
    standin.settings(|settings| settings.unpacks = true);
    assert!(is_found().await);
    standin.settings(|settings| settings.max_file_bytes = archive.len() - 1);
    assert!(!is_found().await);
}

#[tokio::test]
async fn a_blind_one_finds_nothing_and_a_late_one_not_what_is_new() {
    let standin = Standin::start(Settings::default()).await;
    let is_found = async |bytes: &[u8]| check(&standin, "/api/check", "a.com", bytes).await != json!([]);
    let new = format!("{SINCE}{} THUNDERGATE-TEST-STRONG-1", Settings::default().signatures);
    assert!(is_found(&eicar()).await && is_found(new.as_bytes()).await);
    standin.settings(|settings| settings.signatures = "2026/10/01-120000".to_owned());
    assert!(is_found(&eicar()).await && !is_found(new.as_bytes()).await);
    standin.settings(|settings| *settings = Settings { blind: true, ..Settings::default() });
    assert!(!is_found(&eicar()).await && !is_found(new.as_bytes()).await);
}

#[tokio::test]
async fn what_the_workers_send_for_themselves_is_scanned_but_counted_apart() {
    let standin = Standin::start(Settings::default()).await;
    for source in ["thundergate-proof", "thundergate-canary", "thundergate-canary"] {
        let answer = from(&standin, source, &eicar()).await.unwrap().json::<Value>().await.unwrap();
        assert_eq!(answer[0]["matches"][0]["rulename"], "EICAR_Test_File");
    }
    assert_eq!((standin.total(), standin.requests(), standin.names().len()), (0, 0, 0));
    assert_eq!(standin.uploads_of(&Digest::of(&eicar())), 0);
    assert_eq!((standin.own_uploads(), standin.own_uploads_of("thundergate-canary")), (3, 2));

    standin.fault_times(Fault::Status(500), 1);
    let canary = from(&standin, "thundergate-canary", &eicar()).await.unwrap();
    assert_eq!(canary.status(), StatusCode::OK, "a counted fault waits for mail's samples");
    let mails = from(&standin, "mx1.example", &eicar()).await.unwrap();
    assert_eq!(mails.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((standin.requests(), standin.own_uploads()), (1, 4));
}
