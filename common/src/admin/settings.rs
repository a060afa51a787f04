// SPDX-License-Identifier: GPL-3.0-or-later
//! `[admin]`: where the admin server listens, whom it answers, and how it proves who it is.

use super::{
    tls::{self, Identity},
    tokens::Tokens,
};
use crate::config::{Fault, filled};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};

/// `[admin]`: the HTTP server for the status page, `/live`, `/ready`, `/metrics` and the API.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where it listens; empty: nowhere.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// A unix socket where it listens too, for those who may open it; beside what the service manager passes on.
    #[serde(default, deserialize_with = "filled")]
    pub socket: Option<PathBuf>,
    /// The file that holds one token of the scope `read`, without which only `/live` and `/ready` answer.
    #[serde(default, deserialize_with = "filled")]
    pub token_file: Option<PathBuf>,
    /// The file that names tokens with their scopes.
    #[serde(default, deserialize_with = "filled")]
    pub tokens_file: Option<PathBuf>,
    /// A certificate, and what it stands on, for TLS at `listen`.
    #[serde(default, deserialize_with = "filled")]
    pub cert_file: Option<PathBuf>,
    /// Its key.
    #[serde(default, deserialize_with = "filled")]
    pub key_file: Option<PathBuf>,
}

impl Admin {
    /// Reads the tokens.
    ///
    /// # Errors
    ///
    /// A file cannot be used; never what stands in it.
    pub fn tokens(&self) -> Result<Tokens, Fault> {
        Tokens::read(self.token_file.as_deref(), self.tokens_file.as_deref())
    }

    /// Reads certificate and key; none where there is to be no TLS.
    ///
    /// # Errors
    ///
    /// A file cannot be used, or one is missing.
    pub fn identity(&self) -> Result<Option<Identity>, Fault> {
        match (&self.cert_file, &self.key_file) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => tls::identity(certificate, key).map(Some),
            _ => {
                Err(Fault::new(&["admin.cert_file", "admin.key_file"], "one is of no use without the other"))
            }
        }
    }

    /// Finds what can never work.
    ///
    /// # Errors
    ///
    /// As [`Admin::tokens`] and [`Admin::identity`].
    pub fn check(&self) -> Result<(), Fault> {
        if self.socket.as_ref().is_some_and(|socket| !socket.is_absolute()) {
            return Fault::found(&["admin.socket"], "must be a whole path, which begins with /");
        }
        self.tokens()?;
        self.identity().map(drop)
    }

    /// What an operator should know about a configuration that is right.
    pub fn advice(&self) -> Option<&'static str> {
        let open = self.listen.is_some_and(|address| !address.ip().is_loopback());
        (open && self.token_file.is_none() && self.tokens_file.is_none()).then_some(
            "admin.listen is not a loopback address and neither admin.token_file nor admin.tokens_file is set: whoever \
             reaches it can read metrics and the status page with its findings",
        )
    }
}

/// An address, or the empty string for none.
mod optional_address {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::net::SocketAddr;

    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&address.map(|address| address.to_string()).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_admin_server_is_worth_a_word() {
        let advice = |listen: &str, key: &str, file: &str| {
            toml::from_str::<Admin>(&format!("listen = {listen:?}\n{key} = {file:?}")).unwrap().advice()
        };
        assert!(advice("0.0.0.0:9101", "token_file", "").is_some());
        assert!(advice("0.0.0.0:9101", "token_file", "/token").is_none());
        assert!(advice("0.0.0.0:9101", "tokens_file", "/tokens").is_none());
        for silent in ["", "127.0.0.1:9101", "[::1]:9101"] {
            assert!(advice(silent, "token_file", "").is_none(), "{silent}");
        }
    }

    #[test]
    fn half_a_certificate_and_half_a_path_are_refused() {
        let fault = |text: &str| {
            toml::from_str::<Admin>(&format!("listen = ''\n{text}")).unwrap().check().unwrap_err().to_string()
        };
        assert!(fault("cert_file = '/c'").contains("one is of no use without the other"));
        assert!(fault("key_file = '/k'").contains("one is of no use without the other"));
        assert!(fault("socket = 'admin.sock'").contains("a whole path"));
        assert!(fault("cert_file = '/nowhere'\nkey_file = '/nowhere'").contains("/nowhere cannot be read"));
    }
}
