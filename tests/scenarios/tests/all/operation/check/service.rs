// SPDX-License-Identifier: GPL-3.0-or-later
//! The same asked of programs that run, over their API: what they find wrong is what the command line finds, and where they
//! listen themselves is not taken.

use super::*;
use reqwest::{Client, StatusCode};
use thundergate_common::api::{Endpoint, PREFIX, check::Wanted};
use thundergate_harness::{
    eventually,
    process::Program,
    redis::{MILTER, RedisServer, WORKER},
    thunderstorm::Standin,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// The sites of both programs: a worker and a milter of a cluster, each with its socket.
struct Service {
    program: Program,
    socket: PathBuf,
    _directory: TempDir,
}

impl Service {
    async fn start(name: &str, toml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let admin = format!("admin.listen = \"\"\nadmin.socket = \"{}\"\n", socket.display());
        let program = Program::start(name, &format!("{admin}{toml}")).await.unwrap();
        Self { program, socket, _directory: directory }
    }

    async fn check(&self, wanted: Wanted) -> Report {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder().unix_socket(self.socket.as_path()).build().unwrap();
        let url = format!("http://localhost{PREFIX}{}", Endpoint::CHECK.path);
        let answer = client.post(url).json(&wanted).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_run_say_what_is_wrong_with_what_they_need() {
    let (server, scanner) = (RedisServer::start().unwrap(), Standin::start(current()).await);
    let instances = format!("[{{ name = \"storm\", url = \"{}\" }}]", scanner.url());
    let farm = format!("[farm]\nprobe_interval = \"200ms\"\ninstances = {instances}\n");
    let redis = |user: &str| format!("[redis]\n{}\n", at(&server.url_of(user)));
    let worker = Service::start("thundergate-worker", &format!("{}{farm}", redis(WORKER))).await;
    let milter =
        Service::start("thundergate-milter", &format!("listen = \"inet:127.0.0.1:0\"\n{}", redis(MILTER)))
            .await;
    for (service, name) in [(&worker, "worker"), (&milter, "milter")] {
        let report = service.check(Wanted::default()).await;
        assert_eq!(report.program, name);
        let blamed =
            complaints(&report).into_iter().filter(|finding| !finding.subject.starts_with("main.cf"));
        assert_eq!(blamed.count(), 0, "{report:#?}");
    }
    assert_eq!(worker.check(Wanted { scan: true }).await.status(), 0);
    assert_eq!(scanner.own_uploads_of("thundergate-check"), 1);

    server.command("CONFIG SET maxmemory-policy allkeys-lru").unwrap();
    scanner.stop().await;
    let report = worker.check(Wanted::default()).await;
    let blamed: Vec<_> = complaints(&report).into_iter().map(|finding| finding.subject.as_str()).collect();
    assert_eq!(blamed, ["maxmemory-policy", "farm.instances storm"], "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_needs_changes_with_its_configuration() {
    let (server, scanner) = (RedisServer::start().unwrap(), Standin::start(current()).await);
    let farm = |url: &str| format!("[farm]\ninstances = [{{ name = \"storm\", url = \"{url}\" }}]\n");
    let redis = format!("[redis]\n{}\n", at(&server.url_of(WORKER)));
    let worker =
        Service::start("thundergate-worker", &format!("{redis}{}", farm("http://127.0.0.1:1"))).await;
    assert_eq!(worker.check(Wanted::default()).await.status(), 69);
    let admin = format!("admin.listen = \"\"\nadmin.socket = \"{}\"\n", worker.socket.display());
    worker.program.reload(&format!("{admin}{redis}{}", farm(&scanner.url()))).unwrap();
    eventually(PATIENCE, "the new scanner is looked at", async || {
        worker.check(Wanted::default()).await.status() == 0
    })
    .await;
}
