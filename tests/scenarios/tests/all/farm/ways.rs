// SPDX-License-Identifier: GPL-3.0-or-later
//! The ways from the farm to an instance: TLS with a private authority, a client certificate, basic authentication, a
//! proxy. What is secret shows nowhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;
use thundergate_common::{
    config,
    digest::Digest,
    sample::{NameHint, Sample, SampleKey},
    verdict::Verdict,
};
use thundergate_harness::thunderstorm::{Settings, Standin};
use thundergate_worker::farm::{Farm, ScanError, metrics::FarmMetrics, with_causes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// `storm:s3cret`
const LOGIN: &str = "Basic c3Rvcm06czNjcmV0";
const PASSWORD: &str = "s3cret";

/// An authority of our own, and what it signed, in files.
struct Site {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Site {
    fn new() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        let site = Self { directory, authority };
        let (cert, key) = site.sign("client.example");
        site.write("client.pem", &cert);
        site.write("client.key", &key);
        site.write("password", &format!("{PASSWORD}\n"));
        site
    }

    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A server's side of TLS; `demanding` a certificate of our authority.
    fn tls(&self, demanding: bool) -> TlsAcceptor {
        let (cert, key) = self.sign("127.0.0.1");
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let config = ServerConfig::builder();
        let config = if demanding {
            config.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
    }

    fn ca(&self) -> String {
        format!("ca_file = {:?}\n", self.path("ca.pem"))
    }

    fn certificate(&self) -> String {
        format!("cert_file = {:?}\nkey_file = {:?}\n", self.path("client.pem"), self.path("client.key"))
    }
}

fn configured(instance: &str, keys: &str) -> config::Farm {
    toml::from_str(&format!("instances = [{{ {instance} }}]\nattempts = 1\ntimeout = \"1s\"\n{keys}"))
        .unwrap()
}

/// One sample through a farm of one instance.
async fn scan(instance: &str, keys: &str) -> Result<Verdict, ScanError> {
    let farm = Farm::new(&configured(instance, keys), FarmMetrics::default()).unwrap();
    farm.probe().await;
    scan_by(&farm).await
}

async fn scan_by(farm: &Farm) -> Result<Verdict, ScanError> {
    let key = SampleKey { digest: Digest::of(b"hello"), hint: NameHint::None };
    farm.scan(&Sample { key, bytes: "hello".into() }, "", None).await
}

fn url(standin: &Standin) -> String {
    format!("url = {:?}", standin.url())
}

#[tokio::test]
async fn a_private_authority_is_believed_and_nobody_else() {
    let site = Site::new();
    let standin = Standin::start_tls(Settings::default(), site.tls(false)).await;
    assert!(scan(&url(&standin), &site.ca()).await.unwrap().is_clean());
    assert!(scan(&url(&standin), "").await.is_err(), "the system does not know it");
    let other = Site::new();
    assert!(scan(&url(&standin), &other.ca()).await.is_err(), "another authority's word is nothing");
    let name = standin.url().replace("127.0.0.1", "localhost");
    assert!(scan(&format!("url = {name:?}"), &site.ca()).await.is_err(), "it is for another name");
    assert_eq!(standin.total(), 1, "nobody sent a sample to somebody unknown");
}

#[tokio::test]
async fn a_certificate_is_shown_to_an_instance_that_demands_one() {
    let site = Site::new();
    let standin = Standin::start_tls(Settings::default(), site.tls(true)).await;
    assert!(scan(&url(&standin), &(site.ca() + &site.certificate())).await.unwrap().is_clean());
    assert!(scan(&url(&standin), &site.ca()).await.is_err());
    let stranger = Site::new();
    assert!(scan(&url(&standin), &(site.ca() + &stranger.certificate())).await.is_err());
    assert_eq!(standin.total(), 1);
}

#[tokio::test]
async fn a_user_is_named_to_a_reverse_proxy_that_asks() {
    let site = Site::new();
    let settings = Settings { authorization: Some(LOGIN.to_owned()), ..Settings::default() };
    let standin = Standin::start(settings).await;
    let file = site.path("password");
    let named = format!("{}, username = \"storm\", password_file = {file:?}", url(&standin));
    assert!(scan(&named, "").await.unwrap().is_clean());
    assert!(scan(&format!("{named}, async = true"), "").await.unwrap().is_clean());
    let in_the_url = standin.url().replace("http://", &format!("http://storm:{PASSWORD}@"));
    assert!(scan(&format!("url = {in_the_url:?}"), "").await.unwrap().is_clean());
    assert!(scan(&url(&standin), "").await.is_err());
    site.write("password", "wrong");
    assert!(scan(&named, "").await.is_err());
    assert_eq!(standin.total(), 3);
}

#[tokio::test]
async fn a_new_password_is_read_when_the_farm_is_configured_again() {
    let site = Site::new();
    let settings = Settings { authorization: Some(LOGIN.to_owned()), ..Settings::default() };
    let standin = Standin::start(settings).await;
    site.write("password", "old");
    let file = site.path("password");
    let configured =
        configured(&format!("{}, username = \"storm\", password_file = {file:?}", url(&standin)), "");
    let farm = Farm::new(&configured, FarmMetrics::default()).unwrap();
    farm.probe().await;
    assert!(!farm.available());
    site.write("password", PASSWORD);
    assert_eq!(farm.reconfigure(&configured).unwrap().changed.len(), 1);
    // The breaker stays shut for as long as it takes.
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while !farm.available() {
            farm.probe().await;
        }
    })
    .await
    .unwrap();
    assert!(scan_by(&farm).await.unwrap().is_clean());
    assert!(farm.reconfigure(&configured).unwrap().changed.is_empty(), "the same words change nothing");
}

/// An HTTP proxy: tells what it was asked first in each connection, and passes everything on.
async fn proxy(tasks: &mut JoinSet<()>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, asked) = mpsc::unbounded_channel();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(pass_on(stream, heads.clone()));
        }
    });
    (format!("127.0.0.1:{}", address.port()), asked)
}

async fn pass_on(mut client: TcpStream, heads: mpsc::UnboundedSender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let text = String::from_utf8(head.clone()).unwrap();
    let target = text.split([' ', '/']).find(|word| word.contains(':') && !word.ends_with(':')).unwrap();
    let mut server = TcpStream::connect(target).await.unwrap();
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        server.write_all(&head).await.unwrap();
    }
    heads.send(text).unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_proxy_is_used_where_one_is_configured() {
    let site = Site::new();
    let mut tasks = JoinSet::new();
    let (address, mut asked) = proxy(&mut tasks).await;
    let keys = format!("proxy = \"http://storm:{PASSWORD}@{address}\"\n");
    let plain = Standin::start(Settings::default()).await;
    assert!(scan(&url(&plain), &keys).await.unwrap().is_clean());
    let head = asked.recv().await.unwrap();
    assert!(head.starts_with(&format!("GET {}/api/v1/info ", plain.url())), "{head}");
    assert!(head.contains(LOGIN), "{head}");
    let secret = Standin::start_tls(Settings::default(), site.tls(false)).await;
    assert!(scan(&url(&secret), &(keys + &site.ca())).await.unwrap().is_clean());
    while !head_of(&mut asked).await.starts_with("CONNECT 127.0.0.1:") {}
}

async fn head_of(asked: &mut mpsc::UnboundedReceiver<String>) -> String {
    asked.recv().await.unwrap()
}

#[tokio::test]
async fn files_that_are_of_no_use_are_named_and_no_secret_is_shown() {
    let site = Site::new();
    site.write("garbage", "-----BEGIN SECRET-----");
    let (garbage, key) = (site.path("garbage"), site.path("client.key"));
    let cases = [
        ("farm.ca_file", format!("ca_file = {garbage:?}")),
        ("farm.ca_file", "ca_file = \"/nonexistent\"".to_owned()),
        ("farm.cert_file", format!("cert_file = {garbage:?}\nkey_file = {key:?}")),
        ("farm.key_file", format!("cert_file = {key:?}\nkey_file = \"/nonexistent\"")),
    ];
    for (key, keys) in cases {
        let error = Farm::new(&configured("url = \"https://x\"", &keys), FarmMetrics::default()).unwrap_err();
        let said = with_causes(&error);
        assert!(said.starts_with(&format!("{key}: /")), "{said}");
        assert!(!said.contains("SECRET"), "{said}");
    }
}

#[tokio::test]
async fn secrets_show_nowhere() {
    let site = Site::new();
    let nobody = "127.0.0.1:1";
    let file = site.path("password");
    let keys = format!("proxy = \"http://u:{PASSWORD}@{nobody}\"\nconnect_timeout = \"100ms\"\n");
    for instance in [
        format!("url = \"http://storm:{PASSWORD}@{nobody}\""),
        format!("url = \"https://{nobody}\", username = \"storm\", password_file = {file:?}"),
    ] {
        let configured = configured(&instance, &(keys.clone() + &site.ca() + &site.certificate()));
        let farm = Farm::new(&configured, FarmMetrics::default()).unwrap();
        farm.probe().await;
        let error = scan_by(&farm).await.unwrap_err();
        let shown = [
            format!("{configured:?} {farm:?} {error:?} {}", with_causes(&error)),
            toml::to_string(&configured).unwrap(),
            serde_json::to_string(&farm.reports()).unwrap(),
        ];
        let key = std::fs::read_to_string(Path::new(&site.path("client.key"))).unwrap();
        for text in shown {
            assert!(!text.contains(PASSWORD) && !text.contains(&key), "{text}");
        }
    }
}
