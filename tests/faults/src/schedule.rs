// SPDX-License-Identifier: GPL-3.0-or-later
//! Which fault comes when, for how long, and whom it meets: all of it from a seed.
//!
//! Time is divided into slots. A slot holds one fault, or two that overlap, and ends with a moment of quiet; every few
//! slots the quiet is long enough for progress to be asked for. Faults that something is measured after are alone in
//! their slot. Every kind comes once before any comes twice.

use super::kind::{INSTANCES, Kind, WORKERS};
use fastrand::Rng;
use std::{fmt, time::Duration};

/// A quiet at least this long must see progress.
pub const LONG_QUIET: Duration = Duration::from_secs(6);
const QUIET: Duration = Duration::from_millis(1_200);
/// What is measured after a lonely fault takes up to this long.
const AFTERMATH: Duration = Duration::from_secs(6);
/// Nothing happens before.
const BEFORE: Duration = Duration::from_secs(4);
/// From one fault to the next, where they come in turn.
const BETWEEN: Duration = Duration::from_secs(2);
/// Slots up to a long quiet.
const BETWEEN_LONG_QUIETS: usize = 5;

/// One fault of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// From the beginning of the run.
    pub at: Duration,
    /// What.
    pub kind: Kind,
    /// Which milter, worker or instance; for links of a worker to an instance see [`Planned::second`].
    pub target: usize,
    /// More randomness: which lie, how far a clock jumps, which instance.
    pub dice: u64,
    /// How long.
    pub lasts: Duration,
}

/// A plan for a whole run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// In the order of their beginnings.
    pub faults: Vec<Planned>,
    /// Times without a fault, from and to, that are long enough to see progress in.
    pub long_quiets: Vec<(Duration, Duration)>,
    /// When all is over.
    pub ends: Duration,
}

impl Planned {
    /// The other end of a link.
    pub fn second(&self) -> usize {
        (self.dice % INSTANCES as u64) as usize
    }

    /// When it is over.
    pub fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, kind, target, lasts, .. } = self;
        write!(f, "{:>6.1} s  {:<22}", at.as_secs_f64(), format!("{kind:?}"))?;
        match kind {
            Kind::WorkerCutFromInstance => write!(f, " worker{target} – storm{}", self.second())?,
            _ if kind.is_of_milters() => write!(f, " milter{target}")?,
            _ if kind.targets() == WORKERS => write!(f, " worker{target}")?,
            _ if kind.targets() == INSTANCES => write!(f, " storm{target}")?,
            _ => (),
        }
        write!(f, "  for {:.1} s", lasts.as_secs_f64())
    }
}

impl Schedule {
    /// A schedule of `kinds`, each at least once, that goes on until `at_least`. A killed worker stays away for `dead`, so
    /// that others must do its work.
    pub fn new(seed: u64, kinds: &[Kind], at_least: Duration, dead: Duration) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut schedule = Self { ends: BEFORE, ..Self::default() };
        let mut slots = 0;
        let mut rounds = 0;
        while !kinds.is_empty() && (rounds == 0 || schedule.ends < at_least) {
            let mut deck = kinds.to_vec();
            random.shuffle(&mut deck);
            while let Some(kind) = deck.pop() {
                // A second round may end in the middle.
                if schedule.ends >= at_least && rounds > 0 {
                    break;
                }
                let second = deck.iter().position(|other| goes_with(kind, *other));
                let second = second.filter(|_| random.u32(..3) > 0).map(|at| deck.remove(at));
                schedule.slot(&mut random, [Some(kind), second], dead);
                slots += 1;
                if slots % BETWEEN_LONG_QUIETS == 0 {
                    let from = schedule.ends;
                    schedule.ends += LONG_QUIET;
                    schedule.long_quiets.push((from, schedule.ends));
                }
            }
            rounds += 1;
        }
        schedule
    }

    /// Each of `kinds` once, one after the other in the order that the seed gives, in this time.
    pub fn in_turn(seed: u64, kinds: &[Kind], within: Duration) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut deck = kinds.to_vec();
        random.shuffle(&mut deck);
        let share = within / u32::try_from(deck.len().max(1)).unwrap_or(u32::MAX);
        let mut schedule = Self { ends: BEFORE, ..Self::default() };
        for kind in deck {
            let target = random.usize(..kind.targets());
            let lasts = share.saturating_sub(BETWEEN);
            let fault = Planned { at: schedule.ends, kind, target, dice: random.u64(..), lasts };
            schedule.faults.push(fault);
            schedule.ends += share;
        }
        schedule
    }

    fn slot(&mut self, random: &mut Rng, kinds: [Option<Kind>; 2], dead: Duration) {
        let begin = self.ends;
        for kind in kinds.into_iter().flatten() {
            let fault = Planned {
                at: begin + Duration::from_millis(random.u64(..500)),
                kind,
                target: random.usize(..kind.targets()),
                dice: random.u64(..),
                lasts: kind.lasts(random, dead),
            };
            let aftermath = if kind.is_lonely() { AFTERMATH } else { QUIET };
            self.ends = self.ends.max(fault.ends() + aftermath);
            self.faults.push(fault);
        }
        self.faults.sort_by_key(|fault| fault.at);
    }
}

fn goes_with(one: Kind, other: Kind) -> bool {
    !one.is_lonely() && !other.is_lonely() && one.switch() != other.switch()
}

#[cfg(test)]
mod tests {
    use super::{
        super::kind::{ALL, OF_TWINS},
        *,
    };

    const DEAD: Duration = Duration::from_secs(6);

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        let schedule = |seed| Schedule::new(seed, &ALL, Duration::from_secs(60), DEAD);
        assert_eq!(schedule(5), schedule(5));
        assert_ne!(schedule(5), schedule(6));
    }

    #[test]
    fn every_kind_comes_once_and_a_longer_run_has_more() {
        for seed in 0..50 {
            let schedule = Schedule::new(seed, &ALL, Duration::ZERO, DEAD);
            let mut kinds: Vec<_> = schedule.faults.iter().map(|fault| fault.kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            assert_eq!((kinds.len(), schedule.faults.len()), (ALL.len(), ALL.len()));
            let longer = Schedule::new(seed, &ALL, Duration::from_secs(240), DEAD);
            assert!(longer.faults.len() > ALL.len() && longer.ends < Duration::from_secs(260));
        }
    }

    #[test]
    fn faults_in_turn_do_not_overlap() {
        let schedule = Schedule::in_turn(5, &OF_TWINS, Duration::from_secs(60));
        assert_eq!(schedule.faults.len(), OF_TWINS.len());
        assert!(schedule.faults.is_sorted_by(|one, next| one.ends() < next.at));
        assert_eq!(schedule.ends, BEFORE + Duration::from_secs(60));
    }

    #[test]
    fn lonely_faults_are_alone_and_long_quiets_are_quiet() {
        for seed in 0..50 {
            let schedule = Schedule::new(seed, &ALL, Duration::from_secs(240), DEAD);
            let overlap = |from, to, other: &Planned| other.at < to && other.ends() > from;
            for (at, fault) in schedule.faults.iter().enumerate().filter(|(_, fault)| fault.kind.is_lonely())
            {
                let mut others = schedule.faults.iter().enumerate().filter(|(other, _)| *other != at);
                assert!(!others.any(|(_, other)| overlap(fault.at, fault.ends() + AFTERMATH, other)));
            }
            for (from, to) in &schedule.long_quiets {
                assert!(!schedule.faults.iter().any(|fault| overlap(*from, *to, fault)));
            }
            assert!(schedule.long_quiets.len() > 1);
        }
    }
}
