// SPDX-License-Identifier: GPL-3.0-or-later
//! What a server's name resolves to. Connections are kept and used again for as long as samples come, so a busy worker
//! would stay with an address that the name no longer has: it is looked up again now and then, and a change means new
//! connections.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use url::{Host, Url};

/// The time between two look-ups.
const EVERY: Duration = Duration::from_secs(30);

/// How long one may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// The addresses of one server.
#[derive(Debug)]
pub(super) struct Resolution {
    /// None where the configuration names an address, or something else resolves the name.
    name: Option<(String, u16)>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: BTreeSet<IpAddr>,
    looked_up: Option<Instant>,
}

impl Resolution {
    /// The addresses of the host in `url`, which a `proxy` would resolve in our place.
    pub(super) fn of(url: &Url, proxy: Option<&Url>) -> Self {
        let name = match url.host() {
            Some(Host::Domain(name)) if proxy.is_none() => {
                Some((name.to_owned(), url.port_or_known_default().unwrap_or(80)))
            }
            _ => None,
        };
        Self { name, known: Mutex::default() }
    }

    /// Looks the name up where that is due. True where it has other addresses than before.
    pub(super) async fn has_changed(&self) -> bool {
        let Some((name, port)) = &self.name else { return false };
        if !self.lock().is_due(Instant::now()) {
            return false;
        }
        // A name that does not resolve now changes nothing: the connections there are may be good.
        // Nor does one that takes long: whoever asks has better things to do than to wait for that.
        let found = timeout(PATIENCE, tokio::net::lookup_host((name.as_str(), *port))).await;
        let Ok(Ok(found)) = found else { return false };
        self.lock().learn(found.map(|address| address.ip()).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics while it holds the addresses")
    }
}

impl Known {
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.looked_up.is_none_or(|at| now.saturating_duration_since(at) >= EVERY);
        if due {
            self.looked_up = Some(now);
        }
        due
    }

    fn learn(&mut self, addresses: BTreeSet<IpAddr>) -> bool {
        let before = std::mem::replace(&mut self.addresses, addresses);
        !before.is_empty() && before != self.addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
        last.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect()
    }

    #[test]
    fn only_other_addresses_than_before_are_a_change() {
        let mut known = Known::default();
        assert!(!known.learn(addresses(&[1])), "the first are no change");
        assert!(!known.learn(addresses(&[1])));
        assert!(known.learn(addresses(&[2])));
        assert!(!known.learn(addresses(&[2])));
    }

    #[test]
    fn a_name_is_looked_up_now_and_then_and_an_address_never() {
        let (mut known, now) = (Known::default(), Instant::now());
        assert!(known.is_due(now) && !known.is_due(now + EVERY / 2) && known.is_due(now + EVERY));
        let of = |url: &str, proxy: Option<&Url>| Resolution::of(&url.parse().unwrap(), proxy).name;
        assert_eq!(of("http://storm1:8080", None), Some(("storm1".to_owned(), 8080)));
        assert_eq!(of("http://192.0.2.1:8080", None), None);
        assert_eq!(of("http://[2001:db8::1]", None), None);
        assert_eq!(of("http://storm1", Some(&"http://proxy:3128".parse().unwrap())), None);
    }
}
