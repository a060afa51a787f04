// SPDX-License-Identifier: GPL-3.0-or-later
//! What a format has while it opens a container: the passwords, what may still be taken, where to put what comes out, and the
//! containers inside, which wait until it is done.

use super::{budget::Budget, found::Found, passwords::Passwords, request::Kind, stop::Stop};
use bytes::Bytes;
use std::collections::VecDeque;

/// See above.
pub(crate) struct Work {
    pub(crate) passwords: Passwords,
    pub(crate) budget: Budget,
    pub(crate) found: Found,
    waiting: VecDeque<Inner>,
    /// Of the container that is being opened; the outermost has 0.
    depth: usize,
}

/// A container inside another.
pub(crate) struct Inner {
    pub(crate) kind: Kind,
    pub(crate) bytes: Bytes,
    pub(crate) depth: usize,
    /// Its bytes are spent, not held.
    is_member: bool,
}

impl Work {
    pub(crate) fn new(passwords: Passwords, budget: Budget) -> Self {
        Self { passwords, budget, found: Found::default(), waiting: VecDeque::new(), depth: 0 }
    }

    /// One more file that comes out. What is sealed inside it waits.
    pub(crate) fn member(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Stop> {
        self.budget.spend(bytes.len())?;
        let bytes = Bytes::from(bytes);
        self.found.member(name, bytes.clone());
        self.wait(bytes, true);
        Ok(())
    }

    /// A file that the scanner gets to see anyway. What is sealed inside it waits.
    pub(crate) fn look_into(&mut self, bytes: Vec<u8>) {
        self.wait(Bytes::from(bytes), false);
    }

    fn wait(&mut self, bytes: Bytes, is_member: bool) {
        if let Some(kind) = Kind::of(&bytes) {
            self.budget.hold(if is_member { 0 } else { bytes.len() });
            self.waiting.push_back(Inner { kind, bytes, depth: self.depth + 1, is_member });
        }
    }

    /// The container to be opened next. None where a limit was met.
    pub(crate) fn next_inner(&mut self) -> Option<Inner> {
        let inner = self.waiting.pop_front().filter(|_| !self.found.is_cut_off())?;
        self.budget.let_go(if inner.is_member { 0 } else { inner.bytes.len() });
        self.passwords.next_container();
        self.depth = inner.depth;
        Some(inner)
    }
}
