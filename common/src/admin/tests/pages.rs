// SPDX-License-Identifier: GPL-3.0-or-later
//! Page, status, metrics, life and readiness.

use super::*;
use prometheus_client::metrics::counter::Counter;

fn listening(listen: Option<SocketAddr>) -> settings::Admin {
    settings::Admin { listen, ..settings::Admin::default() }
}

#[tokio::test]
async fn it_tells_life_readiness_and_metrics_until_it_is_shut_down() {
    let config = listening(Some("127.0.0.1:0".parse().unwrap()));
    let admin = Admin::bind(&config, Vec::new()).await.unwrap().unwrap();
    let address = admin.address().unwrap();
    let mut registry = Registry::default();
    let messages = Counter::<u64>::default();
    registry.register("messages", "Messages decided", messages.clone());
    messages.inc();
    let (up, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let told = up.clone();
    let ready: Ready =
        Arc::new(
            move || {
                if told.load(Ordering::Relaxed) { Ok(()) } else { Err("hub unreachable".to_owned()) }
            },
        );
    let mut tasks = JoinSet::new();
    let subject = Arc::<Asked>::default();
    let (registry, backend) = (Arc::new(registry), Backend::default());
    tasks.spawn(admin.serve(Site { registry, ready, subject, backend, journal: None }, shutdown.clone()));

    assert!(fetch(address, "/live").await.starts_with("HTTP/1.1 200 "));
    let answer = fetch(address, "/ready").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("hub unreachable"), "{answer}");
    up.store(true, Ordering::Relaxed);
    assert!(fetch(address, "/ready").await.starts_with("HTTP/1.1 200 "));
    let answer = fetch(address, "/metrics").await;
    assert!(answer.contains(Format::Prometheus.media_type()), "{answer}");
    assert!(answer.contains("messages_total 1\n") && answer.contains("thundergate_ready 1\n"), "{answer}");
    assert!(fetch(address, "/nothing").await.starts_with("HTTP/1.1 404 "));

    let answer = fetch(address, "/").await;
    assert!(answer.contains("content-security-policy: default-src 'none';"), "{answer}");
    assert!(answer.contains("cache-control: no-store") && answer.contains("nosniff"), "{answer}");
    // Whoever asks at the same time gets the same.
    for _ in 0..2 {
        assert!(fetch(address, "/status").await.contains("\"at_ms\":1,"));
    }
    for path in ["/", "/status", "/metrics"] {
        assert!(request(address, &format!("HEAD {path}"), "[::1]").await.ends_with("\r\n\r\n"));
        assert!(request(address, &format!("POST {path}"), "localhost").await.starts_with("HTTP/1.1 405 "));
        assert!(request(address, &format!("GET {path}"), "evil.example").await.starts_with("HTTP/1.1 403 "));
    }
    assert!(request(address, "GET /live", "evil.example").await.starts_with("HTTP/1.1 200 "));
    for ambiguous in [
        "GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "GET /live HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw(address, ambiguous).await;
        assert!(answer.contains(" 400 "), "{ambiguous:?} {answer}");
    }
    let h2 = raw(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(h2.is_empty() || h2.contains(" 400 "), "{h2:?}");

    let _idle = TcpStream::connect(address).await.unwrap();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), tasks.join_next()).await.unwrap();
}

#[tokio::test]
async fn an_empty_address_means_no_server() {
    assert!(Admin::bind(&listening(None), Vec::new()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    let error = Admin::bind(&listening(Some(address)), Vec::new()).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on {address} (admin.listen)"));
}
