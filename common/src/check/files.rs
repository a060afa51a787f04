// SPDX-License-Identifier: GPL-3.0-or-later
//! Files that the configuration names, and the folder of the log: whether this user can read or write them, and whether
//! others can read what is secret.

use super::visit::is_credential;
use crate::{
    admin::settings::Admin,
    api::check::{Finding, Level},
    config::Fault,
    telemetry::{self, Log},
};
use std::{fs::File, os::unix::fs::PermissionsExt as _, path::Path};

/// Others may read.
const OTHERS_READ: u32 = 0o004;
/// Others may write.
const OTHERS_WRITE: u32 = 0o002;
/// The group may write.
const GROUP_WRITES: u32 = 0o020;

/// A file that the configuration names.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// By which key.
    pub key: &'a str,
    /// Which one.
    pub file: &'a Path,
    /// Whether nobody else may read it.
    pub is_secret: bool,
}

impl<'a> Named<'a> {
    /// What others may read, where the key is set.
    pub fn public(key: &'a str, file: Option<&'a Path>) -> Option<Self> {
        Some(Self { key, file: file?, is_secret: false })
    }

    /// What nobody else may read, where the key is set.
    pub fn secret(key: &'a str, file: Option<&'a Path>) -> Option<Self> {
        Some(Self { key, file: file?, is_secret: true })
    }

    /// Whether it can be read, and by whom else.
    pub fn look(&self) -> Finding {
        let Self { key, file, is_secret } = *self;
        let place = file.display();
        let opened = File::open(file).and_then(|file| file.metadata());
        let mode = match opened {
            Ok(metadata) => metadata.permissions().mode() & 0o777,
            Err(error) => {
                return Finding::of_fault(&Fault::new(&[key], format!("{place} cannot be read: {error}")));
            }
        };
        if is_credential(file) {
            return Finding::ok(key, format!("{place} can be read"));
        }
        let warn = |whose: &str| {
            let cure = format!("chown root:thundergate {place} && chmod 640 {place}");
            Finding::new(Level::Warning, key, format!("{place} can be {whose} (mode {mode:o})"), cure)
        };
        if mode & OTHERS_WRITE != 0 || (is_secret && mode & GROUP_WRITES != 0) {
            return warn("written by others than its owner");
        }
        match is_secret {
            true if mode & OTHERS_READ != 0 => warn("read by everybody on this host"),
            true => Finding::ok(key, format!("{place} can be read, and not by everybody")),
            false => Finding::ok(key, format!("{place} can be read")),
        }
    }
}

/// The files that `[admin]` names.
pub fn of_admin(admin: &Admin) -> Vec<Named<'_>> {
    let named = [
        Named::secret("admin.token_file", admin.token_file.as_deref()),
        // It has digests of tokens, from which nobody gets them.
        Named::public("admin.tokens_file", admin.tokens_file.as_deref()),
        Named::public("admin.cert_file", admin.cert_file.as_deref()),
        Named::secret("admin.key_file", admin.key_file.as_deref()),
    ];
    named.into_iter().flatten().collect()
}

/// Where the log goes.
pub fn log(log: &Log) -> Finding {
    if log.file.as_os_str().is_empty() {
        return Finding::ok("log.file", "lines go to stdout");
    }
    match telemetry::check_folder(log) {
        Ok(()) => Finding::ok("log.file", format!("{} can be written", log.file.display())),
        Err(error) => Finding::new(
            Level::Wrong,
            "log.file",
            super::cause::with_causes(&error),
            "make the folder, and let the user thundergate write to it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};

    #[test]
    fn a_secret_that_others_can_read_or_write_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "x").unwrap();
        let level = |mode, is_secret| {
            set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            Named { key: "redis.secret_file", file: &file, is_secret }.look().level
        };
        assert_eq!([level(0o600, true), level(0o640, true)], [Level::Ok; 2]);
        assert_eq!([level(0o644, true), level(0o660, true)], [Level::Warning; 2]);
        assert_eq!([level(0o644, false), level(0o666, false)], [Level::Ok, Level::Warning], "a certificate");
        std::fs::remove_file(&file).unwrap();
        let gone = Named { key: "redis.ca_file", file: &file, is_secret: false }.look();
        assert_eq!((gone.level, gone.subject.as_str()), (Level::Wrong, "redis.ca_file"));
    }
}
