// SPDX-License-Identifier: GPL-3.0-or-later
//! What the model knows of one sample.

use super::{Audience, Id};
use std::{collections::BTreeMap, sync::Arc};
use thundergate_common::{failed::FailedSample, job::Lane, verdict::Verdict};

/// Something that certainly lives until one moment, and no longer than until another one, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life {
    /// Until then it does.
    pub surely: u64,
    /// From then on it does not.
    pub at_most: u64,
}

/// Who answers for a sample while the lease lives.
#[derive(Clone, Debug, PartialEq)]
pub enum Holder {
    /// A process that has reserved it.
    Owner(usize),
    /// A job in the queue; by whom it was submitted.
    Queue(usize),
    /// A job that was handed back.
    Returned,
    /// A job in bulk.
    Bulk,
    /// A job that nobody waits for.
    Background,
    /// A worker with this job.
    Scan(Id),
}

/// One sample.
pub struct Sample {
    /// In bytes.
    pub size: u64,
    /// Who answers for it.
    pub lease: Option<(Holder, Life)>,
    /// How long they are kept.
    pub bytes: Life,
    /// Processes that wait for it.
    pub waiters: BTreeMap<usize, Life>,
    /// And when it is over.
    pub verdict: Option<(Arc<Verdict>, u64)>,
    /// What is held against it, and when that is over.
    pub failed: Option<(FailedSample, u64)>,
    /// Whether it has a dead letter.
    pub letter: bool,
    /// Whether a message was delivered without its scan.
    pub owed: bool,
}

impl Holder {
    /// The lane that the job waits in, where others may overtake it.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Owner(_) | Self::Queue(_) | Self::Returned | Self::Scan(_) => Lane::Mail,
            Self::Bulk => Lane::Bulk,
            Self::Background => Lane::Background,
        }
    }
}

impl Life {
    /// It ends at that moment.
    pub fn until(moment: u64) -> Self {
        Self { surely: moment, at_most: moment }
    }

    /// It may have ended by now.
    pub fn doubted(self) -> Self {
        Self { surely: 0, ..self }
    }
}

impl Sample {
    /// Nothing is known of it but its size.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            lease: None,
            bytes: Life::default(),
            waiters: BTreeMap::new(),
            verdict: None,
            failed: None,
            letter: false,
            owed: false,
        }
    }

    /// Who certainly waits.
    pub fn audience(&self, now: u64) -> Audience {
        self.waiters.iter().filter(|(_, life)| now < life.surely).map(|(process, _)| *process).collect()
    }

    /// Whether a worker has another job of it than this one.
    pub fn scanned_by_another(&self, job: &Id, now: u64) -> bool {
        matches!(&self.lease, Some((Holder::Scan(other), life)) if other != job && now < life.surely)
    }

    /// Waiters are forgotten together, so one who comes keeps the others.
    pub fn awaited_by(&mut self, process: usize, now: u64, until: u64) {
        self.waiters.insert(process, Life::until(until));
        for life in self.waiters.values_mut() {
            *life = Life { surely: if now < life.surely { until } else { 0 }, at_most: until };
        }
    }

    /// Over Redis who learns a verdict leaves for its whole process and gives back what it owned; within one process it
    /// touches nothing. Neither matters to anybody: the verdict is there.
    pub fn needs_no_reservation(&mut self, process: usize, lane: Lane) {
        if let Some(life) = self.waiters.get_mut(&process) {
            *life = life.doubted();
        }
        if let Some((holder, life)) = &mut self.lease
            && (matches!(holder, Holder::Owner(owner) | Holder::Queue(owner) if *owner == process)
                || holder.lane() > lane)
        {
            *life = life.doubted();
        }
    }

    /// The queue is full: the sample is free for whoever asks next, unless it is another one's.
    pub fn refused(&mut self, process: usize, now: u64, until: u64) {
        match &mut self.lease {
            Some((Holder::Owner(owner), _)) if *owner == process => self.given_back(),
            None => self.given_back(),
            // Submitted by this process before: whether that counts as its reservation is the hub's affair.
            Some((Holder::Queue(owner), life)) if *owner == process => {
                *life = life.doubted();
                self.bytes = self.bytes.doubted();
            }
            // Bytes come before the job that is refused; another one's stay.
            Some((_, life)) if now < life.surely => self.bytes.at_most = until,
            Some(_) => self.bytes = Life { surely: 0, at_most: until },
        }
    }

    fn given_back(&mut self) {
        (self.lease, self.bytes) = (None, Life::default());
        // Within one process who waits is forgotten as well; whoever still does asks again.
        self.waiters.values_mut().for_each(|life| *life = life.doubted());
    }

    /// The lease goes on from its holder to the queue.
    pub fn submitted(&mut self, process: usize, holder: Holder, life: Life, now: u64) {
        let background = holder == Holder::Background;
        self.lease = match self.lease.take() {
            // Over Redis a job that nobody waits for takes its submitter's place only.
            None if background => Some((holder, life.doubted())),
            Some((Holder::Returned, before)) if background => {
                Some((Holder::Returned, Life { surely: 0, at_most: life.at_most.max(before.at_most) }))
            }
            None | Some((Holder::Returned, _)) => Some((holder, life)),
            Some((Holder::Owner(owner) | Holder::Queue(owner), _)) if owner == process => {
                Some((holder, life))
            }
            Some((other, before)) if now < before.surely => Some((other, before)),
            Some((_, before)) => {
                Some((holder, Life { surely: 0, at_most: life.at_most.max(before.at_most) }))
            }
        };
    }

    /// The lease goes on from its worker to the queue. A job that was not begun has another one, which may go on longer.
    pub fn handed_back(&mut self, job: &Id, now: u64, until: u64) {
        let returned = Some((Holder::Returned, Life::until(until)));
        self.lease = match self.lease.take() {
            None | Some((Holder::Returned, _)) => returned,
            Some((Holder::Scan(scanned), _)) if scanned == *job => returned,
            Some((Holder::Queue(owner), life)) => {
                Some((Holder::Queue(owner), Life { at_most: life.at_most.max(until), ..life }))
            }
            Some((other, life)) if now < life.surely => Some((other, life)),
            Some((_, life)) => Some((Holder::Returned, Life { surely: 0, at_most: life.at_most.max(until) })),
        };
    }
}
