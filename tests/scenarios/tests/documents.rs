// SPDX-License-Identifier: GPL-3.0-or-later
//! The documents for operators: every command in them is run, every piece of configuration checked, every link followed.
//!
//! A document is followed from its top on a machine of its own, which tests/documents/stage sets. Blocks in `sh` are run,
//! and each command must succeed. Blocks in `toml` become the file that the line above them names; without a name they are
//! checked, as what milter.toml or worker.toml may hold. In commands, `ID` stands for a held mail's queue id and
//! `DIGEST.EXTENSION` for a sample, `DIGEST` for its digest. Needs root, systemd's package and cargo-deb; where one is
//! missing, only links and configuration are looked at.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};
use thundergate_harness::{
    machine::{Machine, Network, said},
    process::binary,
};

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// What runs containers has a test of its own, tests/containers.
const ELSEWHERE: [&str; 1] = ["containers.md"];

/// A fenced block.
#[derive(Debug)]
struct Block {
    line: usize,
    language: String,
    /// The text between the fences, without their indentation.
    text: String,
    /// The last path in backticks in the line that introduces it.
    file: Option<String>,
}

fn documents() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(TOP).join("deploy")).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    documents.sort();
    documents
}

fn name(document: &Path) -> &str {
    document.file_name().unwrap().to_str().unwrap()
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines().enumerate();
    let mut introduction = "";
    while let Some((number, line)) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let Some(language) = line.trim_start().strip_prefix("```") else {
            introduction = if line.trim().is_empty() { introduction } else { line };
            continue;
        };
        let body = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
        let text = body.map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n");
        let file = introduction.split('`').skip(1).step_by(2).filter(|word| word.starts_with('/')).last();
        let introduces = introduction.trim_end().ends_with(':');
        let file = file.filter(|_| introduces).map(str::to_owned);
        blocks.push(Block { line: number + 1, language: language.trim().to_owned(), text, file });
    }
    blocks
}

/// The document as a script for bash -e.
fn script(document: &Path) -> String {
    let mut script = String::new();
    for block in blocks(&fs::read_to_string(document).unwrap()) {
        let Block { line, text, .. } = &block;
        let write = |script: &mut String, text: &str| {
            writeln!(script, ": '=== {}:{line}'\n{text}", name(document)).unwrap();
        };
        match (&*block.language, &block.file) {
            ("sh", _) => {
                let places = [("ID", "held"), ("DIGEST.EXTENSION", "sample"), ("DIGEST", "digest")];
                let mut text = text.clone();
                for (place, finder) in places {
                    if text.split(|c: char| c.is_whitespace()).any(|word| word == place) {
                        text = format!(
                            "{finder}=$({finder})\n{}",
                            replace_word(&text, place, &format!("${finder}"))
                        );
                    }
                }
                write(&mut script, &text);
            }
            ("toml", Some(file)) => write(&mut script, &format!("cat > {file} <<'TOML'\n{text}\nTOML")),
            _ => (),
        }
    }
    script
}

fn replace_word(text: &str, word: &str, by: &str) -> String {
    let lines = text.lines().map(|line| {
        line.split(' ').map(|one| if one == word { by } else { one }).collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Builds what the stage plays with, and the package.
fn package() -> Option<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let cargo_deb = Command::new("cargo").args(["deb", "--version"]).output();
    if !cargo_deb.is_ok_and(|said| said.status.success()) {
        return None;
    }
    let mut built = BUILT.lock().unwrap();
    if built.is_none() {
        for program in
            ["thundergate-milter", "thundergate-worker", "thundergate-manual", "thunderstorm-stand-in"]
        {
            binary(program).unwrap();
        }
        // Of these programs: built alone, they would have other features, and half of all crates would be built anew.
        let mut package = Command::new("deploy/package");
        package.args(["--profile", "dev", "--no-build"]).current_dir(TOP);
        let package = package.output().unwrap();
        let said = String::from_utf8_lossy(&package.stdout).trim().lines().last().map(str::to_owned);
        assert!(package.status.success(), "{}", String::from_utf8_lossy(&package.stderr));
        *built = said.map(PathBuf::from);
    }
    built.clone()
}

fn follow(document: &str, stage: &str) {
    let Some(package) = package() else {
        eprintln!("skipped: cargo-deb is not installed");
        return;
    };
    let directory = tempfile::Builder::new().prefix("thundergate-document").tempdir().unwrap();
    fs::write(directory.path().join("script"), script(&Path::new(TOP).join("deploy").join(document)))
        .unwrap();
    fs::copy(Path::new(TOP).join(package), directory.path().join("package.deb")).unwrap();
    let machine = match Machine::start(Network::Own, directory.path()) {
        Ok(machine) => machine,
        Err(error) => return eprintln!("skipped: {error:#}"),
    };
    let mut followed = machine.command("bash");
    followed.arg(Path::new(TOP).join("tests/documents/stage").canonicalize().unwrap());
    said(followed.args([stage, "/run/shared/script", "/run/shared/package.deb"]));
}

/// One test a document, with the machine that it begins on: see tests/documents/stage.
macro_rules! followed {
    ($($test:ident $document:literal $stage:literal,)*) => {
        $(#[test] fn $test() { follow($document, $stage); })*

        #[test]
        fn every_document_is_followed() {
            let followed = [$($document),*];
            for document in documents() {
                let runs = blocks(&fs::read_to_string(&document).unwrap()).iter().any(|block| block.language == "sh");
                let name = name(&document);
                assert!(!runs || followed.contains(&name) || ELSEWHERE.contains(&name), "nobody follows {name}");
            }
        }
    };
}

followed!(
    installing "install.md" "nothing",
    connecting_the_mta "mta.md" "single",
    policies "policy.md" "single",
    a_cluster "cluster.md" "single",
    the_farm "farm.md" "cluster",
    security "security.md" "cluster",
    monitoring "monitoring.md" "cluster",
    the_api "api.md" "cluster",
    upgrading "upgrade.md" "single",
    migrating "migration.md" "single",
    troubleshooting "troubleshooting.md" "cluster",
);

#[test]
fn the_documented_passwords_are_for_thundergates_users_alone() {
    let deploy = Path::new(TOP).join("deploy");
    let delivered = fs::read_to_string(deploy.join("redis/users.acl")).unwrap();
    let blocks = blocks(&fs::read_to_string(deploy.join("cluster.md")).unwrap());
    let text = blocks.iter().map(|block| &*block.text).find(|text| text.contains("redis-$user")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().to_str().unwrap();
    fs::write(directory.path().join("users.acl"), &delivered).unwrap();
    let text = text[text.find("for user in").unwrap()..].replace("/root", here).replace("/etc/redis", here);
    said(Command::new("sh").args(["-ec", &text]));
    let users = fs::read_to_string(directory.path().join("users.acl")).unwrap();
    for (before, after) in delivered.lines().zip(users.lines()) {
        let thundergates = before.starts_with("user thundergate-");
        assert_eq!(
            (after.contains(" resetpass #"), after == before),
            (thundergates, !thundergates),
            "{after}"
        );
    }
    assert_eq!(users.lines().count(), delivered.lines().count());
}

#[test]
fn every_piece_of_configuration_is_right() {
    let programs = ["thundergate-milter", "thundergate-worker"].map(|program| binary(program).unwrap());
    let mut password = tempfile::NamedTempFile::new().unwrap();
    password.write_all(b"secret").unwrap();
    for document in documents() {
        for block in blocks(&fs::read_to_string(&document).unwrap()) {
            // What becomes a file is checked where it is used.
            if block.language != "toml" || block.file.is_some() {
                continue;
            }
            let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
            // Of the files that they name there is one with a password, and none with a certificate.
            let certificate = |line: &str| line.contains(".pem") || line.contains(".key");
            let lines = block.text.lines().filter(|line| !certificate(line)).collect::<Vec<_>>().join("\n");
            let text = lines.replace("\"/etc/thundergate/storm1\"", &format!("{:?}", password.path()));
            file.write_all(text.as_bytes()).unwrap();
            let checks = |program: &PathBuf| {
                let output =
                    Command::new(program).args(["check", "--config"]).arg(file.path()).output().unwrap();
                (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
            };
            let checked = programs.each_ref().map(checks);
            assert!(
                checked.iter().any(|(right, _)| *right),
                "{}:{}: {checked:?}",
                name(&document),
                block.line
            );
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let at_the_top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    let all = documents().into_iter().chain(at_the_top.map(|name| Path::new(TOP).join(name)));
    for document in all {
        let markdown = fs::read_to_string(&document).unwrap();
        for link in markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target =
                if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", name(&document));
            let there = || fs::read_to_string(&target).unwrap().lines().any(|line| slug(line) == anchor);
            assert!(anchor.is_empty() || there(), "{}: {link}", name(&document));
        }
    }
}

/// How a heading is linked to.
fn slug(line: &str) -> String {
    let words = line.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
