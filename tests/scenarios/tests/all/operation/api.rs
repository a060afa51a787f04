// SPDX-License-Identifier: GPL-3.0-or-later
//! The API of the admin servers, with the real programs: over a socket and over the network, in one process and in a
//! cluster.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::{
    fs,
    net::{IpAddr, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use thundergate_common::digest::Digest;
use thundergate_harness::{
    eventually, free_port,
    mails::{eicar, mail},
    mta::Mail,
    process::Program,
    site::{Milter, Site},
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(20);
const OPERATOR: &str = "an-operators-token";
const READER: &str = "a-readers-token-1";

/// Asks with what a change needs, and gives status and body.
async fn ask(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.header("thundergate-change", "1").send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn client() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE)
}

/// Whoever asks at a socket.
struct Local(reqwest::Client);

impl Local {
    fn at(socket: &Path) -> Self {
        Self(client().unix_socket(socket).build().unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        ask(self.0.get(format!("http://localhost/api/v1{path}"))).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        ask(self.0.post(format!("http://localhost/api/v1{path}")).json(&body)).await
    }
}

/// A folder for a socket, and the settings that put it there.
fn socket(folder: &TempDir) -> (PathBuf, String) {
    let path = folder.path().join("admin.sock");
    let settings = format!("admin.socket = {path:?}\n");
    (path, settings)
}

fn infected() -> Mail {
    Mail::of(mail().attach("a.com", "application/octet-stream", eicar()).bytes())
}

/// One mail with a finding is found, explained and forgotten.
async fn one_mail_is_followed(door: &Local, milter: &Milter) {
    let mail = infected();
    milter.send(&mail).await;
    let queue_id = &*mail.queue_id;
    let digest = Digest::of(&eicar()).to_string();
    let why = async || door.post("/mails/why", json!({ "queue_id": queue_id })).await.1;
    let told = async || why().await["mails"].as_array().is_some_and(|mails| !mails.is_empty());
    eventually(PATIENCE, "the record", told).await;
    let story = why().await;
    assert_eq!(story["mails"][0]["decision"], "quarantine", "{story}");
    let now = &story["mails"][0]["parts"].as_array().unwrap().last().unwrap()["verdict_now"];
    assert_eq!((&now["clean"], now["score"].as_i64() > Some(60)), (&json!(false), true), "{story}");

    let (status, seen) = door.post("/mails/seen", json!({ "sample": digest })).await;
    assert_eq!((status, &seen["mails"][0]["queue_id"]), (200, &json!(queue_id)), "{seen}");
    let search = async || door.post("/verdicts/search", json!({ "sample": digest })).await.1;
    let known = search().await;
    assert_eq!(known["verdicts"][0]["sample"], format!("{digest}.com"), "{known}");
    let (_, forgotten) = door.post("/verdicts/forget", json!({ "sample": digest })).await;
    assert_eq!(forgotten, json!({ "forgotten": 1 }));
    assert_eq!(search().await["verdicts"], json!([]));

    let (status, bumped) = door.post("/generation/bump", json!({ "reason": "new rules" })).await;
    assert!(status == 200 && bumped["bumped_at_ms"].as_u64() > Some(1_600_000_000_000), "{bumped}");
    let (_, farm) = door.get("/farm").await;
    assert_eq!(farm["instances"][0]["name"], "storm0", "{farm}");
    let (_, queue) = door.get("/queue").await;
    assert_eq!((queue["queue"]["lanes"].as_array().unwrap().len(), &queue["dead_letters"]), (3, &json!([])));
}

/// Whether the last lines of the audit are these.
fn audited(program: &Program, actions: &[&str]) -> bool {
    let lines = program.events().into_iter().filter(|line| line["event"] == "audit");
    let written: Vec<_> = lines.map(|line| line["audit.action"].as_str().unwrap().to_owned()).collect();
    written.ends_with(&actions.iter().map(|action| (*action).to_owned()).collect::<Vec<_>>())
}

#[tokio::test]
async fn one_process_answers_everything() {
    let (site, folder) = (Site::single(1, Settings::default()).await, tempfile::tempdir().unwrap());
    let (path, settings) = socket(&folder);
    let milter = site.milter(&settings).await;
    one_mail_is_followed(&Local::at(&path), &milter).await;
    assert!(audited(&milter.program, &["seen", "verdict forget", "generation bump"]));
}

#[tokio::test]
async fn in_a_cluster_a_worker_answers_with_the_rights_it_has_at_redis() {
    let (site, folders) =
        (Site::cluster(1, Settings::default()).await, [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let [(at_worker, workers), (at_milter, milters)] = folders.each_ref().map(socket);
    let (worker, milter) = (site.worker(&workers).await, site.milter(&milters).await);
    one_mail_is_followed(&Local::at(&at_worker), &milter).await;
    assert!(audited(&worker, &["seen", "verdict forget", "generation bump"]));

    let (status, answer) = Local::at(&at_milter).get("/queue").await;
    assert!(status == 404 && answer["error"].as_str().unwrap().contains("ask one of them"), "{answer}");
    site.stop_redis();
    let (status, answer) = Local::at(&at_worker).get("/queue").await;
    assert!(status == 503 && answer["error"].as_str().unwrap().starts_with("Redis"), "{answer}");
}

#[tokio::test]
async fn a_user_without_rights_does_not_get_in() {
    let (site, folder) = (Site::single(1, Settings::default()).await, tempfile::tempdir().unwrap());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (path, settings) = socket(&folder);
    let milter = site.milter(&settings).await;
    let as_nobody = |more: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "--silent"]);
        command.args(["--output", "/dev/null", "--write-out", "%{http_code}", "--unix-socket"]).arg(&path);
        let output = command.arg(format!("http://localhost{more}")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    if as_nobody("/live").is_empty() {
        return eprintln!("skipped: it takes root, setpriv and curl");
    }
    for path in ["/live", "/api/v1/queue", "/api/v1/nothing"] {
        assert_eq!(as_nobody(path), "000", "{path}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(as_nobody("/api/v1/queue"), "200", "it is the file's mode that keeps them out");
    drop(milter);
}

/// An address of this machine that is not its loopback device's.
fn afar() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // sends nothing
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[tokio::test]
async fn from_afar_changes_need_tls_and_tokens_are_read_again() {
    let Some(address) = afar() else {
        return eprintln!("skipped: this machine has a loopback device and nothing else");
    };
    let (site, folder) = (Site::single(1, Settings::default()).await, tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    let name =
        |who: &str, scope: &str, token: &str| format!("{who} {scope} {}\n", Digest::of(token.as_bytes()));
    fs::write(at("tokens"), name("anna", "operator", OPERATOR) + &name("bert", "read", READER)).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([address.to_string()]).unwrap().self_signed(&key).unwrap();
    fs::write(at("cert.pem"), certificate.pem()).unwrap();
    fs::write(at("key.pem"), key.serialize_pem()).unwrap();
    let port = free_port();
    let everywhere = format!(
        "listen = [\"inet:127.0.0.1:0\"]\nadmin.listen = \"0.0.0.0:{port}\"\nadmin.tokens_file = {:?}\n{}",
        at("tokens"),
        site.farm_section()
    );
    let milter = Program::start("thundergate-milter", &everywhere).await.unwrap();
    let authority = certificate.der().to_vec();
    let authority = reqwest::Certificate::from_der(&authority).unwrap();
    let client = client().tls_certs_only([authority]).build().unwrap();
    let bump = async |scheme: &str, token: &str| {
        let url = format!("{scheme}://{address}:{port}/api/v1/generation/bump");
        ask(client.post(url).bearer_auth(token).json(&json!({}))).await
    };
    let queue = async |token: &str| {
        ask(client.get(format!("http://{address}:{port}/api/v1/queue")).bearer_auth(token)).await.0
    };
    assert_eq!((queue(READER).await, queue(OPERATOR).await, queue("wrong").await), (200, 200, 401));
    let (status, answer) = bump("http", OPERATOR).await;
    assert!(status == 403 && answer["error"].as_str().unwrap().contains("with TLS"), "{answer}");
    let metrics = format!("http://{address}:{port}/metrics");
    assert_eq!(client.get(&metrics).send().await.unwrap().status().as_u16(), 401);

    // A certificate comes, and bert goes.
    fs::write(at("tokens"), name("anna", "operator", OPERATOR)).unwrap();
    let tls = format!("admin.cert_file = {:?}\nadmin.key_file = {:?}\n", at("cert.pem"), at("key.pem"));
    milter.reload(&format!("{tls}{everywhere}")).unwrap();
    let changed = |line: &Value| line["config.changed"] == "admin.cert_file,admin.key_file";
    eventually(PATIENCE, "it has reloaded", async || milter.events().iter().any(changed)).await;
    assert_eq!(bump("https", READER).await.0, 401);
    assert_eq!(bump("https", OPERATOR).await.0, 200);
    let line = milter.events().into_iter().rfind(|line| line["event"] == "audit").unwrap();
    assert_eq!((&line["audit.who"], &line["audit.from"]), (&json!("anna"), &json!(address.to_string())));
}
