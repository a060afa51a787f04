// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether the peers that thundergate is measured against do the same work: they scan what is attached, once, and refuse
//! what is found. Skipped where a peer is not installed.

#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::time::Duration;
use thundergate_harness::{
    clamd::{Clamd, Settings},
    eventually,
    mails::{eicar, mail, noise},
    mta::{Action, Mail, Mta, Reply},
    redis::RedisServer,
    rspamd::{Options, Rspamd},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// rspamd between a scanner and a Redis of its own.
struct Peer {
    clamd: Clamd,
    redis: RedisServer,
    rspamd: Rspamd,
}

impl Peer {
    /// None where rspamd is not installed.
    async fn start() -> Option<Self> {
        if !Rspamd::is_installed() {
            eprintln!("skipped: Debian's package rspamd is not installed");
            return None;
        }
        let clamd = Clamd::start(Settings::default()).await.unwrap();
        let redis = RedisServer::start_open().unwrap();
        let rspamd = Rspamd::start(clamd.address(), &redis.bare_url(), Options::default()).await.unwrap();
        Some(Self { clamd, redis, rspamd })
    }

    /// Waits until Redis has this many verdicts: they are written beside the reply.
    async fn remembered(&self, verdicts: usize) {
        let keys = || self.redis.ask::<Vec<String>>("KEYS av_*").unwrap();
        eventually(PATIENCE, "the verdicts are in Redis", async || keys().len() == verdicts).await;
    }

    /// The fate of a message with one attachment, over a connection of its own.
    async fn fate(&self, address: &str, name: &str, sample: &[u8]) -> Reply {
        let message = mail().attach(name, "application/octet-stream", sample).bytes();
        let mut mta = Mta::connect(address).await.unwrap();
        let reply = mta.send(&Mail::of(message)).await.unwrap();
        mta.quit().await.unwrap();
        reply
    }
}

#[tokio::test]
async fn rspamd_has_an_attachment_scanned_once_whatever_its_size_and_name() {
    let Some(peer) = Peer::start().await else { return };
    for (number, len) in [1 << 10, 100 << 10, 1 << 20].into_iter().enumerate() {
        let sample = noise(len as u64, len);
        let scans = number + 1;
        let first = peer.fate(&peer.rspamd.address(), "first.bin", &sample).await;
        assert!(first.delivers(), "{first:?}\n{}", peer.rspamd.log());
        assert_eq!(peer.clamd.scans(), scans as u64, "the attachment, not the text; {len} bytes");
        peer.remembered(scans).await;

        for address in [peer.rspamd.address(), peer.rspamd.unix_address()] {
            let again = peer.fate(&address, "again.bin", &sample).await;
            assert!(again.delivers(), "{again:?}\n{}", peer.rspamd.log());
        }
        assert_eq!(peer.clamd.scans(), scans as u64, "known by now; {len} bytes");
    }
}

#[tokio::test]
async fn rspamd_refuses_what_its_scanner_finds_and_remembers_it() {
    let Some(peer) = Peer::start().await else { return };
    for _ in 0..2 {
        let reply = peer.fate(&peer.rspamd.address(), "invoice.bin", &eicar()).await;
        assert!(matches!(&reply.action, Action::ReplyCode(text) if text.starts_with("554 ")), "{reply:?}");
        peer.remembered(1).await;
        assert_eq!(peer.clamd.scans(), 1);
    }
}

#[tokio::test]
async fn all_processes_of_rspamd_are_told_and_end_with_it() {
    let Some(peer) = Peer::start().await else { return };
    // The first worker takes mail before the last one is there.
    let all = Options::default().workers + 1;
    eventually(PATIENCE, "all its workers run", async || peer.rspamd.pids().len() >= all).await;
    let pids = peer.rspamd.pids();
    let runs = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(pids.iter().all(runs));
    drop(peer);
    eventually(PATIENCE, "they are gone", async || !pids.iter().any(runs)).await;
}
