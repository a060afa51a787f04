// SPDX-License-Identifier: GPL-3.0-or-later
//! Secrets are not values of a configuration but files that it names. What is wrong with one is told with its name, never
//! with what stands in it.

use super::Fault;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::path::Path;

/// The first line of a file, and there must be no other.
pub(crate) fn line(key: &str, path: Option<&Path>) -> Result<Option<SecretString>, Fault> {
    let Some(path) = path else { return Ok(None) };
    let text = text(key, path)?;
    let line = text.expose_secret().trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains('\n') {
        return Err(unusable(key, path, "must hold one line and nothing else"));
    }
    Ok(Some(line.into()))
}

pub(crate) fn text(key: &str, path: &Path) -> Result<SecretString, Fault> {
    let bytes = contents(key, path)?;
    let text = std::str::from_utf8(bytes.expose_secret());
    text.map(Into::into).map_err(|_| unusable(key, path, "is no text"))
}

pub(crate) fn contents(key: &str, path: &Path) -> Result<SecretSlice<u8>, Fault> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Err(unusable(key, path, "is empty")),
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => Err(unusable(key, path, &format!("cannot be read: {error}"))),
    }
}

pub(crate) fn unusable(key: &str, path: &Path, why: &str) -> Fault {
    Fault::new(&[key], format!("{} {why}", path.display()))
}
