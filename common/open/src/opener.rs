// SPDX-License-Identifier: GPL-3.0-or-later
//! The parent. One process a container:
//!
//! 1. Wait for a seat: so many are open at once.
//! 2. Start the program again, without our environment, its pipes to us.
//! 3. At once: write the request, read the reply, read what it says on stderr. None waits for another, so no pipe that is
//!    full blocks.
//! 4. Wait for its end, which says whether the reply is one.
//!
//! All but the first within the time-out; then, or where nobody waits for the answer any more, it is killed.

use super::{
    answer::Answer,
    child::{COMMAND, exit},
    confine::Confinement,
    failure::{Excess, Failure},
    limits::Limits,
    request::Request,
    wire,
};
use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, Command},
    sync::Semaphore,
    time::timeout,
};

/// This program, even where its file was replaced since.
const OURSELVES: &str = "/proc/self/exe";
/// All of its environment: mimalloc, which both programs allocate with, does not set 1 GiB aside as it starts, which no limit
/// would count.
const ENVIRONMENT: [(&str, &str); 1] = [("MIMALLOC_ARENA_RESERVE", "0")];
/// What is read of what it says on stderr.
const LONGEST_WORDS: u64 = 1 << 10;
/// How the standard library ends a process for which there is no memory.
const NO_MEMORY: &str = "memory allocation of ";

/// Opens containers.
#[derive(Debug)]
pub struct Opener {
    program: PathBuf,
    limits: Limits,
    seats: Semaphore,
}

impl Opener {
    /// By this program, whose `main` calls [`run_if_asked`](super::run_if_asked).
    pub fn new(limits: Limits) -> Self {
        Self::by(OURSELVES, limits)
    }

    /// By another program that does.
    pub fn by(program: impl Into<PathBuf>, limits: Limits) -> Self {
        let seats = Semaphore::new(limits.concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { program: program.into(), limits, seats }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Opens a container, after those that came before.
    ///
    /// # Errors
    ///
    /// Nobody knows what is in it. One that no password fits is no error.
    pub async fn open(&self, request: &Request) -> Result<Answer, Failure> {
        let _seat = self.seats.acquire().await.expect("the seats are never closed");
        let mut child = self.start().map_err(unstartable)?;
        match timeout(self.limits.timeout, self.talk(&mut child, request)).await {
            Ok(ended) => ended,
            Err(_) => {
                // Waits until it is gone: its memory is free with it.
                child.kill().await.map_err(unstartable)?;
                Err(Failure::TimedOut)
            }
        }
    }

    fn start(&self) -> io::Result<Child> {
        let confinement = Confinement {
            memory_bytes: self.limits.memory_bytes,
            processor_seconds: self.limits.timeout.as_secs() + 1,
            required: !self.limits.unconfined,
        };
        Command::new(&self.program)
            .arg(COMMAND)
            .args(confinement.args())
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    async fn talk(&self, child: &mut Child, request: &Request) -> Result<Answer, Failure> {
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::Unstartable("no pipes".to_owned()));
        };
        let (_, reply, words) = tokio::join!(
            feed(stdin, request, &self.limits),
            wire::read_reply(stdout, &self.limits),
            read_words(stderr)
        );
        let status = child.wait().await.map_err(unstartable)?;
        if status.success()
            && let Ok(reply) = reply
        {
            return reply;
        }
        Err(failure(status, words))
    }
}

/// Whoever does not want to read it says so by its end.
async fn feed(mut stdin: ChildStdin, request: &Request, limits: &Limits) -> io::Result<()> {
    stdin.write_all(&wire::request(request, limits)).await?;
    stdin.write_all(&request.container).await?;
    stdin.shutdown().await
}

async fn read_words(stderr: ChildStderr) -> String {
    let mut words = Vec::new();
    let _ = stderr.take(LONGEST_WORDS).read_to_end(&mut words).await;
    String::from_utf8_lossy(&words).trim().to_owned()
}

/// How it ended without an answer. Its words are only repeated where it had looked at nothing yet.
fn failure(status: ExitStatus, words: String) -> Failure {
    const SIGXCPU: i32 = libc::SIGXCPU;
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(exit::UNCONFINED) => Failure::Unconfinable(words),
        (_, Some(SIGXCPU)) => Failure::TimedOut,
        _ if words.starts_with(NO_MEMORY) => Failure::TooMuch(Excess::Memory),
        (_, signal) => Failure::Crashed { signal },
    }
}

fn unstartable(error: io::Error) -> Failure {
    Failure::Unstartable(error.to_string())
}
