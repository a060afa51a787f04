// SPDX-License-Identifier: GPL-3.0-or-later
//! No file system at all. Linux since 5.13 knows how, where landlock is among its security modules.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetError, Scope,
};

/// The first there was: without it nothing is confined.
const LEAST: ABI = ABI::V1;
/// What is taken beside, as far as the kernel has it.
const MOST: ABI = ABI::V6;

/// Gives all of it up.
pub(super) fn restrict() -> Result<(), RulesetError> {
    let least = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?;
    let most = least
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(MOST))?
        .handle_access(AccessNet::from_all(MOST))?
        .scope(Scope::from_all(MOST))?;
    most.create()?.restrict_self()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::ErrorKind, net::TcpListener, thread};

    #[test]
    fn no_file_is_left_and_no_port() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(fs::read(manifest).is_ok());
        // It holds for the thread that asked for it, here.
        let kinds = thread::spawn(move || {
            restrict().unwrap();
            let errors = [
                fs::read(manifest).err(),
                fs::read_dir("/").err(),
                fs::write("/tmp/landlock-test", "x").err(),
                TcpListener::bind("127.0.0.1:0").err(),
            ];
            errors.map(|error| error.map(|error| error.kind()))
        });
        assert_eq!(kinds.join().unwrap(), [Some(ErrorKind::PermissionDenied); 4]);
        assert!(fs::read(manifest).is_ok());
    }
}
