// SPDX-License-Identifier: GPL-3.0-or-later
//! A timer that epoll waits for, to the microsecond: epoll's own time-out knows milliseconds only.

use mio::{Interest, Registry, Token, unix::SourceFd};
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    time::Instant,
};

/// A timer.
#[derive(Debug)]
pub struct Timer {
    timer: TimerFd,
    set: Option<Instant>,
}

impl Timer {
    /// One that is not set.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        registry.register(&mut SourceFd(&timer.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, set: None })
    }

    /// Expires then; none: never.
    pub fn set(&mut self, at: Option<Instant>) -> io::Result<()> {
        if self.set == at {
            return Ok(());
        }
        self.set = at;
        match at {
            None => self.timer.unset()?,
            Some(at) => {
                // Zero would be never.
                let left =
                    at.saturating_duration_since(Instant::now()).max(std::time::Duration::from_nanos(1));
                let expiration = Expiration::OneShot(TimeSpec::from_duration(left));
                self.timer.set(expiration, TimerSetTimeFlags::empty())?;
            }
        }
        Ok(())
    }
}
