// SPDX-License-Identifier: GPL-3.0-or-later
//! As whom a check looks. Root may read and write what the service may not, so root becomes the service's user, with its
//! groups, where the service's own configuration is looked at. That takes setpriv(1), of util-linux.

use rustix::process::geteuid;
use std::{ffi::OsStr, io, os::unix::process::CommandExt as _, path::Path, process::Command};

/// The user of the units.
const USER: &str = "thundergate";
const USERS: &str = "/etc/passwd";

/// Where root asks: goes on as the service's user, by running this program again. Where that is not to be or does not work,
/// gives a note for people. `named` is the configuration that the command line names.
pub fn as_the_service(named: Option<&Path>) -> Option<String> {
    if !geteuid().is_root() {
        return None;
    }
    let why = match (named, has_user()) {
        (Some(file), _) => format!("{} may be no service's", file.display()),
        (None, false) => format!("there is no user {USER}"),
        (None, true) => format!("setpriv cannot be run: {}", run_again()),
    };
    Some(format!(
        "looked as root, who can read and write what the service may not ({why}); else: runuser -u {USER} \
         -- …"
    ))
}

fn has_user() -> bool {
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    users.lines().any(|line| line.split(':').next() == Some(USER))
}

/// Comes back only where that cannot be done.
fn run_again() -> io::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let as_user = [OsStr::new("--reuid"), OsStr::new(USER), OsStr::new("--regid"), OsStr::new(USER)];
    let mut setpriv = Command::new("setpriv");
    setpriv.args(as_user).args(["--init-groups", "--"]).arg(program).args(std::env::args_os().skip(1));
    setpriv.exec()
}
