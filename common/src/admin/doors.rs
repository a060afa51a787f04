// SPDX-License-Identifier: GPL-3.0-or-later
//! Where connections to the admin server come in: `admin.listen`, in the clear or with TLS, and unix sockets.

use super::{
    conversation::{Place, converse},
    peer::Peer,
};
use axum::Router;
use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How long a handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// One place to listen.
pub(super) enum Door {
    /// `admin.listen`.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix {
        listener: UnixListener,
        /// Where it is ours, its file goes with it.
        _file: Option<Removed>,
    },
}

/// A file that goes.
pub(super) struct Removed(pub(super) PathBuf);

/// A connection that has just come.
pub(super) enum Visitor {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Door {
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Unix { .. })
    }

    pub(super) async fn accept(&self) -> io::Result<Visitor> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().await.map(|(stream, address)| Visitor::Tcp(stream, address))
            }
            Self::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| Visitor::Unix(stream)),
        }
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // somebody else may have been tidier
    }
}

impl Visitor {
    /// The whole conversation, over TLS where there is an acceptor for a visitor from afar.
    pub(super) async fn converse(
        self,
        acceptor: Option<TlsAcceptor>,
        site: Router,
        place: Arc<Place>,
        shutdown: CancellationToken,
    ) {
        match (self, acceptor) {
            (Self::Unix(stream), _) => {
                let peer = Peer::of(&stream).await;
                converse(stream, peer, site, place, shutdown).await;
            }
            (Self::Tcp(stream, address), None) => {
                let peer = Peer::Address { address, tls: false };
                converse(stream, peer, site, place, shutdown).await;
            }
            (Self::Tcp(stream, address), Some(acceptor)) => {
                let handshake = timeout(HANDSHAKE, acceptor.accept(stream));
                let Some(Ok(Ok(stream))) = shutdown.run_until_cancelled(handshake).await else { return };
                let peer = Peer::Address { address, tls: true };
                converse(stream, peer, site, place, shutdown).await;
            }
        }
    }
}
