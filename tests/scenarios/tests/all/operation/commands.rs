// SPDX-License-Identifier: GPL-3.0-or-later
//! The command lines as an operator uses them: exit statuses (sysexits.h), error texts, output.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;
use thundergate_common::digest::Digest;
use thundergate_harness::{
    eventually,
    mails::{eicar, mail, noise},
    mta::Mail,
    process::{Program, binary},
    site::Site,
    thunderstorm::{Fault, Settings},
};

const P2T: &str = "log_filepath: LOG
max_filesize_bytes: 50_000_000   # max size in bytes
active_mode: true
milter_host: localhost
milter_port: 11337
thorthunderstorm_url: URL/api/check
quarantine_expression: one(Matches, {.Subscore > 90}) or FullMatch.Score > 90   # Expression
";

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(binary(program).unwrap()).args(arguments).output().unwrap()
}

fn written(directory: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_wrong_configuration_names_file_line_and_key_and_exits_78() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = [
        ("mode = \"active\"\n[wait]\ndeadline = 20\n", ":3", "deadline"),
        ("mode = \"active\"\n\n[wait]\ndedline = \"20s\"\n", ":4", "dedline"),
        ("[policy]\nquarantine = \"any(Matches, {.Subscre > 90})\"\n", ":2", "quarantine"),
        ("[policy.on]\npending = \"discard\"\n", ":2", "pending"),
        ("listen = [\"inet:nowhere\"]\n", ":1", "listen"),
        ("mode = \n", ":1", ""),
        ("[limits]\nconnections = 0\n", ":2", "connections"),
    ];
    for (toml, line, key) in wrong {
        let file = written(&directory, "milter.toml", toml);
        for command in ["check", "serve"] {
            let output = run("thundergate-milter", &[command, "--config", text(&file)]);
            let error = stderr(&output);
            assert_eq!(output.status.code(), Some(78), "{command} {toml}: {error}");
            assert!(
                error.contains(text(&file)) && error.contains(line) && error.contains(key),
                "{toml}: {error}"
            );
        }
    }
    let file = written(&directory, "worker.toml", "[farm]\ninstances = []\n");
    let output = run("thundergate-worker", &["check", "--config", text(&file)]);
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    let output = run("thundergate-milter", &["check", "--config", "/nonexistent/milter.toml"]);
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
}

#[test]
fn a_wrong_environment_variable_is_named() {
    let mut command = Command::new(binary("thundergate-milter").unwrap());
    let output = command.arg("check").env("THUNDERGATE_WAIT__DEADLINE", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("THUNDERGATE_WAIT__DEADLINE"), "{}", stderr(&output));
}

#[test]
fn check_prints_what_is_in_force_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let file =
        written(&directory, "milter.toml", "[redis]\nurl = \"redis://user:hunter2@redis.example:6379/0\"\n");
    let mut command = Command::new(binary("thundergate-milter").unwrap());
    let output = command
        .args(["check", "--config", text(&file)])
        .env("THUNDERGATE_WAIT__DEADLINE", "7s")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("7s") && printed.contains("redis.example") && !printed.contains("hunter2"),
        "{printed}"
    );
    let printed = written(&directory, "printed.toml", printed);
    assert_eq!(run("thundergate-milter", &["check", "--config", text(&printed)]).status.code(), Some(0));
}

#[test]
fn a_wrong_command_line_exits_64() {
    assert_eq!(run("thundergate-milter", &["scan"]).status.code(), Some(64));
    assert_eq!(run("thundergate-worker", &["--nonsense"]).status.code(), Some(64));
    assert_eq!(run("thundergate-milter", &["--help"]).status.code(), Some(0));
}

/// Clients disagree on its type, so on the name of its attachment.
const AMBIGUOUS: &str = "MIME-Version: 1.0\r\nContent-Type: application/pdf; name=a.pdf\r\n\
                         Content-Type: application/x-other; name=a.exe\r\n\
                         Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8gd29ybGQh\r\n";

/// `scan --explain` on `files`, where neither a scanner nor Redis can be reached.
fn explain(options: &[&str], files: &[&Path]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let toml =
        "[redis]\nurl = \"redis://127.0.0.1:1\"\n[farm]\ninstances = [{ url = \"http://127.0.0.1:1\" }]\n";
    let config = written(&directory, "milter.toml", toml);
    let files = files.iter().map(|file| text(file));
    let arguments = ["scan", "--explain", "--config", text(&config)].into_iter();
    let arguments: Vec<_> = arguments.chain(options.iter().copied()).chain(files).collect();
    run("thundergate-milter", &arguments)
}

#[test]
fn explain_needs_no_scanner_and_says_what_the_policy_would_do() {
    let directory = tempfile::tempdir().unwrap();
    let plain = written(&directory, "plain.eml", mail().bytes());
    let ambiguous = written(&directory, "ambiguous.eml", AMBIGUOUS);
    let output = explain(&[], &[&plain, &ambiguous]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (first, second) = printed.split_once(text(&ambiguous)).unwrap();
    assert!(first.starts_with(text(&plain)), "{first}");
    assert!(first.contains("  0 samples, 1 skipped\n  if nothing is found: accept (clean)\n"), "{first}");
    assert!(second.contains("2 samples, 0 skipped; ambiguous: repeated_content_type"), "{second}");
    assert!(second.contains("\n    repeated_content_type: Several Content-Type fields"), "{second}");
    assert!(second.ends_with("  if nothing is found: tag (ambiguous)\n"), "{second}");

    let output = explain(&["--json"], &[&plain, &ambiguous]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["file"]), (2, &text(&plain).into()));
    assert_eq!((&lines[1]["samples"], &lines[1]["malformed"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(lines[1]["ambiguities"][0], "repeated_content_type");
    assert_eq!(lines[1]["if_clean"]["cause"], "ambiguous");

    let missing = directory.path().join("missing.eml");
    assert_eq!(explain(&[], &[&missing]).status.code(), Some(66));
    assert_eq!(explain(&[], &[]).status.code(), Some(64));
}

#[test]
fn explain_shows_every_reading_and_every_sample() {
    let directory = tempfile::tempdir().unwrap();
    let ambiguous = written(&directory, "ambiguous.eml", AMBIGUOUS);
    let digest = Digest::of(b"Hello world!").to_string();
    let printed = String::from_utf8(explain(&[], &[&ambiguous]).stdout).unwrap();
    let count = |needle: &str| printed.lines().filter(|line| line.contains(needle)).count();
    assert_eq!(count("  reading: canonical"), 1, "{printed}");
    assert!(count("  reading: ") >= 2, "{printed}");
    assert_eq!((count("application/pdf at 0"), count("application/x-other at 0")), (1, 1), "{printed}");
    for name in ["a.pdf", "a.exe"] {
        assert_eq!(count(&format!("{name}  base64  12 bytes  {digest}")), 1, "{printed}");
    }
    let json = explain(&["--json"], &[&ambiguous]).stdout;
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let steps = value["steps"].as_array().unwrap();
    let samples: Vec<_> =
        steps.iter().filter(|step| step["step"] == "sample" && step["known"] == false).collect();
    assert_eq!(samples.len(), 2, "{value}");
    assert!(samples.iter().all(|sample| sample["digest"] == *digest), "{value}");
}

#[tokio::test]
async fn scan_takes_the_same_path_without_an_mta() {
    let site = Site::single(1, Settings::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let config =
        written(&directory, "milter.toml", format!("wait.deadline = \"2s\"\n{}", site.farm_section()));
    let clean = written(
        &directory,
        "clean.eml",
        mail().attach("a.bin", "application/octet-stream", noise(1, 100)).bytes(),
    );
    let infected =
        written(&directory, "bad.eml", mail().attach("a.com", "application/octet-stream", eicar()).bytes());
    let scan = async |files: Vec<PathBuf>, json: bool| {
        let mut command = tokio::process::Command::new(binary("thundergate-milter").unwrap());
        command.args(["scan", "--config", text(&config)]).args(json.then_some("--json")).args(files);
        command.output().await.unwrap()
    };
    let output = scan(vec![clean.clone()], false).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = scan(vec![clean.clone(), infected.clone()], true).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["decision"], &lines[1]["decision"]),
        (&"accept".into(), &"quarantine".into()),
        "{lines:?}"
    );
    let mut piped = Command::new(binary("thundergate-milter").unwrap());
    piped.args(["scan", "--config", text(&config), "-"]).stdin(fs::File::open(&infected).unwrap());
    let output = tokio::task::spawn_blocking(move || piped.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.starts_with(b"-: quarantine"), "{output:?}");
    site.farm[0].fault(Fault::Down);
    let other = written(
        &directory,
        "other.eml",
        mail().attach("b.bin", "application/octet-stream", noise(2, 100)).bytes(),
    );
    assert_eq!(scan(vec![other], false).await.status.code(), Some(69));
    assert_eq!(scan(vec!["/nonexistent.eml".into()], false).await.status.code(), Some(66));
}

#[tokio::test]
async fn a_postfix2thunderstorm_configuration_works_as_it_is() {
    let site = Site::single(1, Settings::default()).await;
    let directory = tempfile::tempdir().unwrap();
    // The port is theirs, 11337; to keep it free for others this test takes another.
    let port = thundergate_harness::free_port();
    let yaml = P2T
        .replace("URL", &site.farm[0].url())
        .replace("LOG", "./p2t.log")
        .replace("11337", &port.to_string());
    let config = written(&directory, "p2t.config.yaml", &yaml);
    let mut milter = Command::new(binary("thundergate-milter").unwrap());
    let environment = ("THUNDERGATE_ADMIN__LISTEN", "127.0.0.1:0");
    let log = directory.path().join("stdout");
    milter.args(["serve", "--config", text(&config)]).env(environment.0, environment.1);
    let mut milter = milter.stdout(fs::File::create(&log).unwrap()).spawn().unwrap();
    let sent = async {
        let address = format!("inet:127.0.0.1:{port}");
        let patience = std::time::Duration::from_secs(10);
        let mta = async || thundergate_harness::mta::Mta::connect(&address).await;
        eventually(patience, "the milter listens", async || mta().await.is_ok()).await;
        let strong = |both: bool| {
            let second = if both { " THUNDERGATE-TEST-STRONG-2" } else { "" };
            Mail::of(
                mail().attach("a.txt", "text/plain", format!("THUNDERGATE-TEST-STRONG-1{second}")).bytes(),
            )
        };
        let mut mta = mta().await.unwrap();
        (mta.send(&strong(false)).await.unwrap(), mta.send(&strong(true)).await.unwrap())
    };
    let (one, two) = sent.await;
    // Where its log was, a service may not write: it goes to stdout, some milliseconds later; see `migrate`.
    let logged = async || fs::read_to_string(&log).unwrap().contains("\"msg\":\"Quarantined email\"");
    eventually(std::time::Duration::from_secs(10), "the log says so", logged).await;
    milter.kill().unwrap();
    milter.wait().unwrap();
    assert!(one.quarantine.is_some(), "exactly one strong match: {one:?}");
    assert!(two.quarantine.is_some(), "a score over 90: {two:?}");
}

#[test]
fn one_means_exactly_one_as_in_go() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = P2T.replace("URL", "http://localhost:8080").replace("LOG", "p2t.log");
    let file = written(&directory, "p2t.config.yaml", &yaml);
    let output = run("thundergate-milter", &["migrate", text(&file)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let notes = stderr(&output);
    assert!(notes.contains("exactly one") && notes.contains("accept"), "{notes}");
    let toml = String::from_utf8(output.stdout).unwrap();
    assert!(toml.contains("11337") && toml.contains("one(Matches, {.Subscore > 90})"), "{toml}");
    let migrated = written(&directory, "milter.toml", &toml);
    let effective = |file: &Path| run("thundergate-milter", &["check", "--config", text(file)]).stdout;
    assert_eq!(effective(&migrated), effective(&file));
    let passive =
        written(&directory, "passive.yaml", yaml.replace("active_mode: true", "active_mode: false"));
    assert!(String::from_utf8_lossy(&effective(&passive)).contains("mode = \"passive\""));
}

#[tokio::test]
async fn both_programs_have_live_ready_and_metrics() {
    let _ = rustls::crypto::ring::default_provider().install_default(); // for reqwest
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("").await;
    let worker = site.worker("").await;
    milter.send(&Mail::of(mail().attach("a.com", "application/octet-stream", eicar()).bytes())).await;
    for (program, metric) in
        [(&milter.program, "thundergate_milter_messages_total"), (&worker, "thundergate_")]
    {
        let address = program.addresses("admin").swap_remove(0);
        let get = async |path: &str| {
            let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        assert_eq!(get("/live").await.0, 200);
        let patience = std::time::Duration::from_secs(10);
        eventually(patience, "ready", async || get("/ready").await.0 == 200).await;
        let metrics = get("/metrics").await.1;
        assert!(metrics.contains(metric), "{metrics}");
    }
    site.stop_redis();
    let address = milter.program.addresses("admin").swap_remove(0);
    let ready = async || reqwest::get(format!("http://{address}/ready")).await.unwrap().status().as_u16();
    let patience = std::time::Duration::from_secs(10);
    eventually(patience, "not ready without Redis", async || ready().await == 503).await;
}

#[tokio::test]
async fn a_log_file_is_an_option() {
    let site = Site::single(1, Settings::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "listen = [\"inet:127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\nlog.file = \"{}/milter.log\"\n{}",
        directory.path().display(),
        site.farm_section()
    );
    let _milter = Program::spawn("thundergate-milter", &config, &[]).unwrap();
    let patience = std::time::Duration::from_secs(10);
    let logged = || -> String {
        let files = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| fs::read_to_string(path).unwrap()).collect()
    };
    eventually(patience, "the ready line", async || logged().contains("\"event\":\"ready\"")).await;
}
