// SPDX-License-Identifier: GPL-3.0-or-later
//! What a process gives up before it looks at anything from outside, never to get it back. In this order:
//!
//! 1. `prctl`: nobody of the same user may look into its memory, and no program it might start has more rights than it.
//! 2. `landlock`: no file system at all; where the kernel knows how, no TCP ports, and nobody outside may be signalled.
//! 3. `rlimits`: address space, processor time, no file to be written, no descriptor more than the three pipes, no process
//!    beside it, no core dump.
//! 4. `syscalls` (seccomp): what reads the first pipe, writes the others and gets memory. Anything else ends the process at
//!    once, with SIGSYS.
//!
//! Each can be missing: an old kernel, one that was built without, a container or a unit that forbids the calls. Then the
//! process is not confined, and says what is missing; told to work all the same, it takes what it gets.

mod landlock;
mod rlimits;
mod syscalls;

use rustix::{
    process::{DumpableBehavior, set_dumpable_behavior},
    thread::set_no_new_privs,
};
use std::{ffi::OsString, fmt::Display};

/// The last argument, where the process may work unconfined.
const UNCONFINED: &str = "unconfined";

/// How a process is confined. Arguments carry it, so it holds no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Address space beside what the program itself takes.
    pub memory_bytes: u64,
    pub processor_seconds: u64,
    /// Whether it is an error where something is missing.
    pub required: bool,
}

/// What is missing.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct Unconfined {
    what: &'static str,
    cause: String,
}

impl Confinement {
    pub(crate) fn args(self) -> Vec<String> {
        let mut args = vec![self.memory_bytes.to_string(), self.processor_seconds.to_string()];
        args.extend((!self.required).then(|| UNCONFINED.to_owned()));
        args
    }

    pub(crate) fn of_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut number = || args.next()?.to_str()?.parse().ok();
        let (memory_bytes, processor_seconds) = (number()?, number()?);
        let required = match args.next() {
            None => true,
            Some(word) if word == UNCONFINED => false,
            Some(_) => return None,
        };
        Some(Self { memory_bytes, processor_seconds, required })
    }
}

/// Confines this process, which has one thread.
///
/// # Errors
///
/// The first that is missing, where it is required.
pub fn confine(confinement: &Confinement) -> Result<(), Unconfined> {
    // While there still is a file system to ask.
    let own_bytes = rlimits::own_bytes();
    let steps = [
        unconfined("prctl", alone()),
        unconfined("landlock", landlock::restrict()),
        unconfined("rlimits", own_bytes.and_then(|bytes| rlimits::set(confinement, bytes))),
        unconfined("seccomp", syscalls::restrict()),
    ];
    if confinement.required { steps.into_iter().collect() } else { Ok(()) }
}

fn alone() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)
}

fn unconfined<E: Display>(what: &'static str, step: Result<(), E>) -> Result<(), Unconfined> {
    step.map_err(|error| Unconfined { what, cause: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_carry_it() {
        for required in [true, false] {
            let confinement = Confinement { memory_bytes: 1 << 29, processor_seconds: 20, required };
            let args = confinement.args().into_iter().map(OsString::from);
            assert_eq!(Confinement::of_args(args), Some(confinement));
        }
        for wrong in [&[][..], &["1"], &["1", "x"], &["1", "2", "3"]] {
            assert_eq!(Confinement::of_args(wrong.iter().map(OsString::from)), None, "{wrong:?}");
        }
    }
}
