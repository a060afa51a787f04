// SPDX-License-Identifier: GPL-3.0-or-later
//! Who gets at the hub, and how: over TLS, with certificates, as the users of `deploy/redis/users.acl`, over a unix
//! socket; and that nobody learns the secrets by the way.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use thundergate_common::{
    clock::now,
    digest::Digest,
    hub::{
        Admission, Begin, Claim, Completion, Hub, HubError, Milter as _, Observer as _, Reservation, Room,
        Worker,
        redis::{Redis, RedisHub, RedisUrl},
    },
    job::{Job, Lane},
    record::MailRecord,
    sample::{NameHint, Sample, SampleKey},
    verdict::{Answer, Verdict},
};
use thundergate_harness::{
    mails::{eicar, mail},
    mta::Mail,
    process::{Program, binary},
    redis::{
        Certificates, Guard, MILTER, OPERATOR, RedisCluster, RedisServer, WORKER, WatchedRedis, password_of,
    },
    site::{Milter, Site},
    thunderstorm::Settings,
};
use thundergate_milter::config::Config;
use tokio::time::timeout;

/// Long enough for anything that should happen at once.
const SOON: Duration = Duration::from_secs(5);
const ONE: Room = Room { most: 1, background: 1 };
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn tls_with_an_authority_of_ones_own() {
    let (guard, certificates) = tls(false);
    let server = RedisServer::start_guarded(&guard, &[]).unwrap();
    let trusting = |user: &str| believing(&certificates, &server.url_of(user));
    a_sample_passes(trusting).await;
    let plain = at(&server.url_of(MILTER).replace("rediss://", "redis://"));
    assert!(matches!(ping(&plain).await, Err(HubError::Unavailable(_))), "there is nothing but TLS");
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_refused() {
    let server = RedisServer::start_guarded(&tls(false).0, &[]).unwrap();
    let another = Certificates::make().unwrap();
    for ca_file in [Some(another.ca()), None] {
        let error = ping(&Redis { ca_file, ..at(&server.url_of(MILTER)) }).await.unwrap_err();
        assert!(matches!(error, HubError::Unavailable(_)), "{error:?}");
        assert!(with_causes(&error).contains("certificate"), "{}", with_causes(&error));
    }
}

#[tokio::test]
async fn a_server_under_another_name_is_refused() {
    let (guard, certificates) = tls(false);
    let server = RedisServer::start_guarded(&guard, &[]).unwrap();
    let ca_file = Some(certificates.ca());
    // The same address, but not what stands in the certificate.
    let elsewhere = server.url_of(MILTER).replace("127.0.0.1", "localhost");
    let error = ping(&Redis { ca_file, ..at(&elsewhere) }).await.unwrap_err();
    assert!(with_causes(&error).contains("not valid for name"), "{}", with_causes(&error));
}

#[tokio::test]
async fn a_server_that_wants_to_see_a_certificate() {
    let (guard, certificates) = tls(true);
    let server = RedisServer::start_guarded(&guard, &[]).unwrap();
    let nameless = |user: &str| believing(&certificates, &server.url_of(user));
    assert!(matches!(ping(&nameless(MILTER)).await, Err(HubError::Unavailable(_))));
    a_sample_passes(|user| with_client_certificate(nameless(user), &certificates)).await;
}

#[tokio::test]
async fn tls_to_sentinels_and_servers() {
    let (guard, certificates) = tls(true);
    let watched = WatchedRedis::start_guarded(&guard).unwrap();
    assert!(watched.url_of(MILTER).starts_with("rediss+sentinel://"));
    let trusting = |user: &str| believing(&certificates, &watched.url_of(user));
    a_sample_passes(|user| with_client_certificate(trusting(user), &certificates)).await;
    assert!(ping(&trusting(MILTER)).await.is_err(), "a certificate is demanded");
}

#[tokio::test]
async fn sentinels_have_users_of_their_own() {
    let watched = WatchedRedis::start().unwrap();
    let files = tempfile::tempdir().unwrap();
    let password = files.path().join("password");
    std::fs::write(&password, "sentinel's").unwrap();
    for command in ["ACL SETUSER asking on >sentinel's +@all", "ACL SETUSER default off"] {
        watched.sentinel().command(command).unwrap();
    }
    let nobody = at(&watched.url_of(MILTER));
    assert!(matches!(ping(&nobody).await, Err(HubError::Unavailable(_))));
    a_sample_passes(|user| Redis {
        sentinel_username: Some("asking".into()),
        sentinel_password_file: Some(password.clone()),
        ..at(&watched.url_of(user))
    })
    .await;
}

#[tokio::test]
async fn tls_and_users_in_a_cluster() {
    let (guard, certificates) = tls(true);
    let cluster = RedisCluster::start_guarded(&guard).unwrap();
    let trusting = Redis { ca_file: Some(certificates.ca()), ..over(cluster.bare_urls()) };
    let known = with_client_certificate(trusting, &certificates);
    let passwords = Passwords::new();
    a_sample_passes(|user| passwords.log_in(&known, user)).await;
}

#[tokio::test]
async fn a_unix_socket() {
    let server = RedisServer::start().unwrap();
    a_sample_passes(|user| at(&server.unix_url_of(user))).await;
}

#[tokio::test]
async fn the_users_may_do_all_they_need() {
    let server = RedisServer::start().unwrap();
    let passwords = Passwords::new();
    a_sample_passes(|user| passwords.log_in(&at(&server.bare_unix_url()), user)).await;
    let log: Vec<redis::Value> = server.ask("ACL LOG").unwrap();
    assert_eq!(log, [], "nothing was refused");
}

#[tokio::test]
async fn programs_with_users_certificates_and_a_secret_pass_a_mail() {
    let (guard, certificates) = tls(true);
    let server = RedisServer::start_guarded(&guard, &[]).unwrap();
    let passwords = Passwords::new();
    std::fs::write(passwords.file("secret"), SECRET).unwrap();
    let (cert, key) = certificates.client();
    let section = |who: &str| {
        format!(
            "[redis]\nurl = {:?}\nusername = \"{who}\"\npassword_file = {:?}\nsecret_file = {:?}\n\
             ca_file = {:?}\ncert_file = {cert:?}\nkey_file = {key:?}\n",
            server.bare_url(),
            passwords.file(who),
            passwords.file("secret"),
            certificates.ca(),
        )
    };
    let site = Site::single(1, Settings::default()).await;
    let farm = site.farm_section();
    let worker = format!("admin.listen = \"127.0.0.1:0\"\n{}{farm}", section(WORKER));
    let worker = Program::start("thundergate-worker", &worker).await.unwrap();
    let milters = [Milter::start(&section(MILTER)).await, Milter::start(&section(MILTER)).await];
    let sample = eicar();
    for milter in &milters {
        let mail = Mail::of(mail().attach("a.com", "application/octet-stream", sample.clone()).bytes());
        let reply = milter.send(&mail).await;
        assert!(reply.quarantine.is_some(), "{reply:?}");
    }
    assert_eq!(site.scans_of(&sample), 1, "the second milter believes the first scan");

    let command = binary("thundergate").unwrap();
    let run = |arguments: &str| {
        let socket = worker.socket().unwrap();
        Command::new(&command).args(arguments.split(' ')).arg("--socket").arg(socket).output().unwrap()
    };
    let name = format!("{}.com", Digest::of(&sample));
    for (arguments, tells) in [
        (format!("verdict {name}"), "EICAR"),
        (format!("seen {name}"), "@"),
        ("queue".to_owned(), "mail"),
        ("generation bump".to_owned(), ""),
        (format!("verdict forget {name}"), ""),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", written(&output));
        assert!(written(&output).contains(tells), "{arguments}: {}", written(&output));
    }
    let refused: Vec<redis::Value> = server.ask("ACL LOG").unwrap();
    assert_eq!(refused, []);
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let server = RedisServer::start().unwrap();
    let passwords = Passwords::new();
    let milter = passwords.log_in(&at(&server.bare_url()), MILTER);
    ping(&milter).await.unwrap();
    std::fs::write(passwords.file(MILTER), "hunter2").unwrap();
    let error = ping(&milter).await.unwrap_err();
    assert!(matches!(error, HubError::Unavailable(_)), "it may be changed on the server: {error:?}");
    let text = with_causes(&error);
    assert!(text.to_lowercase().contains("password") && !text.contains("hunter2"), "{text}");
    let nobody = ping(&at(&server.bare_url())).await.unwrap_err();
    assert!(with_causes(&nobody).contains("Authentication required"), "{}", with_causes(&nobody));
}

#[tokio::test]
async fn secrets_are_in_no_output_and_no_log() {
    let server = RedisServer::start().unwrap();
    let passwords = Passwords::new();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(passwords.file(WORKER), "hunter2").unwrap();
    let secret_file = directory.path().join("secret");
    std::fs::write(&secret_file, SECRET).unwrap();
    let toml = format!(
        "log.level = \"trace\"\nadmin.listen = \"127.0.0.1:0\"\n[redis]\nurl = {:?}\nusername = \"thundergate-worker\"\n\
         password_file = {:?}\nsecret_file = {secret_file:?}\n[farm]\ninstances = [{{ url = \"http://127.0.0.1:1\" }}]\n",
        server.bare_url().replace("redis://", "redis://other:hunter1@"),
        passwords.file(WORKER),
    );
    let file = directory.path().join("worker.toml");
    std::fs::write(&file, &toml).unwrap();
    let worker = binary("thundergate-worker").unwrap();
    let run = |command: &str| Command::new(&worker).arg(command).arg("--config").arg(&file).output().unwrap();
    let hidden = |text: &str| !text.contains("hunter") && !text.contains(SECRET);
    let check = run("check");
    assert_eq!(check.status.code(), Some(0), "{}", written(&check));
    assert!(hidden(&written(&check)), "{}", written(&check));

    let program = Program::spawn("thundergate-worker", &toml, &[]).unwrap();
    let refused = |event: &serde_json::Value| event["event"] == "announcements_interrupted";
    program.wait_for(refused, SOON).await.expect("it says that it cannot log in");
    let command = binary("thundergate").unwrap();
    let queue =
        Command::new(command).arg("queue").arg("--socket").arg(program.socket().unwrap()).output().unwrap();
    assert_eq!(queue.status.code(), Some(69), "{}", written(&queue));
    assert!(written(&queue).contains("Password authentication failed"), "{}", written(&queue));
    assert!(hidden(&written(&queue)), "{}", written(&queue));
    assert!(program.log_lines().iter().all(|line| hidden(line)), "{:#?}", program.log_lines());
}

#[tokio::test]
async fn check_names_the_file_that_is_wrong_and_says_what_an_open_hub_means() {
    let directory = tempfile::tempdir().unwrap();
    let short = directory.path().join("short");
    std::fs::write(&short, "hunter2\n").unwrap();
    for program in ["thundergate-milter", "thundergate-worker"].map(|name| binary(name).unwrap()) {
        let check = |redis: String| {
            let file = directory.path().join("some.toml");
            std::fs::write(&file, format!("[redis]\nurl = \"redis://redis.example\"\n{redis}")).unwrap();
            Command::new(&program).arg("check").arg("--config").arg(&file).output().unwrap()
        };
        for (key, complaint) in
            [("secret_file", "at least 32 characters"), ("ca_file", "PEM"), ("cert_file", "redis.key_file")]
        {
            let output = check(format!("{key} = {short:?}\n"));
            assert_eq!(output.status.code(), Some(78));
            let text = written(&output);
            assert!(text.contains(&format!("some.toml:3: redis.{key}: ")), "{text}");
            assert!(text.contains(complaint) && !text.contains("hunter2"), "{text}");
        }
        let open = check(String::new());
        assert!(String::from_utf8_lossy(&open.stderr).starts_with("note: redis.secret_file is not set"));
        assert_eq!(open.status.code(), Some(0));
        std::fs::write(directory.path().join("secret"), SECRET).unwrap();
        let closed = check(format!("secret_file = {:?}\n", directory.path().join("secret")));
        assert_eq!((closed.status.code(), closed.stderr.len()), (Some(0), 0), "{}", written(&closed));
    }
}

#[tokio::test]
async fn a_cluster_survives_the_loss_of_a_master() {
    let mut cluster = RedisCluster::start().unwrap();
    let hub = connect(&over(cluster.urls_of(MILTER)), "here").await;
    let key = key();
    assert_eq!(hub.reserve(std::slice::from_ref(&key), Lane::Mail).await.unwrap(), [Reservation::Owner]);
    cluster.lose_the_holder_of(&format!("{{{}}}", key.digest)).unwrap();
    let started = std::time::Instant::now();
    while hub.reserve(std::slice::from_ref(&key), Lane::Mail).await.is_err() {
        assert!(started.elapsed() < SOON * 4, "the hub finds the new master");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.bring_back().unwrap();
    assert!(cluster.nodes().iter().all(RedisServer::is_running));
}

/// Everything that happens to a sample of which nobody has heard.
async fn a_sample_passes(redis: impl Fn(&str) -> Redis) {
    let (here, there) = (connect(&redis(MILTER), "milter").await, connect(&redis(WORKER), "worker").await);
    let key = key();
    assert_eq!(here.look_up(std::slice::from_ref(&key)).await.unwrap(), [None]);
    let mut ticket = here.announcements().subscribe(&key);
    assert_eq!(here.reserve(std::slice::from_ref(&key), Lane::Mail).await.unwrap(), [Reservation::Owner]);
    assert_eq!(here.submit(&[job(&key)]).await.unwrap(), [Admission::Queued]);
    let claim = claimed(&there).await;
    assert_eq!(
        there.begin(&claim).await.unwrap(),
        Begin::Scan { bytes: Bytes::from("sample"), failed: None }
    );
    there.renew("worker", std::slice::from_ref(&claim)).await.unwrap();
    let answer = Answer::Verdict(Arc::new(Verdict { scanned_at: now(), ..Verdict::default() }));
    there.complete(&claim, &Completion::Answered(answer.clone())).await.unwrap();
    assert_eq!(timeout(SOON, ticket.answer()).await.expect("it is announced"), answer);
    let known = here.look_up(std::slice::from_ref(&key)).await.unwrap().remove(0).expect("it is known");
    assert_eq!(Answer::Verdict(known), answer);
    here.record(&[MailRecord::default()]).await.unwrap();
    there.reclaim("other", 0, ONE).await.unwrap();
    there.queue().await.unwrap();
}

/// The one job that there is, in whatever shard.
async fn claimed(hub: &RedisHub) -> Claim {
    for shard in 0..hub.shards() {
        if let Some(claim) = hub.claim("worker", shard, ONE, Duration::ZERO).await.unwrap().pop() {
            return claim;
        }
    }
    panic!("there is no job");
}

async fn connect(redis: &Redis, process: &str) -> Arc<RedisHub> {
    let defaults = Config::from_toml("").unwrap();
    RedisHub::connect(redis, &defaults.queue, &defaults.cache, process.to_owned()).await.unwrap()
}

async fn ping(redis: &Redis) -> Result<(), HubError> {
    let hub = connect(redis, "ping").await;
    hub.ping().await
}

fn at(url: &str) -> Redis {
    Redis::at(RedisUrl::One(url.into()))
}

fn over(cluster: Vec<String>) -> Redis {
    Redis::at(RedisUrl::Cluster(cluster.into_iter().map(Into::into).collect()))
}

fn tls(client_certificates: bool) -> (Guard, Arc<Certificates>) {
    let certificates = Arc::new(Certificates::make().unwrap());
    (Guard::tls(&certificates, client_certificates), certificates)
}

/// Who believes the servers that these vouch for.
fn believing(certificates: &Certificates, url: &str) -> Redis {
    Redis { ca_file: Some(certificates.ca()), ..at(url) }
}

fn with_client_certificate(redis: Redis, certificates: &Certificates) -> Redis {
    let (cert, key) = certificates.client();
    Redis { cert_file: Some(cert), key_file: Some(key), ..redis }
}

/// A file with the password of each user.
struct Passwords(TempDir);

impl Passwords {
    fn new() -> Self {
        let passwords = Self(tempfile::tempdir().unwrap());
        for user in [MILTER, WORKER, OPERATOR] {
            std::fs::write(passwords.file(user), format!("{}\n", password_of(user))).unwrap();
        }
        passwords
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn log_in(&self, redis: &Redis, user: &str) -> Redis {
        let username = Some(user.to_owned());
        Redis { username, password_file: Some(self.file(user)), ..redis.clone() }
    }
}

fn key() -> SampleKey {
    SampleKey { digest: Digest::of(b"sample"), hint: NameHint::Extension("pdf".into()) }
}

fn job(key: &SampleKey) -> (Sample, Job) {
    let sample = Sample { key: key.clone(), bytes: Bytes::from("sample") };
    let job = Job {
        sample: key.clone(),
        size: 6,
        lane: Lane::Mail,
        source: "mx1".into(),
        queue_id: "4Bq".into(),
        enqueued_ms: now() * 1000,
        needs: None,
        reads_short: true,
        traceparent: None,
    };
    (sample, job)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn written(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}
