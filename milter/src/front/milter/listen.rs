// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a milter listens, as Postfix (`smtpd_milters`) and libmilter (`smfi_setconn`) spell it.

use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};

/// `inet:host:port`, `inet:port@host`, `inet6:…`, `unix:/path`, `local:/path`; in braces, too, as Postfix writes it
/// where parameters follow. Written back as `inet:host:port`, `inet6:[host]:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// A TCP port.
    Inet {
        /// Name or address; `0.0.0.0` or `::` for all.
        host: String,
        /// 0 for any.
        port: u16,
        /// Whether the name stands for an IPv6 address (`inet6`).
        v6: bool,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The permissions of a unix socket, as `chmod` takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SocketMode(pub u32);

/// A text that is no octal mode.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no mode: expected octal digits, such as 660")]
pub struct NoMode(String);

impl TryFrom<String> for SocketMode {
    type Error = NoMode;

    fn try_from(text: String) -> Result<Self, NoMode> {
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or(NoMode(text))
    }
}

impl From<SocketMode> for String {
    fn from(mode: SocketMode) -> Self {
        format!("{:o}", mode.0)
    }
}

/// A text that names no place to listen.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no address: expected inet:host:port, inet:port@host, inet6:port@host, unix:/path or local:/path"
)]
pub struct NoAddress(String);

impl FromStr for Listen {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        parse(text).ok_or_else(|| NoAddress(text.to_owned()))
    }
}

impl TryFrom<String> for Listen {
    type Error = NoAddress;

    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet { host, port, v6 } => {
                let family = if *v6 { "inet6" } else { "inet" };
                if host.contains(':') {
                    write!(f, "{family}:[{host}]:{port}")
                } else {
                    write!(f, "{family}:{host}:{port}")
                }
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn parse(text: &str) -> Option<Listen> {
    let braced = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    // behind a comma or a blank: Postfix's parameters
    let text = braced.map_or(text, |inner| inner.trim().split([',', ' ']).next().unwrap_or_default()).trim();
    match text.split_once(':') {
        Some(("inet", place)) => inet(place, false),
        Some(("inet6", place)) => inet(place, true),
        Some(("unix" | "local", path)) => unix(path),
        _ => unix(text),
    }
}

fn unix(path: &str) -> Option<Listen> {
    (path.starts_with('/') && !path.contains('\0')).then(|| Listen::Unix(path.into()))
}

fn inet(place: &str, v6: bool) -> Option<Listen> {
    let (host, port) = match (place.split_once('@'), place.rsplit_once(':')) {
        (Some((port, host)), _) => (host, port),
        (None, Some((host, port))) => (host, port),
        (None, None) => ("", place),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bracketed.unwrap_or(host) {
        "" | "*" if v6 => "::",
        "" | "*" => "0.0.0.0",
        host => host,
    };
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let usable = host.parse::<std::net::IpAddr>().is_ok() || host.chars().all(name);
    usable.then_some(Listen::Inet { host: host.to_owned(), port: port.parse().ok()?, v6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_postfix_and_libmilter_are_read() {
        for (text, canonical) in [
            ("inet:127.0.0.1:11337", "inet:127.0.0.1:11337"),
            ("inet:11337@localhost", "inet:localhost:11337"),
            ("inet:11337", "inet:0.0.0.0:11337"),
            ("inet6:11337@::1", "inet6:[::1]:11337"),
            ("inet6:[::1]:11337", "inet6:[::1]:11337"),
            ("inet:[::1]:11337", "inet:[::1]:11337"),
            ("inet6:11337", "inet6:[::]:11337"),
            ("unix:/run/thundergate/milter.sock", "unix:/run/thundergate/milter.sock"),
            ("local:/run/a b", "unix:/run/a b"),
            ("/run/m.sock", "unix:/run/m.sock"),
            ("{inet:localhost:11337}", "inet:localhost:11337"),
            ("{ inet:localhost:11337, connect_timeout=10s, default_action=accept }", "inet:localhost:11337"),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen.to_string(), canonical);
            assert_eq!(canonical.parse::<Listen>().unwrap(), listen);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "inet:",
            "inet:host",
            "inet:70000@host",
            "unix:relative",
            "tcp:1.2.3.4:5",
            "inet:a b:1",
            "{}",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
