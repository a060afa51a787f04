// SPDX-License-Identifier: GPL-3.0-or-later
//! A number of permits that can change while some are taken: `limits.memory_bytes`, `limits.connections` and
//! `wait.sessions` are read again at SIGHUP.

use std::sync::{Arc, Mutex};
use tokio::{sync::Semaphore, task::JoinSet};

/// More are never needed, and the semaphore has room for some that are still to be withdrawn.
const MOST: usize = Semaphore::MAX_PERMITS / 4;
/// Withdrawn at a time, once they come back.
const PORTION: usize = 1 << 16;

/// Permits.
#[derive(Debug)]
pub struct Permits {
    free: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    size: usize,
    /// Wait for what is taken beyond that.
    withdrawals: JoinSet<()>,
}

impl Permits {
    /// So many.
    pub fn new(size: usize) -> Self {
        let size = size.min(MOST);
        let state = Mutex::new(State { size, withdrawals: JoinSet::new() });
        Self { free: Arc::new(Semaphore::new(size)), state }
    }

    /// Where they are taken.
    pub fn free(&self) -> &Arc<Semaphore> {
        &self.free
    }

    /// From now on there are so many. Those that are taken beyond that are withdrawn when they come back.
    pub fn resize(&self, size: usize) {
        let size = size.min(MOST);
        let mut state = self.state.lock().expect("nothing panics while it holds the size");
        while state.withdrawals.try_join_next().is_some() {}
        match size.checked_sub(state.size) {
            Some(more) => self.free.add_permits(more),
            None => {
                let count = state.size - size;
                let taken = count - self.free.forget_permits(count);
                state.withdrawals.spawn(withdraw(Arc::clone(&self.free), taken));
            }
        }
        state.size = size;
    }
}

async fn withdraw(free: Arc<Semaphore>, mut left: usize) {
    while left > 0 {
        let portion = left.min(PORTION);
        let permits = free.acquire_many(u32::try_from(portion).expect("a portion is small"));
        permits.await.expect("nobody closes the semaphore").forget();
        left -= portion;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_taken_is_withdrawn_when_it_comes_back() {
        let permits = Permits::new(4);
        let taken = permits.free().try_acquire_many(3).unwrap();
        permits.resize(2);
        tokio::task::yield_now().await;
        assert_eq!(permits.free().available_permits(), 0);
        drop(taken);
        tokio::task::yield_now().await;
        assert_eq!(permits.free().available_permits(), 2);
        permits.resize(5);
        assert_eq!(permits.free().available_permits(), 5);
    }
}
