// SPDX-License-Identifier: GPL-3.0-or-later
//! `[admin]`: where the admin server listens, and the token that it asks for.

use crate::config::{Fault, filled, secret};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};

/// `[admin]`: the HTTP server for the status page, `/live`, `/ready` and `/metrics`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where it listens; empty: nowhere.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// The file that holds the token without which only `/live` and `/ready` answer; none: no token is asked for.
    #[serde(default, deserialize_with = "filled")]
    pub token_file: Option<PathBuf>,
}

impl Admin {
    /// A token has at least so many characters.
    const TOKEN_LENGTH: usize = 16;

    /// Reads the token.
    ///
    /// # Errors
    ///
    /// The file cannot be used; never what stands in it.
    pub fn token(&self) -> Result<Option<SecretString>, Fault> {
        let key = "admin.token_file";
        let token = secret::line(key, self.token_file.as_deref())?;
        let usable = |token: &SecretString| {
            let token = token.expose_secret();
            token.len() >= Self::TOKEN_LENGTH && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if token.as_ref().is_some_and(|token| !usable(token)) {
            let why = "the token must have 16 or more printable ASCII characters: openssl rand -hex 32";
            return Err(Fault::new(&[key], why));
        }
        Ok(token)
    }

    /// Finds what can never work.
    ///
    /// # Errors
    ///
    /// As [`Admin::token`].
    pub fn check(&self) -> Result<(), Fault> {
        self.token().map(drop)
    }

    /// What an operator should know about a configuration that is right.
    pub fn advice(&self) -> Option<&'static str> {
        let open = self.listen.is_some_and(|address| !address.ip().is_loopback());
        (open && self.token_file.is_none()).then_some(
            "admin.listen is not a loopback address and admin.token_file is not set: whoever reaches it can read metrics \
             and the status page with its findings",
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
    fn a_token_is_one_line_that_nobody_guesses() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let admin = Admin { listen: None, token_file: Some(file.clone()) };
        assert!(admin.token().unwrap_err().message.contains("cannot be read"));
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        assert_eq!(admin.token().unwrap().unwrap().expose_secret(), "0123456789abcdef");
        for wrong in ["", "short", "0123456789abcdef\nmore", "0123456789 abcdef", "0123456789abcdéf"] {
            std::fs::write(&file, wrong).unwrap();
            let fault = admin.token().unwrap_err();
            assert!(wrong.is_empty() || !format!("{fault:?}").contains(wrong), "{fault:?}");
        }
    }

    #[test]
    fn an_open_admin_server_is_worth_a_word() {
        let advice = |listen: &str, token_file: &str| {
            toml::from_str::<Admin>(&format!("listen = {listen:?}\ntoken_file = {token_file:?}"))
                .unwrap()
                .advice()
        };
        assert!(advice("0.0.0.0:9101", "").is_some());
        assert!(advice("0.0.0.0:9101", "/token").is_none());
        for silent in ["", "127.0.0.1:9101", "[::1]:9101"] {
            assert!(advice(silent, "").is_none(), "{silent}");
        }
    }
}
