// SPDX-License-Identifier: GPL-3.0-or-later
//! Lines in systemd's journal have their priority: on a copy of this machine, with a systemd that runs. Needs root and
//! systemd's package; where one is missing the test says so and is skipped.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{fs, time::Duration};
use thundergate_harness::{
    eventually,
    machine::{Machine, Network},
    mails::eicar,
    mta::{Mail, Mta},
    process::binary,
    site::Site,
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The milter's lines of this priority and above, as they stand in the journal.
fn lines(copy: &Machine, priority: &str) -> Vec<Value> {
    let lines = format!("journalctl --sync; journalctl --unit milter --priority {priority} --output cat");
    copy.run(&lines).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_a_warning_in_the_journal() {
    let shared = tempfile::Builder::new().prefix("thundergate-journal").tempdir().unwrap();
    let copy = match Machine::start(Network::Shared, shared.path()) {
        Ok(copy) => copy,
        Err(error) => return eprintln!("skipped: {error:#}"),
    };
    let site = Site::single(1, Settings::default()).await;
    let toml =
        format!("listen = [\"inet:127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n{}", site.farm_section());
    fs::write(shared.path().join("milter.toml"), toml).unwrap();
    fs::copy(binary("thundergate-milter").unwrap(), shared.path().join("milter")).unwrap();
    copy.run("systemd-run --quiet --unit milter /run/shared/milter serve --config /run/shared/milter.toml");

    let is_ready = |line: &Value| line["event"] == "ready";
    eventually(PATIENCE, "ready", async || lines(&copy, "info").iter().any(is_ready)).await;
    let ready = lines(&copy, "info").into_iter().find(is_ready).unwrap();
    let mut mta = Mta::connect(ready["listen"][0].as_str().unwrap()).await.unwrap();
    let reply = mta.send(&Mail::of([b"\r\n".as_slice(), &eicar()].concat())).await.unwrap();
    assert!(reply.quarantine.is_some(), "{reply:?}");

    let is_finding = |line: &Value| line["msg"] == "Finding";
    eventually(PATIENCE, "a warning", async || lines(&copy, "warning").iter().any(is_finding)).await;
    assert!(!lines(&copy, "warning").iter().any(is_ready), "{:#?}", lines(&copy, "warning"));
    assert!(!lines(&copy, "err").iter().any(is_finding), "{:#?}", lines(&copy, "err"));
    copy.run("systemctl stop milter");
}
