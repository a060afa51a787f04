// SPDX-License-Identifier: GPL-3.0-or-later
//! The sockets that MTAs connect to.
//!
//! They are bound here, unless the service manager listens already and passes them on: then connections wait in them
//! while one process of ours follows another, where else they would be refused.
//!
//! One acceptor for all of them. It sets TCP_NODELAY (without it every message stalls 40 ms) and keepalive (an MTA that has
//! died without a word would keep its place), survives accept errors such as "too many open files" with a pause and one
//! line, and stops accepting once the drain begins while sessions go on.

use super::listen::Listen;
use indymilter::EitherStream;
use rustix::net::sockopt;
use std::{
    fs,
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use thundergate_common::sockets;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host},
    time::{Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long to pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(250);

/// After so long without a word the kernel asks whether the MTA's host is still there, then so often, so many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(120), Duration::from_secs(30), 4);

/// A connection.
pub(super) type Stream = EitherStream<TcpStream, UnixStream>;

/// All sockets of the milter.
pub(crate) struct Acceptor {
    sockets: Vec<Socket>,
    next: usize,
    pause: Option<Pin<Box<Sleep>>>,
    /// The last attempt to accept failed.
    failing: bool,
    drain: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

enum Socket {
    Tcp(TcpListener),
    /// With the file to remove at the end.
    Unix(UnixListener, Option<PathBuf>),
}

/// Of a socket that the service manager listens at.
fn adopt(socket: sockets::Socket) -> io::Result<Socket> {
    match socket {
        sockets::Socket::Tcp(socket) => {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket).map(Socket::Tcp)
        }
        sockets::Socket::Unix(socket) => {
            socket.set_nonblocking(true)?;
            UnixListener::from_std(socket).map(|socket| Socket::Unix(socket, None))
        }
    }
}

impl Acceptor {
    /// Listens at what was `passed`, or else binds every one of `addresses`; a unix socket gets `mode`.
    pub(crate) async fn bind(
        addresses: &[Listen],
        mode: u32,
        passed: Vec<sockets::Socket>,
    ) -> io::Result<Self> {
        let mut sockets = passed.into_iter().map(adopt).collect::<io::Result<Vec<_>>>()?;
        let addresses = if sockets.is_empty() { addresses } else { &[] };
        for address in addresses {
            let socket = match address {
                Listen::Inet { host, port, v6 } => bind_tcp(host, *port, *v6).await.map(Socket::Tcp),
                Listen::Unix(path) => sockets::bind_unix(path, mode)
                    .and_then(UnixListener::from_std)
                    .map(|socket| Socket::Unix(socket, Some(path.clone()))),
            };
            sockets.push(socket.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?);
        }
        Ok(Self { sockets, next: 0, pause: None, failing: false, drain: None })
    }

    /// Accepts until `drain`.
    #[must_use]
    pub(crate) fn until(mut self, drain: CancellationToken) -> Self {
        self.drain = Some(Box::pin(drain.cancelled_owned()));
        self
    }

    /// Where it listens, in Postfix's spelling.
    pub(crate) fn addresses(&self) -> io::Result<Vec<String>> {
        let address = |socket: &Socket| match socket {
            Socket::Tcp(listener) => Ok(format!("inet:{}", listener.local_addr()?)),
            Socket::Unix(listener, _) => {
                let address = listener.local_addr()?;
                Ok(format!("unix:{}", address.as_pathname().unwrap_or(Path::new("")).display()))
            }
        };
        self.sockets.iter().map(address).collect()
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }
}

impl Acceptor {
    /// The next connection. Never comes back once the drain has begun.
    pub(crate) async fn accept(&mut self) -> Stream {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Stream> {
        if self.drain.as_mut().is_some_and(|drain| drain.as_mut().poll(cx).is_ready()) {
            (self.drain, self.pause) = (None, None);
            self.sockets.clear();
            return Poll::Pending;
        }
        loop {
            std::task::ready!(self.poll_pause(cx));
            let count = self.sockets.len(); // none once the drain has begun
            let polled =
                (0..count).map(|n| (self.next + n) % count).find_map(|n| match self.sockets[n].poll(cx) {
                    Poll::Ready(accepted) => Some((n, accepted)),
                    Poll::Pending => None,
                });
            match polled {
                None => return Poll::Pending,
                Some((n, Ok(stream))) => {
                    self.failing = false;
                    self.next = n + 1; // so that a busy socket does not starve the others
                    return Poll::Ready(stream);
                }
                Some((_, Err(error))) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "accepting connections fails, trying on");
                    }
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }
}

impl Socket {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(error = &error as &dyn std::error::Error, "TCP_NODELAY not set");
                }
                if let Err(error) = keep_alive(&stream) {
                    tracing::debug!(error = &error as &dyn std::error::Error, "SO_KEEPALIVE not set");
                }
                EitherStream::Tcp(stream)
            }),
            Self::Unix(listener, _) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| EitherStream::Unix(stream))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, Some(path)) = self {
            let _ = fs::remove_file(path);
        }
    }
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let (silence, pause, times) = KEEPALIVE;
    sockopt::set_tcp_keepidle(stream, silence)?;
    sockopt::set_tcp_keepintvl(stream, pause)?;
    sockopt::set_tcp_keepcnt(stream, times)?;
    Ok(sockopt::set_socket_keepalive(stream, true)?)
}

/// Binds the first address of `host` that can be bound: an IPv4 one, unless IPv6 was asked for or is all there is. So
/// "localhost" is where MTAs look for it.
async fn bind_tcp(host: &str, port: u16, v6: bool) -> io::Result<TcpListener> {
    let mut addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(|address| address.is_ipv6() != v6);
    TcpListener::bind(addresses.as_slice()).await
}
