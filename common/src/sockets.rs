// SPDX-License-Identifier: GPL-3.0-or-later
//! Sockets that the service manager listens at and passes on (sd_listen_fds(3)), and sockets in the file system.
//!
//! A socket unit gives its sockets a name, `FileDescriptorName=`. [`ADMIN`] is the admin server's; all others are where MTAs
//! connect, whatever their names: a unit that names nothing gives its own name.

use listenfd::ListenFd;
use std::{
    fs,
    io::{self, ErrorKind},
    net,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net as unix,
    },
    path::Path,
};

/// The name of admin sockets.
const ADMIN: &str = "admin";

/// What was passed on; usually nothing.
#[derive(Debug, Default)]
pub struct Passed {
    /// Where MTAs connect.
    pub mail: Vec<Socket>,
    /// Where people's commands connect.
    pub admin: Vec<unix::UnixListener>,
}

/// A socket that listens.
#[derive(Debug)]
pub enum Socket {
    /// A TCP port.
    Tcp(net::TcpListener),
    /// A socket in the file system.
    Unix(unix::UnixListener),
}

impl Passed {
    /// Takes them. Before there are threads: it changes the environment.
    ///
    /// # Errors
    ///
    /// One of them is of a kind that is of no use.
    pub fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut all = ListenFd::from_env();
        let mut passed = Self::default();
        for n in 0..all.len() {
            let name = names.next().unwrap_or_default();
            if let Some(socket) = take(&mut all, n)? {
                passed.sort_in(name, socket)?;
            }
        }
        Ok(passed)
    }

    fn sort_in(&mut self, name: &str, socket: Socket) -> io::Result<()> {
        match (name, socket) {
            (ADMIN, Socket::Unix(socket)) => self.admin.push(socket),
            (ADMIN, Socket::Tcp(_)) => {
                let why = "a socket passed on as `admin` is TCP, and must be a unix socket: see admin.listen";
                return Err(io::Error::new(ErrorKind::InvalidInput, why));
            }
            (_, socket) => self.mail.push(socket),
        }
        Ok(())
    }
}

fn take(all: &mut ListenFd, n: usize) -> io::Result<Option<Socket>> {
    if let Ok(socket) = all.take_tcp_listener(n) {
        return Ok(socket.map(Socket::Tcp));
    }
    let socket = all.take_unix_listener(n).map_err(|error| {
        io::Error::new(error.kind(), format!("a socket passed on is neither TCP nor unix stream: {error}"))
    })?;
    Ok(socket.map(Socket::Unix))
}

/// Binds a unix socket, in the place of one that a dead process left behind.
///
/// # Errors
///
/// Somebody listens there, or this process may not.
pub fn bind_unix(path: &Path, mode: u32) -> io::Result<unix::UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    if is_socket && unix::UnixStream::connect(path).is_err_and(refused) {
        fs::remove_file(path)?;
    }
    let listener = unix::UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_sorted_by_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let unix = |name: &str| Socket::Unix(unix::UnixListener::bind(directory.path().join(name)).unwrap());
        let tcp = || Socket::Tcp(net::TcpListener::bind("127.0.0.1:0").unwrap());
        let mut passed = Passed::default();
        passed.sort_in("thundergate-milter.socket", tcp()).unwrap();
        passed.sort_in("", unix("mail")).unwrap();
        passed.sort_in("admin", unix("admin")).unwrap();
        assert_eq!((passed.mail.len(), passed.admin.len()), (2, 1));
        assert!(passed.sort_in("admin", tcp()).unwrap_err().to_string().contains("admin.listen"));
    }

    #[test]
    fn only_a_socket_that_nobody_listens_at_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let listens = bind_unix(&path, 0o660).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(bind_unix(&path, 0o660).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listens);
        bind_unix(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        assert_eq!(bind_unix(&path, 0o660).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
