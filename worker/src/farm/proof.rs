// SPDX-License-Identifier: GPL-3.0-or-later
//! The proof: a tiny sample that every scanner can scan, sent to an instance after one of its scans failed. The instance
//! answers: the failure was the sample's. It does not: the failure was the instance's.
//!
//! `source` is [`SOURCE`], so that a scanner's log tells these uploads from mail.

use crate::thunderstorm::{client::Client, error::CallError};
use bytes::Bytes;
use std::time::{Duration, Instant};
use thundergate_common::{
    digest::Digest,
    sample::{NameHint, Sample, SampleKey},
};

/// What the scanner's log says of where the known sample comes from.
pub(crate) const SOURCE: &str = "thundergate-proof";
/// The known sample. What a scanner finds in it does not matter, only that it answers.
const KNOWN: &[u8] = b"thundergate asks whether this scanner scans.\n";
/// The first pause between two tries at a busy instance that does not say how long to wait, and the longest.
const BUSY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// What a proof said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The instance scans.
    Passed,
    /// It does not.
    Failed,
    /// It was too busy to tell.
    Busy,
}

/// Has the server scan the known sample, within `limit` for each try; a busy one is asked again for `patience`.
///
/// # Errors
///
/// As [`Client::scan`].
pub(crate) async fn scan_known(
    client: &Client,
    limit: Duration,
    patience: Duration,
) -> Result<(), CallError> {
    let key = SampleKey { digest: Digest::of(KNOWN), hint: NameHint::None };
    let sample = Sample { key, bytes: Bytes::from_static(KNOWN) };
    let give_up = Instant::now() + patience;
    let mut pause = BUSY_PAUSE.0;
    loop {
        match client.scan_within(limit, &sample, SOURCE).await {
            Err(CallError::Busy { pause: said, .. }) if Instant::now() < give_up => {
                tokio::time::sleep(said.unwrap_or(pause).clamp(BUSY_PAUSE.0, BUSY_PAUSE.1)).await;
                pause = (pause * 2).min(BUSY_PAUSE.1);
            }
            outcome => return outcome.map(drop),
        }
    }
}
