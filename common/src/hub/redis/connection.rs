// SPDX-License-Identifier: GPL-3.0-or-later
//! A connection that is there when it is needed. The first command has it made, a command that finds it broken has it
//! made again. Making it goes on beside the commands, for `redis.connect_timeout`: over a slow line that takes several
//! round trips, more than a command may (`redis.timeout`). After a failed attempt there is a growing, jittered pause;
//! commands fail at once meanwhile, with what went wrong.
//!
//! What is sent is chains of steps: the steps of a chain happen in order, chains are independent. To one server all of
//! them are one pipeline, one round trip; to a cluster every chain goes to its nodes by itself, a step after the other, so
//! there each step has the time of a command.

use super::{
    entrance::Entrance,
    error::{hub_error, timed_out},
    scripts::{SCRIPTS, Step},
    target::Wire,
};
use crate::hub::HubError;
use futures_util::future::join_all;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tracing::warn;

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The pause after the first failed attempt.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// Once a connection was lost, a command waits for the next one such a part of its time: who asks has other ways.
const WAITING_SHARE: u32 = 4;

/// What the steps of one chain gave.
pub(super) type Outcomes = Vec<RedisResult<Value>>;

/// A connection that comes back by itself.
pub(super) struct Connection {
    entrance: Arc<Entrance>,
    patience: Duration,
    state: watch::Sender<State>,
    /// The attempt under way, which outlives the command that began it, and ends with the connection.
    attempts: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    link: Link,
    /// Counts connections, so that who finds one broken does not drop its successor.
    generation: u64,
    pause: Pause,
}

/// How a connection stands.
enum Link {
    /// There is none; after a failure there will be none before a moment.
    Down(Option<(RedisError, Instant)>),
    /// It is being made, since a moment; why there was none before.
    Connecting(Instant, Option<RedisError>),
    Up(Wire),
}

impl Default for Link {
    fn default() -> Self {
        Self::Down(None)
    }
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
    /// A connection through `entrance` whose commands take `patience` at most.
    pub(super) fn new(entrance: Arc<Entrance>, patience: Duration) -> Self {
        Self { entrance, patience, state: watch::Sender::default(), attempts: Mutex::default() }
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
        let rounds = if self.entrance.is_cluster() { chains.iter().map(Vec::len).max() } else { None };
        let patience = self.patience * u32::try_from(rounds.unwrap_or(1)).unwrap_or(1).max(1);
        let patience = patience + Duration::from_millis(bytes / SLOWEST_BYTES_PER_MS);
        // Boxed: every call of the hub holds this future, and the Redis client's are large.
        Box::pin(self.attempt(&chains, patience)).await
    }

    /// All calls may be repeated, so one that finds its connection broken (the server was restarted) tries a new one.
    async fn attempt(&self, chains: &[Vec<Step>], patience: Duration) -> Result<Vec<Outcomes>, HubError> {
        let mut deadline = None;
        loop {
            let (mut wire, generation) = self.wire().await.map_err(hub_error)?;
            let again = deadline.is_none();
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
            let Ok(outcome) = timeout_at(deadline, wire.run(chains)).await else {
                self.drop_wire(generation, late());
                return Err(timed_out());
            };
            if let Some(error) = fault_of(&outcome) {
                self.drop_wire(generation, error);
            }
            match outcome {
                Err(error) if again && error.is_connection_dropped() => {}
                outcome => return outcome.map_err(hub_error),
            }
        }
    }

    /// The connection, once it is there. The first one may take its time; who has lost one is told soon.
    async fn wire(&self) -> RedisResult<(Wire, u64)> {
        let mut changes = self.state.subscribe();
        loop {
            let until = match self.look() {
                Look::Up(wire, generation) => return Ok((wire, generation)),
                Look::Down(error) => return Err(error),
                Look::Connecting(until, lost) => (until, lost),
            };
            let (until, lost) = until;
            if timeout_at(until, changes.changed()).await.is_err() {
                return Err(lost.unwrap_or_else(late));
            }
        }
    }

    /// How it stands; where nothing is under way and nothing speaks against it, it is being made from now on.
    fn look(&self) -> Look {
        let now = Instant::now();
        let mut found = Look::Down(late());
        let begun = self.state.send_if_modified(|state| {
            let lost = match &state.link {
                Link::Up(wire) => {
                    found = Look::Up(wire.clone(), state.generation);
                    return false;
                }
                Link::Connecting(since, lost) => {
                    found = self.connecting(*since, lost.clone());
                    return false;
                }
                Link::Down(Some((error, until))) if now < *until => {
                    found = Look::Down(error.clone());
                    return false;
                }
                Link::Down(failure) => failure.as_ref().map(|(error, _)| error.clone()),
            };
            found = self.connecting(now, lost.clone());
            state.link = Link::Connecting(now, lost);
            true
        });
        if begun {
            self.begin();
        }
        found
    }

    fn connecting(&self, since: Instant, lost: Option<RedisError>) -> Look {
        let patience =
            if lost.is_some() { self.patience / WAITING_SHARE } else { self.entrance.connect_timeout() };
        Look::Connecting(since + patience, lost)
    }

    /// Begins to connect, beside whoever waits.
    fn begin(&self) {
        let (entrance, state, patience) = (Arc::clone(&self.entrance), self.state.clone(), self.patience);
        self.spawn(async move {
            let outcome = opened_in_time(&entrance, patience).await;
            state.send_modify(|state| state.settle(outcome));
        });
    }

    /// Makes a new connection in the place of the one that is there, since who logs in may have changed. That one goes on
    /// until the new one is there, and where it is refused.
    pub(super) fn renew(&self) {
        if !matches!(self.state.borrow().link, Link::Up(_)) {
            return;
        }
        let (entrance, state, patience) = (Arc::clone(&self.entrance), self.state.clone(), self.patience);
        self.spawn(async move {
            match opened_in_time(&entrance, patience).await {
                Ok(wire) => state.send_modify(|state| state.settle(Ok(wire))),
                Err(error) => warn!(
                    event = "login_refused",
                    error = &error as &(dyn std::error::Error + 'static),
                    "Redis does not let this process in as [redis] says now; the connections that are open go on"
                ),
            }
        });
    }

    fn spawn(&self, attempt: impl Future<Output = ()> + Send + 'static) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        while attempts.try_join_next().is_some() {}
        attempts.spawn(attempt);
    }

    fn drop_wire(&self, generation: u64, error: RedisError) {
        self.state.send_if_modified(|state| {
            let is_it = state.generation == generation && matches!(state.link, Link::Up(_));
            if is_it {
                state.link = Link::Down(Some((error, Instant::now())));
            }
            is_it
        });
    }
}

/// What a command finds.
enum Look {
    Up(Wire, u64),
    /// Worth waiting for until a moment; why the one before was lost.
    Connecting(Instant, Option<RedisError>),
    Down(RedisError),
}

impl State {
    /// An attempt has ended.
    fn settle(&mut self, outcome: RedisResult<Wire>) {
        self.link = match outcome {
            Ok(wire) => {
                self.pause.reset();
                self.generation += 1;
                Link::Up(wire)
            }
            Err(error) => Link::Down(Some((error, Instant::now() + self.pause.next()))),
        };
    }
}

async fn opened_in_time(entrance: &Entrance, patience: Duration) -> RedisResult<Wire> {
    let slow = |_| Err((ErrorKind::Io, "connecting took longer than redis.connect_timeout").into());
    timeout(entrance.connect_timeout(), open(entrance, patience)).await.unwrap_or_else(slow)
}

/// A new connection that knows all scripts.
pub(super) async fn open(entrance: &Entrance, patience: Duration) -> RedisResult<Wire> {
    let mut wire = entrance.connect(patience).await?;
    if let Wire::Server(_) = wire {
        let outcomes = wire.run(&[SCRIPTS.loading()]).await?;
        // Where nobody logged in, each command would say so; here it is said with what has to be done.
        if let Some(Err(error)) = outcomes.into_iter().flatten().next()
            && error.code() == Some("NOAUTH")
        {
            return Err(entrance.explained(error));
        }
    }
    Ok(wire)
}

fn late() -> RedisError {
    (ErrorKind::Io, "no answer in time").into()
}

/// Why the connection, or the server behind it, has to be looked for anew; none where it serves.
fn fault_of(outcome: &RedisResult<Vec<Outcomes>>) -> Option<RedisError> {
    let demoted = |error: &RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
    match outcome {
        Err(error) => {
            let broken = error.is_unrecoverable_error() || error.is_timeout() || demoted(error);
            broken.then(|| error.clone())
        }
        Ok(chains) => {
            let errors = chains.iter().flatten().filter_map(|step| step.as_ref().err());
            errors.into_iter().find(|error| demoted(error)).cloned()
        }
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
