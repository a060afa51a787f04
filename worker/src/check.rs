// SPDX-License-Identifier: GPL-3.0-or-later
//! What a worker finds wrong with what it needs, for `check --connect` and for the API of a worker that runs.

pub mod scanners;

use crate::config::Config;
use futures_util::future::{BoxFuture, FutureExt as _};
use std::sync::{Arc, Mutex, PoisonError};
use thundergate_common::{
    api::check::{Checker, Finding, Report, Wanted},
    check::{
        files::{self, Named},
        listening, machine,
        visit::in_time,
    },
    config::Farm,
    descriptors::Needs,
    hub::redis::{
        Redis,
        inspect::{Inspection, Role},
    },
};

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// The program that serves: it listens at its addresses itself.
    Service,
    /// The command line, beside it or before its start.
    CommandLine,
}

/// What a worker that runs needs, for its API.
pub struct Service(Mutex<Config>);

impl Service {
    /// Of a worker that runs with `config`.
    pub fn new(config: Config) -> Arc<Self> {
        Arc::new(Self(Mutex::new(config)))
    }

    /// From now on it runs with `config`.
    pub fn reconfigure(&self, config: &Config) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config.clone();
    }
}

impl Checker for Service {
    fn check(&self, wanted: Wanted) -> BoxFuture<'_, Report> {
        let config = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move { Looking { config: &config, from: From::Service }.look(wanted).await }.boxed()
    }
}

/// All that `config` needs, as the command line finds it.
pub async fn report(config: &Config, wanted: Wanted) -> Report {
    Looking { config, from: From::CommandLine }.look(wanted).await
}

struct Looking<'a> {
    config: &'a Config,
    from: From,
}

impl Looking<'_> {
    async fn look(&self, wanted: Wanted) -> Report {
        let Config { redis, queue, cache, farm, canary, .. } = self.config;
        let inspection = Inspection { redis, queue, cache, role: Role::Worker };
        let (redis, scanners) = tokio::join!(
            in_time("redis.url", inspection.findings()),
            scanners::of_farm(farm, canary, wanted)
        );
        let mut findings = self.of_this_host().await;
        findings.extend(redis);
        findings.extend(scanners);
        Report::of("worker", findings)
    }

    async fn of_this_host(&self) -> Vec<Finding> {
        let config = self.config;
        let named = of_redis(&config.redis).into_iter().chain(of_farm(&config.farm));
        let named = named.chain(files::of_admin(&config.admin));
        let mut findings: Vec<Finding> = named.map(|named| named.look()).collect();
        findings.push(files::log(&config.log));
        if self.from == From::CommandLine {
            findings.extend(listening::admin(&config.admin).await);
        }
        findings.push(machine::descriptors(needs(config)));
        findings.extend(machine::advice("redis.secret_file", config.redis.advice()));
        findings.extend(machine::advice("admin.token_file", config.admin.advice()));
        findings
    }
}

/// The files that `[redis]` names.
pub fn of_redis(redis: &Redis) -> Vec<Named<'_>> {
    [
        Named::secret("redis.password_file", redis.password_file.as_deref()),
        Named::secret("redis.sentinel_password_file", redis.sentinel_password_file.as_deref()),
        Named::secret("redis.secret_file", redis.secret_file.as_deref()),
        Named::public("redis.ca_file", redis.ca_file.as_deref()),
        Named::public("redis.cert_file", redis.cert_file.as_deref()),
        Named::secret("redis.key_file", redis.key_file.as_deref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The files that `[farm]` names.
pub fn of_farm(farm: &Farm) -> Vec<Named<'_>> {
    let passwords = farm.instances.iter().map(|instance| instance.password_file.as_deref());
    let passwords = passwords.map(|file| Named::secret("farm.instances.password_file", file));
    [
        Named::public("farm.ca_file", farm.ca_file.as_deref()),
        Named::public("farm.cert_file", farm.cert_file.as_deref()),
        Named::secret("farm.key_file", farm.key_file.as_deref()),
    ]
    .into_iter()
    .chain(passwords)
    .flatten()
    .collect()
}

/// What a worker with this configuration may need to have open.
pub(crate) fn needs(config: &Config) -> Needs {
    Needs::of(0, Some(&config.farm))
}
