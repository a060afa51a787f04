// SPDX-License-Identifier: GPL-3.0-or-later
//! The memory that samples in a worker's hands may take together. A job whose sample does not fit waits, claimed and
//! renewed, until others are done. A sample larger than all of it is scanned alone.

use bytesize::ByteSize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound for the bytes of samples.
#[derive(Clone, Debug)]
pub struct Memory {
    free: Arc<Semaphore>,
    kib: usize,
}

impl Memory {
    /// At most so much.
    pub fn of(bytes: ByteSize) -> Self {
        let kib = usize::try_from(bytes.as_u64() / 1024).unwrap_or(usize::MAX);
        Self::new(kib.clamp(1, u32::MAX as usize))
    }

    /// Of samples whose bytes are kept elsewhere in this process anyway.
    pub fn shared() -> Self {
        Self::new(u32::MAX as usize)
    }

    fn new(kib: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(kib)), kib }
    }

    /// Waits until a sample of so many bytes fits.
    pub async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let kib = usize::try_from(bytes.div_ceil(1024)).unwrap_or(self.kib).min(self.kib);
        let kib = u32::try_from(kib).expect("no more than there is, which fits");
        Arc::clone(&self.free).acquire_many_owned(kib).await.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn samples_wait_until_they_fit_and_the_largest_is_alone() {
        let memory = Memory::of(ByteSize::kib(8));
        let small = memory.take(4096).await;
        assert!(memory.take(4097).now_or_never().is_none());
        assert!(memory.take(4096).now_or_never().is_some());
        assert!(memory.take(1 << 40).now_or_never().is_none());
        drop(small);
        assert!(memory.take(1 << 40).now_or_never().is_some());
    }
}
