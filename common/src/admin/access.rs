// SPDX-License-Identifier: GPL-3.0-or-later
//! Who may ask the admin server.
//!
//! * With `admin.token_file`: who knows the token, as `Authorization: Bearer TOKEN` or, so that a browser can log in, as
//!   the password of any user.
//! * Without, on loopback: who is on this machine. A web page elsewhere could have its own name resolve to 127.0.0.1 and
//!   then read the answers as its own (DNS rebinding); its requests carry that name, so `Host` must be an address or
//!   `localhost`, which nobody can make resolve to something else.
//! * Without, elsewhere: everybody; `check` says so.

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use subtle::ConstantTimeEq;

/// What a browser is told, so that it asks its user.
const CHALLENGE: &str = "Basic realm=\"thundergate\", charset=\"UTF-8\"";

/// Who may ask.
#[derive(Debug)]
pub(super) struct Access {
    token: Option<SecretString>,
    loopback: bool,
}

impl Access {
    /// To a server at `address`.
    pub(super) fn new(token: Option<SecretString>, address: SocketAddr) -> Self {
        Self { token, loopback: address.ip().is_loopback() }
    }

    /// Why a request with these header fields gets no answer, if so.
    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        match &self.token {
            Some(token) if presented(headers).is_some_and(|shown| same(&shown, token)) => None,
            Some(_) => {
                let challenge = [(WWW_AUTHENTICATE, CHALLENGE)];
                Some((StatusCode::UNAUTHORIZED, challenge, "the token is missing or wrong\n").into_response())
            }
            None if self.loopback && !names_this_machine(headers) => {
                let why = "name this server by its address or as localhost, or set admin.token_file\n";
                Some((StatusCode::FORBIDDEN, why).into_response())
            }
            None => None,
        }
    }
}

/// Answers only those who may ask.
pub(super) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.refusal(request.headers()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// The token that a request shows.
fn presented(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().into());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
    Some(decoded.split_once(':')?.1.into())
}

/// In a time that tells nothing of the token, not even its length.
fn same(shown: &SecretString, token: &SecretString) -> bool {
    let digest = |secret: &SecretString| Sha256::digest(secret.expose_secret());
    digest(shown).ct_eq(&digest(token)).into()
}

/// A request without `Host` does not come here.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return false };
    host.to_str().is_ok_and(|host| {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    const TOKEN: &str = "0123456789abcdef";

    fn status(access: &Access, name: HeaderName, value: &str) -> u16 {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        access.refusal(&headers).map_or(200, |refusal| refusal.status().as_u16())
    }

    fn access(token: Option<&str>, address: &str) -> Access {
        Access::new(token.map(Into::into), address.parse().unwrap())
    }

    #[test]
    fn the_token_opens_in_both_forms_and_nothing_else_does() {
        for address in ["127.0.0.1:9101", "192.0.2.1:9101"] {
            let access = access(Some(TOKEN), address);
            let tried = |value: &str| status(&access, AUTHORIZATION, value);
            let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
            assert_eq!(tried(&format!("Bearer {TOKEN}")), 200);
            assert_eq!(tried(&format!("bearer {TOKEN}")), 200);
            assert_eq!(tried(&basic(&format!("anybody:{TOKEN}"))), 200);
            assert_eq!(tried(&basic(&format!(":{TOKEN}"))), 200);
            for wrong in [
                "Bearer",
                "Bearer ",
                "Bearer 0123456789abcde",
                "Bearer 0123456789abcdef0",
                "Basic !",
                TOKEN,
                &basic(TOKEN),
                &basic("admin:"),
                &format!("Digest {TOKEN}"),
            ] {
                assert_eq!(tried(wrong), 401, "{wrong}");
            }
            let refusal = access.refusal(&HeaderMap::new()).unwrap();
            assert_eq!(
                (refusal.status().as_u16(), &refusal.headers()[WWW_AUTHENTICATE]),
                (401, &CHALLENGE.parse().unwrap())
            );
            // A name proves nothing and harms nothing where a token is asked for.
            assert_eq!(status(&access, HOST, "mx1.example"), 401);
        }
    }

    #[test]
    fn without_a_token_a_loopback_server_answers_to_no_name_that_others_can_set() {
        let local = access(None, "127.0.0.1:9101");
        for host in ["127.0.0.1:9101", "localhost:9101", "LOCALHOST", "[::1]:9101", "127.1.2.3"] {
            assert_eq!(status(&local, HOST, host), 200, "{host}");
        }
        for host in ["evil.example:9101", "127.0.0.1.evil.example", "localhost.evil.example", ""] {
            assert_eq!(status(&local, HOST, host), 403, "{host}");
        }
        assert!(local.refusal(&HeaderMap::new()).is_some());
        assert_eq!(status(&access(None, "[::1]:9101"), HOST, "evil.example"), 403);
        assert_eq!(status(&access(None, "0.0.0.0:9101"), HOST, "milter-1:9101"), 200);
    }
}
