// SPDX-License-Identifier: GPL-3.0-or-later
//! SIGHUP: the milter reads its configuration again, and no connection notices but new ones.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::Value;
use std::{fs, time::Duration};
use thundergate_harness::{
    mails::{eicar, mail, noise},
    mta::{Action, Mail, Mta},
    site::{Milter, Site},
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// What the milter says after a SIGHUP.
async fn reload(milter: &Milter, toml: &str, number: usize) -> Value {
    milter.program.reload(toml).unwrap();
    let said =
        |line: &Value| line["event"] == "reloaded" || line["msg"].as_str().unwrap_or("").contains("is wrong");
    for _ in 0..200 {
        if let Some(line) = milter.program.events().into_iter().filter(said).nth(number) {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not say that it has reloaded: {:#?}", milter.program.log_lines());
}

fn infected() -> Mail {
    Mail::of(mail().attach("a.com", "application/octet-stream", eicar()).bytes())
}

#[tokio::test]
async fn new_connections_get_the_new_configuration_and_open_ones_keep_theirs() {
    let (site, other) =
        (Site::single(1, Settings::default()).await, Site::single(1, Settings::default()).await);
    let milter = site.milter("").await;
    let before = fs::read_to_string(milter.program.dir().unwrap().join("config.toml")).unwrap();
    let mut open = Mta::connect(&milter.address).await.unwrap();
    assert!(open.send(&infected()).await.unwrap().quarantine.is_some());

    // A file that is wrong changes nothing and is named.
    let wrong = format!("policy.reject = \"true\"\npolicy.quarantine = \"any(Matches\"\n{before}");
    let line = reload(&milter, &wrong, 0).await;
    assert_eq!(line["level"], "warning", "{line}");
    assert!(line["error"].as_str().unwrap().contains("config.toml:2"), "{line}");
    assert!(milter.send(&infected()).await.quarantine.is_some());

    // Another policy, other limits, another farm; another address needs a restart.
    let new = "policy.reject = \"FullMatch.Score > 90\"\nlimits.message_bytes = \"10KiB\"\n\
               limits.connections = 2\nlimits.share = 7\nlog.level = \"debug\"\ngrace = \"7s\"\n";
    let farm = before.replace(&site.farm_section(), &other.farm_section());
    let line = reload(&milter, &format!("{new}{farm}"), 1).await;
    assert_eq!(line["config.needs_restart"], "grace", "{line}");
    let changed = line["config.changed"].as_str().unwrap();
    for key in [
        "policy.reject",
        "limits.message_bytes",
        "limits.connections",
        "limits.share",
        "log.level",
        "farm.instances",
    ] {
        assert!(changed.split(',').any(|one| one == key), "{key}: {changed}");
    }
    let large = Mail::of(mail().attach("b.bin", "application/octet-stream", noise(1, 20 << 10)).bytes());
    assert_eq!(open.send(&large).await.unwrap().quarantine, None, "an open connection keeps the old limits");
    assert!(open.send(&infected()).await.unwrap().quarantine.is_some(), "and the old policy");
    assert!(other.scans() > 0, "the farm is another one for everybody");

    assert!(matches!(milter.send(&infected()).await.action, Action::Reject | Action::ReplyCode(_)));
    assert!(milter.send(&large).await.quarantine.is_some(), "too large now");
    let debug = |line: &Value| line["level"] == "debug";
    assert!(milter.program.wait_for(debug, PATIENCE).await.is_some(), "the log says more");

    // Two connections are allowed now, and one is open.
    let second = Mta::connect(&milter.address).await.unwrap();
    let third = Mta::connect(&milter.address);
    let mut third = std::pin::pin!(third);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut third).await;
    assert!(early.is_err(), "no third connection");
    second.quit().await.unwrap();
    third.await.unwrap().quit().await.unwrap();
    open.quit().await.unwrap();
}

#[tokio::test]
async fn scanners_that_were_not_there_at_the_start_take_a_restart_and_that_is_said() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("").await;
    let before = fs::read_to_string(milter.program.dir().unwrap().join("config.toml")).unwrap();
    let line = reload(&milter, &format!("{before}\n{}", site.farm_section()), 0).await;
    assert_eq!(line["event"], "reloaded", "{line}");
    let said = |line: &Value| line["msg"].as_str().unwrap_or("").contains("with a restart");
    assert!(milter.program.wait_for(said, PATIENCE).await.is_some(), "{:#?}", milter.program.log_lines());
}
