// SPDX-License-Identifier: GPL-3.0-or-later
//! Puts away for Redis and takes out again: [`super::seal`], off the reactor where it would hold it up, and with a word
//! in the log about what does not open. That is to the caller as if it were not there.

use super::seal::{Purpose, Seal, Unsealed};
use bytes::Bytes;
use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;
use tracing::warn;

/// Sealing or opening more than this holds the reactor up: so much takes about half a millisecond.
const AT_ONCE: usize = 256 << 10;
/// How often the log is told of what does not open.
const PAUSE: Duration = Duration::from_secs(60);

/// Seals and opens for one process.
pub(super) struct Vault {
    seal: Arc<Seal>,
    complaints: Mutex<Complaints>,
}

/// When somebody last complained, and how much has happened since.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    since: u64,
}

impl Vault {
    /// Seals and opens with `seal`.
    pub(super) fn new(seal: Seal) -> Self {
        Self { seal: Arc::new(seal), complaints: Mutex::default() }
    }

    /// Whether there is a secret: nobody else can have written what opens.
    pub(super) fn is_closed(&self) -> bool {
        self.seal.is_closed()
    }

    /// See [`Seal::seal`].
    pub(super) fn seal<'a>(
        &self,
        purpose: Purpose,
        of: &str,
        plain: impl Into<Cow<'a, [u8]>>,
    ) -> Cow<'a, [u8]> {
        self.seal.seal(purpose, of, plain)
    }

    /// A sample's bytes, sealed; themselves where there is no secret.
    pub(super) async fn seal_sample(&self, of: &str, plain: &Bytes) -> Bytes {
        let (seal, of, plain) = (self.seal.clone(), of.to_owned(), plain.clone());
        let large = plain.len() > AT_ONCE && seal.is_closed();
        let sealing = move || match seal.seal(Purpose::Sample, &of, &plain[..]) {
            Cow::Owned(sealed) => sealed.into(),
            Cow::Borrowed(_) => plain,
        };
        aside(large, sealing).await
    }

    /// What was sealed; none, and a word in the log, where it does not open.
    pub(super) fn open(&self, purpose: Purpose, of: &str, bytes: impl Into<Vec<u8>>) -> Option<Bytes> {
        self.opened(purpose, of, self.seal.open(purpose, of, bytes))
    }

    /// The same for a sample.
    pub(super) async fn open_sample(&self, of: &str, bytes: Vec<u8>) -> Option<Bytes> {
        let (seal, name) = (self.seal.clone(), of.to_owned());
        let large = bytes.len() > AT_ONCE && seal.is_closed();
        let opened = aside(large, move || seal.open(Purpose::Sample, &name, bytes)).await;
        self.opened(Purpose::Sample, of, opened)
    }

    fn opened(&self, purpose: Purpose, of: &str, opened: Result<Bytes, Unsealed>) -> Option<Bytes> {
        let reason = match opened {
            Ok(bytes) => return Some(bytes),
            Err(reason) => reason,
        };
        crate::metrics::unsealed();
        let mut complaints = self.complaints.lock().expect("nothing panics while it holds the complaints");
        if let Some(times) = complaints.add(Instant::now()) {
            let purpose = purpose.as_str();
            warn!(event = "unsealed", purpose, of, times, %reason, "something in Redis cannot be believed");
        }
        None
    }
}

impl Complaints {
    /// How many there were since the last time, where it is time to say so.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// On a thread of its own where it takes long.
async fn aside<T: Send + 'static>(long: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
    if !long {
        return work();
    }
    match spawn_blocking(work).await {
        Ok(done) => done,
        // Nobody aborts it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed() -> Vault {
        Vault::new(Seal::new(&["0123456789abcdef0123456789abcdef".into()], "tg"))
    }

    #[tokio::test]
    async fn samples_of_any_size_come_back() {
        for size in [0, 10, AT_ONCE, AT_ONCE + 1] {
            let plain = Bytes::from(vec![b'x'; size]);
            for vault in [closed(), Vault::new(Seal::none())] {
                let sealed = vault.seal_sample("a", &plain).await;
                assert_eq!(vault.open_sample("a", sealed.to_vec()).await, Some(plain.clone()));
            }
            assert_eq!(closed().open_sample("a", plain.to_vec()).await, None);
        }
    }

    #[tokio::test]
    async fn without_a_secret_a_sample_is_not_copied() {
        let plain = Bytes::from_static(b"sample");
        let sealed = Vault::new(Seal::none()).seal_sample("a", &plain).await;
        assert_eq!(sealed.as_ptr(), plain.as_ptr());
    }

    #[test]
    fn the_first_complaint_is_heard_and_then_one_a_minute_with_their_number() {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let heard = [0, 1, 59, 60, 61, 200].map(|seconds| complaints.add(at(seconds)));
        assert_eq!(heard, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
