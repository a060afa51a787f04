// SPDX-License-Identifier: GPL-3.0-or-later
//! The child: `PROGRAM open …`, which nobody calls but the program itself. It stands in no help text.
//!
//! Its exit statuses are its first word to the parent: 0, a reply was written; 64, this is no request; 71, it could not be
//! confined, and stderr says why; 101, a panic, as everywhere. Whatever else a decoder might print is nobody's to read.

use super::{
    confine::{Confinement, confine},
    unseal, wire,
};
use std::{ffi::OsString, io, panic, process::ExitCode};

/// The word that makes a program the child.
pub(crate) const COMMAND: &str = "open";

/// Exit statuses.
pub(crate) mod exit {
    /// Not called by the program itself, or not as it does (EX_USAGE).
    pub(crate) const USAGE: u8 = 64;
    /// The kernel does not give what confines it (EX_OSERR).
    pub(crate) const UNCONFINED: u8 = 71;
}

/// Does the child's work, and says how to exit, where the program was started for it; `main` calls it before it starts
/// anything, above all a thread. `args` begin with the program's name.
pub fn run_if_asked(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    (args.next()? == COMMAND).then(|| run(args).into())
}

fn run(args: impl Iterator<Item = OsString>) -> u8 {
    let Some(confinement) = Confinement::of_args(args) else {
        eprintln!(
            "{COMMAND} is for the program itself: it opens a sealed container that comes on standard input"
        );
        return exit::USAGE;
    };
    if let Err(error) = confine(&confinement) {
        eprintln!("{error}");
        return exit::UNCONFINED;
    }
    // What panics may quote what it worked on.
    panic::set_hook(Box::new(|_| ()));
    match work() {
        Ok(()) => 0,
        Err(_) => exit::USAGE,
    }
}

fn work() -> io::Result<()> {
    let task = wire::read_request(io::stdin().lock())?;
    let worked = unseal::unseal(task.kind, &task.container, task.passwords, task.budget);
    wire::write_reply(io::stdout().lock(), worked)
}
