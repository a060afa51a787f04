// SPDX-License-Identifier: GPL-3.0-or-later
//! The Debian package: installed, configured with two lines, upgraded, purged.
//!
//! This machine stays as it is: all of it happens in a mount namespace, in a copy of `/` whose changes are kept in memory
//! (overlayfs) and gone at the end. That copy has no systemd that runs, so the programs are started as the units say.
//! Needs root, cargo-deb and apt; where one is missing the test says so and is skipped.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use anyhow::{Context as _, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use thundergate_tests::{
    harness::{
        eventually,
        mails::{eicar, mail, noise},
        postfix::Postfix,
        process::{Program, binary},
        site::Site,
    },
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(20);
const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const UNITS: [&str; 2] = ["thundergate-milter.service", "thundergate-worker.service"];

/// Ten times what `systemd-analyze security` may say: 0 is locked up, 100 is exposed.
const EXPOSURE: &str = "--threshold=11";

/// What dpkg and those it calls keep of every package that ever was there.
const BOOKS: [&str; 11] = [
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/cache",
    "/var/log/dpkg.log",
    "/var/log/apt",
    "/var/log/alternatives.log",
    "/etc/.pwd.lock",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/group-",
    "/etc/gshadow-",
];

/// A copy of this machine, apart from its network; dropping it undoes all that happened there.
struct Copy {
    holder: Child,
    directory: tempfile::TempDir,
}

impl Copy {
    /// `packages` is at `/run/packages` there.
    fn start(packages: &Path) -> anyhow::Result<Self> {
        const SETUP: &str = r#"
            mount -t tmpfs -o mode=755 tmpfs "$1"
            mkdir "$1/changes" "$1/work" "$1/root"
            mount -t overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" overlay "$1/root"
            for shared in dev proc sys; do mount --rbind "/$shared" "$1/root/$shared"; done
            for own in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$1/root/$own"; done
            mkdir "$1/root/run/packages"
            mount --bind "$2" "$1/root/run/packages"
            echo up
            exec cat
        "#;
        let directory = tempfile::Builder::new().prefix("thundergate-package").tempdir()?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh", "-ec", SETUP, "sh"]);
        unshare.arg(directory.path()).arg(packages);
        let mut holder = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut answer = String::new();
        BufReader::new(holder.stdout.take().context("its output is piped")?).read_line(&mut answer)?;
        let copy = Self { holder, directory };
        ensure!(answer == "up\n", "no copy of / can be mounted");
        Ok(copy)
    }

    /// The arguments of nsenter(1) that run a command outside of the copy's root, but with its mounts.
    fn enter(&self) -> Vec<String> {
        vec![format!("--target={}", self.holder.id()), "--mount".to_owned()]
    }

    /// The arguments of nsenter(1) that run a command in the copy, as this user and group.
    fn enter_root(&self, user: &str) -> Vec<String> {
        let root = self.directory.path().join("root").display().to_string();
        [self.enter(), vec!["chroot".to_owned(), format!("--userspec={user}"), root]].concat()
    }

    /// Runs a script in the copy; its end must be a success.
    fn run(&self, script: &str) -> String {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(self.enter_root("root:root")).args(["sh", "-ec", script]);
        nsenter.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        succeeded(script, nsenter.output().unwrap())
    }

    /// What has changed beside the books of dpkg: what is new, gone or other than on this machine.
    fn changes(&self) -> Vec<String> {
        const LIST: &str = r#"
            cd "$1/changes"
            find . -mindepth 1 ! -type d ! -type c -exec sh -c 'cmp -s "$1" "/$1" || echo "$1"' sh {} \;
            find . -mindepth 1 -type c -exec echo "{} is gone" \;
            find . -mindepth 1 -type d -exec sh -c '[ -d "/$1" ] || echo "$1"' sh {} \;
        "#;
        let mut nsenter = Command::new("nsenter");
        nsenter.args(self.enter()).args(["sh", "-ec", LIST, "sh"]).arg(self.directory.path());
        let listed = succeeded("list of changes", nsenter.output().unwrap());
        let paths = listed.lines().map(|path| path.trim_start_matches('.').to_owned());
        paths.filter(|path| !BOOKS.iter().any(|book| path.starts_with(book))).collect()
    }

    /// Starts what a unit starts, as its user.
    async fn start_service(&self, unit: &str, environment: &[(&str, &str)]) -> Program {
        let unit = self.run(&format!("cat /usr/lib/systemd/system/{unit}"));
        let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        let (user, group) = (value("User="), value("Group="));
        let mut nsenter = tokio::process::Command::new("nsenter");
        nsenter.args(self.enter_root(&format!("{user}:{group}")));
        nsenter.args(value("ExecStart=").split(' ')).envs(environment.iter().copied());
        let mut program = Program::launch(nsenter).unwrap();
        program.wait_until_ready().await.unwrap();
        program
    }
}

impl Drop for Copy {
    /// Its mounts go with the last process in its namespace.
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().ok();
    }
}

fn succeeded(what: &str, output: Output) -> String {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{said}\n{complained}", output.status);
    said.into_owned()
}

fn there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

/// Builds the package out of this test's own programs.
fn build(directory: &Path) -> PathBuf {
    let manual = binary("thundergate-manual").unwrap();
    let programs = [binary("thundergate-milter").unwrap(), binary("thundergate-worker").unwrap()];
    let profile = manual.parent().unwrap();
    assert!(programs.iter().all(|program| program.parent() == Some(profile)));
    let mut package = Command::new(Path::new(TOP).join("deploy/package"));
    package.args(["--profile", if profile.ends_with("release") { "release" } else { "dev" }, "--no-build"]);
    package.args(["--fast", "--output"]).arg(directory).env("CARGO_TARGET_DIR", profile.parent().unwrap());
    let printed = succeeded("deploy/package", package.output().unwrap());
    PathBuf::from(printed.trim())
}

/// The same package as another version, with other configuration files.
fn build_newer(package: &Path, directory: &Path) -> PathBuf {
    let newer = directory.join("newer.deb");
    const REPACK: &str = r#"
        dpkg-deb --raw-extract "$1" "$3"
        sed -i 's/^Version: .*/&+newer/' "$3/DEBIAN/control"
        for name in milter worker; do echo '# New in this version.' >> "$3/etc/thundergate/$name.toml"; done
        dpkg-deb -Zgzip -z1 --build "$3" "$2"
        rm -r "$3"
    "#;
    let mut repack = Command::new("sh");
    repack.args(["-ec", REPACK, "sh"]).args([package, &newer, &directory.join("raw")]);
    succeeded("repack", repack.output().unwrap());
    newer
}

/// Why the test cannot run here.
fn obstacle() -> Option<&'static str> {
    let root = succeeded("id", Command::new("id").arg("-u").output().ok()?) == "0\n";
    let checks = [
        (root, "not root"),
        (there("cargo-deb", "--version"), "no cargo-deb"),
        (there("apt-get", "--version"), "no apt-get"),
        (there("nsenter", "--version"), "no nsenter"),
        (!Path::new("/usr/bin/thundergate-milter").exists(), "thundergate is installed here"),
    ];
    checks.into_iter().find_map(|(fine, why)| (!fine).then_some(why))
}

#[tokio::test]
async fn installed_configured_with_two_lines_upgraded_and_purged() {
    if let Some(why) = obstacle() {
        eprintln!("skipped: {why}");
        return;
    }
    let packages = tempfile::Builder::new().prefix("thundergate-deb").tempdir().unwrap();
    // apt reads packages as a user of its own.
    fs::set_permissions(packages.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let package = build(packages.path());
    let newer = build_newer(&package, packages.path());
    lint(&package);
    let copy = match Copy::start(packages.path()) {
        Ok(copy) => copy,
        Err(error) => return eprintln!("skipped: {error:#}"),
    };
    assert_eq!(copy.changes(), Vec::<String>::new());

    let path = |deb: &Path| format!("/run/packages/{}", deb.file_name().unwrap().display());
    copy.run(&format!("apt-get install -y --no-install-recommends {}", path(&package)));
    what_is_installed_is_right(&copy);
    mail_flows(&copy).await;

    // The edited file is kept, beside the package's new one; the other one is the package's new one.
    copy.run(&format!("dpkg --force-confold --install {}", path(&newer)));
    let configuration = copy.run("cd /etc/thundergate && cat milter.toml && ls && tail -n 1 worker.toml");
    assert!(configuration.contains("\nfarm.instances = "), "{configuration}");
    assert!(
        configuration.ends_with("milter.toml\nmilter.toml.dpkg-dist\nworker.toml\n# New in this version.\n")
    );
    copy.run("thundergate-milter check && thundergate-worker check");

    copy.run("apt-get remove -y thundergate");
    copy.run("test -e /etc/thundergate/milter.toml && ! test -e /usr/bin/thundergate-milter");
    // What operators and the services' directories leave there.
    copy.run("install -d /var/lib/thundergate /var/log/thundergate && adduser --quiet nobody thundergate");
    copy.run("touch /etc/thundergate/redis-password /var/log/thundergate/milter.log");
    copy.run("apt-get purge -y thundergate");
    assert_eq!(copy.changes(), Vec::<String>::new());
}

/// No serious complaint, where there is a lintian.
fn lint(package: &Path) {
    if !there("lintian", "--version") {
        return eprintln!("no lintian here");
    }
    let mut lintian = Command::new("lintian");
    // The test's programs have what a debugger needs.
    lintian
        .args(["--allow-root", "--fail-on=error", "--suppress-tags=unstripped-binary-or-object"])
        .arg(package);
    succeeded("lintian", lintian.output().unwrap());
}

fn what_is_installed_is_right(copy: &Copy) {
    assert_eq!(copy.run("stat -c '%a %U %G' /etc/thundergate"), "750 root thundergate\n");
    let conffiles = copy.run("dpkg-query -W -f '${Conffiles}' thundergate");
    assert!(conffiles.contains("/milter.toml") && conffiles.contains("/worker.toml"), "{conffiles}");
    let enabled = copy.run("find /etc/systemd/system -name 'thundergate*'");
    assert_eq!(enabled, "", "neither starts before it is told where scanner and Redis are");
    for unit in UNITS {
        copy.run(&format!("systemd-analyze verify {unit}"));
        copy.run(&format!(
            "systemd-analyze security --offline=true {EXPOSURE} /usr/lib/systemd/system/{unit}"
        ));
    }
    copy.run("bash -n /usr/share/bash-completion/completions/thundergate-milter");
    copy.run("bash -n /usr/share/bash-completion/completions/thundergate-worker");
    for page in ["8/thundergate-milter", "8/thundergate-worker-queue-retry", "5/thundergate-milter.toml"] {
        let (section, name) = page.split_once('/').unwrap();
        copy.run(&format!("test -s /usr/share/man/man{section}/{name}.{section}.gz"));
    }
}

/// One line of ours and one of Postfix's.
async fn mail_flows(copy: &Copy) {
    let site = Site::single(1, Settings::default()).await;
    let scanner = site.farm[0].url();
    copy.run(&format!("sed -i 's|^#farm.instances = .*|farm.instances = [{{ url = \"{scanner}\" }}]|' /etc/thundergate/milter.toml"));
    // Other ports, for who runs other tests beside this one: as /etc/thundergate/milter.env would.
    let environment =
        [("THUNDERGATE_LISTEN", "inet:127.0.0.1:0"), ("THUNDERGATE_ADMIN__LISTEN", "127.0.0.1:0")];
    let mut milter = copy.start_service(UNITS[0], &environment).await;
    let postfix = Postfix::start(&milter.addresses("listen")).await.unwrap();

    let clean = mail().attach("a.pdf", "application/pdf", noise(1, 50_000)).bytes();
    let infected = mail().attach("a.com", "application/octet-stream", eicar()).bytes();
    for message in [clean, infected] {
        let reply = postfix.submit("anna@example.org", &["bert@example.net"], &message).await.unwrap();
        assert_eq!(reply.code, 250, "{reply:?}\n{}", postfix.log());
    }
    eventually(PATIENCE, "delivery", async || postfix.delivered().len() == 1).await;
    assert_eq!(postfix.held().await.unwrap().len(), 1, "{}", postfix.log());
    assert_eq!(site.scans(), 2);
    assert!(milter.terminate().await.unwrap().success());
}
