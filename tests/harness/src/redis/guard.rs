// SPDX-License-Identifier: GPL-3.0-or-later
//! Who gets in to a redis-server, and under which settings it runs: those of `deploy/redis/`, with a password for each
//! user, given as their documentation says, and one user more for this harness.

use super::tls::Certificates;
use anyhow::Result;
use std::{path::Path, sync::Arc};
use thundergate_common::digest::Digest;

/// The settings as they are delivered.
const SETTINGS: &str = include_str!("../../../../deploy/redis/redis.conf");
/// Who may do what, as it is delivered.
const USERS: &str = include_str!("../../../../deploy/redis/users.acl");

/// The user of milters.
pub const MILTER: &str = "thundergate-milter";
/// The user of workers.
pub const WORKER: &str = "thundergate-worker";
/// The user of people.
pub const OPERATOR: &str = "thundergate-operator";
/// Who may do everything, for this harness: what Redis holds, and how it does.
pub const HARNESS: &str = "harness";

/// Who gets in to a server; by default the users of `deploy/redis/users.acl` and [`HARNESS`].
#[derive(Clone, Default)]
pub struct Guard {
    /// TLS alone, with these.
    pub certificates: Option<Arc<Certificates>>,
    /// Whether clients have to show a certificate.
    pub client_certificates: bool,
    manner: Manner,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Manner {
    #[default]
    Delivered,
    /// Everybody gets in, and nothing is kept on disk.
    Open,
    /// A Sentinel's: everybody gets in, and it writes down what it sees.
    Sentinel,
}

/// The password that a user has here.
pub fn password_of(user: &str) -> String {
    format!("{user}'s/p@ss:w%rd")
}

/// Name and password of a user, as a URL has them before its `@`.
pub fn login_of(user: &str) -> String {
    format!("{user}:{}", escaped(&password_of(user)))
}

/// As a part of a URL.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

impl Guard {
    /// TLS alone.
    pub fn tls(certificates: &Arc<Certificates>, client_certificates: bool) -> Self {
        Self { certificates: Some(Arc::clone(certificates)), client_certificates, ..Self::default() }
    }

    pub(super) fn open() -> Self {
        Self { manner: Manner::Open, ..Self::default() }
    }

    /// For the Sentinel of what has this guard.
    pub(super) fn for_sentinel(&self) -> Self {
        Self { manner: Manner::Sentinel, ..self.clone() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.manner != Manner::Delivered
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "rediss" } else { "redis" }
    }

    pub(super) fn settings(&self) -> &'static str {
        match self.manner {
            Manner::Delivered => SETTINGS,
            Manner::Open => "save \"\"\nappendonly no\n",
            Manner::Sentinel => "",
        }
    }

    /// What a private server has instead of the delivered settings.
    pub(super) fn arguments(&self, port: u16, directory: &Path) -> Result<Vec<String>> {
        let mut arguments = match &self.certificates {
            Some(certificates) => certificates.server_arguments(port, self.client_certificates),
            None => vec!["--port".to_owned(), port.to_string()],
        };
        if self.manner == Manner::Delivered {
            let file = directory.join("users.acl");
            std::fs::write(&file, users())?;
            arguments.extend(["--aclfile".to_owned(), file.display().to_string()]);
            // As a replica it logs in as the harness.
            let password = password_of(HARNESS);
            arguments.extend(["--masteruser", HARNESS, "--masterauth", &password].map(str::to_owned));
        }
        Ok(arguments)
    }
}

/// The delivered file with a password for each user of thundergate, and the harness's own user.
fn users() -> String {
    let with_password = |line: &str| {
        let user = line.split(' ').nth(1).filter(|user| *user != "default");
        let digest = user.map(|user| Digest::of(password_of(user).as_bytes()).to_string());
        digest
            .map_or(line.to_owned(), |digest| line.replacen("resetpass", &format!("resetpass #{digest}"), 1))
    };
    let delivered: Vec<String> = USERS.lines().map(with_password).collect();
    format!("{}\nuser {HARNESS} on >{} ~* &* +@all\n", delivered.join("\n"), password_of(HARNESS))
}
