// SPDX-License-Identifier: GPL-3.0-or-later
//! Which message is next, and when. Shared by all threads.
//!
//! First each known attachment is sent once ([`Preparation`]). Then messages are numbered, and their number says what
//! they are: the share of repeats is kept exactly and evenly, so that two runs send the same. With a rate the number also
//! says when a message is due; its latency counts from then, however late it begins (no coordinated omission).

use super::plan::{Length, Plan};
use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How often a known attachment is offered until the milter knows it, and how long to wait in between.
const OFFERS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// A message to send.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which of the sizes.
    pub size: usize,
    /// What its attachments are.
    pub content: Content,
    /// It is given up in its middle.
    pub abort: bool,
    /// When it is due; without a rate, when it begins.
    pub due: Instant,
    /// It counts; none: that depends on when its answer comes.
    pub counts: Option<bool>,
    offers: u32,
}

/// What a message's attachments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Known ones: which of the pool.
    Known(u64),
    /// New ones: of which message.
    New(u64),
}

/// What a connection does next.
#[derive(Debug)]
pub enum Next {
    /// Send this.
    Send(Job),
    /// Nothing before this time.
    At(Instant),
    /// Nothing any more.
    Over,
}

/// Each known attachment once.
#[derive(Debug)]
pub struct Preparation {
    waiting: Mutex<VecDeque<Job>>,
    left: AtomicUsize,
}

impl Preparation {
    /// For this plan.
    pub fn new(plan: &Plan) -> Self {
        let now = Instant::now();
        let known = plan.prepare && plan.mix.repeats > 0.0;
        let pool = match &plan.mix.message {
            Some(_) => u64::from(known),
            None if known => plan.mix.pool,
            None => 0,
        };
        let waiting: VecDeque<Job> = (0..plan.mix.kinds())
            .flat_map(|size| (0..pool).map(move |number| (size, number)))
            .map(|(size, number)| Job {
                size,
                content: Content::Known(number),
                abort: false,
                due: now,
                counts: Some(false),
                offers: 0,
            })
            .collect();
        Self { left: waiting.len().into(), waiting: waiting.into() }
    }

    /// What is next.
    pub fn next(&self, now: Instant) -> Next {
        if self.left.load(Ordering::Acquire) == 0 {
            return Next::Over;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.pop_front() {
            Some(job) if job.due <= now => Next::Send(job),
            Some(job) => {
                let due = job.due;
                waiting.push_front(job);
                Next::At(due)
            }
            None => Next::At(now + PAUSE), // others are under way and may have to be repeated
        }
    }

    /// It was answered.
    pub fn done(&self) {
        self.left.fetch_sub(1, Ordering::AcqRel);
    }

    /// It was not, or not finally: offers it again later. False: it was offered too often.
    pub fn again(&self, mut job: Job, now: Instant) -> bool {
        job.offers += 1;
        job.due = now + PAUSE;
        let goes_on = job.offers < OFFERS;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
        goes_on
    }
}

/// The messages of the run itself.
#[derive(Debug)]
pub struct Schedule {
    began: Instant,
    /// From here on they count.
    pub from: Instant,
    /// From here on there are no new ones.
    pub until: Option<Instant>,
    rate: Option<f64>,
    most: u64,
    sizes: usize,
    repeats: f64,
    pool: u64,
    aborts: f64,
    next: AtomicU64,
    counted: AtomicU64,
}

impl Schedule {
    /// That of a plan, beginning at a time.
    pub fn new(plan: &Plan, began: Instant) -> Self {
        let from = began + plan.warm_up;
        let (until, most) = match plan.length {
            Length::Time(time) => (Some(from + time), u64::MAX),
            Length::Messages(most) => (None, most),
        };
        Self {
            began,
            from,
            until,
            rate: plan.rate,
            most,
            sizes: plan.mix.kinds(),
            repeats: plan.mix.repeats,
            pool: plan.mix.pool,
            aborts: plan.abort_percent,
            next: AtomicU64::new(0),
            counted: AtomicU64::new(0),
        }
    }

    /// What is next.
    pub fn next(&self, now: Instant, random: &mut fastrand::Rng) -> Next {
        loop {
            if self.is_over(now) {
                return Next::Over;
            }
            let number = self.next.load(Ordering::Relaxed);
            let due = self.due(number).unwrap_or(now);
            if due > now {
                return Next::At(due);
            }
            let taken =
                self.next.compare_exchange_weak(number, number + 1, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                return self.job(number, due, random).map_or(Next::Over, Next::Send);
            }
        }
    }

    /// Whether there are no new ones any more.
    pub fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until) || self.counted.load(Ordering::Relaxed) >= self.most
    }

    /// How many are due and have not begun.
    pub fn backlog(&self, now: Instant) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let until = self.until.map_or(now, |until| until.min(now));
        let due = (until.saturating_duration_since(self.began).as_secs_f64() * rate).ceil() as u64;
        due.saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// How long those that are due and have not begun have been waiting. They count.
    pub fn waiting(&self, now: Instant) -> impl Iterator<Item = Duration> {
        let next = self.next.load(Ordering::Relaxed);
        let due = (next..next + self.backlog(now)).filter_map(|number| self.due(number));
        due.filter(|due| *due >= self.from).map(move |due| now.saturating_duration_since(due))
    }

    fn due(&self, number: u64) -> Option<Instant> {
        self.rate.map(|rate| self.began + Duration::from_secs_f64(number as f64 / rate))
    }

    /// None: there were enough.
    fn job(&self, number: u64, due: Instant, random: &mut fastrand::Rng) -> Option<Job> {
        let abort = share(number.wrapping_mul(7) + 3, self.aborts);
        let late = due >= self.from;
        let counts = match (self.until, self.rate) {
            (Some(_), None) => None,
            (Some(_), Some(_)) => Some(late),
            (None, _) if late && !abort => {
                if self.counted.fetch_add(1, Ordering::Relaxed) >= self.most {
                    return None;
                }
                Some(true)
            }
            (None, _) => Some(false),
        };
        let content = if share(number, self.repeats) {
            Content::Known(random.u64(..self.pool))
        } else {
            Content::New(number)
        };
        Some(Job { size: (number % self.sizes as u64) as usize, content, abort, due, counts, offers: 0 })
    }

    /// Whether a message whose answer came at this time counts.
    pub fn counts(&self, job: &Job, now: Instant) -> bool {
        job.counts.unwrap_or(now >= self.from && self.until.is_none_or(|until| now < until))
    }
}

/// Whether this number belongs to that share of all: of any thousand in a row exactly as many as it says, evenly spread.
fn share(number: u64, percent: f64) -> bool {
    ((number % 1000 * 377 % 1000) as f64) < percent * 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_kept_exactly_and_evenly() {
        for percent in [0.0, 0.5, 10.0, 90.0, 100.0] {
            let taken = (5000..6000).filter(|number| share(*number, percent)).count();
            assert_eq!(taken as f64, percent * 10.0);
        }
        let of_100 = (0..100).filter(|number| share(*number, 90.0)).count();
        assert!((88..=92).contains(&of_100), "{of_100}");
    }
}
