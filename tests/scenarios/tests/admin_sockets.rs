// SPDX-License-Identifier: GPL-3.0-or-later
//! The admin sockets under the delivered units: who may open them, who that is, and how they come and go. On a copy of this
//! machine, with a systemd that runs. Needs root, systemd's package and curl; where one is missing the test says so and is
//! skipped.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};
use thundergate_harness::{
    free_port,
    machine::{Machine, Network},
    process::binary,
    site::Site,
    thunderstorm::Settings,
};

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// As the package does it.
const INSTALL: &str = "
    install -m 755 /run/shared/thundergate-milter /run/shared/thundergate-worker /usr/bin/
    install -D -m 644 /run/shared/milter.toml /run/shared/worker.toml -t /etc/thundergate/
    cd $REPOSITORY/deploy/systemd
    install -D -m 644 *.service *.socket -t /etc/systemd/system/
    install -D -m 644 sysusers.d/thundergate.conf -t /usr/lib/sysusers.d/
    install -D -m 644 tmpfiles.d/thundergate.conf -t /usr/lib/tmpfiles.d/
    systemd-sysusers thundergate.conf
    systemd-tmpfiles --create thundergate.conf
    systemctl daemon-reload
";

const REFUSED: &str = "7\n";

/// A machine with both programs, the milter with a scanner, the worker without a Redis; none where it cannot be.
async fn machine(shared: &tempfile::TempDir) -> Option<(Machine, Site)> {
    let copy = match Machine::start(Network::Shared, shared.path()) {
        Ok(copy) => copy,
        Err(error) => {
            eprintln!("skipped: {error:#}");
            return None;
        }
    };
    if !Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no curl");
        return None;
    }
    let site = Site::single(1, Settings::default()).await;
    let anywhere = "[admin]\nlisten = \"127.0.0.1:0\"\n";
    let milter = format!("listen = [\"inet:127.0.0.1:0\"]\n{anywhere}{}", site.farm_section());
    let worker = format!("{anywhere}[redis]\nurl = \"redis://127.0.0.1:9\"\n{}", site.farm_section());
    for (name, text) in [("milter.toml", milter), ("worker.toml", worker)] {
        fs::write(shared.path().join(name), text).unwrap();
    }
    for name in ["thundergate-milter", "thundergate-worker"] {
        fs::copy(binary(name).unwrap(), shared.path().join(name)).unwrap();
    }
    let repository = fs::canonicalize(TOP).unwrap();
    copy.run(&INSTALL.replace("$REPOSITORY", repository.to_str().unwrap()));
    Some((copy, site))
}

fn shared() -> tempfile::TempDir {
    let shared = tempfile::Builder::new().prefix("thundergate-sockets").tempdir().unwrap();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o755)).unwrap();
    shared
}

/// What `user` gets there: a status of HTTP, or why curl gets none.
fn asked(copy: &Machine, user: &str, program: &str, path: &str, more: &str) -> String {
    copy.run(&format!(
        "setpriv {user} curl --silent --output /dev/null --write-out '%{{http_code}}\\n' {more} \
         --unix-socket /run/thundergate-admin/{program}.sock http://localhost{path} || echo $?"
    ))
    .replace("000\n", "")
}

fn queue(copy: &Machine, user: &str, program: &str) -> String {
    asked(copy, user, program, "/api/v1/queue", "")
}

const ROOT: &str = "--reuid root";
const NOBODY: &str = "--reuid nobody --regid nogroup --clear-groups";
const OPERATOR: &str = "--reuid nobody --regid nogroup --groups thundergate-admin";
const SERVICE: &str = "--reuid thundergate --regid thundergate --init-groups";
/// In the group of the milter's own socket, as in mta.md.
const MTA: &str = "--reuid daemon --regid daemon --groups thundergate";

/// Lines of the audit in the journal.
fn audit(copy: &Machine, program: &str) -> Vec<Value> {
    let lines = format!("journalctl --sync; journalctl --unit thundergate-{program} --output cat");
    let lines = copy.run(&lines);
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "audit").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_root_and_operators_get_in_and_each_is_known() {
    let shared = shared();
    let Some((copy, _site)) = machine(&shared).await else { return };
    copy.run("systemctl start thundergate-milter thundergate-worker");
    let modes = copy.run("stat -c '%a %U %G' /run/thundergate-admin /run/thundergate-admin/*.sock");
    assert_eq!(modes, "750 root thundergate-admin\n660 root thundergate-admin\n660 root thundergate-admin\n");
    for program in ["milter", "worker"] {
        for user in [NOBODY, SERVICE, MTA] {
            assert_eq!(queue(&copy, user, program), REFUSED, "{user} {program}");
        }
    }
    for user in [ROOT, OPERATOR] {
        assert_eq!(queue(&copy, user, "milter"), "200\n");
        assert_eq!(queue(&copy, user, "worker"), "503\n", "there is no Redis");
        let bump = "--json '{\"reason\": \"try\"}' --header 'thundergate-change: 1'";
        assert_eq!(asked(&copy, user, "milter", "/api/v1/generation/bump", bump), "200\n");
    }
    let who: Vec<_> = audit(&copy, "milter").iter().map(|line| line["audit.who"].clone()).collect();
    assert_eq!(who, ["root", "nobody"]);
    let address = copy.run(
        "journalctl --unit thundergate-milter --output cat --grep '\"event\":\"ready\"' | \
         sed 's/.*\"admin\":\"\\([^\"]*\\)\".*/\\1/'",
    );
    let by_tcp = format!(
        "curl --silent --output /dev/null --write-out '%{{http_code}}' http://{}/api/v1",
        address.trim()
    );
    assert_eq!(copy.run(&format!("{by_tcp}/queue")), "401", "root has a name at the socket alone");

    copy.run("systemctl stop thundergate-worker");
    assert_eq!(queue(&copy, ROOT, "milter"), "200\n", "the other's socket stays");
    copy.run("systemctl stop thundergate-milter");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_comes_and_goes_with_its_program() {
    let shared = shared();
    let Some((copy, _site)) = machine(&shared).await else { return };
    let active = |unit: &str| copy.run(&format!("systemctl is-active {unit} || true"));
    // As after an upgrade from a version without such a socket: systemd refuses it to a service that runs.
    copy.run(
        "mkdir /root/units && mv /etc/systemd/system/*-admin.socket /root/units && systemctl daemon-reload",
    );
    copy.run("systemctl start thundergate-milter");
    copy.run("mv /root/units/* /etc/systemd/system/ && systemctl daemon-reload");
    copy.run("! systemctl start thundergate-milter-admin.socket 2> /dev/null");
    copy.run("systemctl is-active thundergate-milter && systemctl restart thundergate-milter");
    assert_eq!(queue(&copy, ROOT, "milter"), "200\n");

    // Beside the socket of the mail, each for its purpose.
    copy.run("systemctl stop thundergate-milter");
    let folder = "/etc/systemd/system/thundergate-milter.socket.d";
    let port = format!("[Socket]\\nListenStream=\\nListenStream=127.0.0.1:{}\\n", free_port());
    copy.run(&format!("mkdir {folder} && printf '{port}' > {folder}/port.conf && systemctl daemon-reload"));
    copy.run(
        "systemctl enable --now --quiet thundergate-milter.socket && systemctl start thundergate-milter",
    );
    assert_eq!(queue(&copy, ROOT, "milter"), "200\n");
    let ready = copy.run(
        "journalctl --sync; journalctl --unit thundergate-milter --output cat --grep '\"event\":\"ready\"' \
         | tail -n 1",
    );
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["admin.socket"], "/run/thundergate-admin/milter.sock");
    assert!(ready["listen"][0].as_str().unwrap().starts_with("inet:127.0.0.1:"), "{ready}");
    copy.run("systemctl disable --now --quiet thundergate-milter.socket");

    // Nobody starts a program by asking it how it is.
    copy.run("systemctl stop thundergate-milter");
    assert_eq!(active("thundergate-milter-admin.socket"), "inactive\n");
    assert_eq!(queue(&copy, ROOT, "milter"), REFUSED);
    assert_eq!(active("thundergate-milter"), "inactive\n");
}
