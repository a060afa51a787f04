// SPDX-License-Identifier: GPL-3.0-or-later
//! Who gets what: a row is somebody who asks, a column something to ask for, in each place where a server can listen. A cell
//! says whether they get it.

use super::*;
use crate::{
    admin::{access::Access, conversation, peer::Peer},
    api::{Endpoint, Scope, check::Checker, check::Report, check::Wanted},
    digest::Digest,
};
use axum::Router;
use tokio::io::duplex;

/// Where a server listens, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Loopback,
    Everywhere,
    EverywhereWithTls,
}

/// Somebody who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// Without a token.
    Nobody,
    /// The same, and a page of another site asks.
    ForeignOrigin,
    /// The same, and the browser says so in another way.
    CrossSite,
    /// A page whose name resolves to this server.
    ForeignHost,
    /// With a token that is none.
    Impostor,
    Token(Scope),
    /// With a token of the scope `operator`, which a browser adds by itself to what a page of another site asks.
    OperatorFromAnotherSite,
    /// With a token of the scope `operator`, and without the header that no form can send.
    OperatorByForm,
    /// Over the admin socket.
    User,
}

const EVERYBODY: [Who; 11] = [
    Who::Nobody,
    Who::ForeignOrigin,
    Who::CrossSite,
    Who::ForeignHost,
    Who::Impostor,
    Who::Token(Scope::Metrics),
    Who::Token(Scope::Read),
    Who::Token(Scope::Operator),
    Who::OperatorFromAnotherSite,
    Who::OperatorByForm,
    Who::User,
];

/// Which files name tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Files {
    None,
    /// `admin.token_file`: its one token has the scope `read`.
    One,
    /// `admin.tokens_file`.
    Many,
    Both,
}

const PAGES: [&str; 3] = ["/", "/status", "/metrics"];

struct Well;

impl Checker for Well {
    fn check(&self, _: Wanted) -> BoxFuture<'_, Report> {
        async { Report::default() }.boxed()
    }
}

fn site(place: Place, files: Files) -> (Router, Arc<Notebook>) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Some(folder.path().join(name))
    };
    let config = settings::Admin {
        token_file: if matches!(files, Files::One | Files::Both) {
            file("one", "the-one-token-123")
        } else {
            None
        },
        tokens_file: if matches!(files, Files::Many | Files::Both) { file("many", &tokens()) } else { None },
        ..settings::Admin::default()
    };
    let address = if place == Place::Loopback { "127.0.0.1:9101" } else { "0.0.0.0:9101" };
    let access = Access::new(&config, Some(address.parse().unwrap())).unwrap();
    let notebook = Arc::<Notebook>::default();
    let site = Site {
        registry: Arc::default(),
        ready: Arc::new(|| Ok(())),
        subject: Arc::<Asked>::default(),
        backend: Backend { hub: Some(hub()), checker: Some(Arc::new(Well)), ..Backend::default() },
        journal: Some(notebook.clone()),
    };
    (routes(&Arc::new(access), site).0, notebook)
}

/// The status of what `who` gets.
async fn status_of(router: &Router, place: Place, who: Who, method: &str, path: &str) -> u16 {
    let address = if place == Place::Loopback { "127.0.0.1:4711" } else { "192.0.2.7:4711" };
    let peer = match who {
        Who::User => Peer::User("anna".into()),
        _ => Peer::Address { address: address.parse().unwrap(), tls: place == Place::EverywhereWithTls },
    };
    let host = match who {
        Who::ForeignHost => "evil.example:9101",
        _ if place == Place::Loopback => "127.0.0.1:9101",
        _ => "mx1.example:9101",
    };
    let operator = "Bearer operator-1234567890".to_owned();
    let token = match who {
        Who::Impostor => Some("Bearer operator-0000000000".to_owned()),
        Who::Token(scope) => Some(format!("Bearer {scope}-1234567890")),
        Who::OperatorFromAnotherSite | Who::OperatorByForm => Some(operator),
        _ => None,
    };
    let mut fields = Vec::new();
    fields.extend(token.as_deref().map(|token| ("authorization", token)));
    match who {
        Who::ForeignOrigin => fields.push(("origin", "http://evil.example")),
        Who::CrossSite => fields.push(("sec-fetch-site", "cross-site")),
        Who::OperatorFromAnotherSite => {
            fields.extend([("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]);
        }
        _ => {}
    }
    let digest = Digest::of(b"a");
    let body = format!(r#"{{"ids": ["x"], "sample": "{digest}", "queue_id": "4ABC"}}"#);
    let mut request = asked(method, path, host, &fields, if method == "POST" { &body } else { "" });
    if who == Who::OperatorByForm {
        request = request.replace("thundergate-change: yes\r\n", "");
    }
    let (client, server) = duplex(1 << 16);
    let token = CancellationToken::new();
    let serving = conversation::converse(server, peer, router.clone(), Arc::default(), token);
    let (answer, ()) = tokio::join!(talk(client, &request), serving);
    status(&answer)
}

/// Whether a page shows itself, as deploy/security.md says.
fn page_shows(place: Place, files: Files, who: Who) -> bool {
    let knows_tokens = matches!(files, Files::Many | Files::Both);
    match who {
        Who::User => true,
        Who::Token(_) | Who::OperatorByForm | Who::OperatorFromAnotherSite if knows_tokens => true,
        Who::Impostor if files != Files::None => false,
        // These tokens are none where no file names them.
        Who::Token(_) | Who::OperatorByForm | Who::OperatorFromAnotherSite if files == Files::One => false,
        _ if matches!(files, Files::One | Files::Both) => false,
        Who::ForeignHost if place == Place::Loopback => false,
        _ if place == Place::Loopback => true,
        _ => files == Files::None,
    }
}

/// Whether an endpoint answers.
fn endpoint_answers(place: Place, files: Files, who: Who, endpoint: &Endpoint) -> bool {
    let knows_tokens = matches!(files, Files::Many | Files::Both);
    match who {
        Who::User => true,
        Who::Token(scope) if knows_tokens => {
            scope >= endpoint.scope && (!endpoint.changes() || place != Place::Everywhere)
        }
        Who::OperatorByForm if knows_tokens => !endpoint.changes(),
        _ => false,
    }
}

#[tokio::test]
async fn everybody_gets_what_is_theirs_and_nothing_else() {
    let mut cells = 0;
    for place in [Place::Loopback, Place::Everywhere, Place::EverywhereWithTls] {
        for files in [Files::None, Files::One, Files::Many, Files::Both] {
            let (router, notebook) = site(place, files);
            for who in EVERYBODY {
                for path in ["/live", "/ready"] {
                    assert_eq!(status_of(&router, place, who, "GET", path).await, 200, "{who:?} {path}");
                }
                for path in PAGES {
                    let status = status_of(&router, place, who, "GET", path).await;
                    let cell = format!("{place:?} {files:?} {who:?} {path}: {status}");
                    assert_eq!(status == 200, page_shows(place, files, who), "{cell}");
                    assert!([200, 401, 403].contains(&status), "{cell}");
                }
                for endpoint in &Endpoint::ALL {
                    let noted = notebook.all("event").len();
                    let path = format!("{PREFIX}{}", endpoint.path);
                    let status = status_of(&router, place, who, endpoint.method, &path).await;
                    let cell = format!("{place:?} {files:?} {who:?} {path}: {status}");
                    let answers = endpoint_answers(place, files, who, endpoint);
                    assert_eq!(status == 200, answers, "{cell}");
                    assert!([200, 401, 403].contains(&status), "{cell}");
                    let notes = notebook.all("event").len() - noted;
                    assert_eq!(notes, usize::from(answers && endpoint.audited.is_some()), "{cell}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 3 * 4 * EVERYBODY.len() * Endpoint::ALL.len());
}

#[tokio::test]
async fn the_one_token_reads_and_changes_nothing() {
    let (router, _) = site(Place::Loopback, Files::Both);
    let get = async |endpoint: Endpoint| {
        let token = [("authorization", "Bearer the-one-token-123")];
        let path = format!("{PREFIX}{}", endpoint.path);
        let request = asked(endpoint.method, &path, "127.0.0.1", &token, "");
        let (client, server) = duplex(1 << 16);
        let peer = Peer::Address { address: "127.0.0.1:4711".parse().unwrap(), tls: false };
        let serving =
            conversation::converse(server, peer, router.clone(), Arc::default(), Default::default());
        status(&tokio::join!(talk(client, &request), serving).0)
    };
    assert_eq!(get(Endpoint::QUEUE).await, 200);
    assert_eq!(get(Endpoint::GENERATION_BUMP).await, 403);
}

#[tokio::test]
async fn a_scan_needs_more_than_a_look() {
    let (router, notebook) = site(Place::Loopback, Files::Many);
    let check = async |scope: &str, body: &str| {
        let token = [("authorization", &*format!("Bearer {scope}-1234567890"))];
        let request = asked("POST", "/api/v1/check", "127.0.0.1", &token, body);
        let (client, server) = duplex(1 << 16);
        let peer = Peer::Address { address: "127.0.0.1:4711".parse().unwrap(), tls: false };
        let serving =
            conversation::converse(server, peer, router.clone(), Arc::default(), Default::default());
        status(&tokio::join!(talk(client, &request), serving).0)
    };
    assert_eq!(check("read", "{}").await, 200);
    assert_eq!(check("read", r#"{"scan": true}"#).await, 403);
    assert_eq!(check("operator", r#"{"scan": true}"#).await, 200);
    assert_eq!(notebook.all("audit.what"), ["", "with a scan"]);
}
