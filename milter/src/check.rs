// SPDX-License-Identifier: GPL-3.0-or-later
//! What a milter finds wrong with what it needs, for `check --connect` and for the API of a milter that runs: what a worker
//! needs as well ([`thundergate_worker::check`]), and
//!
//! | file | owns |
//! |---|---|
//! | [`listening`] | where MTAs connect |
//! | [`postfix`] | what the Postfix of this host says of its milters |

mod listening;
mod postfix;

use crate::{command::assembly::scanner_inside, config::Config};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use thundergate_common::{
    api::check::{Checker, Finding, Report, Wanted},
    check::{
        files::{self, Named},
        listening as admin, machine,
        visit::in_time,
    },
    descriptors::Needs,
    hub::redis::{
        Redis,
        inspect::{Inspection, Role},
    },
};
use thundergate_worker::check as worker;

/// What a milter that runs needs, for its API.
pub struct Service {
    config: Mutex<Config>,
    addresses: Vec<String>,
}

impl Service {
    /// Of a milter that runs with `config`, at these addresses.
    pub fn new(config: Config, addresses: Vec<String>) -> Arc<Self> {
        Arc::new(Self { config: Mutex::new(config), addresses })
    }

    /// From now on it runs with `config`.
    pub fn reconfigure(&self, config: &Config) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config.clone();
    }
}

impl Checker for Service {
    fn check(&self, wanted: Wanted) -> BoxFuture<'_, Report> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let addresses = Some(self.addresses.as_slice());
        async move { Looking { config: &config, addresses }.look(wanted).await }.boxed()
    }
}

/// All that `config` needs, as the command line finds it.
pub async fn report(config: &Config, wanted: Wanted) -> Report {
    Looking { config, addresses: None }.look(wanted).await
}

struct Looking<'a> {
    config: &'a Config,
    /// Where the milter that looks listens; none where it is the command line.
    addresses: Option<&'a [String]>,
}

impl Looking<'_> {
    async fn look(&self, wanted: Wanted) -> Report {
        let config = self.config;
        let (redis, scanners, listening, postfix) = tokio::join!(
            in_time("redis.url", self.of_redis()),
            self.of_scanners(wanted),
            in_time("listen", self.of_listening()),
            in_time("main.cf", postfix::of_host(config, self.addresses))
        );
        let mut findings = self.of_this_host();
        findings.extend(listening);
        findings.extend(redis);
        findings.extend(scanners);
        findings.extend(postfix);
        Report::of("milter", findings)
    }

    async fn of_redis(&self) -> Vec<Finding> {
        let Config { redis, queue, cache, .. } = self.config;
        match redis {
            Some(redis) => Inspection { redis, queue, cache, role: Role::Milter }.findings().await,
            None => Vec::new(),
        }
    }

    async fn of_scanners(&self, wanted: Wanted) -> Vec<Finding> {
        let canary = self.config.canary.clone().unwrap_or_default();
        match scanner_inside(self.config) {
            Some(farm) => worker::scanners::of_farm(farm, &canary, wanted).await,
            None => Vec::new(),
        }
    }

    async fn of_listening(&self) -> Vec<Finding> {
        if let Some(addresses) = self.addresses {
            return vec![Finding::ok("listen", format!("listens at {}", addresses.join(", ")))];
        }
        let mut findings = listening::of_config(self.config).await;
        findings.extend(admin::admin(&self.config.admin).await);
        findings
    }

    fn of_this_host(&self) -> Vec<Finding> {
        let config = self.config;
        let redis = config.redis.iter().flat_map(worker::of_redis);
        let farm = scanner_inside(config).into_iter().flat_map(worker::of_farm);
        let canary = config.canary.as_ref().map(|canary| canary.file.as_path());
        let canary = canary.filter(|file| *file != Path::new(""));
        let others = files::of_admin(&config.admin).into_iter().chain(Named::public("canary.file", canary));
        let named = redis.chain(farm).chain(others);
        let mut findings: Vec<Finding> = named.map(|named| named.look()).collect();
        findings.push(files::log(&config.log));
        findings.push(machine::descriptors(needs(config)));
        let advice = config.redis.as_ref().and_then(Redis::advice);
        findings.extend(machine::advice("redis.secret_file", advice));
        findings.extend(machine::advice("admin.token_file", config.admin.advice()));
        findings
    }
}

/// What a milter with this configuration may need to have open.
pub(crate) fn needs(config: &Config) -> Needs {
    Needs::of(config.limits.connections, scanner_inside(config))
}
