// SPDX-License-Identifier: GPL-3.0-or-later
//! `serve`: bind, say "ready", work, drain. Beside the work it heeds SIGHUP.

use super::{CliError, connect};
use crate::{Worker, check, config::Config, farm::Farm, memory::Memory, status};
use std::{path::PathBuf, sync::Arc};
use thundergate_common::{
    admin::{Access, Admin, Ready, Site, backend::Backend},
    config::origin,
    hub::redis::RedisHub,
    metrics,
    reload::Reload,
    service,
    shutdown::{Hangups, Shutdown},
    sockets::Passed,
    telemetry::{self, Control},
    traces,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What SIGHUP changes.
const LIVE: [&str; 13] = [
    "farm.",
    "admin.token_file",
    "admin.tokens_file",
    "admin.cert_file",
    "admin.key_file",
    "log.level",
    "redis.username",
    "redis.password_file",
    "redis.sentinel_username",
    "redis.sentinel_password_file",
    "redis.ca_file",
    "redis.cert_file",
    "redis.key_file",
];

/// Works until the drain is over. `file` is the one that the command line names.
pub(super) async fn serve(config: &Config, file: Option<PathBuf>) -> Result<(), CliError> {
    let passed = Passed::take().map_err(anyhow::Error::from)?;
    let logs = telemetry::init(&config.log).map_err(anyhow::Error::from)?;
    let _traces = traces::init(&config.traces, "thundergate-worker").map_err(anyhow::Error::from)?;
    let shutdown = Shutdown::install().map_err(anyhow::Error::from)?.grace(config.grace);
    let hangups = Hangups::install().map_err(anyhow::Error::from)?;
    if let Some(advice) = check::needs(config).provide()?.advice {
        tracing::warn!(event = "descriptors", "{advice}");
    }
    if !passed.mail.is_empty() {
        tracing::warn!("systemd passed on sockets that are not named `admin`: a worker has no use for them");
    }
    let admin = Admin::bind(&config.admin, passed.admin).await.map_err(anyhow::Error::from)?;
    let hub = connect(config).await?;
    let redis = hub.clone();
    let mut registry = metrics::registry("thundergate-worker");
    let memory = Memory::of(config.limits.memory_bytes);
    let (farm, queue) = (&config.farm, &config.queue);
    let worker = Worker::new(hub.clone(), hub.clone(), farm, queue, memory, &config.open, &mut registry)?
        .overseeing(&config.canary);

    say_ready(config, admin.as_ref());
    let mut tasks = JoinSet::new();
    let ended = CancellationToken::new();
    let access = admin.as_ref().map(Admin::access);
    let checker = check::Service::new(config.clone());
    if let Some(admin) = admin {
        let farm = worker.farm();
        let site = Site {
            registry: Arc::new(registry),
            ready: ready(&worker, &shutdown),
            subject: status::subject(hub.clone(), worker.farm()),
            backend: Backend {
                hub: Some(hub),
                farm: Some(Arc::new(move || farm.reports())),
                checker: Some(checker.clone()),
                elsewhere: None,
            },
            journal: Some(Arc::new(logs.control())),
        };
        tasks.spawn(admin.serve(site, ended.clone()));
    }
    tasks.spawn(say_stopping(shutdown.drain.clone()));
    let live = Live { access, checker, farm: worker.farm(), redis, log: logs.control() };
    let reload = reload(config.clone(), file, live, hangups);
    let drain = shutdown.drain.clone();
    tasks.spawn(async move { drain.run_until_cancelled(reload).await.unwrap_or_default() });
    let alive = ended.clone();
    tasks.spawn(async move { alive.run_until_cancelled(service::keep_alive()).await.unwrap_or_default() });
    worker.run(shutdown.drain.clone(), shutdown.leave.clone()).await;
    ended.cancel();
    // Ended by something else than the drain, it would wait for ever.
    shutdown.drain.cancel();
    while tasks.join_next().await.is_some() {}
    tracing::info!("The worker has ended");
    Ok(())
}

fn say_ready(config: &Config, admin: Option<&Admin>) {
    let file = origin(config.file.as_deref());
    let instances: Vec<String> = config.farm.instances.iter().map(|instance| instance.name()).collect();
    let address = admin.and_then(Admin::address).map(|address| address.to_string());
    let sockets = admin.map(Admin::socket_names).unwrap_or_default();
    tracing::info!(
        event = "ready",
        config.file = file,
        admin = address.clone().unwrap_or_default(),
        admin.socket = sockets,
        redis.url = config.redis.url.redacted().join(","),
        farm.instances = instances.join(","),
        version = env!("CARGO_PKG_VERSION"),
        "The worker is ready"
    );
    let line = serde_json::json!({ "admin": address, "admin.socket": sockets, "config.file": file });
    telemetry::ready_beside_the_log(&config.log, line);
    service::ready();
}

/// What changes while the worker runs.
struct Live {
    access: Option<Arc<Access>>,
    checker: Arc<check::Service>,
    farm: Arc<Farm>,
    redis: Arc<RedisHub>,
    log: Control,
}

async fn reload(started: Config, file: Option<PathBuf>, live: Live, hangups: Hangups) {
    let load = || Config::load(file.as_deref());
    let apply = |config: &Config| {
        live.access.as_ref().map_or(Ok(()), |access| access.reread(&config.admin))?;
        live.farm.reconfigure(&config.farm)?;
        live.log.set_level(&config.log.level)?;
        live.redis.log_in_as(&config.redis);
        live.checker.reconfigure(config);
        Ok(())
    };
    Reload { live: &LIVE, log: live.log.clone(), load, apply }.heed(started, hangups).await;
}

async fn say_stopping(drain: CancellationToken) {
    drain.cancelled().await;
    service::stopping();
}

fn ready(worker: &Worker, shutdown: &Shutdown) -> Ready {
    let (healthy, drain) = (worker.health(), shutdown.drain.clone());
    Arc::new(move || if drain.is_cancelled() { Err("draining".to_owned()) } else { healthy() })
}
