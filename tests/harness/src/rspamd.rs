// SPDX-License-Identifier: GPL-3.0-or-later
//! A private rspamd, Debian's package, as a peer to measure against: a filter that also remembers in Redis what its
//! scanner said of a part. The installed configuration is neither read nor touched.
//!
//! `rspamd.conf` beside this file has the antivirus module alone: no rules, no DNS, no learning. It is as fast as its
//! options allow, on each core a milter worker that scans itself, no guess at the language of texts, only errors logged;
//! or in this as the package is installed. What it compiles at its first start, for 15 s or longer, is kept under
//! `target/rspamd`.
//!
//! It scans what is attached and not the plain text that is shown; nor does the milter with its usual settings. What
//! differs: where its scanner fails, it accepts. That costs nothing on hits.

use super::{free_port, mta::Mta};
use anyhow::{Context as _, bail};
use std::{
    fs,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::Mutex;

const TEMPLATE: &str = include_str!("rspamd.conf");
const PROGRAM: &str = "/usr/bin/rspamd";
/// Where the package has its plug-ins and tables.
const SHARE: &str = "/usr/share/rspamd";
/// How long a start may take, the first one with its compilation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Processes that take mail where it is tuned: as many as there are cores.
    pub workers: usize,
    /// How long a verdict is remembered.
    pub cache_expire: Duration,
    /// As the package is installed: one process takes mail and hands it to others, the language of texts is guessed, and
    /// every message logged.
    pub as_installed: bool,
}

impl Default for Options {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers, cache_expire: Duration::from_secs(3600), as_installed: false }
    }
}

/// One private instance. Dropping it kills all its processes.
#[derive(Debug)]
pub struct Rspamd {
    main: Child,
    dir: TempDir,
    port: u16,
}

impl Rspamd {
    /// Whether the package is there.
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).exists() && Path::new(SHARE).join("plugins/antivirus.lua").exists()
    }

    /// Starts one that asks a clamd at `scanner` and remembers in the Redis at `redis`, `redis://HOST:PORT/0` or
    /// `unix://PATH`. Returns when it takes mail.
    pub async fn start(scanner: SocketAddr, redis: &str, options: Options) -> anyhow::Result<Self> {
        // One at a time: the first one compiles for all.
        static STARTING: Mutex<()> = Mutex::const_new(());
        let _starting = STARTING.lock().await;
        let dir = tempfile::Builder::new().prefix("thundergate-rspamd").tempdir()?;
        let port = free_port();
        let file = dir.path().join("rspamd.conf");
        fs::write(&file, configuration(dir.path(), port, scanner, redis, &options)?)?;
        let output = fs::File::create(dir.path().join("output"))?;
        let mut command = Command::new(PROGRAM);
        command.args(["--no-fork", "--insecure", "--config"]).arg(&file); // insecure: as root, if the test is
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let main = command.spawn().with_context(|| format!("cannot run {PROGRAM}"))?;
        let mut rspamd = Self { main, dir, port };
        rspamd.wait_until_it_takes_mail().await?;
        Ok(rspamd)
    }

    /// Where it takes mail, `inet:127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("inet:127.0.0.1:{}", self.port)
    }

    /// The same through a socket of this machine's file system, `unix:PATH`.
    pub fn unix_address(&self) -> String {
        format!("unix:{}", at(self.dir.path(), "milter.sock"))
    }

    /// Its processes: the main one, then its children.
    pub fn pids(&self) -> Vec<u32> {
        let main = self.main.id();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
        [main].into_iter().chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// What it has to complain about.
    pub fn log(&self) -> String {
        ["output", "log"]
            .map(|name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default())
            .concat()
    }

    async fn wait_until_it_takes_mail(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The main process listens before its workers are there: only an answer counts.
            let negotiated = tokio::time::timeout(PATIENCE, Mta::connect(&self.address())).await;
            if let Ok(Ok(mta)) = negotiated {
                return Ok(mta.quit().await?);
            }
            if let Some(status) = self.main.try_wait()? {
                bail!("rspamd ended: {status}\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("rspamd takes no mail\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        let group = format!("-{}", self.main.id());
        // Errors mean that it has ended already.
        Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().ok();
        self.main.wait().ok();
    }
}

fn configuration(
    dir: &Path,
    port: u16,
    scanner: SocketAddr,
    redis: &str,
    options: &Options,
) -> anyhow::Result<String> {
    let redis = redis.trim_start_matches("redis://").trim_start_matches("unix://").trim_end_matches("/0");
    let normal = format!("127.0.0.1:{}", free_port());
    let own: [(&str, String); 5] = if options.as_installed {
        [
            ("@languages@", format!("{SHARE}/languages")),
            ("@level@", "info".to_owned()),
            ("@proxies@", "1".to_owned()),
            ("@upstream@", format!("hosts = \"{normal}\";")),
            ("@normal@", format!("worker \"normal\" {{ bind_socket = \"{normal}\"; mime = true; }}")),
        ]
    } else {
        [
            ("@languages@", at(dir, "none")),
            ("@level@", "error".to_owned()),
            ("@proxies@", options.workers.to_string()),
            ("@upstream@", "self_scan = yes; # no second process on a message's way".to_owned()),
            ("@normal@", String::new()),
        ]
    };
    let values = [
        ("@share@", SHARE.to_owned()),
        ("@dir@", dir.display().to_string()),
        ("@compiled@", compiled()?.display().to_string()),
        ("@redis@", redis.to_owned()),
        ("@scanner@", scanner.to_string()),
        ("@expire@", options.cache_expire.as_secs().to_string()),
        ("@port@", port.to_string()),
    ];
    Ok(own.iter().chain(&values).fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(name, value)))
}

fn at(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

/// Where it keeps what it compiled.
fn compiled() -> anyhow::Result<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/rspamd");
    fs::create_dir_all(&dir)?;
    Ok(dir.canonicalize()?)
}
