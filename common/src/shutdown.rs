// SPDX-License-Identifier: GPL-3.0-or-later
//! Signals and the drain. The first SIGTERM or SIGINT drains: nothing new is started, what runs is finished. The
//! second one, or the end of the grace period, leaves at once. SIGHUP is the wish to read the configuration again; a
//! program that does not listen to it ends by it.

use std::{io, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// When to drain and when to leave. Dropped, it stops listening to signals; the tokens stay.
pub struct Shutdown {
    /// Cancelled: start nothing new. May be cancelled by the program itself, too.
    pub drain: CancellationToken,
    /// Cancelled: leave whatever still runs.
    pub leave: CancellationToken,
    tasks: JoinSet<()>,
}

impl Shutdown {
    /// Listens to SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    ///
    /// The system does not let the process handle signals.
    pub fn install() -> io::Result<Self> {
        let mut shutdown = Self::unattended();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (drain, leave) = (shutdown.drain.clone(), shutdown.leave.clone());
        shutdown.tasks.spawn(heed(terminate, interrupt, drain, leave));
        Ok(shutdown)
    }

    /// Listens to no signal; for tests, and for whoever cancels the tokens.
    pub fn unattended() -> Self {
        Self { drain: CancellationToken::new(), leave: CancellationToken::new(), tasks: JoinSet::new() }
    }

    /// Leaves at the latest `grace` after the drain began.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        let (drain, leave) = (self.drain.clone(), self.leave.clone());
        self.tasks.spawn(async move {
            drain.cancelled().await;
            tokio::time::sleep(grace).await;
            tracing::warn!(grace_ms = grace.as_millis(), "The grace period is over: leaving what still runs");
            leave.cancel();
        });
        self
    }
}

/// SIGHUPs, one after the other.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Listens to SIGHUP from now on.
    ///
    /// # Errors
    ///
    /// The system does not let the process handle signals.
    pub fn install() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one. Those that came in the meantime count as one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

async fn heed(
    mut terminate: Signal,
    mut interrupt: Signal,
    drain: CancellationToken,
    leave: CancellationToken,
) {
    let name = either(&mut terminate, &mut interrupt).await;
    tracing::info!(signal = name, "Draining: finishing what runs, starting nothing new");
    drain.cancel();
    let name = either(&mut terminate, &mut interrupt).await;
    tracing::warn!(signal = name, "Second signal: leaving at once");
    leave.cancel();
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn send(signal: &str) {
        let status = Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_leaves() {
        let shutdown = Shutdown::install().unwrap().grace(Duration::from_secs(3600));
        assert!(!shutdown.drain.is_cancelled());
        send("-TERM");
        tokio::time::timeout(PATIENCE, shutdown.drain.cancelled()).await.unwrap();
        assert!(!shutdown.leave.is_cancelled());
        send("-INT");
        tokio::time::timeout(PATIENCE, shutdown.leave.cancelled()).await.unwrap();
    }

    #[tokio::test]
    async fn the_grace_period_ends_the_drain() {
        let shutdown = Shutdown::unattended().grace(Duration::from_millis(10));
        shutdown.drain.cancel();
        tokio::time::timeout(PATIENCE, shutdown.leave.cancelled()).await.unwrap();
    }
}
