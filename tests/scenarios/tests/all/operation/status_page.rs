// SPDX-License-Identifier: GPL-3.0-or-later
//! The status page of both programs: what it tells, whom, and what a browser makes of it.
//!
//! With `STATUS_PAGE_PICTURES=DIRECTORY` the browser's pictures are kept there, for people to look at.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{fs, path::Path, process::Command, time::Duration};
use tempfile::TempDir;
use thundergate_harness::{
    browser::{self, Browser},
    eventually,
    mails::{eicar, mail, noise},
    mta::Mail,
    process::{Program, binary},
    redis::{OPERATOR, WORKER},
    site::{Milter, Site},
    thunderstorm::{Fault, Settings},
};

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "a-token-that-nobody-guesses";
/// A name that would be a script, were it not shown as text.
const HOSTILE: &str = "<img src=x onerror=document.title=1><b>.com";

fn with(name: &str, bytes: impl Into<Vec<u8>>) -> Mail {
    Mail::of(mail().attach(name, "application/octet-stream", bytes).bytes())
}

fn admin(program: &Program) -> String {
    program.addresses("admin").swap_remove(0)
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn status(program: &Program) -> Value {
    let answer = client().get(format!("http://{}/status", admin(program))).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// The status, once `wanted` holds.
async fn status_where(program: &Program, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let is_so = async || {
        last = status(program).await;
        wanted(&last)
    };
    eventually(PATIENCE, what, is_so).await;
    last
}

#[tokio::test]
async fn both_programs_tell_what_they_know_in_one_shape() {
    let site = Site::cluster(2, Settings::default()).await;
    // The milters' user reads neither the farm's reports nor the queue; this one does.
    let milter = site.milter_as(OPERATOR, "limits.sample_bytes = \"10KiB\"").await;
    let worker = site.worker("").await;
    milter.send(&with("a.bin", noise(1, 100))).await;
    milter.send(&with("a.bin", noise(1, 100))).await;
    milter.send(&with("large.bin", noise(2, 20_000))).await;
    milter.send(&with("secret name.com", eicar())).await;

    let scans = |one: &Value| one["state"] == "closed";
    let told =
        |told: &Value| told["farm"].as_array().is_some_and(|farm| farm.len() == 2 && farm.iter().all(scans));
    let seen = status_where(&milter.program, "the workers have told of two scanners", told).await;
    assert_eq!((&seen["program"]["name"], &seen["program"]["hub"]), (&"milter".into(), &"redis".into()));
    let minute = |decision: &str| seen["flow"]["decisions"][decision]["last_minute"].as_u64();
    assert_eq!(
        (minute("accept"), minute("quarantine"), minute("reject")),
        (Some(2), Some(2), Some(0)),
        "{seen}"
    );
    let (cause, action) = (&seen["unscanned"][0]["cause"], &seen["unscanned"][0]["action"]);
    assert_eq!((cause, action), (&"oversize".into(), &"quarantine".into()), "{seen}");
    let answers = &seen["answers"]["total"];
    assert_eq!(
        (&answers["scan"], &answers["local"], &answers["hub"]),
        (&2.into(), &1.into(), &0.into()),
        "{seen}"
    );
    assert_eq!((&seen["waiting"]["mails"], &seen["waiting"]["oldest_ms"]), (&0.into(), &Value::Null));
    assert_eq!(seen["queue"]["lanes"].as_array().unwrap().len(), 3, "{seen}");
    let finding = &seen["findings"][0];
    assert!(
        finding["score"].as_i64().unwrap() > 60 && finding["sample"].as_str().unwrap().ends_with(".com"),
        "{seen}"
    );
    assert!(!finding["rules"].as_array().unwrap().is_empty(), "{seen}");
    let text = seen.to_string();
    for private in ["secret name", "recipient@", "sender@", "example.net"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    assert_eq!(seen["remarks"][0]["text"], "Mail is flowing; what can be scanned is scanned.", "{seen}");

    let seen = status_where(&worker, "the worker has heard of both", told).await;
    assert_eq!(seen["program"]["name"], "worker");
    for absent in ["flow", "unscanned", "answers", "waiting", "findings"] {
        assert!(seen.get(absent).is_none(), "{absent}: {seen}");
    }
    let storm = &seen["farm"][0];
    assert_eq!((&storm["name"], &storm["state"]), (&"storm0".into(), &"closed".into()), "{seen}");
    assert!(storm["signatures"].is_string() && storm["licence_days"].as_i64() > Some(1000), "{seen}");

    site.stop_redis();
    let away = |seen: &Value| seen["hub_error"].is_string() && seen["farm"][0]["state"] == "closed";
    let seen = status_where(&worker, "without Redis it tells of its own farm", away).await;
    assert_eq!(seen["remarks"][0]["level"], "bad", "{seen}");
}

#[tokio::test]
async fn mail_that_is_deferred_is_the_first_thing_it_says() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("wait.deadline = \"10s\"").await;
    site.farm[0].stop().await;
    let waiting = with("new.bin", noise(7, 100));
    let sending = milter.send(&waiting);
    let looking = async {
        let waits = |seen: &Value| seen["waiting"]["mails"] == 1 && seen["waiting"]["oldest_ms"].is_u64();
        let seen = status_where(&milter.program, "a mail waits", waits).await;
        assert_eq!(seen["program"]["hub"], "in-process", "{seen}");
    };
    tokio::join!(sending, looking);
    let deferred = "1 mail a minute is deferred: no scanner answers.";
    let said = |seen: &Value| seen["remarks"].as_array().unwrap().iter().any(|one| one["text"] == deferred);
    let seen = status_where(&milter.program, deferred, said).await;
    assert_eq!(
        (&seen["unscanned"][0]["cause"], &seen["remarks"][0]["level"]),
        (&"unavailable".into(), &"bad".into())
    );
}

#[tokio::test]
async fn it_is_not_well_while_no_scanner_answers_and_every_cause_stands_there_once() {
    let site = Site::cluster(1, Settings::default()).await;
    let (milter, worker) = (site.milter("").await, site.worker("").await);
    status_where(&worker, "the scanner answers", |seen| seen["farm"][0]["state"] == "closed").await;
    let well = |seen: &Value| seen["remarks"][0]["level"] == "good";
    status_where(&milter.program, "all is well", well).await;
    site.farm[0].stop().await;
    // A milter's user may not read what workers report, and knows it all the same.
    let cause = "storm0 Connection refused (os error 111)";
    for (program, begins) in [
        (&milter.program, "No scanner answers: "),
        (&worker, "The worker is not ready: no scanner answers: "),
    ] {
        let expected = format!("{begins}{cause}.");
        let said = |seen: &Value| seen["remarks"][0]["text"] == expected.as_str();
        let seen = status_where(program, &expected, said).await;
        assert_eq!(seen["remarks"].to_string().matches("refused").count(), 1, "{seen}");
    }
}

#[tokio::test]
async fn it_is_not_well_while_a_configuration_is_refused() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let well = |seen: &Value| seen["remarks"][0]["level"] == "good";
    status_where(&milter.program, "all is well", well).await;
    milter.program.reload(&format!("mode = \"loud\"\n{}", site.farm_section())).unwrap();
    let said = |seen: &Value| {
        let text = seen["remarks"][0]["text"].as_str().unwrap();
        text.starts_with("The new configuration is refused") && text.contains("mode: unknown variant `loud`")
    };
    status_where(&milter.program, "it is refused", said).await;
    milter.program.reload(&site.farm_section()).unwrap();
    status_where(&milter.program, "all is well again", well).await;
}

fn token_file(directory: &TempDir, token: &str) -> String {
    let file = directory.path().join("token");
    fs::write(&file, token).unwrap();
    format!("admin.token_file = {file:?}")
}

#[tokio::test]
async fn with_a_token_only_who_knows_it_learns_more_than_life_and_readiness() {
    let directory = tempfile::tempdir().unwrap();
    let token = token_file(&directory, &format!("{TOKEN}\n"));
    let site = Site::cluster(1, Settings::default()).await;
    let (milter, worker) = (site.milter(&token).await, site.worker(&token).await);
    for program in [&milter.program, &worker] {
        let get = |path: &str| client().get(format!("http://{}{path}", admin(program)));
        assert_eq!(get("/live").send().await.unwrap().status(), 200);
        assert_ne!(get("/ready").send().await.unwrap().status(), 401);
        for path in ["/", "/status", "/metrics"] {
            let refused = get(path).send().await.unwrap();
            assert_eq!(refused.status(), 401, "{path}");
            assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
            assert_eq!(get(path).bearer_auth(TOKEN).send().await.unwrap().status(), 200, "{path}");
            assert_eq!(get(path).basic_auth("me", Some(TOKEN)).send().await.unwrap().status(), 200, "{path}");
            assert_eq!(get(path).bearer_auth("wrong").send().await.unwrap().status(), 401, "{path}");
        }
    }
    let said = [milter.program.log_lines(), worker.log_lines()].concat().concat();
    assert!(!said.contains(TOKEN), "{said}");
}

#[test]
fn check_says_where_everybody_could_look_and_refuses_a_token_that_is_none() {
    let directory = tempfile::tempdir().unwrap();
    for program in ["thundergate-milter", "thundergate-worker"] {
        let check = |toml: &str| {
            let file = directory.path().join("config.toml");
            fs::write(&file, format!("{toml}\n[farm]\ninstances = [{{ url = \"http://127.0.0.1:1\" }}]"))
                .unwrap();
            let output =
                Command::new(binary(program).unwrap()).args(["check", "--config"]).arg(&file).output();
            let output = output.unwrap();
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap(),
            )
        };
        let open = "admin.listen = \"0.0.0.0:9101\"";
        let (code, said) = check(open);
        assert!(code == Some(0) && said.contains("note: admin.listen"), "{said}");
        let (code, said) = check(&format!("{open}\n{}", token_file(&directory, TOKEN)));
        assert!(code == Some(0) && !said.contains("note: admin.listen") && !said.contains(TOKEN), "{said}");
        let (code, said) = check(&token_file(&directory, "short"));
        assert!(code == Some(78) && said.contains("admin.token_file"), "{said}");
        let (code, said) = check("admin.token_file = \"/nonexistent\"");
        assert!(code == Some(78) && said.contains("admin.token_file"), "{said}");
    }
}

/// Takes a picture where people asked for some.
async fn picture(browser: &mut Browser, name: &str) {
    let shot = browser.screenshot().await.unwrap();
    assert!(shot.len() > 5000, "{name}: a picture of {} bytes shows nothing", shot.len());
    if let Some(directory) = std::env::var_os("STATUS_PAGE_PICTURES") {
        fs::write(Path::new(&directory).join(format!("page-{name}.png")), shot).unwrap();
    }
}

/// A milter that has seen clean mail, a hostile name and a failure, with a farm whose scanner has a hostile name.
async fn eventful(site: &Site) -> (Milter, Program) {
    let quick = "queue.max_deliveries = 1";
    let farm =
        site.farm_section().replace("storm1", "<b>storm</b>").replace("[farm]", "[farm]\nattempts = 1");
    let toml = format!(
        "admin.listen = \"127.0.0.1:0\"\n{quick}\n[redis]\nurl = \"{}\"\n{farm}",
        site.redis_url_of(WORKER)
    );
    let worker = Program::start("thundergate-worker", &toml).await.unwrap();
    let milter = site.milter_as(OPERATOR, &format!("scan.name_hint = \"full\"\n{quick}")).await;
    for seed in [1, 1, 2, 3, 3] {
        milter.send(&with("a.bin", noise(seed, 100))).await;
    }
    milter.send(&with(HOSTILE, eicar())).await;
    site.farm.iter().for_each(|storm| storm.fault_of_mail(Fault::Status(500)));
    milter.send(&with("b.bin", noise(4, 100))).await;
    site.farm.iter().for_each(|storm| storm.fault(Fault::None));
    (milter, worker)
}

#[tokio::test]
async fn a_browser_shows_it_and_runs_nothing_that_mail_brings() {
    let Some(chromium) = browser::installed() else {
        eprintln!("skipped: no Chromium here (Debian's package chromium)");
        return;
    };
    let site = Site::cluster(2, Settings::default()).await;
    let (milter, worker) = eventful(&site).await;
    let mut browser = Browser::start(chromium).await.unwrap();

    for (name, width, scheme) in [("wide", 1200, "light"), ("narrow", 360, "light"), ("dark", 1200, "dark")] {
        browser.look(width, 900, scheme).await.unwrap();
        browser.open(&format!("http://{}/", admin(&milter.program))).await.unwrap();
        browser.wait_for("document.body?.innerText.includes('live,') ?? false").await.unwrap();
        browser.wait_for("document.querySelectorAll('#farm tbody tr').length === 2").await.unwrap();
        // As text it is there, as an element it is not.
        browser.wait_for("document.getElementById('findings').innerText.includes('onerror')").await.unwrap();
        browser.wait_for("document.getElementById('farm').innerText.includes('<b>storm</b>')").await.unwrap();
        assert_eq!(browser.evaluate("document.querySelectorAll('img, b').length").await.unwrap(), 0);
        assert_ne!(browser.evaluate("document.title").await.unwrap(), "1");
        // Nothing is wider than the window, whatever it is.
        let overflow = "document.documentElement.scrollWidth - innerWidth";
        assert!(browser.evaluate(overflow).await.unwrap().as_i64().unwrap() <= 0, "{name}");
        let ground = browser.evaluate("getComputedStyle(document.body).backgroundColor").await.unwrap();
        assert_eq!(ground == "rgb(18, 22, 27)", scheme == "dark", "{ground}");
        picture(&mut browser, name).await;
    }

    // What it must not do it cannot.
    let inject = "try { document.body.innerHTML = '<b>'; 'done' } catch (error) { error.name }";
    assert_eq!(browser.evaluate(inject).await.unwrap(), "TypeError");
    let load = "fetch('http://127.0.0.1:1/').then(() => 'done', () => 'no')";
    assert_eq!(browser.evaluate(load).await.unwrap(), "no");
    // Every table has a caption, every part a heading; by keyboard one gets to what scrolls and to the links.
    let bare = "[...document.querySelectorAll('table')].filter(table => !table.caption).length";
    assert_eq!(browser.evaluate(bare).await.unwrap(), 0);
    let headless = "[...document.querySelectorAll('section')].filter(one => !one.querySelector('h2')).length";
    assert_eq!(browser.evaluate(headless).await.unwrap(), 0);
    let mut reached = Vec::new();
    for _ in 0..8 {
        browser.press("Tab", 9).await.unwrap();
        let focus = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent";
        reached.push(browser.evaluate(focus).await.unwrap().as_str().unwrap().to_owned());
    }
    for wanted in ["Scanners", "Latest findings", "Dead letters", "metrics"] {
        assert!(reached.iter().any(|one| one == wanted), "{wanted}: {reached:?}");
    }

    browser.look(1200, 900, "light").await.unwrap();
    browser.open(&format!("http://{}/", admin(&worker))).await.unwrap();
    browser.wait_for("document.querySelectorAll('#dead tbody tr').length === 1").await.unwrap();
    assert_eq!(browser.evaluate("document.getElementById('flow').hidden").await.unwrap(), true);
    picture(&mut browser, "worker").await;

    // Without an answer it says since when.
    drop(milter);
    drop(worker);
    browser.wait_for("document.getElementById('age').innerText.includes('no answer since')").await.unwrap();
    browser
        .wait_for("document.getElementById('verdict').innerText.includes('does not answer')")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_browser_logs_in_with_the_token_as_password() {
    let Some(chromium) = browser::installed() else {
        eprintln!("skipped: no Chromium here (Debian's package chromium)");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter(&token_file(&directory, TOKEN)).await;
    let mut browser = Browser::start(chromium).await.unwrap();
    browser.open(&format!("http://me:{TOKEN}@{}/", admin(&milter.program))).await.unwrap();
    browser.wait_for("document.body?.innerText.includes('live,') ?? false").await.unwrap();
}
