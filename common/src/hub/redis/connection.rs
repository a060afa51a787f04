// SPDX-License-Identifier: GPL-3.0-or-later
//! A connection that is there when it is needed. Opened by the first command, dropped when it breaks or does not
//! answer in time, opened again by a later command; after a failed attempt commands fail at once, until a growing,
//! jittered pause is over. No call waits longer than the connection's patience.
//!
//! What is sent is chains of steps: the steps of a chain happen in order, chains are independent. To one server all of
//! them are one pipeline, one round trip; to a cluster every chain goes to its nodes by itself.

use super::{
    error::{hub_error, timed_out},
    scripts::{SCRIPTS, Step},
    target::{Target, Wire},
};
use crate::hub::HubError;
use futures_util::future::join_all;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The pause after the first failed attempt.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// What the steps of one chain gave.
pub(super) type Outcomes = Vec<RedisResult<Value>>;

/// A connection that comes back by itself.
pub(super) struct Connection {
    target: Arc<Target>,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wire: Option<Wire>,
    /// Counts connections, so that who finds one broken does not drop its successor.
    generation: u64,
    pause: Pause,
    not_before: Option<Instant>,
}

/// Growing, jittered pauses between attempts.
#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
}

impl Pause {
    /// The next one: 50 ms doubled up to 2 s, of which between half and all.
    pub(super) fn next(&mut self) -> Duration {
        let full = SHORTEST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// After a success the next pause is short again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A line on which samples are carried is no slower: 2 MB/s, since several share it.
const SLOWEST_BYTES_PER_MS: u64 = 2000;

impl Connection {
    /// A connection to `target` whose calls take `patience` at most.
    pub(super) fn new(target: Arc<Target>, patience: Duration) -> Self {
        Self { target, patience, state: Mutex::default() }
    }

    /// Runs one step.
    pub(super) async fn one(&self, step: impl Into<Step>) -> Result<Value, HubError> {
        let mut outcomes = self.run(vec![vec![step.into()]]).await?;
        outcomes.pop().and_then(|mut chain| chain.pop()).unwrap_or(Ok(Value::Nil)).map_err(hub_error)
    }

    /// Runs independent steps.
    pub(super) async fn each(&self, steps: Vec<Step>) -> Result<Outcomes, HubError> {
        let chains = steps.into_iter().map(|step| vec![step]).collect();
        Ok(self.run(chains).await?.into_iter().flatten().collect())
    }

    /// Runs chains. An error here concerns all of them; a step's own error is its outcome.
    pub(super) async fn run(&self, chains: Vec<Vec<Step>>) -> Result<Vec<Outcomes>, HubError> {
        self.carry(chains, 0).await
    }

    /// Runs chains that carry so many bytes, there or back, and may take as much longer.
    pub(super) async fn carry(&self, chains: Vec<Vec<Step>>, bytes: u64) -> Result<Vec<Outcomes>, HubError> {
        // The client refuses an empty pipeline.
        if chains.is_empty() {
            return Ok(Vec::new());
        }
        let mut generation = 0;
        let patience = self.patience + Duration::from_millis(bytes / SLOWEST_BYTES_PER_MS);
        // Boxed: every call of the hub holds this future, and the Redis client's are large.
        let attempt = Box::pin(self.attempt(&chains, &mut generation));
        let outcome = timeout(patience, attempt).await;
        match outcome {
            Ok(Ok(outcomes)) => Ok(outcomes),
            Ok(Err(error)) => Err(hub_error(error)),
            Err(_) => {
                self.drop_wire(generation).await;
                Err(timed_out())
            }
        }
    }

    /// All calls may be repeated, so one that finds its connection broken (the server was restarted) tries a new one.
    async fn attempt(&self, chains: &[Vec<Step>], generation: &mut u64) -> RedisResult<Vec<Outcomes>> {
        let mut again = true;
        loop {
            let (mut wire, current) = self.wire().await?;
            *generation = current;
            let outcome = wire.run(chains).await;
            match broken(&outcome) {
                false => return outcome,
                true => self.drop_wire(current).await,
            }
            let dropped = outcome.as_ref().is_err_and(RedisError::is_connection_dropped);
            if !(again && dropped) {
                return outcome;
            }
            again = false;
        }
    }

    async fn wire(&self) -> RedisResult<(Wire, u64)> {
        let mut state = self.state.lock().await;
        if let Some(wire) = &state.wire {
            return Ok((wire.clone(), state.generation));
        }
        if state.not_before.is_some_and(|moment| Instant::now() < moment) {
            return Err((ErrorKind::Io, "not connected, waiting before the next attempt").into());
        }
        // Half of the patience: who waits for this attempt must learn that it failed before its own time is over.
        match timeout(self.patience / 2, open(&self.target, self.patience)).await {
            Ok(Ok(wire)) => {
                state.pause.reset();
                state.generation += 1;
                state.wire = Some(wire.clone());
                Ok((wire, state.generation))
            }
            failed => {
                let pause = state.pause.next();
                state.not_before = Some(Instant::now() + pause);
                Err(failed.map_or_else(
                    |_| (ErrorKind::Io, "connecting took too long").into(),
                    |error| error.err().unwrap_or_else(|| (ErrorKind::Io, "not connected").into()),
                ))
            }
        }
    }

    async fn drop_wire(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.wire = None;
        }
    }
}

/// A new connection that knows all scripts.
pub(super) async fn open(target: &Target, patience: Duration) -> RedisResult<Wire> {
    let mut wire = target.connect(patience).await?;
    if let Wire::Server(_) = wire {
        wire.run(&[SCRIPTS.loading()]).await?;
    }
    Ok(wire)
}

/// Whether the connection, or the server behind it, has to be looked for anew.
fn broken(outcome: &RedisResult<Vec<Outcomes>>) -> bool {
    let demoted = |error: &RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
    match outcome {
        Err(error) => error.is_unrecoverable_error() || error.is_timeout() || demoted(error),
        Ok(chains) => chains.iter().flatten().any(|step| step.as_ref().is_err_and(demoted)),
    }
}

impl Wire {
    /// Runs chains on this connection.
    pub(super) async fn run(&mut self, chains: &[Vec<Step>]) -> RedisResult<Vec<Outcomes>> {
        match self {
            Self::Server(_) => self.pipeline(chains).await,
            Self::Cluster(_) => {
                let chains = chains.iter().map(|chain| self.clone().chain(chain));
                join_all(chains).await.into_iter().collect()
            }
        }
    }

    /// All steps in one round trip, and a second one for scripts that the server does not know.
    async fn pipeline(&mut self, chains: &[Vec<Step>]) -> RedisResult<Vec<Outcomes>> {
        let steps: Vec<&Step> = chains.iter().flatten().collect();
        let mut outcomes = self.send(steps.iter().map(|step| step.short())).await?;
        let unknown: Vec<usize> =
            (0..outcomes.len()).filter(|at| is_unknown_script(&outcomes[*at])).collect();
        if !unknown.is_empty() {
            // All of them, not just those: where some are known and others are not, the steps of a chain lose their order.
            self.send(SCRIPTS.loading().iter().map(Step::short)).await?;
            let again = self.send(unknown.iter().map(|at| steps[*at].short())).await?;
            for (at, outcome) in unknown.into_iter().zip(again) {
                outcomes[at] = outcome;
            }
        }
        let mut outcomes = outcomes.into_iter();
        Ok(chains.iter().map(|chain| outcomes.by_ref().take(chain.len()).collect()).collect())
    }

    async fn send(&mut self, commands: impl Iterator<Item = Cmd>) -> RedisResult<Outcomes> {
        let mut pipeline = Pipeline::new();
        commands.for_each(|command| _ = pipeline.add_command(command));
        pipeline.ignore_errors();
        match self {
            Self::Server(server) => pipeline.query_async(server).await,
            Self::Cluster(cluster) => pipeline.query_async(cluster).await,
        }
    }

    /// One step after the other, each to the node that its keys belong to.
    async fn chain(mut self, chain: &[Step]) -> RedisResult<Outcomes> {
        let mut outcomes = Vec::with_capacity(chain.len());
        for step in chain {
            let mut outcome = self.query(&step.short()).await;
            if is_unknown_script(&outcome) {
                outcome = self.query(&step.long()).await;
            }
            match outcome {
                Err(error) if !is_answer(&error) => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        Ok(outcomes)
    }

    /// Runs one command.
    pub(super) async fn query(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(server) => command.query_async(server).await,
            Self::Cluster(cluster) => command.query_async(cluster).await,
        }
    }
}

fn is_unknown_script(outcome: &RedisResult<Value>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

/// Whether the server itself said so, about this one command.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}
