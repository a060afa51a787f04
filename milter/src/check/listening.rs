// SPDX-License-Identifier: GPL-3.0-or-later
//! Where MTAs connect, as a program finds it that is not the milter that listens there: free, or somebody answers as a
//! milter does.

use crate::{config::Config, front::milter::Listen};
use std::{
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};
use thundergate_common::{
    api::check::{Finding, Level},
    check::listening::{can_be_made, is_free, unusable},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};

const KEY: &str = "listen";
/// How long a milter may take for its first answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// `SMFIC_OPTNEG` of version 6, with all actions and steps, and `SMFIC_QUIT`.
const GREETING: [u8; 22] =
    [0, 0, 0, 13, b'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff, 0, 0, 0, 1, b'Q'];

/// Every address that `listen` names.
pub(super) async fn of_config(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for listen in &config.listen {
        findings.push(match listen {
            Listen::Inet { host, port, .. } => of_inet(&listen.to_string(), host, *port).await,
            Listen::Unix(path) => of_unix(path).await,
        });
    }
    findings
}

async fn of_inet(shown: &str, host: &str, port: u16) -> Finding {
    let address = match lookup_host((host, port)).await {
        Ok(mut addresses) => addresses.next(),
        Err(error) => {
            let text = format!("{shown}: the name has no address: {error}");
            return Finding::new(Level::Wrong, KEY, text, "name an address of this host in listen");
        }
    };
    let Some(address) = address else {
        return Finding::new(
            Level::Wrong,
            KEY,
            format!("{shown}: the name has no address"),
            "name an address of this host in listen",
        );
    };
    let Err(error) = is_free(address) else { return Finding::ok(KEY, format!("{shown} is free")) };
    if error.kind() == ErrorKind::AddrInUse && speaks(TcpStream::connect(address).await).await {
        return Finding::ok(KEY, format!("{shown}: a milter answers there"));
    }
    unusable(KEY, shown, &error)
}

async fn of_unix(path: &Path) -> Finding {
    let shown = format!("unix:{}", path.display());
    if path.symlink_metadata().is_ok() {
        return match UnixStream::connect(path).await {
            Ok(stream) => match speaks(Ok(stream)).await {
                true => Finding::ok(KEY, format!("{shown}: a milter answers there")),
                false => unusable(KEY, &shown, &ErrorKind::AddrInUse.into()),
            },
            // Whoever made it has ended.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => can_be_made(KEY, path),
            Err(error) => unusable(KEY, &shown, &error),
        };
    }
    can_be_made(KEY, path)
}

/// Whether somebody answers as a milter does.
async fn speaks<S: AsyncRead + AsyncWrite + Unpin>(connected: io::Result<S>) -> bool {
    let talk = async {
        let mut stream = connected?;
        stream.write_all(&GREETING).await?;
        let mut head = [0; 5];
        stream.read_exact(&mut head).await?;
        Ok::<_, io::Error>(head[4] == b'O')
    };
    matches!(timeout(PATIENCE, talk).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_address_is_free_a_milters_or_somebody_elses() {
        for (answer, level, word) in [
            (b"\0\0\0\x0dO".as_slice(), Level::Ok, "milter answers"),
            (b"220 mail.example", Level::Wrong, "another"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer).await.unwrap();
                stream
            };
            let (found, _stream) = tokio::join!(of_inet("inet:here", "127.0.0.1", port), serve);
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.text.contains(word), "{found:?}");
            drop(listener);
            // A process that another test starts may hold it for a moment, between its fork and its exec.
            let mut tries = 0;
            while !of_inet("inet:here", "127.0.0.1", port).await.text.ends_with("is free") {
                tries += 1;
                assert!(tries < 100, "port {port} stays in use");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
}
