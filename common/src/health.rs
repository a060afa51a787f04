// SPDX-License-Identifier: GPL-3.0-or-later
//! The question of a health check, `… health`: how is the program that runs with this configuration? Asked at its admin
//! address, by the same binary, since an image of two programs has neither shell nor HTTP client.
//!
//! By default the question is `/live`: a program that lives and cannot work (Redis is away, say) is not helped by being
//! started anew. `--ready` asks `/ready`. Where the server has TLS it must show the very certificate in `admin.cert_file`.

use crate::{admin::settings::Admin, config::Fault};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long the answer may take; a health check's own patience should be longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// More of an answer is not read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Why a program is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It has no admin server.
    #[error("admin.listen and admin.socket are empty: there is nobody to ask")]
    Nowhere,
    /// What stands in a file of the admin server's cannot be used.
    #[error("{0}")]
    File(Fault),
    /// It does not run, or does not answer.
    #[error("no answer from {asked}")]
    Silent {
        /// Who was asked.
        asked: Asked,
        /// What went wrong.
        source: io::Error,
    },
    /// It says itself that it is not.
    #[error("{0}")]
    Unwell(String),
}

/// Who is asked.
#[derive(Clone, Debug)]
pub enum Asked {
    /// `admin.listen`.
    Address(SocketAddr),
    /// `admin.socket`.
    Socket(PathBuf),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address} (admin.listen)"),
            Self::Socket(path) => write!(f, "{} (admin.socket)", path.display()),
        }
    }
}

/// Asks whether the program lives or, with `ready`, whether it can do its work. Returns its answer, one line.
///
/// # Errors
///
/// [`HealthError`].
pub async fn ask(admin: &Admin, ready: bool) -> Result<String, HealthError> {
    let asked = match (admin.listen, &admin.socket) {
        (Some(address), _) => Asked::Address(reachable(address)),
        (None, Some(path)) => Asked::Socket(path.clone()),
        (None, None) => return Err(HealthError::Nowhere),
    };
    let identity = admin.identity().map_err(HealthError::File)?;
    let path = if ready { "/ready" } else { "/live" };
    let question = async {
        match &asked {
            Asked::Socket(socket) => fetch(UnixStream::connect(socket).await?, "localhost", path).await,
            Asked::Address(address) => {
                let (stream, host) = (TcpStream::connect(address).await?, address.to_string());
                match identity {
                    None => fetch(stream, &host, path).await,
                    Some(identity) => {
                        let connector = TlsConnector::from(identity.expected());
                        fetch(connector.connect(address.ip().into(), stream).await?, &host, path).await
                    }
                }
            }
        }
    };
    let answer = timeout(PATIENCE, question).await.unwrap_or_else(|late| Err(late.into()));
    let answer = answer.map_err(|source| HealthError::Silent { asked, source })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(body.trim().to_owned())
    } else {
        Err(HealthError::Unwell(format!("{status}: {}", body.trim())))
    }
}

/// Who listens everywhere is asked on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let here = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(here, address.port())
}

async fn fetch(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    path: &str,
) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn at(listen: &str) -> Admin {
        toml::from_str(&format!("listen = \"{listen}\"")).unwrap()
    }

    /// What is made of `answer`, and the question that it answers.
    async fn told(answer: &str, ready: bool) -> (Result<String, HealthError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let everywhere = at(&format!("0.0.0.0:{}", listener.local_addr().unwrap().port()));
        let mut question = vec![0; 1024];
        let (result, length) = tokio::join!(ask(&everywhere, ready), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read(&mut question).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            length
        });
        question.truncate(length);
        (result, String::from_utf8(question).unwrap())
    }

    #[tokio::test]
    async fn the_admin_server_says_how_the_program_is() {
        let (result, question) = told("HTTP/1.1 200 OK\r\nserver: x\r\n\r\nlive\n", false).await;
        assert_eq!(result.unwrap(), "live");
        assert!(question.starts_with("GET /live HTTP/1.1\r\n"), "{question}");
        let (result, question) = told("HTTP/1.1 503 No\r\n\r\nredis is away\n", true).await;
        assert_eq!(result.unwrap_err().to_string(), "HTTP/1.1 503 No: redis is away");
        assert!(question.starts_with("GET /ready HTTP/1.1\r\n"), "{question}");
    }

    #[tokio::test]
    async fn what_answers_otherwise_or_not_at_all_is_not_healthy() {
        let (result, _) = told("220 mail.example ESMTP\r\n", false).await;
        assert!(matches!(result, Err(HealthError::Unwell(_))), "{result:?}");
        let nowhere = ask(&at(""), false).await;
        assert!(matches!(nowhere, Err(HealthError::Nowhere)), "{nowhere:?}");
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let silent = ask(&at(&free.to_string()), false).await;
        assert!(matches!(silent, Err(HealthError::Silent { .. })), "{silent:?}");
    }
}
