// SPDX-License-Identifier: GPL-3.0-or-later
//! The HTTP calls to one server. The only file that names reqwest.
//!
//! A call ends with an answer that was understood, or with a [`CallError`]. Redirects are not followed: a sample goes
//! only where the configuration says.
//!
//! The multipart body is built anew for every try; a body that was sent once is empty the second time, and a scanner
//! calls an empty file clean.

use super::{
    address::Address,
    error::{CallError, LONGEST_ANSWER, LONGEST_RESULT},
    facts::{self, Info, Progress},
    resolution::Resolution,
    settings::{Pem, Settings, SetupError},
    shapes,
};
use bytes::Bytes;
use reqwest::{
    Body, Certificate, ClientBuilder, Identity, Proxy, RequestBuilder, Response, StatusCode,
    header::RETRY_AFTER,
    multipart::{Form, Part},
    redirect,
};
use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};
use thundergate_common::{sample::Sample, verdict::Finding};
use url::Url;

/// How long an idle connection is kept. Below the 30 s at which many proxies close theirs, so that a sample is rarely
/// sent into a connection that is being closed.
const IDLE: Duration = Duration::from_secs(20);
/// The longest back-pressure that is believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The first and the longest wait between two questions for an asynchronous result.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The longest wait between two of them, where the server asks for a longer one.
const LONGEST_POLL: Duration = Duration::from_secs(5);

/// One server.
pub struct Client {
    /// With its connections; another one once the server has another address.
    http: Mutex<reqwest::Client>,
    settings: Settings,
    resolution: Resolution,
    address: Address,
    /// Where the API was found; forgotten when it is not there any more.
    found: Mutex<Option<Url>>,
    asynchronous: bool,
    login: Option<(String, String)>,
    timeout: Duration,
    probe_timeout: Duration,
}

impl Client {
    /// The client for the server at `settings`. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        // Programs install the provider first thing; a test or an embedding program may not have, and reqwest would
        // panic. Losing the race to install it is fine: there is one then.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            http: Mutex::new(connections(settings)?),
            settings: settings.clone(),
            resolution: Resolution::of(&settings.url, settings.proxy.as_ref()),
            address: Address::of(&settings.url),
            found: Mutex::default(),
            asynchronous: settings.asynchronous,
            login: settings.login.clone(),
            timeout: settings.timeout,
            // Info and status cost a scanner nothing: one that cannot answer them while a connection may be awaited
            // is no place for a sample.
            probe_timeout: settings.connect_timeout.saturating_mul(2).min(settings.timeout),
        })
    }

    /// Makes new connections from now on where the server's name has other addresses than before. True where it has.
    pub async fn follow_name(&self) -> bool {
        if !self.resolution.has_changed().await {
            return false;
        }
        // What worked when the program started works again, unless a certificate was taken away meanwhile.
        if let Ok(http) = connections(&self.settings) {
            *self.http.lock().expect("nothing panics while it holds the connections") = http;
        }
        true
    }

    /// What the server says of itself. Finds the API where it is not known yet.
    pub async fn info(&self) -> Result<Info, CallError> {
        let apis = match (&self.address, self.known_api()) {
            (Address::Fixed(api), _) => vec![api.clone()],
            (_, Some(api)) => vec![api],
            (Address::Probe(apis), None) => apis.clone(),
        };
        let mut last = CallError::NoApi;
        for api in apis {
            match self.info_at(&api).await {
                Ok(info) => {
                    self.remember(Some(api));
                    return Ok(info);
                }
                Err(error @ (CallError::Unreachable(_) | CallError::Broken(_) | CallError::Timeout)) => {
                    return Err(error);
                }
                Err(error) => last = error,
            }
        }
        // A server that was updated may have moved from one API to the other.
        self.remember(None);
        Err(last)
    }

    /// Has the server scan `sample`; `source` is the host that its log shall name.
    pub async fn scan(&self, sample: &Sample, source: &str) -> Result<Vec<Finding>, CallError> {
        self.scan_within(self.timeout, sample, source).await
    }

    /// The same, with at most so much time for it.
    pub async fn scan_within(
        &self,
        limit: Duration,
        sample: &Sample,
        source: &str,
    ) -> Result<Vec<Finding>, CallError> {
        let scan = async {
            if self.asynchronous {
                return self.scan_later(sample, source).await;
            }
            let body = self.upload("check", sample, source, LONGEST_RESULT).await?;
            Ok(shapes::parse(&body, &sample.key)?)
        };
        tokio::time::timeout(limit, scan).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn scan_later(&self, sample: &Sample, source: &str) -> Result<Vec<Finding>, CallError> {
        let ticket = facts::ticket(&self.upload("checkAsync", sample, source, LONGEST_ANSWER).await?)?;
        let mut pause = POLL.0;
        loop {
            tokio::time::sleep(pause).await;
            pause = pause.mul_f32(1.5).min(POLL.1);
            let url = self.call("getAsyncResults", &[("id", ticket.as_str())]).await?;
            let body =
                match exchange(self.logged_in(self.http().get(url)).timeout(self.timeout), LONGEST_RESULT)
                    .await
                {
                    // The sample is there already: elsewhere it would be scanned twice.
                    Err(CallError::Busy { pause, .. }) => {
                        tokio::time::sleep(pause.unwrap_or(POLL.1).min(LONGEST_POLL)).await;
                        continue;
                    }
                    other => other?,
                };
            match facts::progress(&body)? {
                Progress::Running => {}
                Progress::Done(result) => return Ok(shapes::findings(&result, &sample.key)?),
                Progress::Failed(words) => return Err(CallError::GaveUp(words)),
            }
        }
    }

    async fn upload(
        &self,
        call: &str,
        sample: &Sample,
        source: &str,
        longest: usize,
    ) -> Result<Bytes, CallError> {
        let url = self.call(call, &[("source", source)]).await?;
        let request = self.logged_in(self.http().post(url)).multipart(form(sample)).timeout(self.timeout);
        let answer = exchange(request, longest).await;
        if matches!(answer, Err(CallError::Refused(404 | 405))) {
            self.remember(None);
        }
        answer
    }

    async fn call(&self, call: &str, query: &[(&str, &str)]) -> Result<Url, CallError> {
        let api = match (&self.address, self.known_api()) {
            (Address::Fixed(api), _) => api.clone(),
            (_, Some(api)) => api,
            (Address::Probe(_), None) => {
                self.info().await?;
                self.known_api().ok_or(CallError::NoApi)?
            }
        };
        let mut url = join(&api, call);
        let query = query.iter().filter(|(_, value)| !value.is_empty());
        if query.clone().next().is_some() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn info_at(&self, api: &Url) -> Result<Info, CallError> {
        let request = self.logged_in(self.http().get(join(api, "info"))).timeout(self.probe_timeout);
        Info::read(&exchange(request, LONGEST_ANSWER).await?).ok_or(CallError::NoApi)
    }

    /// A user in the URL needs no help.
    fn logged_in(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    /// How long the server may take for what costs it nothing.
    pub fn probe_timeout(&self) -> Duration {
        self.probe_timeout
    }

    fn http(&self) -> reqwest::Client {
        self.http.lock().expect("nothing panics while it holds the connections").clone()
    }

    fn known_api(&self) -> Option<Url> {
        self.found.lock().expect("nothing panics while it holds the address").clone()
    }

    fn remember(&self, api: Option<Url>) {
        *self.found.lock().expect("nothing panics while it holds the address") = api;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

fn connections(settings: &Settings) -> Result<reqwest::Client, SetupError> {
    builder(settings)?.build().map_err(|error| SetupError::Http(error.into()))
}

fn builder(settings: &Settings) -> Result<ClientBuilder, SetupError> {
    let mut http = reqwest::Client::builder()
        .user_agent(concat!("thundergate/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(IDLE);
    if let Some(pem) = &settings.authorities {
        http = http.tls_certs_only(authorities(pem)?);
    } else if [Some(&settings.url), settings.proxy.as_ref()]
        .iter()
        .flatten()
        .all(|url| url.scheme() == "http")
    {
        // Without TLS nothing needs the system's certificates, and a small container has none.
        http = http.tls_certs_only([]);
    }
    if let Some(pem) = &settings.identity {
        let problem = "and farm.key_file hold no certificate with its key";
        let unusable = |_| SetupError::Unusable { key: "farm.cert_file", file: pem.file.clone(), problem };
        http = http.identity(Identity::from_pem(&pem.bytes).map_err(unusable)?);
    }
    if let Some(proxy) = &settings.proxy {
        http = http
            .proxy(Proxy::all(proxy.clone()).map_err(|error| SetupError::Http(error.without_url().into()))?);
    }
    Ok(http)
}

fn authorities(pem: &Pem) -> Result<Vec<Certificate>, SetupError> {
    let found = Certificate::from_pem_bundle(&pem.bytes).unwrap_or_default();
    if found.is_empty() {
        let problem = "holds no certificate";
        return Err(SetupError::Unusable { key: "farm.ca_file", file: pem.file.clone(), problem });
    }
    Ok(found)
}

fn join(api: &Url, call: &str) -> Url {
    let mut url = api.clone();
    url.set_path(&format!("{}{call}", api.path()));
    url
}

/// One part named `file`, its length known, so that the server sees a body cut short as such.
fn form(sample: &Sample) -> Form {
    let length = sample.bytes.len() as u64;
    // reqwest quotes the name but would leave a line break in the header.
    let name = sample.key.upload_name().replace(char::is_control, "_");
    let part = Part::stream_with_length(Body::from(sample.bytes.clone()), length).file_name(name);
    Form::new().part("file", part.mime_str("application/octet-stream").expect("a constant media type"))
}

/// Sends `request`, and reads an answer of at most `longest` bytes.
async fn exchange(request: RequestBuilder, longest: usize) -> Result<Bytes, CallError> {
    let started = Instant::now();
    let answer = request.send().await.map_err(transport)?;
    match answer.status() {
        StatusCode::OK => read(answer, longest).await,
        status @ (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
            Err(CallError::Busy { status: status.as_u16(), pause: pause(&answer) })
        }
        StatusCode::PAYLOAD_TOO_LARGE => Err(CallError::TooLarge),
        status => {
            tracing::debug!(
                http.status = status.as_u16(),
                http.duration_ms = started.elapsed().as_millis() as u64,
                "A scanner answered with a status other than 200"
            );
            Err(CallError::Refused(status.as_u16()))
        }
    }
}

async fn read(mut answer: Response, longest: usize) -> Result<Bytes, CallError> {
    if answer.content_length().is_some_and(|length| length > longest as u64) {
        return Err(CallError::TooLong(longest));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > longest {
            return Err(CallError::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

fn pause(answer: &Response) -> Option<Duration> {
    let seconds =
        answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// A URL may hold a password, and the instance's name says where it is.
fn transport(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    // A time-out of connecting is both, and nothing was sent then.
    if error.is_connect() {
        CallError::Unreachable(error.into())
    } else if error.is_timeout() {
        CallError::Timeout
    } else {
        CallError::Broken(error.into())
    }
}
