// SPDX-License-Identifier: GPL-3.0-or-later
//! Who a message counts for, where each may take only a share: the network that it comes from and the sender that its
//! envelope names. What says less counts less:
//!
//! | message | counts for |
//! |---|---|
//! | of a user who logged in | that user, wherever he is and whatever sender he names |
//! | from a relay (`limits.relays`), which brings other people's mail | its sender |
//! | from anywhere else | its network and its sender |
//!
//! The null sender (bounces) is nobody's: such a message counts for its network, a relay's, too. Where the MTA knows no
//! address, all of them are one network.

use crate::mail::envelope::{Client, Envelope};
use std::{fmt, net::IpAddr};
use thundergate_common::digest::Digest;
use thundergate_policy::Network;

/// So much of an address is the network that one owner has, IPv4 and IPv6.
const PREFIXES: (u8, u8) = (24, 48);

/// Whom something counts for. Names are digests: an address in an envelope may be long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Party(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Login(Digest),
    Network(IpAddr),
    Unknown,
    Sender(Digest),
}

impl Party {
    /// Whom a message counts for; the first one is the client. At least one.
    pub(crate) fn all_of(client: &Client, envelope: &Envelope, relays: &[Network]) -> Vec<Self> {
        if let Some(user) = &envelope.authenticated {
            return vec![Self(Kind::Login(Digest::of(user.as_bytes())))];
        }
        let network =
            Self(client.address.map_or(Kind::Unknown, |address| Kind::Network(network_of(address))));
        if envelope.sender.is_empty() {
            return vec![network];
        }
        let sender = Self(Kind::Sender(Digest::of(envelope.sender.to_ascii_lowercase().as_bytes())));
        let is_relay = client.address.is_some_and(|address| relays.iter().any(|one| one.contains(address)));
        if is_relay { vec![sender] } else { vec![network, sender] }
    }
}

/// For the log.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Login(_) => f.write_str("a user who logged in"),
            Kind::Network(address @ IpAddr::V4(_)) => write!(f, "{address}/{}", PREFIXES.0),
            Kind::Network(address @ IpAddr::V6(_)) => write!(f, "{address}/{}", PREFIXES.1),
            Kind::Unknown => f.write_str("clients without an address"),
            Kind::Sender(_) => f.write_str("a sender behind a relay"),
        }
    }
}

/// An IPv4 address mapped into IPv6 is the IPv4 address.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX << (32 - PREFIXES.0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - PREFIXES.1);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str, sender: &str) -> Vec<Party> {
        let client = Client { address: address.parse().ok(), ..Client::default() };
        let envelope = Envelope { sender: sender.to_owned(), ..Envelope::default() };
        Party::all_of(&client, &envelope, &["198.51.100.0/24".parse().unwrap()])
    }

    #[test]
    fn addresses_of_one_network_are_one_party() {
        assert_eq!(of("192.0.2.1", "a@x.example"), of("192.0.2.254", "A@X.example"));
        assert_eq!(of("192.0.2.1", "a@x.example"), of("::ffff:192.0.2.9", "a@x.example"));
        assert_ne!(of("192.0.2.1", "a@x.example")[0], of("192.0.3.1", "a@x.example")[0]);
        assert_eq!(of("2001:db8:1:2::1", "a@x.example"), of("2001:db8:1:ff::1", "a@x.example"));
        assert_ne!(of("2001:db8:1::1", "a@x.example")[0], of("2001:db8:2::1", "a@x.example")[0]);
        assert_eq!(of("192.0.2.1", "a@x.example")[0].to_string(), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1::1", "a@x.example")[0].to_string(), "2001:db8:1::/48");
    }

    #[test]
    fn a_relay_counts_by_sender_alone_and_bounces_by_network_alone() {
        assert_eq!(of("198.51.100.1", "a@x.example"), of("192.0.2.1", "a@x.example")[1..]);
        assert_ne!(of("198.51.100.1", "a@x.example"), of("198.51.100.1", "b@x.example"));
        assert_eq!(of("192.0.2.1", ""), of("192.0.2.2", "a@x.example")[..1]);
        assert_eq!(of("198.51.100.1", "").len(), 1);
        assert_eq!(of("198.51.100.1", "")[0].to_string(), "198.51.100.0/24");
    }

    #[test]
    fn clients_without_an_address_are_one_network() {
        assert_eq!(of("", ""), of("unknown", ""));
        assert_eq!(of("", "a@x.example").len(), 2);
    }

    #[test]
    fn a_user_who_logged_in_counts_alone() {
        let user = |name: &str, sender: &str| {
            let authenticated = Some(name.to_owned());
            let envelope = Envelope { sender: sender.to_owned(), authenticated, ..Envelope::default() };
            Party::all_of(&Client::default(), &envelope, &[])
        };
        assert_eq!(user("ann", "a@x.example"), user("ann", "b@x.example"));
        assert_ne!(user("ann", "a@x.example"), user("bob", "a@x.example"));
    }
}
