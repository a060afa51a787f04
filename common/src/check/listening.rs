// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a program could listen where its configuration says. Where somebody listens already, that is as it should be if
//! it is this program, which runs.

use crate::{
    admin::settings::Admin,
    api::check::{Finding, Level},
    health,
};
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
};

/// Why there can be no socket at an address.
pub fn unusable(key: &str, address: &str, error: &io::Error) -> Finding {
    let (what, cure) = match error.kind() {
        ErrorKind::AddrInUse => (
            "another program listens there".to_owned(),
            format!("`ss -lptn` shows which one: end it, or choose another address in {key}"),
        ),
        ErrorKind::AddrNotAvailable => {
            ("this host has no such address".to_owned(), format!("name an address of this host in {key}"))
        }
        ErrorKind::PermissionDenied => (
            "this user may not listen there".to_owned(),
            format!("choose a port above 1023 in {key}, or a folder that the user thundergate may write to"),
        ),
        _ => (error.to_string(), format!("correct {key}")),
    };
    Finding::new(Level::Wrong, key, format!("{address}: {what}"), cure)
}

/// Whether the address is free.
///
/// # Errors
///
/// Why nobody could listen there.
pub fn is_free(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// The admin server's address, as a program finds it that is not the one that listens there.
pub async fn admin(admin: &Admin) -> Finding {
    let key = "admin.listen";
    let Some(address) = admin.listen else {
        return Finding::ok(key, "no admin server: no /ready, no /metrics, no status page");
    };
    let Err(error) = is_free(address) else {
        return Finding::ok(key, format!("{address} is free"));
    };
    let runs = error.kind() == ErrorKind::AddrInUse
        && health::ask(admin, false).await.is_ok_and(|answer| answer == "live");
    if runs {
        return Finding::ok(key, format!("{address}: a program of thundergate runs there"));
    }
    unusable(key, &address.to_string(), &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_somebody_else_has_is_wrong() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap();
        let at = |listen: &str| toml::from_str::<Admin>(&format!("listen = \"{listen}\"")).unwrap();
        // Whoever listens there says nothing that a program of ours would say.
        let answer = std::thread::spawn(move || drop(taken.accept()));
        let found = admin(&at(&listen.to_string())).await;
        assert_eq!((found.level, found.subject.as_str()), (Level::Wrong, "admin.listen"), "{found:?}");
        answer.join().unwrap();
        assert!(admin(&at("192.0.2.1:1")).await.text.contains("no such address"));
        assert_eq!(admin(&at("")).await.level, Level::Ok);
    }
}
