// SPDX-License-Identifier: GPL-3.0-or-later
//! A sample: the bytes handed to the scanner, and the key it is known by.
//!
//! THOR looks at a file's name as well as its bytes, so the same bytes under another name can get another verdict:
//! a sample's key is its digest *and* its name hint. `scan.name_hint` says how much of the name that is.

use crate::digest::{Digest, NotADigest};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How much of a part's name belongs to its sample's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HintStyle {
    /// The lower-cased last extension; the scanner sees `<digest>.<ext>`.
    #[default]
    Extension,
    /// The sanitised file name.
    Full,
    /// Nothing; the scanner sees `<digest>`.
    None,
}

/// What the scanner is told of a part's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameHint {
    /// Nothing.
    None,
    /// A lower-case extension without its dot: ASCII letters and digits, 1 to 16 of them.
    Extension(String),
    /// A file name without path separators, quotes, braces or control characters, at most 120 bytes.
    Full(String),
}

/// What a sample is known by, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SampleKey {
    /// Of the sample's bytes.
    pub digest: Digest,
    /// Of the part's name.
    pub hint: NameHint,
}

/// The bytes handed to the scanner.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it is known by.
    pub key: SampleKey,
    /// The part's decoded bytes.
    pub bytes: Bytes,
}

impl NameHint {
    /// The hint that `style` takes from a part's file name.
    pub fn of(style: HintStyle, name: Option<&str>) -> Self {
        match (style, name) {
            (HintStyle::None, _) | (_, None) => Self::None,
            (HintStyle::Extension, Some(name)) => extension(name).map_or(Self::None, Self::Extension),
            (HintStyle::Full, Some(name)) => sanitised(name).map_or(Self::None, Self::Full),
        }
    }
}

impl SampleKey {
    /// The file name under which the scanner gets the sample.
    pub fn upload_name(&self) -> String {
        match &self.hint {
            NameHint::None => self.digest.to_string(),
            NameHint::Extension(extension) => format!("{}.{extension}", self.digest),
            NameHint::Full(name) => name.clone(),
        }
    }
}

/// `<digest>`, `<digest>.<ext>` or `<digest>/<name>`: unique, printable, and safe inside a Redis key.
impl fmt::Display for SampleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hint {
            NameHint::None => write!(f, "{}", self.digest),
            NameHint::Extension(extension) => write!(f, "{}.{extension}", self.digest),
            NameHint::Full(name) => write!(f, "{}/{name}", self.digest),
        }
    }
}

/// What is no sample's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASample {
    /// It does not begin with one.
    #[error(transparent)]
    Digest(#[from] NotADigest),
    /// The digest goes on.
    #[error("after the digest there may be .extension or /name")]
    Rest,
    /// No such hint is ever made of a name.
    #[error("what follows the digest is no extension")]
    Hint,
}

/// As it is displayed.
impl FromStr for SampleKey {
    type Err = NotASample;

    fn from_str(text: &str) -> Result<Self, NotASample> {
        let (digest, rest) = text.split_at_checked(64).unwrap_or((text, ""));
        let digest = digest.parse()?;
        let hint = match rest.split_at_checked(1) {
            None => NameHint::None,
            Some((".", _)) => NameHint::of(HintStyle::Extension, Some(rest)),
            Some(("/", name)) => NameHint::of(HintStyle::Full, Some(name)),
            Some(_) => return Err(NotASample::Rest),
        };
        if hint == NameHint::None && !rest.is_empty() {
            return Err(NotASample::Hint);
        }
        Ok(Self { digest, hint })
    }
}

fn extension(name: &str) -> Option<String> {
    let (_, extension) = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace()).rsplit_once('.')?;
    let usable = (1..=16).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    usable.then(|| extension.to_ascii_lowercase())
}

fn sanitised(name: &str) -> Option<String> {
    let forbidden = |c: char| c.is_control() || matches!(c, '"' | '\'' | '\\' | '/' | ';' | ':' | '{' | '}');
    let mut clean: String = name.trim().chars().map(|c| if forbidden(c) { '_' } else { c }).collect();
    clean.truncate(clean.floor_char_boundary(120));
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_is_the_last_one_in_lower_case() {
        let hint = |name| NameHint::of(HintStyle::Extension, Some(name));
        assert_eq!(hint("Invoice.PDF.Exe"), NameHint::Extension("exe".into()));
        assert_eq!(
            hint("trailing.exe. "),
            NameHint::Extension("exe".into()),
            "Windows drops trailing dots and blanks"
        );
        assert_eq!(hint("README"), NameHint::None);
        assert_eq!(hint("a.b c"), NameHint::None);
    }

    #[test]
    fn a_full_name_cannot_break_out_of_a_key_or_a_header() {
        let key = SampleKey {
            digest: Digest::of(b""),
            hint: NameHint::of(HintStyle::Full, Some("a\"b\r\nX: y/{c}\\\0.exe")),
        };
        assert_eq!(key.upload_name(), "a_b__X_ y__c___.exe");
    }
}
