// SPDX-License-Identifier: GPL-3.0-or-later
//! The Postfix of this host, where there is one: whether it asks this milter, long enough, and what it does without it.
//! postconf(1) says so, of which every value is one line. `deploy/mta.md` has what is wanted and why.
//!
//! A parameter in braces behind the milter's address goes over the general one (Postfix 3.0).

mod group;
mod values;

use crate::{config::Config, front::milter::Listen};
use std::{net::IpAddr, path::Path, process::Stdio, time::Duration};
use thundergate_common::api::check::{Finding, Level};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};
use values::{Milter, Values};

const POSTCONF: &str = "/usr/sbin/postconf";
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// More of its answer is not read.
const LONGEST_ANSWER: u64 = 64 << 10;
/// What is left of the content time-out when the deadline is over: for the decision, and what changes the message.
const RESERVE: Duration = Duration::from_secs(10);

/// What Postfix says; nothing where there is none.
pub(super) async fn of_host(config: &Config, addresses: Option<&[String]>) -> Vec<Finding> {
    if !Path::new(POSTCONF).exists() {
        return Vec::new();
    }
    let said = match timeout(PATIENCE, ask(POSTCONF)).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => return vec![unasked(&error.to_string())],
        Err(_) => return vec![unasked("no answer in time")],
    };
    let own = match addresses {
        Some(addresses) => addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        None => config.listen.clone(),
    };
    judge(config, &own, &Values::read(&said))
}

async fn ask(postconf: &str) -> std::io::Result<String> {
    let mut command = Command::new(postconf);
    command.arg("-x").args(values::NAMES).env("LC_ALL", "C").kill_on_drop(true);
    let mut postconf = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (postconf.stdout.take(), postconf.stderr.take());
    let (said, complaint) = tokio::try_join!(all_of(stdout), all_of(stderr))?;
    let status = postconf.wait().await?;
    // Where it fails it says nothing of milters, which is not the same as none.
    if status.success() { Ok(said) } else { Err(std::io::Error::other(complaint.trim().to_owned())) }
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut said = Vec::new();
    if let Some(stream) = stream {
        stream.take(LONGEST_ANSWER).read_to_end(&mut said).await?;
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn unasked(why: &str) -> Finding {
    let text = format!("{POSTCONF} does not say what Postfix is told: {why}");
    Finding::new(Level::Warning, "main.cf", text, "look at `postconf -x smtpd_milters` by hand")
}

/// What is wrong with these values for a milter at `own`.
fn judge(config: &Config, own: &[Listen], values: &Values) -> Vec<Finding> {
    let mine = |milter: &Milter| own.iter().any(|listen| is_same(listen, &milter.address));
    let Some(milter) = values.milters("smtpd_milters").into_iter().find(mine) else {
        return vec![not_asked(own, values)];
    };
    let mut findings = vec![Finding::ok("main.cf smtpd_milters", format!("names {}", milter.address))];
    if let Listen::Unix(socket) = &milter.address {
        findings.extend(group::may_write(socket));
    }
    findings.push(content_timeout(config, values, &milter));
    findings.extend(command_timeout(config, values, &milter));
    findings.push(default_action(values, &milter));
    findings.extend(protocol(values, &milter));
    findings.push(message_size(config, values));
    if !values.milters("non_smtpd_milters").iter().any(mine) {
        let text = "mail that programs on this host hand over with sendmail(1) is not scanned";
        findings.push(Finding::ok("main.cf non_smtpd_milters", text));
    }
    findings
}

fn not_asked(own: &[Listen], values: &Values) -> Finding {
    let addresses: Vec<String> = own.iter().map(ToString::to_string).collect();
    let named = values.text("smtpd_milters");
    let named = if named.is_empty() { "no milter" } else { named };
    // Where other hosts can connect, their mail may be what the milter is for.
    let is_for_others = |listen: &Listen| matches!(listen, Listen::Inet { host, .. } if !is_here(host));
    let level = if own.iter().any(is_for_others) { Level::Warning } else { Level::Wrong };
    let text = format!("the Postfix of this host asks {named}, and not this milter: its mail is not scanned");
    let address = addresses.first().map(String::as_str).unwrap_or_default();
    let cure = format!(
        "postconf -e 'smtpd_milters = {{ {address}, default_action=tempfail, content_timeout=60s }}' && \
         postfix reload"
    );
    Finding::new(level, "main.cf smtpd_milters", text, cure)
}

fn content_timeout(config: &Config, values: &Values, milter: &Milter) -> Finding {
    let subject = "main.cf milter_content_timeout";
    let (given, deadline) = (values.time(milter, "content_timeout"), config.wait.deadline);
    let Some(given) = given else { return unread(subject) };
    let seconds = (deadline + RESERVE).as_secs();
    let cure =
        format!("set it to {seconds}s or more: postconf -e milter_content_timeout={}s", seconds.max(60));
    let text =
        |than: &str| format!("{} s is {than} wait.deadline ({} s)", given.as_secs(), deadline.as_secs());
    if given <= deadline {
        let text = format!("{}: Postfix may give up before the milter answers", text("no more than"));
        return Finding::new(Level::Wrong, subject, text, cure);
    }
    if given < deadline + RESERVE {
        return Finding::new(Level::Warning, subject, text("hardly more than"), cure);
    }
    Finding::ok(subject, text("more than"))
}

fn command_timeout(config: &Config, values: &Values, milter: &Milter) -> Option<Finding> {
    let subject = "main.cf milter_command_timeout";
    let Some(given) = values.time(milter, "command_timeout") else { return Some(unread(subject)) };
    let text = format!("{} s is no more than wait.progress", given.as_secs());
    let cure = "postconf -e milter_command_timeout=30s";
    (given <= config.wait.progress).then(|| Finding::new(Level::Wrong, subject, text, cure))
}

fn default_action(values: &Values, milter: &Milter) -> Finding {
    let subject = "main.cf milter_default_action";
    let action = milter.parameter("default_action").unwrap_or_else(|| values.text("milter_default_action"));
    let what = match action {
        "accept" => "mail is delivered unscanned while the milter is away",
        "reject" => "mail is refused for good while the milter is away",
        _ => return Finding::ok(subject, action),
    };
    let cure = "postconf -e milter_default_action=tempfail, also in the braces of smtpd_milters";
    Finding::new(Level::Warning, subject, format!("{action}: {what}"), cure)
}

fn protocol(values: &Values, milter: &Milter) -> Option<Finding> {
    let version = milter.parameter("protocol").unwrap_or_else(|| values.text("milter_protocol"));
    let number: u32 = version.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()?;
    let text = format!("{version} is older than the protocol that the milter speaks");
    (number < 6)
        .then(|| Finding::new(Level::Wrong, "main.cf milter_protocol", text, "postconf -e milter_protocol=6"))
}

fn message_size(config: &Config, values: &Values) -> Finding {
    let subject = "main.cf message_size_limit";
    let most = config.limits.message_bytes.as_u64();
    let Ok(given) = values.text("message_size_limit").parse::<u64>() else { return unread(subject) };
    if given > 0 && given <= most {
        return Finding::ok(subject, format!("{given} bytes, no more than limits.message_bytes ({most})"));
    }
    let given = if given == 0 { "no limit".to_owned() } else { format!("{given} bytes") };
    let text = format!(
        "{given}, and limits.message_bytes is {most}: what is larger is not scanned but gets \
         policy.on.oversize"
    );
    let cure = format!("postconf -e message_size_limit={most}, or raise limits.message_bytes");
    Finding::new(Level::Warning, subject, text, cure)
}

fn unread(subject: &str) -> Finding {
    Finding::new(Level::Warning, subject, "postconf gives no number", "look at the value in main.cf")
}

/// Whether Postfix reaches the milter that listens at `listen` under `address`.
fn is_same(listen: &Listen, address: &Listen) -> bool {
    match (listen, address) {
        (Listen::Unix(own), Listen::Unix(named)) => own == named,
        (Listen::Inet { host: own, port, .. }, Listen::Inet { host: named, port: at, .. }) => {
            port == at && (own == named || is_any(own) || (is_here(own) && is_here(named)))
        }
        _ => false,
    }
}

fn is_any(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "smtpd_milters = inet:127.0.0.1:11337\n\
                         non_smtpd_milters =\n\
                         milter_content_timeout = 300s\n\
                         milter_command_timeout = 30s\n\
                         milter_default_action = tempfail\n\
                         milter_protocol = 6\n\
                         message_size_limit = 10240000\n";

    /// The worst finding, with `from` in the place of `to`.
    fn worst(from: &str, to: &str) -> (Level, String) {
        let config = Config::from_toml("").unwrap();
        assert!(RIGHT.contains(from));
        let findings = judge(&config, &config.listen, &Values::read(&RIGHT.replacen(from, to, 1)));
        let worst = findings.into_iter().max_by_key(|finding| finding.level).unwrap();
        (worst.level, worst.subject)
    }

    #[test]
    fn each_value_that_does_not_fit_is_named() {
        assert_eq!(worst("300s", "300s").0, Level::Ok);
        for (from, to, level, subject) in [
            ("127.0.0.1:11337", "127.0.0.1:8891", Level::Wrong, "smtpd_milters"),
            ("300s", "20s", Level::Wrong, "milter_content_timeout"),
            ("300s", "25", Level::Warning, "milter_content_timeout"),
            ("30s", "5s", Level::Wrong, "milter_command_timeout"),
            ("tempfail", "accept", Level::Warning, "milter_default_action"),
            ("= 6", "= 2", Level::Wrong, "milter_protocol"),
            ("10240000", "104857600", Level::Warning, "message_size_limit"),
            ("10240000", "0", Level::Warning, "message_size_limit"),
        ] {
            assert_eq!(worst(from, to), (level, format!("main.cf {subject}")), "{to}");
        }
    }

    #[test]
    fn braces_behind_the_address_go_over_the_general_values() {
        let braces = |inside: &str| format!("{{ inet:localhost:11337, {inside} }}");
        let of = |inside: &str| worst("inet:127.0.0.1:11337", &braces(inside));
        assert_eq!(of("content_timeout=1m, default_action=tempfail").0, Level::Ok);
        assert_eq!(of("content_timeout=10s"), (Level::Wrong, "main.cf milter_content_timeout".to_owned()));
        assert_eq!(of("default_action=accept").1, "main.cf milter_default_action");
    }

    #[tokio::test]
    async fn a_postconf_that_fails_is_told_and_is_no_missing_milter() {
        assert!(ask("/bin/false").await.is_err());
        assert!(ask("/bin/true").await.unwrap().is_empty());
    }
}
