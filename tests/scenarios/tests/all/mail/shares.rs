// SPDX-License-Identifier: GPL-3.0-or-later
//! What one flooding sender takes of the scanners, and what is left to three others: told by counts, with a stand-in that
//! needs a second for each sample and has eight threads. Of a well-behaved mail it is counted how many of the flood's
//! scans began between its arrival and its own.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::{net::SocketAddr, time::Duration};
use thundergate_common::digest::Digest;
use thundergate_harness::{
    eventually,
    mails::{mail, noise},
    mta::{Mail, Mta},
    process::Program,
    site::{Milter, Site},
    thunderstorm::Settings,
};
use tokio::{task::JoinSet, time::interval};

const THREADS: usize = 8;
const SERVICE_TIME: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
/// How many mails each well-behaved sender sends, one after the other.
const ROUNDS: usize = 4;
/// No sender has a share of anything.
const WITHOUT: &str = "limits.share = 0\nlimits.new_samples = 0\n";

/// Who floods: a mail of so many parts, so often.
#[derive(Clone, Copy, Debug)]
struct Flood {
    parts: usize,
    every: Duration,
}

const MANY_PARTS: Flood = Flood { parts: 100, every: Duration::from_secs(1) };
const SOME_PARTS: Flood = Flood { parts: 16, every: Duration::from_secs(1) };
const MANY_MAILS: Flood = Flood { parts: 1, every: Duration::from_millis(100) };

/// What the others had of it.
#[derive(Debug, Default)]
struct Figures {
    /// For each of their mails: the flood's scans before its own.
    before: Vec<usize>,
    deferred: usize,
}

/// A site with one milter.
struct Stage {
    site: Site,
    milter: Milter,
    _worker: Option<Program>,
}

async fn over_redis(limits: &str) -> Stage {
    let site = Site::cluster(1, settings()).await;
    let worker = site.worker("").await;
    let milter = site.milter(&format!("{limits}wait.deadline = \"12s\"\n")).await;
    Stage { site, milter, _worker: Some(worker) }
}

async fn in_one_process(limits: &str) -> Stage {
    let site = Site::single(1, settings()).await;
    let milter = site.milter(&format!("{limits}wait.deadline = \"12s\"\n")).await;
    Stage { site, milter, _worker: None }
}

fn settings() -> Settings {
    Settings { threads: THREADS, service_time: SERVICE_TIME, ..Settings::default() }
}

impl Flood {
    /// Sends for ever, whatever the milter answers.
    async fn rage(self, address: String) {
        let (mut ticks, mut under_way) = (interval(self.every), JoinSet::new());
        for number in 0.. {
            ticks.tick().await;
            let mut message = mail();
            for part in 0..self.parts {
                let bytes = noise((number * self.parts + part) as u64, 64);
                message = message.attach(&format!("{part}.flood"), "application/octet-stream", bytes);
            }
            let (message, address) =
                (from([198, 51, 100, 7], "flood@x.example", message.bytes()), address.clone());
            under_way.spawn(async move {
                // It may be refused, or the milter may be gone.
                if let Ok(mut mta) = Mta::connect(&address).await {
                    let _ = mta.send(&message).await;
                }
            });
        }
    }
}

fn from(client: [u8; 4], sender: &str, message: Vec<u8>) -> Mail {
    Mail { client: SocketAddr::from((client, 40_000)), sender: sender.to_owned(), ..Mail::of(message) }
}

impl Stage {
    /// Three senders beside a flood.
    async fn figures(self, flood: Flood) -> Figures {
        let mut raging = JoinSet::new();
        raging.spawn(flood.rage(self.milter.address.clone()));
        let scans = &self.site.farm[0];
        let taken = async || scans.total() >= 2 * THREADS as u64;
        eventually(PATIENCE, "the flood has all threads, twice", taken).await;
        let all = tokio::join!(self.well_behaved(1), self.well_behaved(2), self.well_behaved(3));
        let mut figures = Figures::default();
        for one in <[Figures; 3]>::from(all) {
            figures.before.extend(one.before);
            figures.deferred += one.deferred;
        }
        eprintln!("{flood:?}: {figures:?}");
        figures
    }

    async fn well_behaved(&self, sender: u8) -> Figures {
        let (mut figures, scans) = (Figures::default(), &self.site.farm[0]);
        for round in 0..ROUNDS {
            let bytes = noise(1_000_000 + u64::from(sender) * 1000 + round as u64, 64);
            let message = mail().attach("a.good", "application/octet-stream", bytes.clone()).bytes();
            let message = from([203, sender, 113, 1], &format!("{sender}@good.example"), message);
            // Not in the middle of scans that begin at the same time.
            let all_busy = async || scans.scanning() == THREADS;
            eventually(PATIENCE, "all threads are busy", all_busy).await;
            let before = scans.names().len();
            let reply = self.milter.send(&message).await;
            figures.deferred += usize::from(!reply.delivers());
            let (names, own) = (scans.names(), format!("{}.good", Digest::of(&bytes)));
            let until = names.iter().position(|name| *name == own).unwrap_or(names.len());
            let of_flood = names[before..until].iter().filter(|name| name.ends_with(".flood"));
            figures.before.push(of_flood.count());
        }
        figures
    }
}

impl Figures {
    fn are_fair(&self) {
        assert_eq!(self.before.len(), 3 * ROUNDS);
        assert!(self.before.iter().all(|count| *count <= THREADS), "one scan a thread at most: {self:?}");
        assert_eq!(self.deferred, 0, "{self:?}");
    }
}

macro_rules! floods {
    ($($name:ident: $flood:expr;)*) => {
        mod redis {
            $(#[tokio::test] async fn $name() { super::over_redis("").await.figures($flood).await.are_fair(); })*
        }
        mod one_process {
            $(#[tokio::test] async fn $name() { super::in_one_process("").await.figures($flood).await.are_fair(); })*
        }
    };
}

floods! {
    mails_of_100_parts_hold_up_nobody: super::MANY_PARTS;
    mails_of_16_parts_hold_up_nobody: super::SOME_PARTS;
    ten_mails_a_second_hold_up_nobody: super::MANY_MAILS;
}

/// That the others would be held up is what the figures above are worth.
#[tokio::test]
async fn without_shares_a_flood_goes_first() {
    for flood in [MANY_PARTS, SOME_PARTS] {
        let figures = in_one_process(WITHOUT).await.figures(flood).await;
        assert!(figures.before.iter().any(|count| *count > 2 * THREADS), "{figures:?}");
    }
}
