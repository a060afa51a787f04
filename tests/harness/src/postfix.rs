// SPDX-License-Identifier: GPL-3.0-or-later
//! A Postfix of our own: everything in a temporary directory, loopback only, no chroot, no DNS; needs root and the
//! installed package, touches neither the installed configuration nor its queue.
//!
//! What it accepts goes to a [`Sink`]. What a milter quarantines stays in its hold queue.

use super::{
    eventually, free_port,
    smtp::{self, Delivered, Sink, SmtpReply},
    waiting::PATIENCE,
};
use anyhow::{Context as _, ensure};
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, process::Output};
use tempfile::TempDir;
use tokio::{net::TcpStream, process::Command};

/// One private instance. Dropping it stops it.
#[derive(Debug)]
pub struct Postfix {
    dir: TempDir,
    address: SocketAddr,
    sink: Sink,
}

/// A message in the hold queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Postfix's name of it.
    pub queue_id: String,
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
}

/// Where the services of `master.cf` differ from each other: name, type, private, process limit, command.
const SERVICES: [(&str, &str, &str, &str, &str); 13] = [
    ("cleanup", "unix", "n", "0", "cleanup"),
    ("qmgr", "unix", "n", "1", "qmgr"),
    ("rewrite", "unix", "-", "-", "trivial-rewrite"),
    ("bounce", "unix", "-", "0", "bounce"),
    ("defer", "unix", "-", "0", "bounce"),
    ("trace", "unix", "-", "0", "bounce"),
    ("smtp", "unix", "-", "-", "smtp"),
    ("showq", "unix", "n", "-", "showq"),
    ("error", "unix", "-", "-", "error"),
    ("discard", "unix", "-", "-", "discard"),
    ("retry", "unix", "-", "-", "error"),
    ("flush", "unix", "n", "0", "flush"),
    ("postlog", "unix-dgram", "n", "1", "postlogd"),
];

impl Postfix {
    /// Starts one that asks these milters, each in Postfix's spelling: `inet:127.0.0.1:11337`, `unix:/run/m.sock`.
    pub async fn start(milters: &[String]) -> anyhow::Result<Self> {
        Self::start_with(milters, &[]).await
    }

    /// Starts one with more settings of `main.cf`.
    pub async fn start_with(milters: &[String], settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("thundergate-postfix").tempdir()?;
        let sink = Sink::start().await?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        lay_out(dir.path())?;
        let mut main = main_cf(dir.path(), sink.address(), milters);
        main.extend(settings.iter().map(|(key, value)| format!("{key} = {value}\n")));
        fs::write(dir.path().join("etc/main.cf"), main)?;
        fs::write(dir.path().join("etc/master.cf"), master_cf(address.port()))?;
        let postfix = Self { dir, address, sink };
        postfix.run("postfix", &["start"]).await?;
        eventually(PATIENCE, "Postfix listens", async || TcpStream::connect(address).await.is_ok()).await;
        Ok(postfix)
    }

    /// Where it takes mail.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Submits one message; its bytes are not changed.
    pub async fn submit(
        &self,
        sender: &str,
        recipients: &[&str],
        message: &[u8],
    ) -> anyhow::Result<SmtpReply> {
        Ok(smtp::submit(self.address, sender, recipients, message).await?)
    }

    /// What arrived where it delivers to.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.sink.delivered()
    }

    /// The hold queue.
    pub async fn held(&self) -> anyhow::Result<Vec<Held>> {
        let listed = self.run("postqueue", &["-j"]).await?.stdout;
        let entries = serde_json::Deserializer::from_slice(&listed).into_iter::<serde_json::Value>();
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        Ok(entries.iter().filter(|entry| entry["queue_name"] == "hold").map(held).collect())
    }

    /// How many messages are in its queues.
    pub async fn queued(&self) -> anyhow::Result<usize> {
        let listed = self.run("postqueue", &["-j"]).await?.stdout;
        Ok(listed.iter().filter(|byte| **byte == b'\n').count())
    }

    /// Header and body of a message in the queue; lines end with LF.
    pub async fn read_held(&self, queue_id: &str) -> anyhow::Result<Vec<u8>> {
        Ok(self.run("postcat", &["-qbh", queue_id]).await?.stdout)
    }

    /// Releases a held message and delivers it at once.
    pub async fn release(&self, queue_id: &str) -> anyhow::Result<()> {
        self.run("postsuper", &["-H", queue_id]).await?;
        self.run("postqueue", &["-i", queue_id]).await?;
        Ok(())
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("mail.log")).unwrap_or_default()
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.path().join("etc")).args(arguments);
        let output = command.output().await.with_context(|| format!("cannot run {program}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {arguments:?}: {complaint} {}", self.log());
        Ok(output)
    }
}

impl Drop for Postfix {
    /// Waits for the master process to go: its directory goes next.
    fn drop(&mut self) {
        let mut stop = std::process::Command::new("postfix");
        stop.arg("-c").arg(self.dir.path().join("etc")).arg("abort");
        stop.output().ok();
    }
}

fn lay_out(dir: &Path) -> anyhow::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?; // user postfix passes through
    for name in ["etc", "queue", "data"] {
        fs::create_dir(dir.join(name))?;
    }
    let owned = std::process::Command::new("chown").arg("postfix").arg(dir.join("data")).output()?;
    ensure!(
        owned.status.success(),
        "Postfix is not installed or this is not root: no user postfix to give files to"
    );
    Ok(())
}

fn main_cf(dir: &Path, sink: SocketAddr, milters: &[String]) -> String {
    let transport = format!("smtp:[{}]:{}", sink.ip(), sink.port());
    let at = |name: &str| dir.join(name).display().to_string();
    let milters = milters.join(", ");
    let settings: [(&str, &str); 36] = [
        ("compatibility_level", "3.6"),
        ("config_directory", &at("etc")),
        ("queue_directory", &at("queue")),
        ("data_directory", &at("data")),
        ("maillog_file", &at("mail.log")),
        ("maillog_file_prefixes", &dir.display().to_string()),
        ("mail_owner", "postfix"),
        ("setgid_group", "postdrop"),
        ("myhostname", "mta.test.example"),
        ("mydestination", ""),
        ("mynetworks", "127.0.0.0/8"),
        ("inet_interfaces", "127.0.0.1"),
        ("inet_protocols", "ipv4"),
        ("smtpd_peername_lookup", "no"),
        ("disable_dns_lookups", "yes"),
        ("smtp_dns_support_level", "disabled"),
        ("smtp_host_lookup", "native"),
        ("alias_maps", ""),
        ("alias_database", ""),
        ("local_recipient_maps", ""),
        ("local_transport", &transport),
        ("default_transport", &transport),
        ("relay_transport", &transport),
        ("virtual_transport", &transport),
        ("smtpd_recipient_restrictions", "permit_mynetworks, reject"),
        ("smtpd_client_connection_count_limit", "0"),
        ("smtpd_client_connection_rate_limit", "0"),
        ("message_size_limit", "104857600"),
        ("mailbox_size_limit", "0"),
        ("milter_protocol", "6"),
        ("milter_default_action", "tempfail"),
        ("milter_connect_timeout", "5s"),
        ("milter_command_timeout", "10s"),
        ("milter_content_timeout", "60s"),
        ("smtpd_milters", &milters),
        ("non_smtpd_milters", ""),
    ];
    settings.map(|(key, value)| format!("{key} = {value}\n")).concat()
}

fn master_cf(port: u16) -> String {
    let smtpd = format!("127.0.0.1:{port} inet n - n - 100 smtpd\n");
    let line =
        |(name, kind, private, limit, command)| format!("{name} {kind} {private} - n - {limit} {command}\n");
    smtpd + &SERVICES.into_iter().map(line).collect::<String>()
}

fn held(entry: &serde_json::Value) -> Held {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let recipients = entry["recipients"].as_array().into_iter().flatten();
    Held {
        queue_id: text(&entry["queue_id"]),
        sender: text(&entry["sender"]),
        recipients: recipients.map(|recipient| text(&recipient["address"])).collect(),
    }
}
