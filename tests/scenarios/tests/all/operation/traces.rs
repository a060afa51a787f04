// SPDX-License-Identifier: GPL-3.0-or-later
//! A mail's trace goes through milter, Redis and worker, and a collector gets it whole; without one, nobody notices.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use thundergate_harness::{
    mails::{eicar, mail},
    mta::Mail,
    process::Program,
    redis::{Certificates, MILTER},
    site::{Milter, Site},
    thunderstorm::Settings,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A span and the `service.name` of who sent it.
type Sent = (String, Span);

/// A collector: keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Sent>>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    /// Its address; it listens as long as the set lives.
    async fn start(&self) -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        (address, serving)
    }

    fn all(&self) -> Vec<Sent> {
        self.spans.lock().unwrap().clone()
    }

    /// The only span of this name.
    fn one(&self, name: &str) -> Sent {
        let mut found: Vec<_> = self.all().into_iter().filter(|(_, span)| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {:#?}", self.all());
        found.remove(0)
    }
}

/// Another address of what listens at `inner`, behind TLS.
async fn behind_tls(inner: &str, certificates: &Certificates) -> (String, JoinSet<()>) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (certificate, key) = certificates.server();
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, inner) = (TlsAcceptor::from(Arc::new(config)), inner.replace("http://", ""));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            // One after the other: a client that does not trust us goes away by itself.
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut collector = TcpStream::connect(&inner).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut collector).await;
        }
    });
    (address, serving)
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> Vec<u8> {
    if let Some(token) = headers.get("authorization") {
        collector.tokens.lock().unwrap().push(token.to_str().unwrap().to_owned());
    }
    for from in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let service = text(&from.resource.unwrap_or_default().attributes, "service.name").unwrap_or_default();
        let spans = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.spans.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
    }
    ExportTraceServiceResponse::default().encode_to_vec()
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    match value {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn infected() -> Mail {
    Mail::of(mail().attach("a.com", "application/octet-stream", eicar()).bytes())
}

/// A milter with more in its environment.
async fn milter_with(toml: &str, environment: &[(&str, &str)]) -> Milter {
    let toml = format!("admin.listen = \"127.0.0.1:0\"\nlisten = [\"inet:127.0.0.1:0\"]\n{toml}");
    let program = Program::start_with_env("thundergate-milter", &toml, environment).await.unwrap();
    let address = program.addresses("listen").swap_remove(0);
    Milter { program, address }
}

async fn stop(mut program: Program) {
    assert!(program.terminate().await.unwrap().success(), "{:#?}", program.log_lines());
}

#[tokio::test]
async fn one_trace_goes_through_both_programs() {
    let collector = Collector::default();
    let (address, _serving) = collector.start().await;
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(&token, "Authorization: Bearer 7\n").unwrap();
    let traces = format!("traces.endpoint = \"{address}\"\ntraces.headers_file = {:?}", token.path());
    let site = Site::cluster(1, Settings::default()).await;
    let worker = site.worker(&traces).await;
    let milter = site.milter(&traces).await;

    let first = infected();
    assert!(milter.send(&first).await.quarantine.is_some());
    let line = milter.line_of(&first).await;
    // Its end sends what is left.
    stop(milter.program).await;
    stop(worker).await;

    let (service, message) = collector.one("message");
    assert_eq!((&*service, message.parent_span_id.len()), ("thundergate-milter", 0));
    assert_eq!(line["trace_id"], hex(&message.trace_id));
    let said = |key| text(&message.attributes, key);
    assert_eq!(said("queue.id").as_deref(), Some(&*first.queue_id));
    assert_eq!((said("decision").as_deref(), said("cause").as_deref()), (Some("quarantine"), Some("found")));

    let family = [
        ("look up", "message", "thundergate-milter"),
        ("enqueue", "message", "thundergate-milter"),
        ("wait", "message", "thundergate-milter"),
        ("scan", "enqueue", "thundergate-worker"),
        ("upload", "scan", "thundergate-worker"),
        ("complete", "scan", "thundergate-worker"),
    ];
    for (name, parent, program) in family {
        let ((service, span), (_, parent)) = (collector.one(name), collector.one(parent));
        assert_eq!(service, program, "{name}");
        assert_eq!(hex(&span.trace_id), hex(&message.trace_id), "{name}");
        assert_eq!(hex(&span.parent_span_id), hex(&parent.span_id), "{name}");
    }
    let (_, scan) = collector.one("scan");
    assert_eq!(text(&scan.attributes, "queue.id").as_deref(), Some(&*first.queue_id));
    let (_, upload) = collector.one("upload");
    assert_eq!(text(&upload.attributes, "http.response.status_code").as_deref(), Some("200"));
    assert!(collector.tokens.lock().unwrap().iter().all(|token| token == "Bearer 7"));
    assert!(!collector.tokens.lock().unwrap().is_empty());
    let everything = format!("{:?}", collector.all());
    for private in ["@", "a.com", "Subject"] {
        assert!(!everything.contains(private), "{private} is nobody's business: {everything}");
    }
}

#[tokio::test]
async fn nothing_is_traced_unless_somebody_wants_it() {
    let collector = Collector::default();
    let (address, _serving) = collector.start().await;
    let site = Site::cluster(1, Settings::default()).await;
    // A worker that traces and a milter that does not: both work, and the worker's spans have no parent.
    let endpoint = format!("traces.endpoint = \"{address}\"");
    let worker = site.worker(&endpoint).await;
    let milter = site.milter("").await;
    let mail = infected();
    assert!(milter.send(&mail).await.quarantine.is_some());
    assert!(milter.line_of(&mail).await.get("trace_id").is_none());
    stop(milter.program).await;
    stop(worker).await;
    assert!(
        collector.all().iter().all(|(service, _)| service == "thundergate-worker"),
        "{:#?}",
        collector.all()
    );
    assert_eq!(collector.one("scan").1.parent_span_id.len(), 0);

    // What a milter does not sample, no worker does.
    collector.spans.lock().unwrap().clear();
    site.empty_redis();
    let worker = site.worker(&endpoint).await;
    let milter = site.milter(&format!("{endpoint}\ntraces.sample_ratio = 0.0")).await;
    assert!(milter.send(&infected()).await.quarantine.is_some());
    stop(milter.program).await;
    stop(worker).await;
    assert!(collector.all().is_empty(), "{:#?}", collector.all());
}

#[tokio::test]
async fn opentelemetrys_own_variables_are_enough() {
    let collector = Collector::default();
    let (address, _serving) = collector.start().await;
    let site = Site::single(1, Settings::default()).await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*address), ("OTEL_SERVICE_NAME", "mx-7")];
    let milter = milter_with(&site.farm_section(), &environment).await;
    assert!(milter.send(&infected()).await.quarantine.is_some());
    stop(milter.program).await;
    assert_eq!(collector.one("message").0, "mx-7");
}

#[tokio::test]
async fn a_collector_behind_tls_is_trusted_or_the_log_says_why_not() {
    let collector = Collector::default();
    let (plain, _serving) = collector.start().await;
    let certificates = Certificates::make().unwrap();
    let (address, _tls) = behind_tls(&plain, &certificates).await;
    let site = Site::single(1, Settings::default()).await;
    let toml = format!("traces.endpoint = \"{address}\"\n{}", site.farm_section());

    let authority = certificates.ca().display().to_string();
    let trusting = milter_with(&toml, &[("SSL_CERT_FILE", &authority)]).await;
    assert!(trusting.send(&infected()).await.quarantine.is_some());
    stop(trusting.program).await;
    collector.one("message");

    let others = Certificates::make().unwrap();
    let authority = others.ca().display().to_string();
    let wary = milter_with(&toml, &[("SSL_CERT_FILE", &authority), ("OTEL_BSP_SCHEDULE_DELAY", "50")]).await;
    assert!(wary.send(&infected()).await.quarantine.is_some());
    let told = |line: &serde_json::Value| line["msg"].as_str().unwrap_or("").contains("collector");
    let line = wary.program.wait_for(told, PATIENCE).await.unwrap();
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("invalid peer certificate") && !error.contains(&address), "{line}");
    let log = wary.program.log_lines();
    assert!(!log.iter().any(|line| line.contains(r#""level":"error""#)), "once is enough: {log:#?}");
    stop(wary.program).await;
    collector.one("message");
}

#[tokio::test]
async fn a_dead_collector_changes_nothing_but_a_line_in_the_log() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // It accepts, and never answers: worse than one that is not there.
    let traces = format!("traces.endpoint = \"http://{}\"", listener.local_addr().unwrap());
    let site = Site::cluster(1, Settings::default()).await;
    let worker = site.worker(&traces).await;
    let milter = site.milter(&traces).await;
    for _ in 0..20 {
        assert!(milter.send(&infected()).await.quarantine.is_some());
    }
    let began = Instant::now();
    stop(milter.program).await;
    assert!(began.elapsed() < PATIENCE, "its end takes {:?}", began.elapsed());
    stop(worker).await;

    drop(listener);
    let worker = site.worker(&traces).await;
    let milter = milter_with(
        &format!("{traces}\n[redis]\nurl = \"{}\"", site.redis_url_of(MILTER)),
        &[("OTEL_BSP_SCHEDULE_DELAY", "50")],
    )
    .await;
    let told = |line: &serde_json::Value| line["msg"].as_str().unwrap_or("").contains("collector");
    assert!(milter.send(&infected()).await.quarantine.is_some());
    assert!(milter.program.wait_for(told, PATIENCE).await.is_some(), "{:#?}", milter.program.log_lines());
    stop(milter.program).await;
    stop(worker).await;
}
