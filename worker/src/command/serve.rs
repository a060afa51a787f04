// SPDX-License-Identifier: GPL-3.0-or-later
//! `serve`: bind, say "ready", work, drain. Beside the work it heeds SIGHUP.

use super::{CliError, connect};
use crate::{Worker, config::Config, farm::Farm, memory::Memory, status};
use std::{path::PathBuf, sync::Arc};
use thundergate_common::{
    admin::{Admin, Ready},
    config::origin,
    descriptors::Needs,
    hub::redis::RedisHub,
    metrics,
    reload::Reload,
    service,
    shutdown::{Hangups, Shutdown},
    telemetry::{self, Control},
    traces,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What SIGHUP changes.
const LIVE: [&str; 9] = [
    "farm.",
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
    let logs = telemetry::init(&config.log).map_err(anyhow::Error::from)?;
    let _traces = traces::init(&config.traces, "thundergate-worker").map_err(anyhow::Error::from)?;
    let shutdown = Shutdown::install().map_err(anyhow::Error::from)?.grace(config.grace);
    let hangups = Hangups::install().map_err(anyhow::Error::from)?;
    if let Some(advice) = needs(config).provide()?.advice {
        tracing::warn!(event = "descriptors", "{advice}");
    }
    let admin = Admin::bind(&config.admin).await.map_err(anyhow::Error::from)?;
    let hub = connect(config).await?;
    let redis = hub.clone();
    let mut registry = metrics::registry("thundergate-worker");
    let memory = Memory::of(config.limits.memory_bytes);
    let worker = Worker::new(hub.clone(), hub.clone(), &config.farm, &config.queue, memory, &mut registry)?
        .overseeing(&config.canary);

    say_ready(config, admin.as_ref());
    let mut tasks = JoinSet::new();
    let ended = CancellationToken::new();
    if let Some(admin) = admin {
        let (ready, subject) = (ready(&worker, &shutdown), status::subject(hub, worker.farm()));
        tasks.spawn(admin.serve(Arc::new(registry), ready, subject, ended.clone()));
    }
    tasks.spawn(say_stopping(shutdown.drain.clone()));
    let live = (worker.farm(), redis, logs.control());
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

/// What a worker with this configuration may need to have open.
pub(crate) fn needs(config: &Config) -> Needs {
    Needs::of(0, Some(&config.farm))
}

fn say_ready(config: &Config, admin: Option<&Admin>) {
    let file = origin(config.file.as_deref());
    let instances: Vec<String> = config.farm.instances.iter().map(|instance| instance.name()).collect();
    tracing::info!(
        event = "ready",
        config.file = file,
        admin = admin.map(|admin| admin.address().to_string()).unwrap_or_default(),
        redis.url = config.redis.url.redacted().join(","),
        farm.instances = instances.join(","),
        version = env!("CARGO_PKG_VERSION"),
        "The worker is ready"
    );
    let admin = admin.map(|admin| admin.address().to_string());
    telemetry::ready_beside_the_log(&config.log, serde_json::json!({ "admin": admin, "config.file": file }));
    service::ready();
}

async fn reload(
    started: Config,
    file: Option<PathBuf>,
    (farm, redis, log): (Arc<Farm>, Arc<RedisHub>, Control),
    hangups: Hangups,
) {
    let load = || Config::load(file.as_deref());
    let apply = |config: &Config| {
        farm.reconfigure(&config.farm)?;
        log.set_level(&config.log.level)?;
        redis.log_in_as(&config.redis);
        Ok(())
    };
    Reload { live: &LIVE, log: log.clone(), load, apply }.heed(started, hangups).await;
}

async fn say_stopping(drain: CancellationToken) {
    drain.cancelled().await;
    service::stopping();
}

fn ready(worker: &Worker, shutdown: &Shutdown) -> Ready {
    let (healthy, drain) = (worker.health(), shutdown.drain.clone());
    Arc::new(move || if drain.is_cancelled() { Err("draining".to_owned()) } else { healthy() })
}
