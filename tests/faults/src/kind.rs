// SPDX-License-Identifier: GPL-3.0-or-later
//! The kinds of faults, and what a schedule must know of each: whom it meets, for how long, beside which others.

use fastrand::Rng;
use std::time::Duration;

/// How many processes of each sort a run has.
pub const MILTERS: usize = 4;
/// See [`MILTERS`].
pub const WORKERS: usize = 3;
/// See [`MILTERS`].
pub const INSTANCES: usize = 4;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// kill -9 of a worker in the middle of scans; started again.
    WorkerKilled,
    /// SIGTERM of a worker; started again.
    WorkerTerminated,
    /// kill -9 of a milter; started again.
    MilterKilled,
    /// SIGTERM of a milter; started again.
    MilterTerminated,
    /// SIGHUP of a worker: a wrong configuration, one with an instance less, and its own again.
    WorkerReloaded,
    /// SIGHUP of a milter: a wrong configuration, one with fewer seats, and its own again.
    MilterReloaded,
    /// The machine of Redis crashes, and it is started again with all but what it wrote last.
    RedisRestarted,
    /// Redis killed and started again, its disk empty.
    RedisEmptied,
    /// Redis stops answering for a while (SIGSTOP).
    RedisFrozen,
    /// The master dies and a replica takes over.
    Failover,
    /// One milter cannot reach Redis.
    MilterCutFromRedis,
    /// One worker cannot reach Redis.
    WorkerCutFromRedis,
    /// One worker cannot reach one instance.
    WorkerCutFromInstance,
    /// All links to Redis refuse connections.
    RedisRefused,
    /// All links to Redis get slow.
    RedisLatency,
    /// All links to instances pass a trickle only.
    InstancesTrickle,
    /// Connections of all links break at random, or stall for a moment.
    Loss,
    /// Scans of one instance take seconds.
    InstanceSlow,
    /// One instance does not answer.
    InstanceHung,
    /// One instance is stopped and started again.
    InstanceDown,
    /// One instance answers what is not true.
    InstanceLies,
    /// Every instance answers 503.
    BusyStorm,
    /// Every instance gets new signatures.
    SignatureUpdate,
    /// The disk that one milter and one worker log to is full.
    LogDiskFull,
    /// The clocks of one milter and one worker jump.
    ClockJump,
    /// Redis forgets its scripts.
    ScriptFlush,
    /// Redis closes all connections.
    ClientKill,
    /// A hostile sender, whose samples no scanner takes: 500, an error entry, a closed connection.
    Refusing,
    /// A hostile sender, whose samples kill their scanner.
    Crashing,
    /// A hostile sender, whose samples keep a thread of their scanner for longer than anybody waits.
    Slow,
    /// One instance finds nothing.
    Blind,
    /// One instance has its old signatures again.
    Late,
    /// Redis has no memory left.
    RedisFull,
    /// Redis takes no writes: it was made a replica.
    RedisReadOnly,
    /// Redis takes no writes: it cannot save its data.
    RedisMisconf,
    /// Redis is on another continent: 300 ms there and back.
    RedisFar,
    /// Nobody reads what one milter and one worker write.
    LogUnread,
    /// One milter may open no more files.
    Descriptors,
    /// Idle connections take all that one milter accepts.
    Connections,
}

/// All of them.
pub const ALL: [Kind; 39] = [
    Kind::WorkerKilled,
    Kind::WorkerTerminated,
    Kind::MilterKilled,
    Kind::MilterTerminated,
    Kind::WorkerReloaded,
    Kind::MilterReloaded,
    Kind::RedisRestarted,
    Kind::RedisEmptied,
    Kind::RedisFrozen,
    Kind::Failover,
    Kind::MilterCutFromRedis,
    Kind::WorkerCutFromRedis,
    Kind::WorkerCutFromInstance,
    Kind::RedisRefused,
    Kind::RedisLatency,
    Kind::InstancesTrickle,
    Kind::Loss,
    Kind::InstanceSlow,
    Kind::InstanceHung,
    Kind::InstanceDown,
    Kind::InstanceLies,
    Kind::BusyStorm,
    Kind::SignatureUpdate,
    Kind::LogDiskFull,
    Kind::ClockJump,
    Kind::ScriptFlush,
    Kind::ClientKill,
    Kind::Refusing,
    Kind::Crashing,
    Kind::Slow,
    Kind::Blind,
    Kind::Late,
    Kind::RedisFull,
    Kind::RedisReadOnly,
    Kind::RedisMisconf,
    Kind::RedisFar,
    Kind::LogUnread,
    Kind::Descriptors,
    Kind::Connections,
];

/// What twin runs are about: one sender, or one instance, at the cost of other people's mail.
pub const OF_TWINS: [Kind; 5] = [Kind::Refusing, Kind::Crashing, Kind::Slow, Kind::Blind, Kind::Late];

impl Kind {
    /// Somebody sends hostile mails.
    pub fn is_hostile(self) -> bool {
        matches!(self, Self::Refusing | Self::Crashing | Self::Slow)
    }

    /// Something is measured afterwards that another fault would spoil.
    pub(super) fn is_lonely(self) -> bool {
        matches!(self, Self::WorkerKilled | Self::RedisRestarted | Self::RedisEmptied | Self::Failover)
    }

    /// What two faults must not do to each other: use the same switch.
    pub(super) fn switch(self) -> u8 {
        match self {
            Self::WorkerKilled | Self::WorkerTerminated | Self::WorkerReloaded => 0,
            Self::MilterKilled
            | Self::MilterTerminated
            | Self::MilterReloaded
            | Self::Descriptors
            | Self::Connections => 1,
            Self::RedisRestarted
            | Self::RedisEmptied
            | Self::RedisFrozen
            | Self::Failover
            | Self::RedisFull
            | Self::RedisReadOnly
            | Self::RedisMisconf => 2,
            Self::MilterCutFromRedis
            | Self::WorkerCutFromRedis
            | Self::WorkerCutFromInstance
            | Self::RedisRefused
            | Self::RedisLatency
            | Self::RedisFar
            | Self::InstancesTrickle
            | Self::Loss => 3,
            Self::InstanceSlow => 4,
            Self::InstanceHung | Self::InstanceDown | Self::InstanceLies | Self::BusyStorm => 5,
            Self::SignatureUpdate | Self::Late => 6,
            Self::LogDiskFull | Self::LogUnread => 7,
            Self::ClockJump => 8,
            Self::ScriptFlush | Self::ClientKill => 9,
            Self::Refusing | Self::Crashing | Self::Slow => 10,
            Self::Blind => 11,
        }
    }

    /// How many there are to choose the target from.
    pub(super) fn targets(self) -> usize {
        match self {
            _ if self.is_of_milters() => MILTERS,
            Self::WorkerKilled
            | Self::WorkerTerminated
            | Self::WorkerReloaded
            | Self::WorkerCutFromRedis
            | Self::WorkerCutFromInstance => WORKERS,
            _ if self.is_of_instances() => INSTANCES,
            _ => 1,
        }
    }

    /// Its target is a milter.
    pub(super) fn is_of_milters(self) -> bool {
        matches!(
            self,
            Self::MilterKilled
                | Self::MilterTerminated
                | Self::MilterReloaded
                | Self::MilterCutFromRedis
                | Self::Descriptors
                | Self::Connections
        )
    }

    /// Its target is an instance.
    pub fn is_of_instances(self) -> bool {
        matches!(
            self,
            Self::InstanceSlow
                | Self::InstanceHung
                | Self::InstanceDown
                | Self::InstanceLies
                | Self::Blind
                | Self::Late
        )
    }

    /// How long one of it lasts; a killed worker stays away for `dead`.
    pub(super) fn lasts(self, random: &mut Rng, dead: Duration) -> Duration {
        match self {
            Self::WorkerKilled => dead,
            // Everybody must have found it again, and then some mail must pass.
            Self::RedisFar => Duration::from_millis(random.u64(8_000..10_000)),
            _ if OF_TWINS.contains(&self) => Duration::from_millis(random.u64(4_000..6_000)),
            _ => Duration::from_millis(random.u64(2_000..4_000)),
        }
    }
}
