// SPDX-License-Identifier: GPL-3.0-or-later
//! Who may ask the admin server. `/live` and `/ready` answer everybody who can reach them; for all else it is asked who
//! asks:
//!
//! * Over the admin socket: the user at its other end, with the scope `operator`. Who may open it, the file system says.
//! * With a token, as `Authorization: Bearer TOKEN` or, so that a browser can log in, as the password of any user: whoever
//!   the token is given to, with its scope.
//! * Otherwise: a stranger. The API never answers strangers. Page, status and metrics do answer them where no file names
//!   tokens; on loopback also where `admin.tokens_file` does.
//!
//! A web page elsewhere could have its own name resolve to 127.0.0.1 and then read the answers as its own (DNS rebinding);
//! its requests carry that name, so a stranger's `Host` on loopback must be an address or `localhost`, which nobody can make
//! resolve to something else.

use super::{AdminError, peer::Peer, settings, tls::Identity, tokens::Tokens};
use crate::api::Scope;
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
use secrecy::SecretString;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, RwLock},
};
use tokio_rustls::TlsAcceptor;

/// What a browser is told, so that it asks its user.
pub(super) const CHALLENGE: &str = "Basic realm=\"thundergate\", charset=\"UTF-8\"";

/// Tokens and certificate, which can change while the server runs.
pub struct Access {
    loopback: bool,
    tokens: RwLock<Arc<Tokens>>,
    identity: RwLock<Option<Identity>>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Asker {
    /// Somebody who may.
    Known(Caller),
    /// Somebody who shows nothing.
    Stranger,
    /// Somebody who shows a token that is none.
    Impostor,
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The user, or the token's name.
    pub(super) who: Arc<str>,
    pub(super) scope: Scope,
}

impl Access {
    /// To a server with these settings, which listens at `address`.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub(super) fn new(config: &settings::Admin, address: Option<SocketAddr>) -> Result<Self, AdminError> {
        let tokens = config.tokens().map_err(AdminError::File)?;
        let identity = config.identity().map_err(AdminError::File)?;
        Ok(Self::with(tokens, identity, address))
    }

    pub(super) fn with(tokens: Tokens, identity: Option<Identity>, address: Option<SocketAddr>) -> Self {
        Self {
            loopback: address.is_some_and(|address| address.ip().is_loopback()),
            tokens: RwLock::new(Arc::new(tokens)),
            identity: RwLock::new(identity),
        }
    }

    /// Reads the files of tokens, certificate and key again. Connections that there are keep their certificate.
    ///
    /// # Errors
    ///
    /// A file cannot be used; all stays as it is.
    pub fn reread(&self, config: &settings::Admin) -> Result<(), AdminError> {
        let tokens = config.tokens().map_err(AdminError::File)?;
        let identity = config.identity().map_err(AdminError::File)?;
        *self.tokens.write().expect("nothing panics while it holds the tokens") = Arc::new(tokens);
        *self.identity.write().expect("nothing panics while it holds the certificate") = identity;
        Ok(())
    }

    /// For TLS with the next connection, where there is to be any.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        let identity = self.identity.read().expect("nothing panics while it holds the certificate");
        identity.as_ref().map(|identity| identity.acceptor.clone())
    }

    /// Who asks with these header fields.
    pub(super) fn asker(&self, peer: &Peer, headers: &HeaderMap) -> Asker {
        if let Peer::User(who) = peer {
            return Asker::Known(Caller { who: Arc::clone(who), scope: Scope::Operator });
        }
        let tokens = self.tokens();
        if !tokens.exist() || !headers.contains_key(AUTHORIZATION) {
            return Asker::Stranger;
        }
        match presented(headers).as_ref().and_then(|shown| tokens.find(shown)) {
            Some(token) => Asker::Known(Caller { who: Arc::clone(&token.who), scope: token.scope }),
            None => Asker::Impostor,
        }
    }

    /// Why page, status and metrics do not answer, if so.
    fn refusal(&self, peer: &Peer, headers: &HeaderMap) -> Option<Response> {
        let tokens = self.tokens();
        match self.asker(peer, headers) {
            // Each scope has this one.
            Asker::Known(_) => None,
            Asker::Stranger if tokens.always_asked => Some(unknown()),
            Asker::Stranger if self.loopback && !names_this_machine(headers) => {
                let why = "name this server by its address or as localhost, or set admin.token_file\n";
                Some((StatusCode::FORBIDDEN, why).into_response())
            }
            Asker::Stranger if tokens.asked_from_afar && !self.loopback => Some(unknown()),
            Asker::Stranger => None,
            Asker::Impostor => Some(unknown()),
        }
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().expect("nothing panics while it holds the tokens"))
    }
}

fn unknown() -> Response {
    let challenge = [(WWW_AUTHENTICATE, CHALLENGE)];
    (StatusCode::UNAUTHORIZED, challenge, "the token is missing or wrong\n").into_response()
}

/// Answers only those who may ask for page, status and metrics.
pub(super) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<Peer>() else { return unknown() };
    match access.refusal(peer, request.headers()) {
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

    fn far() -> Peer {
        Peer::Address { address: "192.0.2.7:4711".parse().unwrap(), tls: false }
    }

    fn status(access: &Access, name: HeaderName, value: &str) -> u16 {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        access.refusal(&far(), &headers).map_or(200, |refusal| refusal.status().as_u16())
    }

    fn access(token: Option<&str>, address: &str) -> Access {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let token_file = token.map(|token| {
            std::fs::write(&file, token).unwrap();
            file
        });
        let config = settings::Admin { token_file, ..settings::Admin::default() };
        Access::new(&config, Some(address.parse().unwrap())).unwrap()
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
            let refusal = access.refusal(&far(), &HeaderMap::new()).unwrap();
            assert_eq!(
                (refusal.status().as_u16(), &refusal.headers()[WWW_AUTHENTICATE]),
                (401, &CHALLENGE.parse().unwrap())
            );
            // A name proves nothing and harms nothing where a token is asked for.
            assert_eq!(status(&access, HOST, "mx1.example"), 401);
            // Nor is anybody asked for a token over the socket.
            assert!(access.refusal(&Peer::User("anna".into()), &HeaderMap::new()).is_none());
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
        assert!(local.refusal(&far(), &HeaderMap::new()).is_some());
        assert_eq!(status(&access(None, "[::1]:9101"), HOST, "evil.example"), 403);
        assert_eq!(status(&access(None, "0.0.0.0:9101"), HOST, "milter-1:9101"), 200);
    }

    #[test]
    fn tokens_change_while_the_server_runs_and_stay_where_the_new_ones_are_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        let name = |token: &str| format!("anna read {}\n", crate::digest::Digest::of(token.as_bytes()));
        std::fs::write(&file, name("old")).unwrap();
        let config = settings::Admin { tokens_file: Some(file.clone()), ..settings::Admin::default() };
        let access = Access::new(&config, Some("192.0.2.1:9101".parse().unwrap())).unwrap();
        let tried = |token: &str| status(&access, AUTHORIZATION, &format!("Bearer {token}"));
        assert_eq!((tried("old"), tried("new")), (200, 401));
        std::fs::write(&file, "anna everything").unwrap();
        assert!(access.reread(&config).is_err());
        assert_eq!((tried("old"), tried("new")), (200, 401));
        std::fs::write(&file, name("new")).unwrap();
        access.reread(&config).unwrap();
        assert_eq!((tried("old"), tried("new")), (401, 200));
    }
}
