// SPDX-License-Identifier: GPL-3.0-or-later
//! Puts the gate and what stands behind it together, for `serve` and `scan` alike.

use crate::{
    command::{
        desk::Desk,
        standalone::{Scanners, Standalone},
        status,
    },
    config::Config,
    inspect::{
        inspector::Gate,
        records::{Clerk, Recorder},
        resolve::Resolver,
        seats::Seats,
        shares::Shares,
    },
    observe::observer::Observer,
};
use prometheus_client::registry::Registry;
use std::{sync::Arc, time::Duration};
use thundergate_common::{
    admin::{backend::Backend, status::Subject},
    cache::VerdictCache,
    config::Farm,
    hub::{self, Trouble, redis::RedisHub},
    telemetry::process_name,
};
use thundergate_policy::Policy;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How often the hub is asked whether it is there, for `/ready`.
const PULSE: Duration = Duration::from_secs(1);

/// A gate and the tasks behind it.
pub(crate) struct Assembly {
    /// Inspects messages.
    pub gate: Arc<Gate>,
    watched: Arc<dyn hub::Observer>,
    redis: Option<Arc<RedisHub>>,
    standalone: Option<Standalone>,
    one_process: bool,
    desk: Desk,
    clerk: Option<Clerk>,
}

/// The tasks behind a gate while they run.
pub(crate) struct Running {
    tasks: JoinSet<()>,
    drain: CancellationToken,
    leave: CancellationToken,
    ready: watch::Receiver<Result<(), String>>,
}

impl Assembly {
    /// What `config` describes.
    pub(crate) async fn new(config: &Config, registry: &mut Registry) -> anyhow::Result<Self> {
        let observer = Arc::new(Observer::register(registry));
        let policy = Policy::compile(&config.policy)?;
        let one_process = config.redis.is_none();
        let standalone = match scanner_inside(config) {
            Some(farm) => {
                let open = config.open.clone().unwrap_or_default();
                Some(Standalone::new(farm, &config.queue, &config.cache, &open, registry)?)
            }
            None => None,
        };
        let inside = standalone.as_ref().map(Standalone::hub);
        let redis = match &config.redis {
            Some(redis) => {
                Some(RedisHub::connect(redis, &config.queue, &config.cache, process_name()).await?)
            }
            None => None,
        };
        let (hub, watched, direct): (Arc<dyn hub::Milter>, Arc<dyn hub::Observer>, _) = match (&redis, inside)
        {
            (Some(hub), inside) => {
                (hub.clone(), hub.clone(), inside.map(|inside| inside as Arc<dyn hub::Milter>))
            }
            (None, Some(inside)) => (inside.clone(), inside, None),
            (None, None) => anyhow::bail!("neither [redis] nor [farm] is configured: nobody could scan"),
        };
        let resolver = Resolver {
            cache: VerdictCache::new(&config.cache),
            hub: Arc::clone(&hub),
            direct,
            seats: Arc::new(Seats::new(config.wait.sessions)),
            deadline: config.wait.deadline,
            poll: config.wait.poll,
            observer: Arc::clone(&observer),
            shares: Shares::default(),
            outages: Arc::default(),
        };
        let (recorder, clerk) = Recorder::new(hub, Arc::clone(&observer));
        let gate = Arc::new(Gate::new(config.of_messages(), policy, resolver, recorder, observer));
        let desk = config.desk.clone();
        Ok(Self { gate, watched, redis, standalone, one_process, desk, clerk: Some(clerk) })
    }

    /// A process that serves looks after its scanners, where no worker does.
    pub(crate) fn overseeing(mut self, config: &Config) -> Self {
        if self.one_process {
            let canary = config.canary.clone().unwrap_or_default();
            self.standalone = self.standalone.map(|standalone| standalone.overseeing(&canary));
        }
        self
    }

    /// Its mail is no mail, and nothing is recorded of it.
    pub(crate) fn unrecorded(self) -> Self {
        Self { clerk: None, ..self }
    }

    /// Starts the tasks. They run until [`Running::stop`]; `leave` cuts that short.
    pub(crate) fn start(self, leave: CancellationToken) -> (Arc<Gate>, Running) {
        let mut tasks = JoinSet::new();
        let drain = CancellationToken::new();
        let (pulse, ready) = watch::channel(Err("starting".to_owned()));
        let scanner = self.standalone.as_ref().map(Standalone::health);
        let watched = Arc::clone(&self.gate);
        tasks.spawn(watch_pulse(watched, self.one_process, scanner, pulse, drain.clone()));
        if let Some(clerk) = self.clerk {
            tasks.spawn(clerk.run());
        }
        let hub = Arc::clone(&self.gate.resolver.hub);
        tasks.spawn(self.gate.believed.clone().watch(hub, drain.clone()));
        let (observer, ended) = (Arc::clone(&self.gate.observer), drain.clone());
        tasks.spawn(async move { observer.activity.remember(ended).await });
        if let Some(standalone) = self.standalone {
            tasks.spawn(standalone.run(drain.clone(), leave.clone()));
        }
        (self.gate, Running { tasks, drain, leave, ready })
    }
}

impl Assembly {
    /// What the admin server tells of it.
    pub(crate) fn subject(&self) -> Arc<dyn Subject> {
        status::subject(&self.gate, Arc::clone(&self.watched), self.one_process)
    }

    /// What stands behind the API: all of it in one process. In a cluster that is the workers'.
    pub(crate) fn backend(&self) -> Backend {
        match &self.standalone {
            Some(inside) if self.one_process => {
                Backend { hub: Some(inside.hub()), farm: Some(inside.reports()), ..Backend::default() }
            }
            _ => Backend { elsewhere: self.desk.elsewhere(), ..Backend::default() },
        }
    }

    /// The hub over Redis, if there is one, for logging in anew.
    pub(crate) fn redis(&self) -> Option<Arc<RedisHub>> {
        self.redis.clone()
    }

    /// The scanners of this process, if it has any, for changing them while it runs.
    pub(crate) fn scanners(&self) -> Option<Scanners> {
        self.standalone.as_ref().map(Standalone::scanners)
    }
}

impl Running {
    /// Says whether mail can be scanned now, and if not, why.
    pub(crate) fn readiness(&self) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
        let ready = self.ready.clone();
        move || ready.borrow().clone()
    }

    /// Ends the tasks: the scanner inside finishes what runs, records are written. The gate must be dropped before.
    pub(crate) async fn stop(mut self) {
        self.drain.cancel();
        let leave = self.leave.clone();
        tokio::select! {
            () = async { while self.tasks.join_next().await.is_some() {} } => {}
            () = leave.cancelled() => {}
        }
    }
}

/// The farm of the scanner inside this process, if there is to be one.
pub(crate) fn scanner_inside(config: &Config) -> Option<&Farm> {
    let wanted = config.redis.is_none() || config.fallback.direct;
    config.farm.as_ref().filter(|_| wanted)
}

async fn watch_pulse(
    gate: Arc<Gate>,
    one_process: bool,
    scanner: Option<impl Fn() -> Result<(), String> + Send>,
    pulse: watch::Sender<Result<(), String>>,
    drain: CancellationToken,
) {
    let hub = Arc::clone(&gate.resolver.hub);
    let beat = async {
        loop {
            let hub = heartbeat(&*hub, &gate).await;
            let state = match (hub, scanner.as_ref().map(|health| health())) {
                (_, Some(scanner)) if one_process => scanner,
                // Mail is scanned directly. A full Redis is told all the same: somebody must act.
                (Err(trouble), Some(Ok(()))) if !trouble.full => Ok(()),
                (hub, _) => hub.map_err(|trouble| trouble.reason),
            };
            pulse.send_if_modified(|known| {
                let changed = *known != state;
                *known = state;
                changed
            });
            let patience = if pulse.borrow().is_ok() { PULSE } else { PULSE / 5 };
            tokio::time::sleep(patience).await;
        }
    };
    let () = drain.run_until_cancelled(beat).await.unwrap_or_default();
}

/// Whether the hub answers, and takes what a milter writes.
async fn heartbeat(hub: &dyn hub::Milter, gate: &Gate) -> Result<(), Trouble> {
    let answer = hub.ping().await;
    gate.observer.metrics.hub_is_up(answer.is_ok());
    gate.resolver.outages.absence.note(&answer);
    hub.probe().await
}
