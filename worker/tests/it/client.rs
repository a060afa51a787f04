// SPDX-License-Identifier: GPL-3.0-or-later
use crate::stub::{Reply, Stub, alert, alert_with, farm_with, sample};
use serde_json::json;
use std::time::Duration;
use thundergate_common::digest::Digest;
use thundergate_worker::thunderstorm::{
    client::Client, error::CallError, settings::Settings, shapes::ShapeError,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

fn client(url: &str) -> Client {
    client_with(&format!("{{ url = {url:?} }}"), "")
}

fn client_with(instance: &str, keys: &str) -> Client {
    let farm = farm_with(&[instance.to_owned()], keys);
    Client::new(&Settings::read(&farm.instances[0], &farm).unwrap()).unwrap()
}

#[tokio::test]
async fn a_sample_arrives_as_one_named_part_of_known_length() {
    let stub = Stub::start().await;
    let sample = sample(b"MZ...");
    assert!(client(&stub.url).scan(&sample, "mx 1&x=ä").await.unwrap().is_empty());
    let upload = stub.uploads().remove(0);
    assert_eq!((upload.path.as_str(), upload.query.as_str()), ("/api/check", "source=mx+1%26x%3D%C3%A4"));
    assert_eq!((upload.part.as_str(), upload.kind.as_str()), ("file", "application/octet-stream"));
    assert_eq!((upload.name, upload.bytes), (sample.key.upload_name(), sample.bytes));
    assert!(upload.length.is_some(), "no Content-Length");
}

#[tokio::test]
async fn the_api_is_found_by_asking_or_taken_from_the_url() {
    for api in ["/api", "/api/v1"] {
        let stub = Stub::start_with(api).await;
        for path in ["", "/", api, "/check", "/checkAsync"] {
            let path = if path.starts_with("/check") { format!("{api}{path}") } else { path.to_owned() };
            let client = client(&format!("{}{path}", stub.url));
            client.scan(&sample(b"x"), "").await.unwrap();
            assert_eq!(client.info().await.unwrap().threads, Some(4));
            assert_eq!(stub.uploads().pop().unwrap().path, format!("{api}/check"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_server_without_the_api_is_none() {
    let stub = Stub::start_with("/elsewhere").await;
    let result = client(&stub.url).scan(&sample(b"x"), "").await;
    assert!(matches!(result, Err(CallError::Refused(404))), "{result:?}");
}

#[tokio::test]
async fn a_finding_is_read() {
    let stub = Stub::start().await;
    stub.answer(alert);
    let findings = client(&stub.url).scan(&sample(b"x"), "").await.unwrap();
    assert_eq!((findings[0].score, findings[0].rules[0].name.as_str()), (90, "R"));
}

#[tokio::test]
async fn nothing_but_an_understood_answer_counts() {
    let stub = Stub::start().await;
    let client = client(&stub.url);
    let scan = async |reply: fn() -> Reply| {
        stub.answer(move |_| reply());
        client.scan(&sample(b"x"), "").await
    };
    let html = || Reply::new(200, "<html>[]</html>").with("content-type", "text/html");
    assert!(matches!(scan(html).await, Err(CallError::Unusable(ShapeError::Json(_)))));
    let cut_short = || Reply::new(200, "[{\"level\":\"Alert\",\"mess");
    assert!(matches!(scan(cut_short).await, Err(CallError::Unusable(ShapeError::Json(_)))));
    let nothing = || Reply::new(200, "");
    assert!(matches!(scan(nothing).await, Err(CallError::Unusable(ShapeError::Json(_)))));
    let message = || Reply::new(200, json!({"message": "x"}));
    assert!(matches!(scan(message).await, Err(CallError::Unusable(ShapeError::NoArray))));
    let error = || Reply::new(500, "[]");
    assert!(matches!(scan(error).await, Err(CallError::Refused(500))));
    let accepted = || Reply::new(202, "[]");
    assert!(matches!(scan(accepted).await, Err(CallError::Refused(202))));
    let long = || Reply::new(200, format!("[{}]", " ".repeat(1 << 20)));
    assert!(matches!(scan(long).await, Err(CallError::TooLong(_))));
    let many = || Reply::new(200, format!("[{}0]", "0,".repeat(70_000)));
    assert!(matches!(scan(many).await, Err(CallError::Unusable(ShapeError::TooMuch))));
    let fits = || Reply::new(200, format!("[{}]", " ".repeat((1 << 20) - 2)));
    assert!(scan(fits).await.unwrap().is_empty());
}

/// An answer whose length nobody says: what is above the bound is not read.
#[tokio::test]
async fn an_answer_that_does_not_end_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/check", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut begun = [0; 64];
        connection.read_exact(&mut begun).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[";
        connection.write_all(head).await.unwrap();
        let mut sent = 0;
        while connection.write_all(&[b' '; 1 << 16]).await.is_ok() {
            sent += 1 << 16;
        }
        sent
    });
    let result = client(&url).scan(&sample(b"x"), "").await;
    assert!(matches!(result, Err(CallError::TooLong(_))), "{result:?}");
    let sent = server.join_next().await.unwrap().unwrap();
    assert!(sent < 16 << 20, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (stub, other) = (Stub::start().await, Stub::start().await);
    let there = format!("{}/api/check", other.url);
    stub.answer(move |_| Reply::new(307, "").with("location", &there));
    let result = client(&stub.url).scan(&sample(b"x"), "").await;
    assert!(matches!(result, Err(CallError::Refused(307))), "{result:?}");
    assert!(other.uploads().is_empty());
}

#[tokio::test]
async fn another_files_digest_is_a_failed_scan() {
    let stub = Stub::start().await;
    stub.answer(|upload| alert_with(upload, &Digest::of(b"").to_string()));
    let result = client(&stub.url).scan(&sample(b"x"), "").await;
    assert!(matches!(result, Err(CallError::Unusable(ShapeError::OtherFile(_)))), "{result:?}");
}

#[tokio::test]
async fn back_pressure_says_how_long() {
    let stub = Stub::start().await;
    let client = client(&stub.url);
    for (header, seconds) in
        [("7", Some(7)), (" 0 ", Some(0)), ("9999999", Some(300)), ("-1", None), ("soon", None), ("", None)]
    {
        for code in [503, 429] {
            stub.answer(move |_| Reply::new(code, "busy").with("retry-after", header));
            match client.scan(&sample(b"x"), "").await {
                Err(CallError::Busy { status, pause }) => {
                    assert_eq!((status, pause), (code, seconds.map(Duration::from_secs)), "{header}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// As nginx does above `client_max_body_size`: it answers once it has read the header, and reads on for a while.
#[tokio::test]
async fn a_refusal_for_the_size_is_heard_while_the_sample_is_still_being_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/check", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut begun = [0; 64];
        connection.read_exact(&mut begun).await.unwrap();
        let answer =
            b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        connection.write_all(answer).await.unwrap();
        connection.shutdown().await.unwrap();
        // The client may leave in the middle.
        let _ = tokio::io::copy(&mut connection, &mut tokio::io::sink()).await;
    });
    let result = client(&url).scan(&sample(&vec![0; 8 << 20]), "").await;
    assert!(matches!(result, Err(CallError::TooLarge)), "{result:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_the_timeout() {
    let stub = Stub::start().await;
    stub.hold();
    let instance = format!("{{ url = {:?} }}", stub.url);
    let client = client_with(&instance, "timeout = \"200ms\"\nconnect_timeout = \"100ms\"");
    let result = client.scan(&sample(b"x"), "").await;
    assert!(matches!(result, Err(CallError::Broken(_) | CallError::Timeout)), "{result:?}");
}

#[tokio::test]
async fn an_asynchronous_scan_is_polled_until_it_is_over() {
    let stub = Stub::start().await;
    let client = client_with(&format!("{{ url = {:?}, async = true }}", stub.url), "timeout = \"2s\"");
    let result = |body| Reply::new(200, body);
    let waiting = || result(json!({"status": "Waiting for execution"}));
    for id in [json!(12345), json!("3f-8a")] {
        stub.answer(move |_| Reply::new(200, json!({ "id": id })));
        stub.results(vec![
            waiting(),
            Reply::new(503, "").with("retry-after", "0"),
            result(json!({
                "status": "Sample analysis complete",
                "results": [{"level": "Alert", "message": "Malware file found", "score": 81}],
            })),
        ]);
        assert_eq!(client.scan(&sample(b"x"), "").await.unwrap()[0].score, 81);
        assert_eq!(stub.uploads().pop().unwrap().path, "/api/checkAsync");
    }
    stub.results(vec![result(json!({"status": "Sample analysis complete", "result": null}))]);
    assert!(client.scan(&sample(b"x"), "").await.unwrap().is_empty());
    stub.results(vec![result(json!({"status": "Sample analysis failed"}))]);
    assert!(matches!(client.scan(&sample(b"x"), "").await, Err(CallError::GaveUp(_))));
    stub.results(vec![Reply::new(400, "not present in cache")]);
    assert!(matches!(client.scan(&sample(b"x"), "").await, Err(CallError::Refused(400))));
    stub.results(vec![waiting()]);
    assert!(matches!(client.scan(&sample(b"x"), "").await, Err(CallError::Timeout)));
}
