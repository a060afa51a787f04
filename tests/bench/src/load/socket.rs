// SPDX-License-Identifier: GPL-3.0-or-later
//! A socket that does not block, over TCP without TCP_NODELAY, as Postfix has it, or in the file system.

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpStream, UnixStream},
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
};
use thundergate_milter::front::milter::Listen;

/// Where a milter is, its name looked up.
#[derive(Clone, Debug)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Looks the name up.
    pub fn of(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Inet { host, port, v6 } => {
                let all: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs()?.collect();
                let address = all.iter().find(|address| address.is_ipv6() == *v6).or(all.first());
                address.copied().map(Self::Tcp).ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            Listen::Unix(path) => Ok(Self::Unix(path.clone())),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// In the file system.
    Unix(UnixStream),
}

impl Socket {
    /// Begins to connect.
    pub fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => TcpStream::connect(*address).map(Self::Tcp),
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, pieces) {
            (Self::Tcp(stream), [one]) => stream.write(one),
            (Self::Unix(stream), [one]) => stream.write(one),
            (Self::Tcp(stream), _) => stream.write_vectored(pieces),
            (Self::Unix(stream), _) => stream.write_vectored(pieces),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interests),
            Self::Unix(stream) => stream.register(registry, token, interests),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, interests),
            Self::Unix(stream) => stream.reregister(registry, token, interests),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}
