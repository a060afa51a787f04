// SPDX-License-Identifier: GPL-3.0-or-later
//! One program that is asked, over its admin socket or a URL. The only file of the command that names reqwest.
//!
//! What answers may be anybody, so an answer is read up to a bound and in bounded time, redirects are not followed, and no
//! proxy of the environment gets to see the token. That goes to nobody in clear text but to this host itself.

use super::{error::PeopleError, print};
use reqwest::{
    Certificate, ClientBuilder, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::{
    api::{self, CHANGE_HEADER, Endpoint, Scope},
    terminal::readable,
};
use url::{Host, Url};

/// The largest answer that is read, in bytes: some times what all dead letters take.
pub const LARGEST_ANSWER: usize = 16 << 20;
/// Of what is said of an error, in bytes.
const LARGEST_ERROR: usize = 64 << 10;
/// Of a file with a token or with certificates, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: more than a program gives itself for it (60 s, after 30 s for its turn).
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the answer of a check may take, which asks others itself: more than a program gives itself for it (300 s).
const CHECK_PATIENCE: Duration = Duration::from_secs(360);

/// A program that is asked.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<HeaderValue>,
    whom: String,
}

/// What it answered.
pub struct Answer {
    body: Vec<u8>,
    whom: String,
}

impl Client {
    /// The program that listens at `socket`.
    ///
    /// # Errors
    ///
    /// HTTP cannot be set up.
    pub fn at_socket(socket: &Path) -> Result<Self, PeopleError> {
        // Without TLS nothing needs the system's certificates, and a small container has none.
        let http = builder().unix_socket(PathBuf::from(socket)).tls_certs_only([]);
        let http = http.build().map_err(set_up)?;
        let whom = format!("the program at {}", socket.display());
        Ok(Self { http, base: "http://localhost".to_owned(), token: None, whom })
    }

    /// The program at `url`, with the token in `token_file`, believing the certificates in `ca_file` instead of the system's.
    ///
    /// # Errors
    ///
    /// A file cannot be used; the token would travel in clear text.
    pub fn at_url(url: &Url, token_file: Option<&Path>, ca_file: Option<&Path>) -> Result<Self, PeopleError> {
        let token = token_file.map(token).transpose()?;
        if token.is_some() && url.scheme() != "https" && !is_this_host(url) {
            return Err(PeopleError::Usage(format!(
                "{url} would show the token to everybody on the way: use https:// (admin.cert_file of the program there), \
                 or a tunnel that ends on this host"
            )));
        }
        let mut http = builder();
        if let Some(file) = ca_file {
            http = http.tls_certs_only(authorities(file)?);
        } else if url.scheme() == "http" {
            http = http.tls_certs_only([]);
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http: http.build().map_err(set_up)?, whom: base.clone(), base, token })
    }

    /// Who is asked, for people.
    pub fn whom(&self) -> &str {
        &self.whom
    }

    /// Asks for what needs no question.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn get(&self, endpoint: &Endpoint) -> Result<Answer, PeopleError> {
        let url = format!("{}{}{}", self.base, api::PREFIX, endpoint.path);
        self.send(self.http.get(url), endpoint.scope, PATIENCE).await
    }

    /// Asks `question`.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn post(&self, endpoint: &Endpoint, question: &impl Serialize) -> Result<Answer, PeopleError> {
        let url = format!("{}{}{}", self.base, api::PREFIX, endpoint.path);
        let patience = if endpoint.path == Endpoint::CHECK.path { CHECK_PATIENCE } else { PATIENCE };
        let request = self.http.post(url).header(CHANGE_HEADER, "yes").json(question);
        self.send(request, endpoint.scope, patience).await
    }

    /// Asks what somebody else has asked; `question` is JSON.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn pass_on(&self, endpoint: &Endpoint, question: Vec<u8>) -> Result<Vec<u8>, PeopleError> {
        let url = format!("{}{}{}", self.base, api::PREFIX, endpoint.path);
        let request = match endpoint.method {
            "POST" => self.http.post(url).header(CHANGE_HEADER, "yes").body(question),
            _ => self.http.get(url),
        };
        let request = request.header(CONTENT_TYPE, "application/json");
        Ok(self.send(request, endpoint.scope, PATIENCE).await?.body)
    }

    /// Asks how the program is.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn status(&self) -> Result<Answer, PeopleError> {
        self.send(self.http.get(format!("{}/status", self.base)), Scope::Metrics, PATIENCE).await
    }

    async fn send(
        &self,
        mut request: RequestBuilder,
        needs: Scope,
        patience: Duration,
    ) -> Result<Answer, PeopleError> {
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let failed = |error| self.failed(error, patience);
        let response = request.timeout(patience).send().await.map_err(failed)?;
        let status = response.status();
        let bound = if status == StatusCode::OK { LARGEST_ANSWER } else { LARGEST_ERROR };
        let body = read(response, bound).await.map_err(failed)?;
        if status != StatusCode::OK {
            return Err(self.refused(status, needs, &body.unwrap_or_default()));
        }
        let whom = self.whom.clone();
        match body {
            Some(body) => Ok(Answer { body, whom }),
            None => {
                let problem = format!("it is longer than {LARGEST_ANSWER} bytes");
                Err(PeopleError::Unusable { whom, problem })
            }
        }
    }

    fn failed(&self, error: reqwest::Error, patience: Duration) -> PeopleError {
        let (whom, error) = (self.whom.clone(), error.without_url());
        if error.is_timeout() && !error.is_connect() {
            PeopleError::Late { whom, patience }
        } else {
            PeopleError::Unreachable { whom, source: error.into() }
        }
    }

    fn refused(&self, status: StatusCode, needs: Scope, body: &[u8]) -> PeopleError {
        let whom = self.whom.clone();
        let said = serde_json::from_slice::<api::Error>(body).ok();
        let said = said.map(|error| readable(&error.error)).filter(|text| !text.is_empty());
        match (status, said) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, said) => {
                let hint = "name a file with a token of that scope with --token-file, or be in the group of the socket";
                let said = said.unwrap_or_else(|| hint.to_owned());
                PeopleError::NoScope { whom, needs, said }
            }
            (status, Some(said)) => PeopleError::Refused { whom, status: status.as_u16(), said },
            (StatusCode::NOT_FOUND, None) => PeopleError::Unusable {
                whom,
                problem: "it does not know the question (is it an older version, or no thundergate at all?)"
                    .to_owned(),
            },
            (status, None) => {
                PeopleError::Unusable { whom, problem: format!("the status is {}", status.as_u16()) }
            }
        }
    }
}

impl Answer {
    /// Prints it as it is.
    ///
    /// # Errors
    ///
    /// It is no JSON.
    pub fn print(&self) -> Result<(), PeopleError> {
        print::json(&self.read::<serde_json::Value>()?)
    }

    /// What it says. A later version may say more.
    ///
    /// # Errors
    ///
    /// It says something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, PeopleError> {
        serde_json::from_slice(&self.body).map_err(|error| PeopleError::Unusable {
            whom: self.whom.clone(),
            problem: readable(&error.to_string()),
        })
    }
}

fn builder() -> ClientBuilder {
    // Programs install the provider first thing; a test may not have, and reqwest would panic. Losing the race to install
    // it is fine: there is one then.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).connect_timeout(CONNECT)
}

fn set_up(error: reqwest::Error) -> PeopleError {
    PeopleError::Setup("HTTP cannot be set up".to_owned(), Some(error.without_url().into()))
}

/// Reads at most `bound` bytes; none: there are more.
async fn read(mut response: Response, bound: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bound {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Whether what is sent there stays on this host.
fn is_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn token(file: &Path) -> Result<HeaderValue, PeopleError> {
    let text = bytes(file)?;
    let text = String::from_utf8(text).unwrap_or_default();
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let wrong = format!("{} must hold one token in one line, and nothing else", file.display());
        return Err(PeopleError::Setup(wrong, None));
    }
    let mut value =
        HeaderValue::try_from(format!("Bearer {token}")).expect("printable ASCII is allowed in a header");
    value.set_sensitive(true);
    Ok(value)
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, PeopleError> {
    let found = Certificate::from_pem_bundle(&bytes(file)?).unwrap_or_default();
    if found.is_empty() {
        return Err(PeopleError::Setup(format!("{} holds no certificate", file.display()), None));
    }
    Ok(found)
}

fn bytes(file: &Path) -> Result<Vec<u8>, PeopleError> {
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(LARGEST_FILE).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    read()
        .map_err(|error| PeopleError::Setup(format!("{} cannot be read", file.display()), Some(error.into())))
}
