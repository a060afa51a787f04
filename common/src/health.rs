// SPDX-License-Identifier: GPL-3.0-or-later
//! The question of a health check, `… health`: how is the program that runs with this configuration? Asked at its admin
//! address, by the same binary, since an image of two programs has neither shell nor HTTP client.
//!
//! By default the question is `/live`: a program that lives and cannot work (Redis is away, say) is not helped by being
//! started anew. `--ready` asks `/ready`.

use crate::config;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long the answer may take; a health check's own patience should be longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// More of an answer is not read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Why a program is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// It has no admin server.
    #[error("admin.listen is empty: there is nobody to ask")]
    Nowhere,
    /// It does not run, or does not answer.
    #[error("no answer from {address} (admin.listen)")]
    Silent {
        /// Who was asked.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// It says itself that it is not.
    #[error("{0}")]
    Unwell(String),
}

/// Asks whether the program lives or, with `ready`, whether it can do its work. Returns its answer, one line.
///
/// # Errors
///
/// [`HealthError`].
pub async fn ask(admin: &config::Admin, ready: bool) -> Result<String, HealthError> {
    let address = reachable(admin.listen.ok_or(HealthError::Nowhere)?);
    let path = if ready { "/ready" } else { "/live" };
    let answer = timeout(PATIENCE, fetch(address, path)).await.unwrap_or_else(|late| Err(late.into()));
    let answer = answer.map_err(|source| HealthError::Silent { address, source })?;
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

async fn fetch(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{
        Admin,
        status::{Status, Subject},
    };
    use futures_util::future::{BoxFuture, FutureExt as _};
    use prometheus_client::registry::Registry;
    use std::sync::Arc;
    use tokio::{net::TcpListener, task::JoinSet};
    use tokio_util::sync::CancellationToken;

    /// A program that has nothing to tell.
    struct Unknown;

    impl Subject for Unknown {
        fn status(&self) -> BoxFuture<'_, Status> {
            async { Status::default() }.boxed()
        }
    }

    fn at(listen: SocketAddr) -> config::Admin {
        config::Admin { listen: Some(listen), token_file: None }
    }

    #[tokio::test]
    async fn the_admin_server_says_how_the_program_is() {
        let admin = Admin::bind(&at("0.0.0.0:0".parse().unwrap())).await.unwrap().unwrap();
        let everywhere = at(admin.address());
        let (mut tasks, end) = (JoinSet::new(), CancellationToken::new());
        let unready = Arc::new(|| Err("redis is away".to_owned()));
        tasks.spawn(admin.serve(Arc::new(Registry::default()), unready, Arc::new(Unknown), end.clone()));

        assert_eq!(ask(&everywhere, false).await.unwrap(), "live");
        let error = ask(&everywhere, true).await.unwrap_err().to_string();
        assert!(error.contains("503") && error.ends_with(": redis is away"), "{error}");

        end.cancel();
        tasks.join_all().await;
        let error = ask(&everywhere, false).await.unwrap_err();
        assert!(matches!(error, HealthError::Silent { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_answers_otherwise_or_not_at_all_is_not_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = at(listener.local_addr().unwrap());
        let (answer, ()) = tokio::join!(ask(&other, false), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        });
        assert!(matches!(answer, Err(HealthError::Unwell(_) | HealthError::Silent { .. })), "{answer:?}");
        let nowhere = ask(&config::Admin { listen: None, token_file: None }, false).await;
        assert!(matches!(nowhere, Err(HealthError::Nowhere)), "{nowhere:?}");
    }
}
