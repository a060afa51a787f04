// SPDX-License-Identifier: GPL-3.0-or-later
//! How this process gets in to Redis. The files that `[redis]` names are read again for each new connection, so that a
//! password or a certificate that was exchanged is used without a restart. Where one cannot be used at that moment, the
//! connection is made with what it held before.
//!
//! A Redis that does not let the process in is told with the user and the key that names the password.

use super::{
    settings::{Redis, RedisUrl},
    target::{Target, Wire},
};
use crate::config::Fault;
use redis::{ErrorKind, RedisError, RedisResult, aio::PubSub};
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tracing::warn;

/// The way in.
pub(super) struct Entrance {
    settings: Mutex<Redis>,
    /// What the files gave when they could be used last.
    last: Mutex<Arc<Target>>,
    is_cluster: bool,
    connect_timeout: Duration,
}

impl Entrance {
    /// Where `redis` says, with what its files hold.
    ///
    /// # Errors
    ///
    /// An address that cannot be read; nothing of it is told, since it may hold a password.
    pub(super) fn new(redis: &Redis, target: Target) -> Self {
        Self {
            settings: Mutex::new(redis.clone()),
            is_cluster: target.is_cluster(),
            last: Mutex::new(Arc::new(target)),
            connect_timeout: redis.connect_timeout,
        }
    }

    /// Whether the keys there are spread over several servers.
    pub(super) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// How long a connection may take until its first command.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// From the next connection on the process logs in as `redis` says. Where Redis is stays as it is.
    pub(super) fn log_in_as(&self, redis: &Redis) {
        let mut settings = lock(&self.settings);
        let (url, timeout) = (settings.url.clone(), settings.timeout);
        *settings = Redis { url, timeout, connect_timeout: settings.connect_timeout, ..redis.clone() };
    }

    /// The user that logs in, for people.
    pub(super) fn user(&self) -> String {
        let settings = lock(&self.settings);
        settings.username.clone().unwrap_or_else(|| "of redis.url".to_owned())
    }

    /// A new connection whose commands may take `patience`.
    pub(super) async fn connect(&self, patience: Duration) -> RedisResult<Wire> {
        let wire = self.target().connect(patience, self.connect_timeout).await;
        wire.map_err(|error| self.explained(error))
    }

    /// A new connection to the node of a cluster that is there.
    pub(super) async fn node(&self, host: &str, port: u16) -> RedisResult<Wire> {
        self.target().node(host, port, self.connect_timeout).await
    }

    /// A new connection for announcements.
    pub(super) async fn listen(&self) -> RedisResult<PubSub> {
        self.target().listen().await.map_err(|error| self.explained(error))
    }

    fn target(&self) -> Arc<Target> {
        let settings = lock(&self.settings).clone();
        match read(&settings) {
            Ok(target) => {
                let target = Arc::new(target);
                *lock(&self.last) = Arc::clone(&target);
                target
            }
            Err(fault) => {
                warn!(
                    event = "login_unreadable",
                    key = fault.keys.join(","),
                    error = fault.message,
                    "A file of [redis] cannot be used; connecting with what it held before"
                );
                Arc::clone(&lock(&self.last))
            }
        }
    }

    /// An error of logging in, with what has to be looked at.
    pub(super) fn explained(&self, error: RedisError) -> RedisError {
        let refused = error.kind() == ErrorKind::AuthenticationFailed
            || error.code().is_some_and(|code| code == "WRONGPASS");
        if refused {
            let words = self.login_words("has another password there, or is off, or is none");
            return (ErrorKind::AuthenticationFailed, "Password authentication failed", words).into();
        }
        if error.code() == Some("NOAUTH") {
            let words = self.login_words("did not log in");
            return (ErrorKind::AuthenticationFailed, "Authentication required", words).into();
        }
        error
    }

    fn login_words(&self, what: &str) -> String {
        let settings = lock(&self.settings);
        let user = settings.username.clone().or_else(|| user_in(&settings.url));
        let user = user.map_or_else(|| "the user `default`".to_owned(), |user| format!("the user `{user}`"));
        match &settings.password_file {
            Some(file) => format!(
                "{user} {what}; the password is in {} (redis.password_file), the users are in Redis's users.acl",
                file.display()
            ),
            None => format!(
                "{user} {what}; name the password in redis.password_file or redis.url, the users are in Redis's \
                 users.acl"
            ),
        }
    }
}

/// What the files hold now.
fn read(settings: &Redis) -> Result<Target, Fault> {
    let access = settings.access()?;
    // The client's errors say nothing of the address, which may hold a password.
    Target::new(settings, &access).map_err(|error| Fault::new(&["redis.url"], error.to_string()))
}

pub(super) fn user_in(url: &RedisUrl) -> Option<String> {
    let url = match url {
        RedisUrl::One(url) => url,
        RedisUrl::Cluster(nodes) => nodes.first()?,
    };
    let parsed = url::Url::parse(url.expose_secret()).ok()?;
    Some(parsed.username().to_owned()).filter(|user| !user.is_empty())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
