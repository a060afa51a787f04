// SPDX-License-Identifier: GPL-3.0-or-later
//! Who is at the other end of a connection, as far as the system knows: an address, or over the admin socket a user of this
//! machine. Users are looked up as everything on the machine does (NSS), which may ask a server somewhere: bounded in time,
//! and without an answer the user is a number.

use nix::unistd::{Uid, User};
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::UnixStream, sync::Semaphore, task::spawn_blocking, time::timeout};

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Look-ups at a time: one that hangs takes a thread with it.
static LOOK_UPS: Semaphore = Semaphore::const_new(2);

/// Characters of a user's name.
const LONGEST_NAME: usize = 64;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// A user of this machine, over a unix socket.
    User(Arc<str>),
    /// Whoever is at that address.
    Address {
        /// That address.
        address: SocketAddr,
        /// Nobody between here and there can read along.
        tls: bool,
    },
}

impl Peer {
    /// Of a connection to the admin socket.
    pub(super) async fn of(stream: &UnixStream) -> Self {
        match stream.peer_cred() {
            Ok(user) => Self::User(name(user.uid()).await.into()),
            Err(_) => Self::User("unknown".into()),
        }
    }

    /// Whether what it sends and gets passes no network where others could read it.
    pub(super) fn is_private(&self) -> bool {
        match self {
            Self::User(_) => true,
            Self::Address { address, tls } => *tls || address.ip().to_canonical().is_loopback(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(_) => f.write_str("socket"),
            Self::Address { address, .. } => write!(f, "{}", address.ip().to_canonical()),
        }
    }
}

/// Of a user; the number where there is none.
async fn name(uid: u32) -> String {
    let looking = async {
        let permit = LOOK_UPS.acquire().await.ok()?;
        let user = spawn_blocking(move || {
            let _permit = permit;
            User::from_uid(Uid::from_raw(uid)).ok().flatten()
        });
        user.await.ok().flatten()
    };
    match timeout(PATIENCE, looking).await {
        Ok(Some(user)) => user.name.chars().take(LONGEST_NAME).collect(),
        _ => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_user_is_known_by_name_or_by_number() {
        assert_eq!(name(0).await, "root");
        assert_eq!(name(3_999_999_999).await, "3999999999");
        let (one, _other) = UnixStream::pair().unwrap();
        let me = User::from_uid(nix::unistd::geteuid()).unwrap().map(|user| user.name);
        let Peer::User(who) = Peer::of(&one).await else { panic!("a unix socket") };
        assert_eq!(Some(who.to_string()), me);
    }

    #[test]
    fn only_what_leaves_this_machine_in_the_clear_is_not_private() {
        let private =
            |address: &str, tls| Peer::Address { address: address.parse().unwrap(), tls }.is_private();
        assert!(private("127.0.0.1:1", false) && private("[::1]:1", false));
        assert!(private("[::ffff:127.0.0.1]:1", false) && private("192.0.2.1:1", true));
        assert!(!private("192.0.2.1:1", false) && !private("[::ffff:192.0.2.1]:1", false));
    }
}
