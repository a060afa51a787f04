// SPDX-License-Identifier: GPL-3.0-or-later
//! `serve`: bind everything, then run, then drain.
//!
//! The drain goes from the front to the back: no new messages; open ones are decided, with the scanner inside still
//! scanning for them; then the scanner finishes, records are written, the admin server goes last.

use crate::{
    check,
    command::{
        assembly::Assembly,
        reload::{self, Live},
    },
    config::Config,
    front::milter::{self, Connections},
};
use anyhow::Context;
use prometheus_client::registry::Registry;
use std::{net::SocketAddr, sync::Arc};
use thundergate_common::{
    admin::{Admin, Site, audit::Journal, backend::Backend},
    config::origin,
    metrics, service,
    shutdown::Shutdown,
    telemetry,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use thundergate_common::sockets::Passed;

/// A milter whose sockets are bound.
pub struct Server {
    assembly: Assembly,
    registry: Registry,
    acceptor: milter::Acceptor,
    connections: Arc<Connections>,
    addresses: Vec<String>,
    admin: Option<Admin>,
    config: Config,
    reload: Option<reload::Source>,
}

impl Server {
    /// Binds what `config` says, but where MTAs connect if that was `passed` on; nothing is accepted yet.
    pub async fn bind(config: &Config, passed: Passed) -> anyhow::Result<Self> {
        let mut registry = metrics::registry("thundergate-milter");
        let provided = check::needs(config).provide()?;
        if let Some(advice) = &provided.advice {
            tracing::warn!(event = "descriptors", "{advice}");
        }
        let connections = Connections::new(config.limits.connections, provided.connections, &mut registry);
        let assembly = Assembly::new(config, &mut registry).await?.overseeing(config);
        let acceptor = milter::Acceptor::bind(&config.listen, config.socket_mode.0, passed.mail).await?;
        Ok(Self {
            assembly,
            registry,
            addresses: acceptor.addresses().context("cannot tell where the milter listens")?,
            acceptor,
            connections: Arc::new(connections),
            admin: Admin::bind(&config.admin, passed.admin).await?,
            config: config.clone(),
            reload: None,
        })
    }

    /// While it runs it reads its configuration again whenever `source` wants it to.
    #[must_use]
    pub fn reloading(mut self, source: reload::Source) -> Self {
        self.reload = Some(source);
        self
    }

    /// Where MTAs connect, in Postfix's spelling.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(Admin::address)
    }

    /// Serves MTAs until `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        self.say_ready();
        let (scanners, subject) = (self.assembly.scanners(), self.assembly.subject());
        let redis = self.assembly.redis();
        let checker = check::Service::new(self.config.clone(), self.addresses.clone());
        let backend = Backend { checker: Some(checker.clone()), ..self.assembly.backend() };
        let journal = self.reload.as_ref().map(|source| Arc::new(source.log.clone()) as Arc<dyn Journal>);
        let access = self.admin.as_ref().map(Admin::access);
        let (gate, running) = self.assembly.start(shutdown.leave.clone());
        let (gates, current) = watch::channel(gate);
        let connections = self.connections;
        let live = Live { gates, connections: Arc::clone(&connections), scanners, redis, access, checker };
        let (source, config, drain) = (self.reload, self.config, shutdown.drain.clone());
        let reload = async {
            if let Some(source) = source {
                drain.run_until_cancelled(reload::heed(source, config, live)).await;
            }
        };
        let admin_stop = CancellationToken::new();
        let (inside, heard) = (running.readiness(), Arc::clone(&connections));
        let ready = Arc::new(move || inside().and_then(|()| heard.ready()));
        let site = Site { registry: Arc::new(self.registry), ready, subject, backend, journal };
        let serve_admin = async {
            if let Some(admin) = self.admin {
                admin.serve(site, admin_stop.clone()).await;
            }
        };
        let serve_mail = async {
            let (drain, leave) = (shutdown.drain.clone(), shutdown.leave.clone());
            milter::serve(self.acceptor, current, connections, drain, leave).await;
            running.stop().await;
            admin_stop.cancel();
        };
        let alive = async { admin_stop.run_until_cancelled(service::keep_alive()).await };
        tokio::join!(serve_mail, serve_admin, reload, alive);
        tracing::info!(event = "stopped", "Stopped");
    }

    fn say_ready(&self) {
        let admin = self.admin_address().map(|address| address.to_string());
        let sockets = self.admin.as_ref().map(Admin::socket_names).unwrap_or_default();
        let file = origin(self.config.file.as_deref());
        tracing::info!(
            event = "ready",
            config.file = file,
            listen.json = serde_json::json!(self.addresses).to_string(),
            admin,
            admin.socket = sockets,
            version = env!("CARGO_PKG_VERSION"),
            hub = if self.config.redis.is_some() { "redis" } else { "in-process" },
            "Ready"
        );
        telemetry::ready_beside_the_log(
            &self.config.log,
            serde_json::json!({
                "listen": self.addresses, "admin": admin, "admin.socket": sockets, "config.file": file,
            }),
        );
        service::ready();
    }
}
