// SPDX-License-Identifier: GPL-3.0-or-later
//! TLS at `admin.listen`, and who listens where.

use super::*;
use crate::health;
use rcgen::{CertificateParams, KeyPair};
use std::os::unix::fs::PermissionsExt as _;
use tokio_rustls::TlsConnector;

const LISTEN: &str = "listen = '127.0.0.1:0'\ncert_file = 'FOLDER/cert.pem'\nkey_file = 'FOLDER/key.pem'\n\
                      tokens_file = 'FOLDER/tokens'";

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["mx1.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// The settings of the server, as its health check has them.
fn settings(server: &Server) -> settings::Admin {
    let text = LISTEN.replace("FOLDER", server.folder.path().to_str().unwrap());
    settings::Admin { listen: server.address, ..toml::from_str(&text).unwrap() }
}

#[tokio::test]
async fn with_a_certificate_nothing_is_said_in_the_clear() {
    let (certificate, key) = pair();
    let files = [("cert.pem", &*certificate), ("key.pem", &key), ("tokens", &tokens())];
    let server = Server::start(LISTEN, &files).await;
    let clear = fetch(server.address(), "/live").await;
    assert!(!clear.contains("HTTP"), "{clear:?}");
    assert_eq!(health::ask(&settings(&server), false).await.unwrap(), "live");

    let expected = settings(&server).identity().unwrap().unwrap().expected();
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = server.address().ip().into();
    let stream = TlsConnector::from(expected).connect(name, stream).await.unwrap();
    let token = [("authorization", "Bearer operator-1234567890")];
    let bump = asked("POST", "/api/v1/generation/bump", "mx1.example", &token, "{}");
    assert_eq!(status(&talk(stream, &bump).await), 200);

    // Another server at the same address is not taken for this one.
    let (other, _) = pair();
    std::fs::write(server.folder.path().join("cert.pem"), other).unwrap();
    assert!(health::ask(&settings(&server), false).await.is_err());
    server.end().await;
}

#[tokio::test]
async fn a_certificate_is_renewed_while_the_server_runs() {
    let (certificate, key) = pair();
    let files = [("cert.pem", &*certificate), ("key.pem", &key), ("tokens", &tokens())];
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let text = LISTEN.replace("FOLDER", folder.path().to_str().unwrap());
    let mut config: settings::Admin = toml::from_str(&text).unwrap();
    let access = Access::new(&config, None).unwrap();
    std::fs::write(folder.path().join("key.pem"), pair().1).unwrap();
    let error = access.reread(&config).unwrap_err().to_string();
    assert!(error.contains("key.pem does not go with admin.cert_file"), "{error}");
    (config.cert_file, config.key_file) = (None, None);
    assert!(access.acceptor().is_some());
    access.reread(&config).unwrap();
    assert!(access.acceptor().is_none());
}

#[tokio::test]
async fn a_socket_is_for_its_group_and_goes_with_the_server() {
    let server = Server::start("listen = ''\nsocket = 'FOLDER/admin.sock'", &[]).await;
    let path = server.folder.path().join("admin.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let config = settings::Admin { socket: Some(path.clone()), ..settings::Admin::default() };
    assert_eq!(health::ask(&config, true).await.unwrap(), "ready");
    let error = Admin::bind(&config, Vec::new()).await.err().unwrap().to_string();
    assert_eq!(error, format!("cannot listen on {} (admin.socket)", path.display()));
    server.shutdown.cancel();
    let mut tasks = server.tasks;
    tokio::time::timeout(PATIENCE, tasks.join_next()).await.unwrap();
    assert!(!path.exists());
    assert!(health::ask(&config, true).await.unwrap_err().to_string().ends_with("admin.sock (admin.socket)"));
}

#[tokio::test]
async fn a_socket_that_was_passed_on_is_used_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passed.sock");
    let passed = vec![unix::net::UnixListener::bind(&path).unwrap()];
    let config = settings::Admin { socket: Some(path.clone()), ..settings::Admin::default() };
    let admin = Admin::bind(&config, passed).await.unwrap().unwrap();
    assert_eq!(admin.socket_names(), path.display().to_string(), "one and the same");
    assert_eq!(admin.address(), None);
}
