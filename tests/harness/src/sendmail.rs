// SPDX-License-Identifier: GPL-3.0-or-later
//! A Sendmail of our own. Its packages conflict with Postfix's, so they are unpacked, not installed: into
//! `$SENDMAIL_ROOT` or `target/sendmail`, once. Needs root, apt, dpkg, unshare and m4.
//!
//! It runs in a mount and UTS namespace of its own: without a qualified host name it would sleep for a minute, and it
//! logs to a socket under `/dev`, which is a directory of ours in there. What it accepts goes to a [`Sink`]; what a
//! milter quarantines stays in its queue as `hf…`, with the reason.

use super::{
    eventually, free_port,
    smtp::{self, Delivered, Sink, SmtpReply},
    waiting::PATIENCE,
};
use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram as StdUnixDatagram},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UnixDatagram},
    process::{Child, Command},
    task::JoinSet,
};

const PACKAGES: [&str; 6] =
    ["sendmail-bin", "sendmail-base", "sendmail-cf", "libwrap0", "liblockfile1", "libsasl2-2"];
const HOST: &str = "sm.test.example";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The unpacked packages.
#[derive(Clone, Debug)]
pub struct Unpacked(PathBuf);

/// One private instance. Dropping it kills it.
#[derive(Debug)]
pub struct Sendmail {
    dir: TempDir,
    address: SocketAddr,
    sink: Sink,
    log: Arc<Mutex<String>>,
    _logger: JoinSet<()>,
    daemon: Child,
}

/// A quarantined message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Sendmail's name of it.
    pub queue_id: String,
    /// What the milter gave as the reason.
    pub reason: String,
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
}

impl Sendmail {
    /// Downloads and unpacks what is not there yet. The error says what is missing.
    pub async fn prepare() -> anyhow::Result<Unpacked> {
        for tool in ["unshare", "m4", "dpkg"] {
            run(Command::new(tool).arg("--version"))
                .await
                .with_context(|| format!("{tool} is not installed"))?;
        }
        let root = std::env::var_os("SENDMAIL_ROOT").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/sendmail"),
            PathBuf::from,
        );
        if !root.join("usr/libexec/sendmail/sendmail").exists() {
            unpack(&root).await.context("Sendmail's packages cannot be had")?;
        }
        Ok(Unpacked(root.canonicalize()?))
    }

    /// Starts one that asks `milter`, in Sendmail's spelling: `inet:11337@127.0.0.1`, `unix:/run/m.sock`.
    pub async fn start(milter: &str) -> anyhow::Result<Self> {
        let Unpacked(root) = Self::prepare().await?;
        let dir = tempfile::Builder::new().prefix("thundergate-sendmail").tempdir()?;
        let sink = Sink::start().await?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        lay_out(dir.path())?;
        configure(&root, dir.path(), address, sink.address(), milter).await?;
        let log = Arc::default();
        let logger = start_logger(dir.path(), Arc::clone(&log)).await?;
        let daemon = daemon(&root, dir.path()).spawn().context("cannot run unshare")?;
        let sendmail = Self { dir, address, sink, log, _logger: logger, daemon };
        eventually(PATIENCE, "Sendmail listens", async || TcpStream::connect(address).await.is_ok()).await;
        Ok(sendmail)
    }

    /// Where it takes mail.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process that runs it.
    pub fn id(&self) -> Option<u32> {
        self.daemon.id()
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

    /// What is quarantined.
    pub fn held(&self) -> anyhow::Result<Vec<Quarantined>> {
        let mut held = Vec::new();
        for entry in fs::read_dir(self.dir.path().join("mqueue"))? {
            let entry = entry?;
            if let Some(id) = entry.file_name().to_str().and_then(|name| name.strip_prefix("hf")) {
                held.push(quarantined(id, &String::from_utf8_lossy(&fs::read(entry.path())?)));
            }
        }
        Ok(held)
    }

    /// The body of a message in the queue; lines end with LF.
    pub fn read_body(&self, queue_id: &str) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.dir.path().join("mqueue").join(format!("df{queue_id}")))?)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sendmail {
    /// The daemon's children (a session, a delivery) die with their connections.
    fn drop(&mut self) {
        self.daemon.start_kill().ok();
    }
}

async fn unpack(root: &Path) -> anyhow::Result<()> {
    let downloads = tempfile::tempdir()?;
    fs::set_permissions(downloads.path(), fs::Permissions::from_mode(0o777))?; // apt downloads as user _apt
    run(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(downloads.path())).await?;
    let partial = root.with_extension(format!("partial-{}", std::process::id()));
    for package in fs::read_dir(downloads.path())? {
        run(Command::new("dpkg").arg("-x").arg(package?.path()).arg(&partial)).await?;
    }
    let program = partial.join("usr/libexec/sendmail/sendmail");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?; // setgid would drop LD_LIBRARY_PATH
    if let Err(error) = fs::rename(&partial, root) {
        fs::remove_dir_all(&partial).ok();
        ensure!(root.exists(), error); // else another test was quicker
    }
    Ok(())
}

fn lay_out(dir: &Path) -> anyhow::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for (name, mode) in [("mqueue", 0o700), ("dev", 0o755)] {
        fs::create_dir(dir.join(name))?;
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode))?;
    }
    fs::write(dir.join("hosts"), format!("127.0.0.1 {HOST} localhost\n"))?;
    Ok(())
}

async fn configure(
    root: &Path,
    dir: &Path,
    address: SocketAddr,
    sink: SocketAddr,
    milter: &str,
) -> anyhow::Result<()> {
    let macros = root.join("usr/share/sendmail/cf");
    fs::write(dir.join("sm.mc"), source(&macros, dir, address, sink, milter))?;
    let mut m4 = Command::new("m4");
    m4.arg(format!("-D_CF_DIR_={}/", macros.display())).arg(dir.join("sm.mc")).current_dir(&macros);
    fs::write(dir.join("sm.cf"), run(&mut m4).await?)?;
    Ok(())
}

/// The configuration in Sendmail's m4 macros.
fn source(macros: &Path, dir: &Path, address: SocketAddr, sink: SocketAddr, milter: &str) -> String {
    let at = |name: &str| dir.join(name).display().to_string();
    let safe = "GroupWritableDirPathSafe,ForwardFileInUnsafeDirPath,ClassFileInUnsafeDirPath,AssumeSafeChown";
    let defines = [
        ("confPID_FILE", at("sm.pid")),
        ("QUEUE_DIR", at("mqueue")),
        ("STATUS_FILE", at("statistics")),
        ("ALIAS_FILE", String::new()),
        ("confDONT_BLAME_SENDMAIL", safe.to_owned()),
        ("confDOMAIN_NAME", HOST.to_owned()),
        ("confDONT_PROBE_INTERFACES", "True".to_owned()),
        ("confTO_IDENT", "0".to_owned()),
        ("confTO_CONNECT", "5s".to_owned()),
        ("confREFUSE_LA", "1000".to_owned()),
        ("confQUEUE_LA", "1000".to_owned()),
        ("confBAD_RCPT_THROTTLE", "0".to_owned()),
        ("confDELIVERY_MODE", "i".to_owned()),
        ("confLOG_LEVEL", "14".to_owned()),
        ("confMILTER_LOG_LEVEL", "14".to_owned()),
        ("confBIND_OPTS", String::new()),
        ("SMART_HOST", format!("relay:[{}]", sink.ip())),
        ("RELAY_MAILER_ARGS", format!("TCP $h {}", sink.port())),
    ];
    let mut text =
        format!("include(`{}/m4/cf.m4')dnl\nVERSIONID(`test')dnl\nOSTYPE(`linux')dnl\n", macros.display());
    text.extend(defines.map(|(name, value)| format!("define(`{name}', `{value}')dnl\n")));
    text += "undefine(`confHOSTS_FILE')dnl\n";
    for feature in ["nocanonify", "accept_unresolvable_domains", "promiscuous_relay", "no_default_msa"] {
        text += &format!("FEATURE(`{feature}')dnl\n");
    }
    text += &format!(
        "DAEMON_OPTIONS(`Family=inet, Name=MTA, Addr={}, Port={}')dnl\n",
        address.ip(),
        address.port()
    );
    text += &format!("INPUT_MAIL_FILTER(`tested', `S={milter}, F=T, T=C:5s;S:10s;R:60s;E:60s')dnl\n");
    text + "MAILER(`smtp')dnl\n"
}

async fn start_logger(dir: &Path, log: Arc<Mutex<String>>) -> anyhow::Result<JoinSet<()>> {
    for (name, minor) in [("null", "3"), ("zero", "5"), ("random", "8"), ("urandom", "9")] {
        let device = dir.join("dev").join(name);
        run(Command::new("mknod").args(["-m", "666"]).arg(device).args(["c", "1", minor])).await?;
    }
    let socket = StdUnixDatagram::bind(dir.join("dev/log"))?;
    socket.set_nonblocking(true)?;
    let socket = UnixDatagram::from_std(socket)?;
    let mut logger = JoinSet::new();
    logger.spawn(async move {
        let mut line = vec![0; 64 << 10];
        while let Ok(len) = socket.recv(&mut line).await {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(String::from_utf8_lossy(&line[..len]).trim_end_matches(['\0', '\n']));
            log.push('\n');
        }
    });
    Ok(logger)
}

fn daemon(root: &Path, dir: &Path) -> Command {
    let script = r#"hostname "$1" && mount --bind "$2/hosts" /etc/hosts && mount --bind "$2/dev" /dev &&
        export LD_LIBRARY_PATH="$4" && exec "$3" -bD "-C$2/sm.cf""#;
    let mut command = Command::new("unshare");
    command.args(["-um", "sh", "-c", script, "sh", HOST]).arg(dir);
    command.arg(root.join("usr/libexec/sendmail/sendmail")).arg(root.join(LIBRARIES));
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).kill_on_drop(true);
    command
}

/// Reads a queue file: a letter, then its value, one a line (Sendmail Operations Guide, appendix B).
fn quarantined(queue_id: &str, file: &str) -> Quarantined {
    let value = |letter: char| file.lines().filter_map(move |line| line.strip_prefix(letter));
    let address =
        |text: &str| text.rsplit(':').next().unwrap_or_default().trim_matches(['<', '>']).to_owned();
    Quarantined {
        queue_id: queue_id.to_owned(),
        reason: value('q').next().unwrap_or_default().to_owned(),
        sender: value('S').next().map(address).unwrap_or_default(),
        recipients: value('R').map(address).collect(),
    }
}

async fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().await?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
