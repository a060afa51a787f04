// SPDX-License-Identifier: GPL-3.0-or-later
//! How large a file an instance scans. A scanner calls what is too large clean without looking at it, and does not say
//! where that begins. So it is sent a ZIP of that size, not compressed, whose last member is the EICAR test file.
//!
//! Where nothing is found in a small ZIP either, this scanner does not look into archives, or not at EICAR: the limit is as
//! it is configured and not proved. It is never a sign of blindness.

use super::archive::archive;
use crate::{farm::Farm, thunderstorm::error::CallError};
use thundergate_common::{
    digest::Digest,
    sample::{NameHint, Sample, SampleKey},
};

/// What a scanner's log says of where the files come from.
const SOURCE: &str = "thundergate-size";
/// Surely not too large, in bytes.
const SMALL: u64 = 4 << 10;
/// The first try below what is configured, in bytes: THOR's default before version 11, `30MB`.
const USUAL: u64 = 30_000_000;
/// No limit is taken to be lower, in bytes.
const LEAST: u64 = 1 << 20;

/// The largest file in bytes that `instance` scans, up to `configured`, and whether that is proved; none where it does not
/// answer.
pub(super) async fn try_out(farm: &Farm, instance: &str, configured: u64) -> Option<(u64, bool)> {
    if !finds(farm, instance, SMALL.min(configured)).await? {
        return Some((configured, false));
    }
    let sizes = sizes(configured);
    for size in &sizes {
        if finds(farm, instance, *size).await? {
            return Some((*size, true));
        }
    }
    Some((sizes.last().copied().unwrap_or(configured), false))
}

/// Whether something is found in a ZIP of this size; none where there was no answer.
async fn finds(farm: &Farm, instance: &str, size: u64) -> Option<bool> {
    let bytes = tokio::task::spawn_blocking(move || archive(size)).await.ok()?;
    let key = SampleKey { digest: Digest::of(&bytes), hint: NameHint::Extension("zip".to_owned()) };
    match farm.check(instance, &Sample { key, bytes }, SOURCE).await {
        Ok(findings) => Some(!findings.is_empty()),
        Err(CallError::TooLarge) => Some(false),
        Err(_) => None,
    }
}

/// The sizes that are tried: what is configured, what is usual, and halves of it.
fn sizes(configured: u64) -> Vec<u64> {
    let mut sizes = vec![configured];
    let mut next = if configured > USUAL { USUAL } else { configured / 2 };
    while next > LEAST {
        sizes.push(next);
        next /= 2;
    }
    if configured > LEAST {
        sizes.push(LEAST);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_tried_first_then_what_is_usual_and_halves_of_it() {
        let from = sizes(30 << 20);
        assert_eq!(from, [30 << 20, 30_000_000, 15_000_000, 7_500_000, 3_750_000, 1_875_000, 1 << 20]);
        assert_eq!(sizes(30_000_000)[..2], [30_000_000, 15_000_000]);
        assert_eq!(sizes(1 << 20), [1 << 20]);
        assert_eq!(sizes(1000), [1000]);
    }
}
