// SPDX-License-Identifier: GPL-3.0-or-later
//! `check --connect`: planted mistakes, each named by its key, with what to do; and a right site, of which nothing is said
//! but that it is right. Nothing that is checked is changed.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

mod at_once;
mod milter;
mod redis;
mod rights;
mod scanners;
mod service;

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;
use thundergate_common::api::check::{Finding, Level, Report};
use thundergate_harness::{process::binary, thunderstorm::Settings};

/// No check takes longer: 10 s, and as much where other tests have the processors.
const LONGEST: Duration = Duration::from_secs(20);

/// What is expected of one planted mistake.
struct Planted<'a> {
    what: &'a str,
    /// What the worst finding is about.
    subject: &'a str,
    level: Level,
    /// What it says, and what is to be done.
    words: &'a [&'a str],
}

/// A program's check, with its configuration in a folder of its own.
struct Check {
    program: &'static str,
    directory: TempDir,
    environment: Vec<(String, String)>,
    options: Vec<&'static str>,
}

impl Check {
    fn of(program: &'static str) -> Self {
        Self {
            program,
            directory: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
            options: Vec::new(),
        }
    }

    fn with(mut self, option: &'static str) -> Self {
        self.options.push(option);
        self
    }

    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// A file in its folder.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, toml: &str) -> Output {
        let file = self.file("config.toml", toml);
        let mut command = Command::new(binary(self.program).unwrap());
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let output = command.args(["check", "--connect"]).args(&self.options).arg("--config").arg(file);
        output.envs(environment).output().unwrap()
    }

    /// What it says as JSON; its exit status fits, and it was quick.
    fn report(self, toml: &str) -> Report {
        let began = Instant::now();
        let check = self.with("--json");
        let output = check.run(toml);
        assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
        let report: Report =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(output.status.code(), Some(report.status().into()), "{report:#?}");
        report
    }

    /// It finds what was planted, and nothing as bad before it.
    fn finds(self, planted: &Planted<'_>, toml: &str) -> Report {
        let report = self.report(toml);
        let worst = report.findings.iter().map(|finding| finding.level).max().unwrap();
        let found = report.findings.iter().find(|finding| finding.level == worst).unwrap();
        let told = format!("{} {}", found.text, found.cure);
        assert_eq!(
            (found.subject.as_str(), found.level),
            (planted.subject, planted.level),
            "{}: {report:#?}",
            planted.what
        );
        assert!(!found.cure.is_empty(), "{}: {found:#?}", planted.what);
        for word in planted.words {
            assert!(told.contains(word), "{}: no {word:?} in {found:#?}", planted.what);
        }
        report
    }
}

/// A worker's configuration with this Redis and these scanners.
fn worker(redis: &str, instances: &str) -> String {
    format!("admin.listen = \"127.0.0.1:0\"\n[redis]\n{redis}\n[farm]\ninstances = {instances}\n")
}

fn at(url: &str) -> String {
    format!("url = \"{url}\"")
}

/// A scanner that nothing is wrong with.
fn current() -> Settings {
    let now = humantime_serde::re::humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    Settings { signatures: format!("{}-000000", now[..10].replace('-', "/")), ..Settings::default() }
}

/// All that is not as it should be.
fn complaints(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.level != Level::Ok).collect()
}
