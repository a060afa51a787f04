// SPDX-License-Identifier: GPL-3.0-or-later
//! A range of addresses in CIDR notation (RFC 4632, RFC 4291 2.3).

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no network: expected an address such as 192.0.2.0/24, without bits behind the prefix")]
pub struct NoNetwork(String);

impl Network {
    /// Whether `address` lies in it. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && masked(bits(address), self.prefix, width(address)) == bits(self.address)
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        parse(text).ok_or_else(|| NoNetwork(text.to_owned()))
    }
}

impl TryFrom<String> for Network {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn parse(text: &str) -> Option<Network> {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let prefix = prefix.map_or(Some(width(address)), |prefix| prefix.parse().ok())?;
    let exact = prefix <= width(address) && masked(bits(address), prefix, width(address)) == bits(address);
    exact.then_some(Network { address, prefix })
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn masked(bits: u128, prefix: u8, width: u8) -> u128 {
    let behind = u32::from(width.saturating_sub(prefix));
    bits.checked_shr(behind).and_then(|bits| bits.checked_shl(behind)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("192.0.2.0/24", "192.0.2.255"));
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.1"));
        assert!(!contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("0.0.0.0/0", "203.0.113.9") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "192.0.2.0/33", "192.0.2.1/24", "example.com", "::/129", "192.0.2.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
