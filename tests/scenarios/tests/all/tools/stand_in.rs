// SPDX-License-Identifier: GPL-3.0-or-later
//! The stand-in scanner itself: both generations of the API, its matching, its limits and its faults.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use reqwest::{
    Client, Response, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use std::time::Duration;
use thundergate_common::digest::Digest;
use thundergate_harness::{
    eventually,
    mails::{eicar, noise},
    thunderstorm::{Fault, Settings, Shape, Standin},
    waiting::PATIENCE,
};
use tokio::task::JoinSet;

pub(super) fn client() -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

pub(super) async fn post(url: &str, path: &str, name: &str, bytes: &[u8]) -> reqwest::Result<Response> {
    let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned());
    client().post(format!("{url}{path}?source=test")).multipart(Form::new().part("file", part)).send().await
}

pub(super) async fn check(standin: &Standin, path: &str, name: &str, bytes: &[u8]) -> Value {
    let answer = post(&standin.url(), path, name, bytes).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

async fn get(standin: &Standin, path: &str) -> Value {
    client().get(standin.url() + path).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn both_generations_report_eicar_and_nothing_else() {
    let standin = Standin::start(Settings::default()).await;
    let digest = Digest::of(&eicar());

    assert_eq!(check(&standin, "/api/check", "a.txt", b"hello").await, json!([]));
    assert_eq!(check(&standin, "/api/v1/check", "a.txt", b"hello").await, json!([]));

    let old = &check(&standin, "/api/check", "eicar.com", &eicar()).await[0];
    assert_eq!((&old["level"], &old["score"]), (&json!("Alert"), &json!(100)));
    assert_eq!(old["context"]["sha256"], digest.to_string());
    assert_eq!(old["context"]["md5"], "44d88612fea8a8f36de82e1278abb02f");
    assert_eq!(old["context"]["file"], "eicar.com");
    assert_eq!(old["matches"][0]["rulename"], "EICAR_Test_File");
    assert_eq!(old["matches"][0]["subscore"], 100);

    let v1 = &check(&standin, "/api/v1/check", "eicar.com", &eicar()).await[0];
    assert_eq!((&v1["meta"]["level"], &v1["score"]), (&json!("Alert"), &json!(100)));
    assert_eq!(v1["subject"]["hashes"]["sha256"], digest.to_string());
    assert_eq!(v1["reasons"][0]["signature"]["rule_name"], "EICAR_Test_File");
    assert_eq!(v1["reason_count"], 1);

    assert_eq!(standin.uploads_of(&digest), 2);
    assert_eq!(standin.total(), 4);
    assert_eq!(get(&standin, "/stand-in/uploads").await["uploads"][digest.to_string()], 2);
}

#[tokio::test]
async fn markers_of_the_tests_give_their_scores() {
    let standin = Standin::start(Settings::default()).await;
    let cases: [(&[u8], &str, u64, usize); 3] = [
        (b"x THUNDERGATE-TEST-LOW x", "Notice", 45, 1),
        (b"x THUNDERGATE-TEST-SUSPICIOUS x", "Warning", 60, 1),
        (b"THUNDERGATE-TEST-STRONG-1 THUNDERGATE-TEST-STRONG-2", "Alert", 97, 2),
    ];
    for (bytes, level, score, matches) in cases {
        let finding = &check(&standin, "/api/check", "marker.bin", bytes).await[0];
        assert_eq!((&finding["level"], &finding["score"]), (&json!(level), &json!(score)));
        assert_eq!(finding["matches"].as_array().unwrap().len(), matches);
    }
    standin.settings(|settings| settings.max_reasons = 1);
    let finding = &check(&standin, "/api/check", "marker.bin", cases[2].0).await[0];
    assert_eq!(finding["matches"].as_array().unwrap().len(), 1);
    assert_eq!(finding["context"]["reasons_count"], 2);
}

#[tokio::test]
async fn the_name_decides_where_the_bytes_do_not() {
    let standin = Standin::start(Settings::default()).await;
    let program = b"MZ\x90\x00 no real program";
    assert_eq!(check(&standin, "/api/check", "setup.exe", program).await, json!([]));
    assert_eq!(check(&standin, "/api/check", "invoice.pdf", program).await[0]["score"], 70);
    assert_eq!(standin.names(), ["setup.exe", "invoice.pdf"]);
}

#[tokio::test]
async fn a_file_over_the_limit_is_not_scanned_and_looks_clean() {
    let standin = Standin::start(Settings { max_file_bytes: 67, ..Settings::default() }).await;
    assert_eq!(check(&standin, "/api/check", "eicar.com", &eicar()).await, json!([]));
}

#[tokio::test]
async fn anything_but_one_part_named_file_is_refused() {
    let standin = Standin::start(Settings::default()).await;
    let url = standin.url() + "/api/check";
    let part = || Part::bytes(eicar()).file_name("eicar.com");
    let forms = [
        Form::new().part("sample", part()),
        Form::new().part("file", part()).part("file", part()),
        Form::new().part("file", part()).text("hostname", "me"),
    ];
    for form in forms {
        let answer = client().post(&url).multipart(form).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    let answer = client().post(&url).body("no form").send().await.unwrap();
    assert!(answer.status().is_client_error());
    assert_eq!(standin.total(), 0);
}

#[tokio::test]
async fn only_the_chosen_generation_is_served() {
    let standin = Standin::start(Settings { shape: Shape::Old, ..Settings::default() }).await;
    let status = async |path| client().get(standin.url() + path).send().await.unwrap().status();
    assert_eq!(status("/api/info").await, StatusCode::OK);
    assert_eq!(status("/api/v1/info").await, StatusCode::NOT_FOUND);
    standin.settings(|settings| settings.shape = Shape::V1);
    assert_eq!(status("/api/info").await, StatusCode::NOT_FOUND);
    assert_eq!(get(&standin, "/api/v1/info").await["version_info"]["signatures"], "2026/11/01-120000");
    assert!(get(&standin, "/api/v1/status").await.get("uptime_seconds").is_none());
}

#[tokio::test]
async fn an_asynchronous_scan_ends_with_the_same_finding() {
    let standin = Standin::start(Settings::default()).await;
    let id = check(&standin, "/api/checkAsync", "eicar.com", &eicar()).await["id"].as_u64().unwrap();
    let path = format!("/api/getAsyncResults?id={id}");
    eventually(PATIENCE, "the scan is complete", async || {
        get(&standin, &path).await["status"] == "Sample analysis complete"
    })
    .await;
    assert_eq!(get(&standin, &path).await["result"][0]["matches"][0]["rulename"], "EICAR_Test_File");
    for unknown in ["/api/getAsyncResults", "/api/getAsyncResults?id=0", "/api/getAsyncResults?id=x"] {
        let answer = client().get(standin.url() + unknown).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn past_threads_and_waiting_a_scan_is_refused_with_retry_after() {
    let slow = Settings { threads: 1, waiting: 1, service_time: PATIENCE, ..Settings::default() };
    let standin = Standin::start(slow).await;
    let mut scans = JoinSet::new();
    for i in 0..2 {
        let url = standin.url();
        scans.spawn(async move { post(&url, "/api/check", "a", &[i]).await });
    }
    eventually(PATIENCE, "one more is refused", async || {
        let short = Duration::from_millis(200);
        let answer = tokio::time::timeout(short, post(&standin.url(), "/api/check", "b", b"b")).await;
        let Ok(Ok(answer)) = answer else { return false };
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        answer.headers()["retry-after"] == "1"
    })
    .await;
    assert_eq!(standin.scanning(), 1);
    scans.shutdown().await;
    eventually(PATIENCE, "scans end with their clients", async || standin.scanning() == 0).await;
}

#[tokio::test]
async fn faults_do_what_they_say_and_end_after_their_times() {
    let standin = Standin::start(Settings::default()).await;
    let url = standin.url();
    let scan = async || post(&url, "/api/check", "eicar.com", &eicar()).await;

    standin.fault_times(Fault::Down, 1);
    assert!(scan().await.is_err());
    assert_eq!(scan().await.unwrap().status(), StatusCode::OK);

    for (fault, code) in [(Fault::Status(500), 500), (Fault::Busy503, 503), (Fault::Redirect, 307)] {
        standin.fault_times(fault, 1);
        assert_eq!(scan().await.unwrap().status().as_u16(), code);
    }
    standin.fault(Fault::Html);
    assert!(scan().await.unwrap().text().await.unwrap().starts_with("<!doctype"));
    standin.fault(Fault::NotAnArray);
    assert!(scan().await.unwrap().json::<Value>().await.unwrap().is_object());
    standin.fault(Fault::TruncatedJson);
    assert!(scan().await.unwrap().json::<Value>().await.is_err());
    standin.fault(Fault::WrongHash);
    let finding = scan().await.unwrap().json::<Value>().await.unwrap();
    assert_ne!(finding[0]["context"]["sha256"], Digest::of(&eicar()).to_string());
    standin.fault(Fault::Hang);
    assert!(tokio::time::timeout(Duration::from_millis(300), scan()).await.is_err());
    standin.fault(Fault::None);
    assert_eq!(scan().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn settings_and_faults_can_be_set_over_http_even_while_it_is_down() {
    let standin = Standin::start(Settings::default()).await;
    let put = async |path: &str, body: Value| {
        let put = client().put(standin.url() + path).header("content-type", "application/json");
        put.body(body.to_string()).send().await.unwrap().status()
    };
    assert_eq!(put("/stand-in/fault", json!({ "fault": "down" })).await, StatusCode::NO_CONTENT);
    assert!(client().get(standin.url() + "/api/status").send().await.is_err());
    assert_eq!(
        put("/stand-in/fault", json!({ "fault": { "status": 418 }, "times": 1 })).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(post(&standin.url(), "/api/check", "a", b"a").await.unwrap().status().as_u16(), 418);
    assert_eq!(put("/stand-in/settings", json!({ "signatures": "2026/11/02-080000" })).await, StatusCode::OK);
    assert_eq!(get(&standin, "/api/info").await["signature_version"], "2026/11/02-080000");
    assert_eq!(put("/stand-in/settings", json!({ "speed": 1 })).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_stopped_one_refuses_connections_and_comes_back_on_its_port() {
    let standin = Standin::start(Settings::default()).await;
    check(&standin, "/api/check", "a", &noise(1, 100_000)).await;
    standin.stop().await;
    assert!(client().get(standin.url() + "/api/status").send().await.unwrap_err().is_connect());
    standin.start_again().await;
    check(&standin, "/api/check", "a", &noise(1, 100_000)).await;
    assert_eq!(standin.uploads_of(&Digest::of(&noise(1, 100_000))), 2);
}
