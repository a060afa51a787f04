// SPDX-License-Identifier: GPL-3.0-or-later
//! `[canary]`: a sample that each instance must find. Without a file of the site's it is the EICAR test file with spaces and
//! tabs behind, which by its definition it may have; they encode a number, another one each time, so that no cache
//! answers.

use super::eicar::eicar;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use thundergate_common::{
    config::Fault,
    digest::Digest,
    sample::{HintStyle, NameHint, Sample, SampleKey},
};

/// What a scanner's log says of where canaries come from.
pub(super) const SOURCE: &str = "thundergate-canary";
/// So many blanks stand behind EICAR's bytes, a bit each.
const BLANKS: u32 = u32::BITS;

/// `[canary]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The time between two; 0: none are sent, and nobody is blind.
    #[serde(default = "Canary::default_every", with = "humantime_serde")]
    pub every: Duration,
    /// A file that each instance must find; empty: the EICAR test file.
    #[serde(default)]
    pub file: PathBuf,
}

impl Default for Canary {
    fn default() -> Self {
        Self { every: Self::default_every(), file: PathBuf::new() }
    }
}

/// What a round sends.
pub(super) struct Sent {
    bytes: Bytes,
    hint: NameHint,
    /// Whether blanks may stand behind it.
    padded: bool,
}

impl Canary {
    /// Finds what can never work.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub fn check(&self) -> Result<(), Fault> {
        if !self.every.is_zero() && self.every < Duration::from_secs(1) {
            return Fault::found(&["canary.every"], "must be 0s or at least 1s");
        }
        if !self.is_own() {
            let unreadable = |error| {
                Fault::new(&["canary.file"], format!("{} cannot be read: {error}", self.file.display()))
            };
            let bytes = std::fs::read(&self.file).map_err(unreadable)?;
            if bytes.is_empty() {
                return Fault::found(&["canary.file"], "is an empty file, in which nothing can be found");
            }
        }
        Ok(())
    }

    /// One sample, another one each time where it may be.
    ///
    /// # Errors
    ///
    /// The site's file cannot be read.
    pub(crate) async fn fresh(&self) -> io::Result<Sample> {
        Ok(self.sample().await?.fresh())
    }

    /// What the next round sends.
    ///
    /// # Errors
    ///
    /// The site's file cannot be read.
    pub(super) async fn sample(&self) -> io::Result<Sent> {
        if self.is_own() {
            return Ok(Sent::eicar());
        }
        let name = self.file.file_name().and_then(|name| name.to_str());
        let hint = NameHint::of(HintStyle::Extension, name);
        Ok(Sent { bytes: tokio::fs::read(&self.file).await?.into(), hint, padded: false })
    }

    fn default_every() -> Duration {
        Duration::from_secs(600)
    }

    fn is_own(&self) -> bool {
        self.file == Path::new("")
    }
}

impl Sent {
    /// The EICAR test file.
    pub(super) fn eicar() -> Self {
        Self { bytes: eicar().into(), hint: NameHint::Extension("com".to_owned()), padded: true }
    }

    /// One that no cache knows, where it may be changed.
    pub(super) fn fresh(&self) -> Sample {
        let bytes = if self.padded { numbered(&self.bytes, fastrand::u32(..)) } else { self.bytes.clone() };
        Sample { key: SampleKey { digest: Digest::of(&bytes), hint: self.hint.clone() }, bytes }
    }
}

/// `bytes` and a number in blanks, the lowest bit first.
fn numbered(bytes: &[u8], number: u32) -> Bytes {
    let blanks = (0..BLANKS).map(|bit| if number >> bit & 1 == 1 { b'\t' } else { b' ' });
    bytes.iter().copied().chain(blanks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_canary_is_another_and_still_eicar_by_its_definition() {
        let sent = Sent::eicar();
        let (one, another) = (sent.fresh(), sent.fresh());
        assert_ne!(one.key.digest, another.key.digest);
        for sample in [one, another] {
            let (head, blanks) = sample.bytes.split_at(68);
            assert_eq!(head, eicar());
            assert!(blanks.len() == 32 && blanks.iter().all(|byte| b" \t".contains(byte)));
            assert_eq!(sample.key.digest, Digest::of(&sample.bytes));
        }
        assert_eq!(&numbered(b"", 5)[..4], b"\t \t ");
    }

    #[tokio::test]
    async fn a_file_of_the_sites_is_sent_as_it_is() {
        let directory = std::env::temp_dir();
        let file = directory.join(format!("thundergate-canary-{}.js", std::process::id()));
        std::fs::write(&file, "ours").unwrap();
        let canary = Canary { every: Duration::from_secs(60), file: file.clone() };
        assert!(canary.check().is_ok());
        let sample = canary.sample().await.unwrap().fresh();
        assert_eq!((&sample.bytes[..], sample.key.hint), (&b"ours"[..], NameHint::Extension("js".into())));
        std::fs::remove_file(file).unwrap();
        assert!(canary.check().is_err(), "it is gone");
    }
}
