// SPDX-License-Identifier: GPL-3.0-or-later
//! The hub: where milters and workers meet. [`redis`] for a cluster of them, [`memory`] inside one process; the same
//! semantics in both, and one suite of tests for both.
//!
//! The life of an unknown sample:
//!
//! 1. A milter subscribes to its announcement and **reserves** it. One of all milters becomes the owner, the others
//!    join; who comes after the verdict gets the verdict. Who waits no longer **leaves**.
//! 2. The owner **submits** the bytes and a job. Until then the reservation lasts `queue.reserve_ttl`, so that an
//!    owner that dies does not block the sample.
//! 3. A worker **claims** the job and **begins** it: it takes the scan's lease and gets the bytes, or learns that
//!    there is nothing left to do. A job that nobody waits for any more goes to the background lane.
//! 4. While it scans it **renews** the lease and the claim. What a dead worker claimed is **reclaimed** by another.
//! 5. It **completes** the job: verdict stored, announced, bytes and lease deleted, job acknowledged, in this order. A
//!    crash between any two repeats work and loses none.
//!
//! An announcement can be missed. A waiter therefore reserves again from time to time: it gets the verdict, joins the
//! scan that still runs, or becomes the owner of a sample whose owner is gone. So a missed announcement, a lost job and
//! a restarted Redis cost time, never correctness.
//!
//! Jobs stand in three [lanes](Lane). Workers take three of mail and one of bulk while both wait, and of background what is left.
//! Who asks from a better lane than the one a job waits in becomes the owner and submits the sample there as well: the two
//! never scan at the same time, and the later one ends by itself.
//!
//! The limits of the queue are for mail and bulk. Background may hold half of the jobs and **gives way** to them and to
//! its own newer jobs: what nobody has claimed goes, the oldest first, and its bytes with it. Samples of messages that
//! were delivered all the same are **owed** a scan: they go last, and each that does is told as `never_scanned`.
//!
//! A failed scan is announced and put among the dead letters; it is never stored as a verdict. A failure that is the
//! sample's own is **remembered** for a while: whoever reserves the sample is told at once. A sample has one dead letter,
//! which goes when it was scanned after all.
//!
//! A process holds the part of the hub that its role needs, a trait for each user of `deploy/redis/users.acl`: [`Milter`],
//! [`Worker`], [`Operator`]. [`Observer`] is what pages and metrics read, whoever runs them; [`Hub`] what all of them have.
//!
//! Beside that, workers **report** what they see of the farm, and every process learns of the
//! [`generation`](crate::generation) that follows from it.

mod announcements;
pub mod memory;
mod passwords;
mod queue;
pub mod redis;
mod view;

pub use announcements::{Announcements, Ticket};
pub use queue::Queue;
pub use view::{DeadLetter, KnownSample, LaneState, QueueState, Retried};

use crate::{
    clock,
    failed::FailedSample,
    generation::{FarmReport, Generation},
    job::{Job, Lane},
    metrics,
    oversight::Oversight,
    record::{
        MailRecord,
        queue_id::Decisions,
        seen::{Seen, Sought},
    },
    sample::{Sample, SampleKey},
    verdict::{Answer, Verdict},
};
use async_trait::async_trait;
use bytes::Bytes;
use secrecy::SecretString;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};

/// Why the hub could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It cannot be reached or does not answer in time.
    #[error("hub unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has no memory for what is new; what is known it serves.
    #[error("hub is full")]
    Full,
    /// It answered something this program does not understand, or refused.
    #[error("hub gave an unusable answer")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the server behind a hub holds; of several the fullest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubMemory {
    /// All of it, in bytes.
    pub used_bytes: u64,
    /// The most it may hold; 0: no bound.
    pub most_bytes: u64,
    /// Samples that wait, which are part of it.
    pub sample_bytes: u64,
    /// How much the rest of it may be, before clean verdicts live shorter; 0: no bound.
    pub bound_bytes: u64,
    /// How long a clean verdict lives that is stored now.
    pub clean_life: Duration,
}

impl HubMemory {
    /// What it holds but samples that wait.
    pub fn held_bytes(&self) -> u64 {
        self.used_bytes.saturating_sub(self.sample_bytes)
    }
}

/// Why a hub does not take what a process writes: whose fault it is and what to do, in one line for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Trouble {
    /// That line.
    pub reason: String,
    /// Whether it is for want of memory: what is known is served, and nothing new is taken.
    pub full: bool,
}

/// What [`Milter::reserve`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Reservation {
    /// The verdict is there.
    Known(Arc<Verdict>),
    /// The caller owns the sample now: it submits bytes and job.
    Owner,
    /// A scan is under way; the announcement will come.
    Joined,
    /// It could not be scanned and still counts as failed. Nothing is reserved.
    Failed(Arc<FailedSample>),
}

/// What [`Milter::submit`] did with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It stands in the queue.
    Queued,
    /// The queue is full, by its limits; the reservation is given back.
    Full,
    /// The memory behind the queue is full, whatever the queue holds; the reservation is given back.
    OutOfMemory,
}

/// A job in the hands of one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The hub's name of the queue entry.
    pub id: String,
    /// What to do.
    pub job: Job,
    /// How often it has been handed out, this time included.
    pub deliveries: u32,
}

/// How many jobs a worker can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of all lanes together.
    pub most: usize,
    /// Of the background lane, no more than that.
    pub background: usize,
}

/// What [`Worker::begin`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// The lease is taken: scan these bytes.
    Scan {
        /// The sample's bytes.
        bytes: Bytes,
        /// What is held against the sample, also where that holds no longer.
        failed: Option<FailedSample>,
    },
    /// Nothing to do now: the verdict is there, or the sample still counts as failed (either is announced again), another
    /// worker scans it, or its bytes are gone and with them everybody who waited: the job is acknowledged. Or nobody waits for it any more: it went to
    /// the background lane.
    Nothing,
}

/// How a worker ends a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// The sample has an answer that is no failure.
    Answered(Answer),
    /// The sample could not be scanned, by its own fault: that is remembered. The job is a dead letter; those who wait
    /// are told.
    Failed(FailedSample),
    /// The job is a dead letter, for this reason; those who wait are told. Nothing is held against the sample.
    Dead(String),
}

/// A sample of a message that was delivered will not be scanned any more.
pub(crate) fn never_scanned(sample: &str, queue_id: &str) {
    metrics::never_scanned();
    tracing::warn!(
        event = "never_scanned",
        sample.key = sample,
        queue.id = queue_id,
        "A sample of a message that was delivered will not be scanned: other samples needed its place"
    );
}

/// What everybody may ask. All calls, of every role, may be repeated; none waits longer than its time-out, except
/// [`Worker::claim`], which waits as long as it is told to.
#[async_trait]
pub trait Hub: Send + Sync + 'static {
    /// The verdicts of `keys`, in their order. One round trip, whatever their number.
    async fn look_up(&self, keys: &[SampleKey]) -> Result<Vec<Option<Arc<Verdict>>>, HubError>;

    /// What clean verdicts must have seen, as far as this process knows: at most seconds old.
    fn generation(&self) -> Arc<Generation>;

    /// Why no instance scans, as far as this process knows: at most seconds old; none where one does.
    fn outage(&self) -> Option<Arc<str>> {
        None
    }

    /// Whether the hub answers.
    async fn ping(&self) -> Result<(), HubError>;

    /// Why the hub does not take what this process writes, as the last [`Milter::probe`] or [`Worker::probe`] found.
    fn trouble(&self) -> Option<Arc<str>> {
        None
    }

    /// The time by the clock that all processes at this hub share, in seconds since the epoch, as far as this process
    /// knows it.
    fn now(&self) -> u64 {
        self.now_ms() / 1000
    }

    /// The same in milliseconds.
    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }
}

/// What a milter asks: it has samples scanned and waits for the answers.
#[async_trait]
pub trait Milter: Hub {
    /// Reserves or joins every one of `keys`, in their order, unless their verdicts can be
    /// [believed](crate::freshness::Cache::believes). In a lane that [is awaited](Lane::is_awaited) the caller waits for the
    /// answer, until it comes or the caller leaves. Nor where a sample still counts as failed. One round trip.
    async fn reserve(&self, keys: &[SampleKey], lane: Lane) -> Result<Vec<Reservation>, HubError>;

    /// Puts bytes and jobs of samples that the caller owns into the queue. One round trip, on a connection that
    /// look-ups do not share; one more for what is refused and for bulk and background, and two for what others give way to.
    async fn submit(&self, jobs: &[(Sample, Job)]) -> Result<Vec<Admission>, HubError>;

    /// Offers words of a message for the password of a sample that was reserved, the likeliest first, beside those that others
    /// offered. A hub that cannot keep them secret keeps none.
    async fn offer(&self, _key: &SampleKey, _passwords: Vec<SecretString>) -> Result<(), HubError> {
        Ok(())
    }

    /// Whether the hub takes what a milter writes.
    ///
    /// # Errors
    ///
    /// [`Trouble`].
    async fn probe(&self) -> Result<(), Trouble> {
        Ok(())
    }

    /// Where the answers for this process arrive.
    fn announcements(&self) -> &Announcements;

    /// Nobody in this process waits for `keys` any more.
    async fn leave(&self, keys: &[SampleKey]) -> Result<(), HubError>;

    /// Notes that the message with this queue id is delivered although `keys` were not scanned. Those that have a job are
    /// owed a scan.
    async fn owe(&self, keys: &[SampleKey], queue_id: &str) -> Result<(), HubError>;

    /// Keeps records of mails, among the newest of all milters: `queue.records_bytes` of them, for `queue.records_ttl`. None of it
    /// concerns mail, and what is kept gives way where mail needs the room.
    async fn record(&self, records: &[MailRecord]) -> Result<(), HubError>;
}

/// What a worker asks: it takes jobs and answers them, and says how its instances are.
#[async_trait]
pub trait Worker: Hub {
    /// Into how many parts the queue is divided; claims are made in each.
    fn shards(&self) -> usize;

    /// Hands jobs of one shard to `worker` as far as there is room: three of mail and one of bulk while both wait, counted
    /// over all claims of this process, then background. Waits up to `patience` for the first.
    async fn claim(
        &self,
        worker: &str,
        shard: usize,
        room: Room,
        patience: Duration,
    ) -> Result<Vec<Claim>, HubError>;

    /// Takes over jobs of workers that have not renewed them for `queue.reclaim_after`.
    async fn reclaim(&self, worker: &str, shard: usize, room: Room) -> Result<Vec<Claim>, HubError>;

    /// Takes the lease of the claim's sample and fetches its bytes.
    async fn begin(&self, claim: &Claim) -> Result<Begin, HubError>;

    /// What was offered for the password of the claim's sample, the likeliest first.
    async fn offered(&self, _claim: &Claim) -> Result<Vec<SecretString>, HubError> {
        Ok(Vec::new())
    }

    /// The claim's sample was opened, or cannot be: what was offered is no longer needed.
    async fn forget_offered(&self, _claim: &Claim) -> Result<(), HubError> {
        Ok(())
    }

    /// Keeps leases and claims alive for another `queue.lease_ttl`.
    async fn renew(&self, worker: &str, claims: &[Claim]) -> Result<(), HubError>;

    /// Holds something against a claim's sample without ending the claim: a suspicion.
    async fn suspect(&self, claim: &Claim, failed: &FailedSample) -> Result<(), HubError>;

    /// Ends a claim, see [`Completion`]. A clean verdict of a scan whose lease ran out replaces none. A verdict ends what
    /// is held against the sample, and its dead letter.
    async fn complete(&self, claim: &Claim, completion: &Completion) -> Result<(), HubError>;

    /// Puts a claim back at once, for another worker; this delivery does not count. Nothing where another worker has
    /// taken the job over.
    async fn hand_back(&self, claim: &Claim) -> Result<(), HubError>;

    /// Says how a worker's instances are. With the reports of the others it gives the generation, for which `quorum`
    /// of the healthy instances are enough (none: all). Gives what the workers together know of their instances, which
    /// the caller holds them to.
    async fn report(&self, report: &FarmReport, quorum: Option<NonZeroUsize>) -> Result<Oversight, HubError>;

    /// What the server behind the hub holds, as this process has measured with its reports; none inside one process.
    fn memory(&self) -> Option<HubMemory> {
        None
    }

    /// Whether the hub takes what a worker writes and announces.
    ///
    /// # Errors
    ///
    /// [`Trouble`].
    async fn probe(&self) -> Result<(), Trouble> {
        Ok(())
    }

    /// Whether `worker` is the one that looks after the instances for all, for another `ttl`: one at a time is.
    async fn lead(&self, worker: &str, ttl: Duration) -> Result<bool, HubError>;

    /// Takes or keeps the turn to scan suspects at `instance`, for `ttl`. False where another worker has it: no two scan
    /// suspects at the same time, and the others leave that instance alone meanwhile.
    async fn take_turn(&self, worker: &str, instance: &str, ttl: Duration) -> Result<bool, HubError>;

    /// The worker that has the turn, and its instance.
    async fn turn(&self) -> Result<Option<(String, String)>, HubError>;

    /// Ends the turn, where it is this worker's.
    async fn end_turn(&self, worker: &str) -> Result<(), HubError>;

    /// What the workers together know of their instances.
    async fn oversight(&self) -> Result<Oversight, HubError>;

    /// Keeps what the one that [leads](Worker::lead) has found out. Every process learns when instances were blind.
    async fn oversee(&self, oversight: &Oversight) -> Result<(), HubError>;
}

/// What pages and metrics ask. It changes nothing. It has no user of its own at Redis: what the user of the program that
/// asks may not see is [`HubError::Unusable`].
#[async_trait]
pub trait Observer: Hub {
    /// The queue as it stands.
    async fn queue(&self) -> Result<QueueState, HubError>;

    /// What the workers have reported lately.
    async fn farm(&self) -> Result<Vec<FarmReport>, HubError>;

    /// The newest dead letters, at most `most`.
    async fn dead_letters(&self, most: usize) -> Result<Vec<DeadLetter>, HubError>;
}

/// What an operator asks beside that: to have something done by hand, and who received what.
#[async_trait]
pub trait Operator: Observer {
    /// Makes every clean verdict stale whose scan has begun by now.
    async fn bump(&self) -> Result<Generation, HubError>;

    /// Has a dead letter's sample scanned once more. The letter goes, and what is held against the sample; that goes as
    /// well where its bytes are gone, so that its sender can bring them.
    async fn retry(&self, letter: &DeadLetter) -> Result<Retried, HubError>;

    /// Forgets a dead letter and the bytes of its sample. True where there was one.
    async fn drop_letter(&self, letter: &DeadLetter) -> Result<bool, HubError>;

    /// Which mails held a sample, newest first, at most `most`, as far as their records reach.
    async fn seen(&self, sought: &Sought, most: usize) -> Result<Seen, HubError>;

    /// What was decided about mails with this queue id, newest first, at most `most`, as far as their records reach.
    async fn decisions(&self, queue_id: &str, most: usize) -> Result<Decisions, HubError>;

    /// What is known of a sample, sorted by its names. Under any name that takes a look at every key that there is.
    async fn known(&self, sought: &Sought) -> Result<Vec<KnownSample>, HubError>;

    /// Forgets the verdict of a sample. True where there was one.
    async fn forget(&self, key: &SampleKey) -> Result<bool, HubError>;
}
