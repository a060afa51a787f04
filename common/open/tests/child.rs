// SPDX-License-Identifier: GPL-3.0-or-later
//! Both sides together: a real process, what it cannot do, and how the parent takes whatever becomes of it.

use bytes::Bytes;
use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};
use thundergate_open::{By, Container, Excess, Failure, Kind, Limits, Opener, Request};

const PROBE: &str = env!("CARGO_BIN_EXE_open-probe");
const PASSWORD: &str = "Rechnung-4711";
/// How long this test waits for what takes no time.
const PATIENCE: Duration = Duration::from_secs(60);

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn request(name: &str, candidates: &[&str]) -> Request {
    let container = Bytes::from(fs::read(path("data").join(name)).expect("a file of this repository"));
    let candidates = candidates.iter().map(|candidate| (*candidate).into()).collect();
    Request { kind: Kind::of(&container).expect("a container"), container, candidates }
}

fn limits() -> Limits {
    Limits { timeout: PATIENCE, ..Limits::default() }
}

/// How another program than the opener ends in its place.
async fn instead(child: &str, limits: Limits) -> Result<thundergate_open::Answer, Failure> {
    let child = path("children").join(child);
    Opener::by(child, limits).open(&request("old-cipher.zip", &[PASSWORD])).await
}

#[tokio::test]
async fn every_kind_is_opened_by_a_confined_process() {
    let opener = Opener::by(PROBE, limits());
    for name in [
        "aes256.zip",
        "old-cipher.zip",
        "lzma.zip",
        "files.rar4.rar",
        "directory.rar5.rar",
        "files.7z",
        "directory.7z",
        "aes256.pdf",
        "rc4-40.pdf",
        "agile.docx",
        "standard.docx",
    ] {
        let answer = opener.open(&request(name, &["Rechnung", PASSWORD])).await;
        let answer = answer.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(answer.container, Container::Opened(vec![By::Candidate(1)]), "{name}");
        assert!(!answer.members.is_empty() && answer.cut_off.is_none(), "{name}");
    }
    let sealed = opener.open(&request("old-cipher.zip", &["Rechnung"])).await.unwrap();
    assert_eq!((sealed.container, sealed.members), (Container::Sealed, Vec::new()));
}

#[tokio::test]
async fn what_is_too_much_is_told() {
    let bomb = request("bomb.rar5.rar", &[PASSWORD]);
    let opener = Opener::by(PROBE, Limits { bytes_out: 1 << 20, ..limits() });
    assert_eq!(opener.open(&bomb).await, Err(Failure::TooMuch(Excess::Bytes)));
    let small = Limits { memory_bytes: 24 << 20, bytes_out: 256 << 20, ..limits() };
    assert_eq!(Opener::by(PROBE, small).open(&bomb).await, Err(Failure::TooMuch(Excess::Memory)));
    let dear = Opener::by(PROBE, Limits { rounds: 1 << 14, ..limits() });
    for name in ["directory.rar5.rar", "directory.7z", "agile.docx"] {
        let refused = dear.open(&request(name, &[PASSWORD])).await;
        assert_eq!(refused, Err(Failure::TooMuch(Excess::Rounds)), "{name}");
    }
    let damaged = Request { container: Bytes::from_static(b"PK\x03\x04"), ..bomb };
    assert_eq!(Opener::by(PROBE, limits()).open(&damaged).await, Err(Failure::Damaged));
}

#[tokio::test]
async fn tries_end_in_time_and_no_password_is_seen_meanwhile() {
    let candidates: Vec<String> = (0..64).map(|number| format!("candidate-{number}")).collect();
    let candidates: Vec<&str> = candidates.iter().map(String::as_str).collect();
    let opener = Opener::by(PROBE, Limits { timeout: Duration::from_secs(2), ..limits() });
    let request = request("directory.rar5.rar", &candidates);
    let (ended, seen) = tokio::join!(opener.open(&request), tokio::task::spawn_blocking(look_at_the_child));
    let (command_line, environment) = seen.unwrap();
    assert!(command_line.contains("open"), "{command_line}");
    for text in [command_line, environment] {
        assert!(!text.contains("candidate"), "{text}");
        assert!(!text.contains("CARGO"), "nothing of ours: {text}");
    }
    // As many as it tries in that time: on a fast machine all.
    assert!(matches!(ended, Err(Failure::TimedOut)) || ended.unwrap().container == Container::Sealed);
}

/// The command line and the environment of the probe, while it works.
fn look_at_the_child() -> (String, String) {
    let own = std::process::id().to_string();
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        for entry in fs::read_dir("/proc").expect("processes").flatten() {
            let read = |name: &str| {
                fs::read(entry.path().join(name)).map(|all| String::from_utf8_lossy(&all).into_owned())
            };
            let (Ok(status), Ok(command_line)) = (read("status"), read("cmdline")) else { continue };
            let ours = status.lines().any(|line| line.split_once(":\t") == Some(("PPid", own.as_str())));
            if ours && command_line.starts_with(PROBE) && status.contains("Seccomp:\t2") {
                return (command_line, read("environ").unwrap_or_default());
            }
        }
    }
    panic!("no child was seen")
}

#[tokio::test]
async fn whoever_does_not_answer_in_time_is_killed() {
    let started = Instant::now();
    let hung = instead("hangs.sh", Limits { timeout: Duration::from_millis(300), ..limits() }).await;
    assert_eq!(hung, Err(Failure::TimedOut));
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn whatever_becomes_of_the_child_is_told_apart() {
    let crashed = Err(Failure::Crashed { signal: Some(11) });
    assert_eq!(instead("crashes.sh", limits()).await, crashed);
    assert_eq!(instead("ends.sh", limits()).await, Err(Failure::Crashed { signal: None }));
    let unconfinable = Err(Failure::Unconfinable("landlock: not here".to_owned()));
    assert_eq!(instead("cannot-be-confined.sh", limits()).await, unconfinable);
    // What floods us is not read: its pipe is closed.
    for child in ["floods.sh", "shouts.sh"] {
        assert!(matches!(instead(child, limits()).await, Err(Failure::Crashed { .. })), "{child}");
    }
    assert!(matches!(instead("no such file", limits()).await, Err(Failure::Unstartable(_))));
}

#[tokio::test]
async fn so_many_are_open_at_once() {
    let limits = Limits { timeout: Duration::from_millis(300), concurrency: 1, ..limits() };
    let opener = Opener::by(path("children").join("hangs.sh"), limits);
    let request = request("old-cipher.zip", &[]);
    let started = Instant::now();
    let both = tokio::join!(opener.open(&request), opener.open(&request));
    assert_eq!(both, (Err(Failure::TimedOut), Err(Failure::TimedOut)));
    assert!(started.elapsed() >= Duration::from_millis(600), "one after the other");
}

/// Has the probe do something after it confined itself.
fn probe(deed: &str) -> ExitStatus {
    let mut command = Command::new(PROBE);
    command.arg(deed).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("the probe")
}

#[test]
fn what_it_may_not_do_ends_it() {
    for deed in [
        "read a file",
        "write a file",
        "list a folder",
        "ask for the environment",
        "connect",
        "send",
        "start a program",
        "start a thread",
    ] {
        assert_eq!(probe(deed).signal(), Some(libc::SIGSYS), "{deed}");
    }
    assert_eq!(probe("abort").signal(), Some(libc::SIGABRT));
    assert_eq!(probe("take memory").signal(), Some(libc::SIGABRT));
    assert_eq!(probe("compute").signal(), Some(libc::SIGXCPU));
    assert!(probe("answer").success() && probe("wait").success());
}

#[test]
fn its_bounds_are_the_kernels() {
    let mut child = Command::new(PROBE).arg("wait").stdin(Stdio::piped()).spawn().unwrap();
    let folder = PathBuf::from(format!("/proc/{}", child.id()));
    let started = Instant::now();
    let status = loop {
        let status = fs::read_to_string(folder.join("status")).unwrap();
        if status.contains("Seccomp:\t2") || started.elapsed() > PATIENCE {
            break status;
        }
    };
    assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    let bounds = fs::read_to_string(folder.join("limits")).unwrap();
    for bound in [
        "Max core file size 0 0",
        "Max file size 0 0",
        "Max processes 0 0",
        "Max open files 3 3",
        "Max cpu time 1 2",
    ] {
        let line = bounds.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(line.into_iter().any(|line| line.starts_with(bound)), "{bound} is not in {bounds}");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn called_by_anybody_else_it_says_what_it_is_for() {
    let output = Command::new(PROBE).arg("open").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("for the program itself"));
    let mut none = Command::new(PROBE);
    none.args(["open", "1000000", "1"]).stdin(Stdio::null());
    assert_eq!(none.status().unwrap().code(), Some(64), "no request on its standard input");
}
