// SPDX-License-Identifier: GPL-3.0-or-later
//! Mistakes with scanners: one that is right stands beside each, and is not blamed.

use super::*;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::sync::Arc;
use thundergate_harness::{
    redis::{Certificates, RedisServer, WORKER},
    thunderstorm::{Fault, Standin},
    waiting::free_port,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// A server that answers everything with this.
async fn web_server(answer: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, serving)
}

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html></html>";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const LOGIN: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The server's side of TLS.
fn tls(certificates: &Certificates) -> TlsAcceptor {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (chain, key) = certificates.server();
    let chain = CertificateDer::pem_file_iter(chain).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_cannot_be_used_is_named_with_the_cause() {
    let server = RedisServer::start().unwrap();
    let right = Standin::start(current()).await;
    let ended = Standin::start(Settings { licence_ends: "2021-01-30".to_owned(), ..current() }).await;
    let old = Settings { signatures: "2020/08/31-164212".to_owned(), ..current() };
    let old = Standin::start(old).await;
    let ((page, _page), (gone, _gone), (login, _login)) =
        tokio::join!(web_server(PAGE), web_server(NOT_FOUND), web_server(LOGIN));
    let (wrong, away, warning) = (Level::Wrong, Level::Unavailable, Level::Warning);
    let unused = format!("http://127.0.0.1:{}", free_port());
    let https = right.url().replace("http:", "https:");
    for (what, level, words, url, more) in [
        ("refused", away, ["refused", "start the scanner"], unused.as_str(), ""),
        ("unknown name", away, ["lookup", "DNS"], "http://storm.invalid:8080", ""),
        ("a page", wrong, ["no Thunderstorm", "host, port and path"], &page, ""),
        ("not found", wrong, ["404", "no Thunderstorm"], &gone, ""),
        ("a login", wrong, ["401", "password_file"], &login, ""),
        ("https without need", wrong, ["InvalidContentType", "http://"], &https, ""),
        ("licence", away, ["2021-01-30", "new licence"], &ended.url(), ""),
        ("old signatures", warning, ["2020/08/31", "thor-util update"], &old.url(), ""),
        ("too many at a time", warning, ["concurrency = 99", "threads"], &right.url(), ", concurrency = 99"),
    ] {
        let instances = format!(
            "[{{ name = \"right\", url = \"{}\" }}, {{ name = \"planted\", url = \"{url}\"{more} }}]",
            right.url()
        );
        let planted = Planted { what, subject: "farm.instances planted", level, words: &words };
        let report =
            Check::of("thundergate-worker").finds(&planted, &worker(&at(&server.url_of(WORKER)), &instances));
        let blamed = complaints(&report);
        assert!(blamed.iter().all(|finding| finding.subject == planted.subject), "{what}: {blamed:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_does_not_scan_is_found_by_a_scan_alone() {
    let server = RedisServer::start().unwrap();
    let blind = Standin::start(Settings { blind: true, ..current() }).await;
    let broken = Standin::start(current()).await;
    broken.fault(Fault::Status(500));
    let slow = Standin::start(Settings { service_time: Duration::from_secs(30), ..current() }).await;
    for (what, words, scanner) in [
        ("blind", ["blind", "signatures and licence"], &blind),
        ("broken", ["500", "log"], &broken),
        ("too slow", ["in time", "firewall"], &slow),
    ] {
        let instances = format!("[{{ name = \"planted\", url = \"{}\" }}]", scanner.url());
        let toml = worker(&at(&server.url_of(WORKER)), &instances);
        let report = Check::of("thundergate-worker").report(&toml);
        assert_eq!(complaints(&report), Vec::<&Finding>::new(), "{what}, without a scan");
        let subject = "farm.instances planted";
        let planted = Planted { what, subject, level: Level::Unavailable, words: &words };
        Check::of("thundergate-worker").with("--scan").finds(&planted, &toml);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_whose_certificate_nobody_trusts_is_wrong() {
    let server = RedisServer::start().unwrap();
    let certificates = Certificates::make().unwrap();
    let scanner = Standin::start_tls(current(), tls(&certificates)).await;
    let instances = format!("[{{ name = \"planted\", url = \"{}\" }}]", scanner.url());
    let toml = worker(&at(&server.url_of(WORKER)), &instances);
    let words = ["UnknownIssuer", "farm.ca_file"];
    let planted =
        Planted { what: "CA", subject: "farm.instances planted", level: Level::Wrong, words: &words };
    Check::of("thundergate-worker").finds(&planted, &toml);
    let trusting = format!("{toml}ca_file = \"{}\"\n", certificates.ca().display());
    assert_eq!(Check::of("thundergate-worker").report(&trusting).status(), 0);
}
