// SPDX-License-Identifier: GPL-3.0-or-later
//! The Debian package: installed, configured with two lines, upgraded, purged.
//!
//! All of it happens on a copy of this machine, with a systemd that runs. Needs root, cargo-deb, apt and systemd's package;
//! where one is missing the test says so and is skipped.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use thundergate_harness::{
    eventually, free_port,
    machine::{Machine, Network, said},
    mails::{eicar, mail, noise},
    mta::{Mail, Mta},
    postfix::Postfix,
    process::binary,
    site::Site,
    thunderstorm::Settings,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const UNITS: [&str; 2] = ["thundergate-milter.service", "thundergate-worker.service"];
const SOCKET: &str = "thundergate-milter.socket";

/// Ten times what `systemd-analyze security` may say: 0 is locked up, 100 is exposed. Two of them are `PrivateUsers=`, with
/// which nobody at the admin socket would have a name; one is AF_NETLINK, without which postconf(1) says nothing.
const EXPOSURE: &str = "--threshold=13";

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

fn there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

/// Builds the package out of this test's own programs.
fn build(directory: &Path) -> PathBuf {
    let manual = binary("thundergate-manual").unwrap();
    let programs =
        ["thundergate-milter", "thundergate-worker", "thundergate"].map(|name| binary(name).unwrap());
    let profile = manual.parent().unwrap();
    assert!(programs.iter().all(|program| program.parent() == Some(profile)));
    let mut package = Command::new(Path::new(TOP).join("deploy/package"));
    package.args(["--profile", if profile.ends_with("release") { "release" } else { "dev" }, "--no-build"]);
    package.args(["--fast", "--output"]).arg(directory).env("CARGO_TARGET_DIR", profile.parent().unwrap());
    PathBuf::from(said(&mut package).trim())
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
    said(&mut repack);
    newer
}

/// Why the test cannot run here.
fn obstacle() -> Option<&'static str> {
    let checks = [
        (there("cargo-deb", "--version"), "no cargo-deb"),
        (there("apt-get", "--version"), "no apt-get"),
        (!Path::new("/usr/bin/thundergate-milter").exists(), "thundergate is installed here"),
    ];
    checks.into_iter().find_map(|(fine, why)| (!fine).then_some(why))
}

#[tokio::test(flavor = "multi_thread")]
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
    let copy = match Machine::start(Network::Shared, packages.path()) {
        Ok(copy) => copy,
        Err(error) => return eprintln!("skipped: {error:#}"),
    };
    let before = copy.changes(&BOOKS);

    let path = |deb: &Path| format!("/run/shared/{}", deb.file_name().unwrap().display());
    copy.run(&format!("apt-get install -y --no-install-recommends {}", path(&package)));
    what_is_installed_is_right(&copy);
    let site = Site::single(1, Settings::default()).await;
    mail_flows(&copy, &site).await;
    what_hangs_is_started_anew_and_what_is_wrong_is_not(&copy).await;
    what_cannot_be_read_does_not_start(&copy);
    what_postfix2thunderstorm_had_starts(&copy);
    while_mail_comes_in(&copy, &format!("dpkg --force-confold --install {}", path(&newer))).await;

    // The edited file is kept, beside the package's new one; the other one is the package's new one.
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
    copy.run("rm -r /etc/systemd/system/thundergate-milter.socket.d && systemctl daemon-reload");
    copy.run("touch /etc/thundergate/redis-password /var/log/thundergate/milter.log");
    copy.run("apt-get purge -y thundergate");
    assert_eq!(copy.changes(&BOOKS), before);
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
    said(&mut lintian);
}

fn what_is_installed_is_right(copy: &Machine) {
    assert_eq!(copy.run("stat -c '%a %U %G' /etc/thundergate"), "750 root thundergate\n");
    let conffiles = copy.run("dpkg-query -W -f '${Conffiles}' thundergate");
    assert!(conffiles.contains("/milter.toml") && conffiles.contains("/worker.toml"), "{conffiles}");
    let enabled = copy.run("find /etc/systemd/system -name 'thundergate*'");
    assert_eq!(enabled, "", "neither starts before it is told where scanner and Redis are");
    for unit in UNITS {
        copy.run(&format!("systemd-analyze verify {unit} {SOCKET}"));
        copy.run(&format!(
            "systemd-analyze security --offline=true {EXPOSURE} /usr/lib/systemd/system/{unit}"
        ));
    }
    for (program, last, offered) in [
        ("thundergate-milter", "scan --exp", "--explain"),
        ("thundergate-worker", "queue ret", "retry"),
        ("thundergate", "verdict for", "forget"),
    ] {
        assert_eq!(completed(copy, program, last), offered, "{program} {last}");
    }
    for page in [
        "8/thundergate",
        "8/thundergate-check",
        "8/thundergate-milter",
        "8/thundergate-worker-queue-retry",
        "5/thundergate-milter.toml",
    ] {
        let (section, name) = page.split_once('/').unwrap();
        copy.run(&format!("test -s /usr/share/man/man{section}/{name}.{section}.gz"));
    }
}

/// What bash offers for the last word behind a program's name.
fn completed(copy: &Machine, program: &str, words: &str) -> String {
    let (before, last) = words.rsplit_once(' ').unwrap();
    let count = words.split(' ').count();
    let function = program.replace('-', "__");
    copy.run(&format!(
        "bash -c '. /usr/share/bash-completion/completions/{program}
         COMP_WORDS=({program} {words}) COMP_CWORD={count}
         _{function} {program} \"{last}\" \"{before}\"
         printf %s \"${{COMPREPLY[*]}}\"'"
    ))
}

/// A site that comes from postfix2thunderstorm: its own example, with the log beside the program, starts as a service.
fn what_postfix2thunderstorm_had_starts(copy: &Machine) {
    const EXAMPLE: &str = "log_filepath: ./p2t.log
max_filesize_bytes: 50_000_000
active_mode: false
milter_host: 127.0.0.1
milter_port: 11337
thorthunderstorm_url: http://127.0.0.1:8080/api/check
quarantine_expression: one(Matches, {.Subscore > 90}) or FullMatch.Score > 90
";
    copy.run("cp -p /etc/thundergate/milter.toml /root/");
    copy.run(&format!("cat > /root/p2t.config.yaml <<'END'\n{EXAMPLE}END"));
    let notes = "thundergate-milter migrate /root/p2t.config.yaml 2>&1 > /etc/thundergate/milter.toml";
    let notes = copy.run(notes);
    assert!(notes.contains("note: log_filepath was \"./p2t.log\""), "{notes}");
    copy.run("thundergate-milter check");
    let started = starts(copy);
    copy.run("systemctl restart thundergate-milter && systemctl is-active thundergate-milter");
    let ready = ready_lines(copy).pop().unwrap();
    assert_eq!(
        (starts(copy), ready["config.file"].as_str()),
        (started + 1, Some("/etc/thundergate/milter.toml"))
    );

    copy.run(
        "cp /root/p2t.config.yaml /etc/thundergate/ && chgrp thundergate /etc/thundergate/p2t.config.yaml",
    );
    override_unit(
        copy,
        UNITS[0],
        "[Service]\\nExecStart=\\nExecStart=/usr/bin/thundergate-milter serve --config /etc/thundergate/p2t.config.yaml",
    );
    copy.run("systemctl restart thundergate-milter && systemctl is-active thundergate-milter");
    copy.run("systemctl revert thundergate-milter 2> /dev/null; rm /etc/thundergate/p2t.config.yaml");
    copy.run(
        "cp -p /root/milter.toml /etc/thundergate/milter.toml && rm /root/milter.toml /root/p2t.config.yaml",
    );
    copy.run("systemctl restart thundergate-milter");
}

/// A configuration that the service may not read is not the built-in one.
fn what_cannot_be_read_does_not_start(copy: &Machine) {
    let state = "systemctl show --property ExecMainStatus,ActiveState --value thundergate-milter";
    for (before, after) in [
        ("chmod 0700 /etc/thundergate", "chmod 0750 /etc/thundergate"),
        ("chmod 0600 /etc/thundergate/milter.toml", "chmod 0644 /etc/thundergate/milter.toml"),
    ] {
        copy.run(&format!("{before} && ! systemctl restart thundergate-milter 2> /dev/null"));
        assert_eq!(copy.run(state), "78\nfailed\n", "{before}");
        let log = "journalctl --sync; journalctl --unit thundergate-milter --output cat --lines 20";
        let log = copy.run(log);
        assert!(log.contains("/etc/thundergate/milter.toml: cannot be read: Permission denied"), "{log}");
        copy.run(&format!("{after} && systemctl start thundergate-milter"));
    }
}

/// One line of ours and one of Postfix's.
async fn mail_flows(copy: &Machine, site: &Site) {
    let scanner = site.farm[0].url();
    copy.run(&format!("sed -i 's|^#farm.instances = .*|farm.instances = [{{ url = \"{scanner}\" }}]|' /etc/thundergate/milter.toml"));
    // Other ports, for who runs other tests beside this one.
    copy.run("printf 'THUNDERGATE_LISTEN=inet:127.0.0.1:0\\nTHUNDERGATE_ADMIN__LISTEN=127.0.0.1:0\\n' > /etc/thundergate/milter.env");
    copy.run("systemctl enable --now thundergate-milter");
    let postfix = Postfix::start(&listening(copy)).await.unwrap();

    let clean = mail().attach("a.pdf", "application/pdf", noise(1, 50_000)).bytes();
    let infected = mail().attach("a.com", "application/octet-stream", eicar()).bytes();
    for message in [clean, infected] {
        let reply = postfix.submit("anna@example.org", &["bert@example.net"], &message).await.unwrap();
        assert_eq!(reply.code, 250, "{reply:?}\n{}", postfix.log());
    }
    eventually(PATIENCE, "delivery", async || postfix.delivered().len() == 1).await;
    assert_eq!(postfix.held().await.unwrap().len(), 1, "{}", postfix.log());
    assert_eq!(site.scans(), 2);
}

/// The watchdog of systemd, and exit status 78.
async fn what_hangs_is_started_anew_and_what_is_wrong_is_not(copy: &Machine) {
    override_unit(copy, UNITS[0], "[Service]\nWatchdogSec=2s");
    copy.run("systemctl restart thundergate-milter");
    let starts = starts(copy);
    copy.run("systemctl kill --signal STOP thundergate-milter");
    eventually(PATIENCE, "another milter", async || self::starts(copy) > starts).await;
    copy.run("systemctl is-active thundergate-milter");
    copy.run("systemctl revert thundergate-milter 2> /dev/null && systemctl restart thundergate-milter");

    copy.run("echo THUNDERGATE_MODE=pasive >> /etc/thundergate/milter.env");
    copy.run("! systemctl restart thundergate-milter 2> /dev/null");
    let state = "systemctl show --property ExecMainStatus,ActiveState --value thundergate-milter";
    assert_eq!(copy.run(state), "78\nfailed\n");
    copy.run("sed -i '$ d' /etc/thundergate/milter.env && systemctl start thundergate-milter");
}

/// Who connects while one milter follows another waits, where systemd listens.
async fn while_mail_comes_in(copy: &Machine, upgrade: &str) {
    let address = format!("127.0.0.1:{}", free_port());
    override_unit(copy, SOCKET, &format!("[Socket]\nListenStream=\nListenStream={address}"));
    copy.run(&format!("systemctl stop thundergate-milter && systemctl enable --now {SOCKET}"));
    copy.run("systemctl start thundergate-milter");
    assert_eq!(listening(copy), [format!("inet:{address}")]);

    let (over, senders, starts) = (CancellationToken::new(), 8, starts(copy));
    let mut sending = JoinSet::new();
    for n in 0..senders {
        sending.spawn(send_until(over.clone(), address.clone(), n));
    }
    tokio::task::block_in_place(|| copy.run(upgrade));
    tokio::task::block_in_place(|| copy.run("systemctl restart thundergate-milter"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    over.cancel();
    let sent = sending.join_all().await;
    let (accepted, cut_off) = sent.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    eprintln!("{accepted} accepted, {cut_off} cut off");
    assert_eq!(self::starts(copy), starts + 2, "one by the package, one by hand");
    assert!(accepted > 100 && cut_off <= 2 * senders, "{accepted} accepted, {cut_off} cut off");
}

/// How many mails were accepted, and how many connections ended early or deferred theirs, which only a milter's end
/// explains. None may be refused.
async fn send_until(over: CancellationToken, address: String, seed: u64) -> (u64, u64) {
    let (mut accepted, mut cut_off) = (0, 0);
    let message = mail().attach("a.bin", "application/octet-stream", noise(seed, 1000)).bytes();
    while !over.is_cancelled() {
        let sent = async { Mta::connect(&address).await?.send(&Mail::of(message.clone())).await };
        match sent.await {
            Ok(reply) if reply.delivers() => accepted += 1,
            Ok(_) => cut_off += 1,
            Err(error) => {
                assert_ne!(error.kind(), io::ErrorKind::ConnectionRefused);
                cut_off += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (accepted, cut_off)
}

/// As `systemctl edit` does.
fn override_unit(copy: &Machine, unit: &str, text: &str) {
    let directory = format!("/etc/systemd/system/{unit}.d");
    copy.run(&format!("mkdir {directory} && printf '{text}\n' > {directory}/override.conf"));
    copy.run("systemctl daemon-reload");
}

/// What the milter logged when it was ready, each time; a line may come a little later than it says so to systemd.
fn ready_lines(copy: &Machine) -> Vec<Value> {
    let lines = format!("sleep 0.1; journalctl --sync; journalctl --unit {} --output cat", UNITS[0]);
    let lines = copy.run(&lines);
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "ready").collect()
}

/// How often the milter has started.
fn starts(copy: &Machine) -> usize {
    ready_lines(copy).len()
}

/// Where the milter that was started last says that it listens.
fn listening(copy: &Machine) -> Vec<String> {
    let ready = ready_lines(copy).pop().unwrap();
    ready["listen"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}
