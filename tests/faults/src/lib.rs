// SPDX-License-Identifier: GPL-3.0-or-later
//! The fault suite: mails through several milters while a schedule torments the site, and a checker afterwards.
//!
//! 1. A [`site`] starts: milters, workers and Redis as processes, stand-in scanners, a proxy on every link. One share of
//!    the mails goes through a real Postfix.
//! 2. [`senders`] send a [`corpus`] of mails with a known right decision each, at an even pace, again and again until each
//!    is decided. A [`schedule`] that follows from the seed says which faults are done meanwhile ([`inject`]).
//! 3. When all mails are decided, the site gets a quiet period, in which what the dead left behind must vanish.
//! 4. The [`checker`] reads the [`journal`] and says what must not have happened; [`report`] prints it.
//!
//! Twin runs ([`twin`]) are two of these, of which the second has no hostile mails.
//!
//! A replay with the same seed does the same faults to the same targets at the same times and sends the same mails;
//! which message meets which fault still depends on the machine.

mod attack;
mod backend;
pub mod blind;
pub mod checker;
pub mod corpus;
mod disk;
pub mod hostile;
mod inject;
pub mod journal;
pub mod kind;
mod outbox;
mod process;
mod report;
mod rescue;
mod schedule;
mod senders;
mod shortage;
mod site;
mod summary;
pub mod twin;
mod uploads;
mod witness;

pub use backend::Sort as RedisSort;

use checker::{Outcome, Verdict};
use corpus::Corpus;
use inject::Injector;
use journal::{End, Journal, Record};
use kind::{Kind, MILTERS, OF_TWINS};
use outbox::Outbox;
use schedule::Schedule;
use senders::{MARGIN, Senders, mail_of};
use site::{Layout, Site};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use summary::Summary;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// Sessions at a time.
const SENDERS: usize = 24;
/// Of twins: a mail must be sent at its time although others wait for their scanner.
const TWINS_SENDERS: usize = 120;
/// After the last fault, mails that are still under way get so long.
const LAST_MAILS: Duration = Duration::from_secs(60);
/// Postfix gets so long to deliver what it took.
const DELIVERY: Duration = Duration::from_secs(30);
/// What the dead left behind must vanish within this: the longest time-to-live of a site, and some seconds.
const QUIET_PERIOD: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);
/// Without faults the load is as fast as the machine comfortably takes.
const MAILS_A_SECOND: u32 = 120;
const DISTINCT: usize = 100;

/// What is wanted of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything that is decided by chance.
    pub seed: u64,
    /// How many mails.
    pub mails: u32,
    /// How long faults are done, at least; every kind is done once in any case.
    pub minutes: f64,
    /// Without faults: 100 distinct attachments, each of which must be uploaded once.
    pub no_faults: bool,
    /// Only faults of these kinds; empty: of all that the programs stand.
    pub only: Vec<Kind>,
    /// Each seed is run twice, with and without hostile mails, for `mails` in all: see [`twin`].
    pub twin: bool,
    /// How many seeds, from `seed` on, twins are run with.
    pub seeds: u32,
    /// Tells of every sample that was scanned more than once.
    pub verbose: bool,
    /// The programs' own time-outs rather than short ones.
    pub defaults: bool,
    /// More of the milters' configuration, to see the checker notice a wrong one.
    pub milter: String,
    /// What Redis is.
    pub redis: RedisSort,
    /// A share of the mails goes through Postfix.
    pub postfix: bool,
    /// What is kept in Redis is sealed.
    pub sealed: bool,
    /// Where programs of another version are. All begin as these, and each SIGTERM replaces one by the other version.
    pub upgrade_from: Option<PathBuf>,
}

/// A run that is over.
struct Ran {
    record: Record,
    verdict: Verdict,
}

/// Runs it. True if nothing happened that must not.
///
/// # Errors
/// Where the site does not start.
pub async fn run(options: &Options) -> anyhow::Result<bool> {
    if options.twin { run_twins(options).await } else { Ok(one(options, true).await?.is_good()) }
}

/// Every seed twice. True if no hostile mail did anything to another.
async fn run_twins(options: &Options) -> anyhow::Result<bool> {
    if kinds(options, &OF_TWINS).is_empty() {
        println!("no kinds of faults to compare: the programs stand none of them yet");
        return Ok(true);
    }
    let seeds = options.seeds.max(1);
    let (mut summary, mut good) = (Summary::default(), true);
    for number in 0..seeds {
        let share = Options {
            seed: options.seed + u64::from(number),
            mails: options.mails / seeds,
            minutes: options.minutes / f64::from(seeds),
            postfix: false,
            ..options.clone()
        };
        let (with, without) = (one(&share, true).await?, one(&share, false).await?);
        good &= with.is_good() && without.is_good();
        summary.add(&share, &with.record, &without.record);
    }
    summary.print();
    Ok(good && summary.is_good())
}

impl Ran {
    fn is_good(&self) -> bool {
        self.verdict.violations.is_empty()
    }
}

/// One run, from the start of a site to what the checker says. Without `hostile` nobody sends hostile mails.
async fn one(options: &Options, hostile: bool) -> anyhow::Result<Ran> {
    let journal = Arc::<Journal>::default();
    let site = Arc::new(Site::start(&layout(options), &journal).await?);
    let mut schedule = planned(options, &site);
    schedule.faults.retain(|fault| hostile || !fault.kind.is_hostile());
    report::beginning(options, &site, &schedule);

    let senders = Arc::new(senders_of(options, &site, &schedule, &journal));
    journal.record().replicated = options.redis != RedisSort::Single;
    journal.begin();
    load(&site, &schedule, &senders, if options.twin { TWINS_SENDERS } else { SENDERS }).await;

    let outcome = ended(options, &site, &schedule, &senders).await;
    let record = journal.record().clone();
    let verdict = checker::check(&record, &outcome);
    report::end(options, &site, &record, &outcome, &verdict).await;
    Ok(Ran { record, verdict })
}

fn layout(options: &Options) -> Layout {
    Layout {
        redis: options.redis,
        defaults: options.defaults,
        postfix: options.postfix,
        milter: options.milter.clone(),
        sealed: options.sealed,
        upgrade_from: options.upgrade_from.clone(),
        twin: options.twin,
    }
}

fn senders_of(options: &Options, site: &Site, schedule: &Schedule, journal: &Arc<Journal>) -> Senders {
    Senders {
        outbox: Outbox::new(Arc::clone(journal), options.mails, schedule.ends),
        corpus: match (options.no_faults, options.twin) {
            (true, _) => Corpus::distinct(options.seed, DISTINCT),
            (_, true) => Corpus::fresh(options.seed),
            _ => Corpus::new(options.seed),
        },
        journal: Arc::clone(journal),
        addresses: site.addresses.clone(),
        patience: site.deadline + MARGIN,
        // They come by chance, and twins must differ in nothing but hostile mails.
        aborts: !options.no_faults && !options.twin,
    }
}

/// What is there when all mails are decided and what the dead left behind has had its time.
async fn ended(options: &Options, site: &Site, schedule: &Schedule, senders: &Senders) -> Outcome {
    let journal = &senders.journal;
    let mut outcome = Outcome {
        mails: options.mails,
        milters: MILTERS,
        patience: millis(senders.patience),
        expiring_tolerated: options.defaults,
        long_quiets: schedule.long_quiets.iter().map(|(from, to)| (millis(*from), millis(*to))).collect(),
        ..Outcome::default()
    };
    outcome.postfix = delivered(site, journal).await;
    println!("  quiet period");
    outcome.leftovers = quiet_period(site, journal, options.defaults).await;
    outcome.uploads = site.uploads();
    look_for_panics(site, journal).await;
    outcome
}

/// Those of `all` that are wanted: what is named, or else all of them.
fn kinds(options: &Options, all: &[Kind]) -> Vec<Kind> {
    let wanted = |kind: &Kind| options.only.is_empty() || options.only.contains(kind);
    all.iter().copied().filter(wanted).collect()
}

fn planned(options: &Options, site: &Site) -> Schedule {
    if options.no_faults {
        let ends = Duration::from_secs(u64::from(options.mails / MAILS_A_SECOND));
        return Schedule { ends, ..Schedule::default() };
    }
    let time = Duration::from_secs_f64(options.minutes * 60.0);
    if options.twin {
        return Schedule::in_turn(options.seed, &kinds(options, &OF_TWINS), time);
    }
    let possible = tokio::task::block_in_place(|| site.possible());
    Schedule::new(options.seed, &kinds(options, &possible), time, site.reclaimed_within)
}

/// Mails and faults, until both are over.
async fn load(site: &Arc<Site>, schedule: &Schedule, senders: &Arc<Senders>, sessions: usize) {
    let mut sending = JoinSet::new();
    for _ in 0..sessions {
        let (site, senders) = (Arc::clone(site), Arc::clone(senders));
        sending.spawn(async move { senders.work(site.postfix.as_ref()).await });
    }
    let injector =
        Arc::new(Injector::new(Arc::clone(site), Arc::clone(&senders.journal), Arc::clone(senders)));
    let mut faults = JoinSet::new();
    for fault in schedule.faults.clone() {
        let injector = Arc::clone(&injector);
        faults.spawn(async move { injector.inject(fault).await });
    }
    let mut watching = JoinSet::new();
    watching.spawn(watch(Arc::clone(site), Arc::clone(senders)));
    while let Some(ended) = faults.join_next().await {
        if let Err(error) = ended {
            senders.journal.trouble(format!("doing a fault failed: {error}"));
        }
    }
    let patience = schedule.ends.saturating_sub(Duration::from_millis(senders.journal.now())) + LAST_MAILS;
    timeout(patience, async { while sending.join_next().await.is_some() {} }).await.ok();
}

/// Tells how it goes, and whether a program dies that nobody killed.
async fn watch(site: Arc<Site>, senders: Arc<Senders>) {
    let mut dead = Vec::new();
    for second in 1_u64.. {
        sleep(EVERY).await;
        for program in site.programs() {
            if program.is_dead().await && !dead.contains(&program.name) {
                dead.push(program.name.clone());
                senders.journal.trouble(format!("{} has died, and no fault killed it", program.name));
            }
        }
        if second % 5 == 0 {
            report::progress(&senders);
        }
    }
}

/// What Postfix did with the mails it took, once it has done it: delivered, held.
async fn delivered(site: &Site, journal: &Journal) -> BTreeMap<u32, (usize, usize)> {
    let Some(postfix) = &site.postfix else { return BTreeMap::new() };
    let taken: Vec<_> = {
        let record = journal.record();
        record.attempts.iter().filter(|one| one.end == End::Taken).map(|one| one.mail).collect()
    };
    let began = std::time::Instant::now();
    loop {
        let mut mails = BTreeMap::<u32, (usize, usize)>::new();
        for mail in postfix.delivered().iter().filter_map(|mail| mail_of(&mail.sender)) {
            mails.entry(mail).or_default().0 += 1;
        }
        for mail in postfix.held().await.unwrap_or_default().iter().filter_map(|held| mail_of(&held.sender)) {
            mails.entry(mail).or_default().1 += 1;
        }
        if taken.iter().all(|mail| mails.contains_key(mail)) || began.elapsed() > DELIVERY {
            return mails;
        }
        sleep(EVERY / 4).await;
    }
}

/// Waits until nothing is left over, or as long as it takes for everything to expire.
async fn quiet_period(site: &Site, journal: &Journal, tolerant: bool) -> Vec<backend::Leftover> {
    let began = std::time::Instant::now();
    loop {
        let leftovers = tokio::task::block_in_place(|| site.backend.leftovers());
        let over = began.elapsed() > QUIET_PERIOD;
        match leftovers {
            Ok(left) if over || left.iter().all(|one| tolerant && one.expires) => return left,
            Err(error) if over => {
                journal.trouble(format!("Redis cannot be read after the quiet period: {error:#}"));
                return Vec::new();
            }
            _ => sleep(EVERY).await,
        }
    }
}

async fn look_for_panics(site: &Site, journal: &Journal) {
    for program in site.programs() {
        for line in program.lines().await.into_iter().filter(|line| line.contains("panicked at")) {
            journal.trouble(format!("{}: {line}", program.name));
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
