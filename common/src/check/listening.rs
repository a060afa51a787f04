// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a program could listen where its configuration says. Where somebody listens already, that is as it should be if
//! it is this program, which runs.

use crate::{
    admin::settings::Admin,
    api::check::{Finding, Level},
    health, telemetry,
};
use std::{
    fs::File,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    path::Path,
};

/// The folder that the milter's unit makes (`RuntimeDirectory=`).
const OF_THE_UNIT: &str = "/run/thundergate";

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

/// Whether a socket could be made at `path`. One that a dead program has left is no hindrance.
pub fn can_be_made(key: &str, path: &Path) -> Finding {
    let (shown, folder) = (path.display(), path.parent().unwrap_or(Path::new("/")));
    if !folder.exists() && folder == Path::new(OF_THE_UNIT) {
        return Finding::ok(key, format!("{shown}: the unit makes the folder when it starts"));
    }
    let trial = folder.join(format!(".{}", telemetry::process_name()));
    match File::create_new(&trial).and_then(|_| std::fs::remove_file(&trial)) {
        Ok(()) => Finding::ok(key, format!("{shown} can be made")),
        Err(error) => {
            let text = format!("{shown}: {} cannot be written: {error}", folder.display());
            let cure = "make the folder, and let the user thundergate write to it; or take \
                        /run/thundergate, which the unit makes";
            Finding::new(Level::Wrong, key, text, cure)
        }
    }
}

/// Where the admin server listens, as a program finds it that is not the one that listens there.
pub async fn admin(admin: &Admin) -> Vec<Finding> {
    let (key, socket) = ("admin.listen", "admin.socket");
    let mut findings = Vec::new();
    if let Some(address) = admin.listen {
        findings.push(match is_free(address) {
            Ok(()) => Finding::ok(key, format!("{address} is free")),
            Err(error) if error.kind() == ErrorKind::AddrInUse && lives(admin).await => {
                Finding::ok(key, format!("{address}: a program of thundergate runs there"))
            }
            Err(error) => unusable(key, &address.to_string(), &error),
        });
    }
    if let Some(path) = &admin.socket {
        let alone = Admin { socket: Some(path.clone()), ..Admin::default() };
        findings.push(if UnixStream::connect(path).is_err() {
            can_be_made(socket, path)
        } else if lives(&alone).await {
            Finding::ok(socket, format!("{}: a program of thundergate runs there", path.display()))
        } else {
            unusable(socket, &path.display().to_string(), &ErrorKind::AddrInUse.into())
        });
    }
    findings
}

async fn lives(admin: &Admin) -> bool {
    health::ask(admin, false).await.is_ok_and(|answer| answer == "live")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[tokio::test]
    async fn an_address_that_somebody_else_has_is_wrong() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap();
        let at = |listen: &str| toml::from_str::<Admin>(&format!("listen = \"{listen}\"")).unwrap();
        // Whoever listens there says nothing that a program of ours would say.
        let answer = std::thread::spawn(move || drop(taken.accept()));
        let found = admin(&at(&listen.to_string())).await;
        assert_eq!((found[0].level, found[0].subject.as_str()), (Level::Wrong, "admin.listen"), "{found:?}");
        answer.join().unwrap();
        assert!(admin(&at("192.0.2.1:1")).await[0].text.contains("no such address"));
        assert_eq!(admin(&at("")).await, []);
    }

    #[tokio::test]
    async fn a_sockets_folder_must_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let at = |path: PathBuf| Admin { socket: Some(path), ..Admin::default() };
        assert_eq!(admin(&at(path.clone())).await[0].level, Level::Ok);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(admin(&at(path)).await[0].level, Level::Ok, "one that a dead program left");
        let found = admin(&at(directory.path().join("no/admin.sock"))).await;
        assert_eq!((found[0].level, found[0].subject.as_str()), (Level::Wrong, "admin.socket"), "{found:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
