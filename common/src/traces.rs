// SPDX-License-Identifier: GPL-3.0-or-later
//! Traces: what happened to one mail, in milter and worker, told to an OpenTelemetry collector over OTLP/HTTP.
//!
//! Off unless `traces.endpoint` or one of OpenTelemetry's variables says where the collector is; a [`Span`] is nothing
//! then. On, it is the SDK's: ended spans wait in a bounded queue for a thread that sends them in batches. Spans that
//! find it full, or whose collector cannot be reached, are lost; mail never waits for them.
//!
//! The context of a span travels with a job as W3C `traceparent`.

mod settings;

pub use settings::Traces;

use async_trait::async_trait;
use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData},
};
use std::{
    collections::HashMap,
    env,
    error::Error,
    fs, panic,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub use opentelemetry::{Array, KeyValue, StringValue, Value, trace::SpanKind};

/// How long what is left may take to be sent at the end.
const FLUSHING: Duration = Duration::from_secs(3);

/// How often it is said that the collector takes nothing.
const REMINDER: Duration = Duration::from_secs(60);

/// Where the collector may be named beside the configuration; the first one with the path.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// How many milliseconds the collector may take for a batch; the first one counts.
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

/// What it may take where no variable says so; OpenTelemetry's default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// None while traces are off.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Sends what is left when it is dropped: keep it until the end of main.
#[must_use]
pub struct Guard(Option<SdkTracerProvider>);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// `traces.headers_file` cannot be read.
    #[error("traces.headers_file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// A line of it is no header field.
    #[error("traces.headers_file: line {0} is not `Name: value`")]
    NoHeader(usize),
    /// There is nothing to send them with.
    #[error("no HTTP client for traces")]
    Client(#[source] reqwest::Error),
    /// The endpoint, or a variable of OpenTelemetry's, is of no use.
    #[error("traces cannot be exported")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
}

/// A piece of work that is under way; it ends when this is dropped. Nothing where traces are off.
#[derive(Debug, Default)]
pub struct Span(Option<Context>);

/// Traces from now on what `service` does, if `config` or the environment wants it.
///
/// # Errors
///
/// [`TracesError`].
pub fn init(config: &Traces, service: &'static str) -> Result<Guard, TracesError> {
    if !wanted(config) {
        return Ok(Guard(None));
    }
    let client = Client::new()?;
    let failure = Arc::clone(&client.failure);
    let exporter = Exporter { inner: exporter(config, client)?, failure, reminder: Reminder::default() };
    let mut provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .with_resource(resource(service));
    if let Some(ratio) = config.sample_ratio {
        let ratio = Sampler::TraceIdRatioBased(ratio);
        provider = provider.with_sampler(Sampler::ParentBased(Box::new(ratio)));
    }
    let provider = provider.build();
    // A process has one; a second one would have its spans sent by the first.
    let _ = TRACER.set(provider.tracer("thundergate"));
    Ok(Guard(Some(provider)))
}

fn wanted(config: &Traces) -> bool {
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    !disabled && (config.endpoint.is_some() || ENDPOINTS.into_iter().any(|name| variable(name).is_some()))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What neither file nor section says it takes from the environment.
fn exporter(config: &Traces, client: Client) -> Result<SpanExporter, TracesError> {
    let mut exporter = SpanExporter::builder().with_http().with_http_client(client);
    if let Some(endpoint) = &config.endpoint {
        exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')));
    }
    if let Some(file) = &config.headers_file {
        exporter = exporter.with_headers(headers(file)?);
    }
    exporter.build().map_err(TracesError::Exporter)
}

fn headers(file: &Path) -> Result<HashMap<String, String>, TracesError> {
    let text = fs::read_to_string(file).map_err(TracesError::Unreadable)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let field = |(number, line): (usize, &str)| {
        let (name, value) = line.split_once(':').ok_or(TracesError::NoHeader(number + 1))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    lines.map(field).collect()
}

/// Who we are, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise.
fn resource(service: &'static str) -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", crate::telemetry::process_name()))
        .with_attribute(KeyValue::new("host.name", crate::telemetry::hostname()))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match variable("OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // What was not taken by then is lost; the exporter has told.
            let _ = provider.shutdown_with_timeout(FLUSHING);
        }
    }
}

impl Span {
    /// Begins now; part of the trace that `traceparent` names, else the first of a new one.
    pub fn begin(kind: SpanKind, name: &'static str, traceparent: Option<&str>) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        let parent = traceparent.map_or_else(Context::new, |traceparent| {
            let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
            TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
        });
        Self::under(tracer, kind, name, &parent)
    }

    /// Begins now, as a part of this one.
    #[must_use]
    pub fn child(&self, kind: SpanKind, name: &'static str) -> Self {
        match (&self.0, TRACER.get()) {
            (Some(parent), Some(tracer)) => Self::under(tracer, kind, name, parent),
            _ => Self(None),
        }
    }

    fn under(tracer: &SdkTracer, kind: SpanKind, name: &'static str, parent: &Context) -> Self {
        let span = tracer.span_builder(name).with_kind(kind);
        Self(Some(Context::new().with_span(tracer.build_with_context(span, parent))))
    }

    /// Adds `attributes`, which are asked for only if somebody will see them.
    pub fn note<const N: usize>(&self, attributes: impl FnOnce() -> [KeyValue; N]) {
        if let Some(context) = self.recorded() {
            context.span().set_attributes(attributes());
        }
    }

    /// The work failed.
    pub fn fail(&self, why: impl FnOnce() -> String) {
        if let Some(context) = self.recorded() {
            context.span().set_status(Status::error(why()));
        }
    }

    /// What another process needs to go on with this trace. Says, too, that it is not recorded.
    pub fn traceparent(&self) -> Option<String> {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(self.0.as_ref()?, &mut carrier);
        carrier.remove("traceparent")
    }

    /// For log lines; none where nobody would find it.
    pub fn trace_id(&self) -> Option<String> {
        Some(self.recorded()?.span().span_context().trace_id().to_string())
    }

    fn recorded(&self) -> Option<&Context> {
        self.0.as_ref().filter(|context| context.span().is_recording())
    }
}

/// Sends batches, and says once a minute that it cannot.
#[derive(Debug)]
struct Exporter {
    inner: SpanExporter,
    failure: Failure,
    reminder: Reminder,
}

/// Sends a batch, and keeps why it could not: the SDK's exporter speaks of a "network error" and no more.
#[derive(Debug)]
struct Client {
    inner: reqwest::blocking::Client,
    failure: Failure,
}

/// Why the last batch did not reach the collector.
type Failure = Arc<Mutex<Option<HttpError>>>;

/// When it was said the last time.
#[derive(Debug, Default)]
struct Reminder(Mutex<Option<Instant>>);

impl opentelemetry_sdk::trace::SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        if let Err(error) = &result
            && self.reminder.is_due()
        {
            let failure = lock(&self.failure).take();
            let error = failure.as_deref().map_or(error as &(dyn Error + 'static), |failure| failure);
            tracing::warn!(spans, error, "The collector takes no traces; they are lost until it does");
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl Client {
    fn new() -> Result<Self, TracesError> {
        let timeout =
            TIMEOUTS.into_iter().find_map(variable).and_then(|milliseconds| milliseconds.parse().ok());
        let timeout = timeout.map_or(TIMEOUT, Duration::from_millis);
        // It starts a runtime, which cannot be done in one.
        let built =
            thread::spawn(move || reqwest::blocking::Client::builder().timeout(timeout).build()).join();
        let inner = built.unwrap_or_else(|panic| panic::resume_unwind(panic)).map_err(TracesError::Client)?;
        Ok(Self { inner, failure: Failure::default() })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, batch: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (answer, failure) = match self.inner.send_bytes(batch).await {
            Ok(answer) => (Ok(answer), None),
            Err(failure) => (Err("not sent".into()), Some(without_url(failure))),
        };
        *lock(&self.failure) = failure;
        answer
    }
}

/// A URL from OpenTelemetry's variables may hold a password.
fn without_url(failure: HttpError) -> HttpError {
    match failure.downcast::<reqwest::Error>() {
        Ok(failure) => failure.without_url().into(),
        Err(failure) => failure,
    }
}

/// Poisoned or not: what is guarded here is whole at all times.
fn lock<T>(guarded: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reminder {
    fn is_due(&self) -> bool {
        let mut told = lock(&self.0);
        let due = told.is_none_or(|told| told.elapsed() >= REMINDER);
        if due {
            *told = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_collector_a_span_is_nothing() {
        let guard = init(&Traces::default(), "test").unwrap();
        assert!(guard.0.is_none());
        let span = Span::begin(SpanKind::Server, "message", None);
        span.note(|| unreachable!("nobody sees it") as [KeyValue; 0]);
        assert_eq!((span.traceparent(), span.child(SpanKind::Client, "upload").trace_id()), (None, None));
    }

    #[test]
    fn a_dead_collector_is_told_of_once_a_minute() {
        let reminder = Reminder::default();
        assert_eq!([reminder.is_due(), reminder.is_due()], [true, false]);
        *reminder.0.lock().unwrap() = Instant::now().checked_sub(REMINDER);
        assert_eq!([reminder.is_due(), reminder.is_due()], [true, false]);
    }

    #[test]
    fn a_token_is_read_from_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "Authorization: Bearer a:b\n\nX-Site: 7\n").unwrap();
        let read = headers(file.path()).unwrap();
        assert_eq!((&*read["Authorization"], &*read["X-Site"]), ("Bearer a:b", "7"));
        fs::write(&file, "Authorization: a\nnonsense\n").unwrap();
        assert!(matches!(headers(file.path()), Err(TracesError::NoHeader(2))));
    }
}
