// SPDX-License-Identifier: GPL-3.0-or-later
//! A cluster: three masters that share the slots, and a replica of each.

use super::{Guard, RedisServer, eventually, free_port};
use anyhow::{Context, Result};

const MASTERS: usize = 3;
const NODES: usize = 2 * MASTERS;
const SLOTS: usize = 16384;
/// Milliseconds without a sign of life after which a node counts as lost.
const NODE_TIMEOUT: &str = "1500";

/// Three masters and their replicas.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    lost: Vec<usize>,
}

/// A node as another one sees it: a line of `CLUSTER NODES`.
struct Seen {
    port: u16,
    flags: String,
    /// The slots that it serves, first and last.
    slots: Vec<(u16, u16)>,
}

impl RedisCluster {
    /// Starts the nodes and waits until the cluster is whole.
    ///
    /// # Errors
    /// Where a node does not start, or they do not find each other.
    pub fn start() -> Result<Self> {
        Self::start_guarded(&Guard::default())
    }

    /// The same, with what else decides who gets in.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_guarded(guard: &Guard) -> Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            nodes.push(start_node(guard, &free_port()?.to_string())?);
        }
        let cluster = Self { nodes, lost: Vec::new() };
        cluster.share_slots()?;
        cluster.introduce()?;
        cluster.replicate()?;
        eventually("the cluster is whole", || cluster.is_whole())?;
        Ok(cluster)
    }

    /// The addresses of its nodes, for this user.
    pub fn urls_of(&self, user: &str) -> Vec<String> {
        self.nodes.iter().map(|node| node.url_of(user).trim_end_matches("/0").to_owned()).collect()
    }

    /// The addresses of its nodes, for nobody.
    pub fn bare_urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.bare_url().trim_end_matches("/0").to_owned()).collect()
    }

    /// Deletes everything.
    ///
    /// # Errors
    /// Where a master does not answer.
    pub fn flush(&self) -> Result<()> {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            if info(node, "INFO replication").contains("role:master") {
                node.command("FLUSHALL")?;
            }
        }
        Ok(())
    }

    /// All nodes, lost ones too; the first three were the masters at the start.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The place in [`Self::nodes`] of the master that holds `key`.
    ///
    /// # Errors
    /// Where no node answers, or nobody serves the key's slot.
    pub fn holder_of(&self, key: &str) -> Result<usize> {
        let slot: u16 = self.witness()?.ask(&format!("CLUSTER KEYSLOT {key}"))?;
        let serves = |node: &Seen| node.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot));
        let holder = self.seen()?.into_iter().find(|node| !node.flags.contains("fail") && serves(node));
        let port = holder.context("nobody serves the slot")?.port;
        self.nodes.iter().position(|node| node.port == port).context("an unknown node")
    }

    /// Kills the master that holds `key` and waits until its replica has taken over.
    ///
    /// # Errors
    /// As [`Self::holder_of`], and where nobody takes over.
    pub fn lose_the_holder_of(&mut self, key: &str) -> Result<()> {
        let holder = self.holder_of(key)?;
        self.nodes[holder].stop();
        self.lost.push(holder);
        eventually("a replica takes over", || {
            self.holder_of(key).is_ok_and(|successor| successor != holder) && self.is_whole()
        })
    }

    /// Starts the nodes again that were lost, and waits until they are replicas of their successors.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn bring_back(&mut self) -> Result<()> {
        for at in std::mem::take(&mut self.lost) {
            self.nodes[at].start_again()?;
            let node = &self.nodes[at];
            eventually("it follows its successor", || {
                info(node, "INFO replication").contains("master_link_status:up")
            })?;
        }
        eventually("the cluster is whole", || self.is_whole())
    }

    fn share_slots(&self) -> Result<()> {
        for (at, node) in self.nodes.iter().enumerate() {
            // Epochs of their own, or nodes would quarrel about them first.
            node.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1))?;
            if at < MASTERS {
                let (first, next) = (at * SLOTS / MASTERS, (at + 1) * SLOTS / MASTERS);
                node.command(&format!("CLUSTER ADDSLOTSRANGE {first} {}", next - 1))?;
            }
        }
        Ok(())
    }

    /// Everybody meets everybody: gossip alone would take seconds.
    fn introduce(&self) -> Result<()> {
        for (at, node) in self.nodes.iter().enumerate() {
            for other in &self.nodes[at + 1..] {
                let bus: Vec<String> = other.ask("CONFIG GET cluster-port")?;
                node.command(&format!("CLUSTER MEET 127.0.0.1 {} {}", other.port, bus[1]))?;
            }
        }
        let knows = |node: &RedisServer| info(node, "CLUSTER INFO").contains("cluster_known_nodes:6");
        eventually("the nodes know each other", || self.nodes.iter().all(knows))
    }

    fn replicate(&self) -> Result<()> {
        for (master, replica) in self.nodes.iter().zip(&self.nodes[MASTERS..]) {
            let id: String = master.ask("CLUSTER MYID")?;
            let replicate = format!("CLUSTER REPLICATE {id}");
            // It may know the master's name only in a moment.
            eventually("a replica follows its master", || replica.command(&replicate).is_ok())?;
        }
        for replica in &self.nodes[MASTERS..] {
            eventually("a replica is in step", || {
                info(replica, "INFO replication").contains("master_link_status:up")
            })?;
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        let whole = |node: &RedisServer| info(node, "CLUSTER INFO").contains("cluster_state:ok");
        self.nodes.iter().filter(|node| node.is_running()).all(whole)
    }

    /// A node that can be asked about the others.
    fn witness(&self) -> Result<&RedisServer> {
        self.nodes.iter().find(|node| node.is_running()).context("all nodes are lost")
    }

    fn seen(&self) -> Result<Vec<Seen>> {
        let text: String = self.witness()?.ask("CLUSTER NODES")?;
        text.lines().map(|line| Seen::read(line).with_context(|| line.to_owned())).collect()
    }
}

impl Seen {
    /// `<id> <ip>:<port>@<bus> <flags> <master> <ping> <pong> <epoch> <link> <slot>-<slot>…`
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let port = words.get(1)?.split(['@', ':']).nth(1)?.parse().ok()?;
        let range = |word: &&str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let slots = words.iter().skip(8).filter_map(range).collect();
        Some(Self { port, flags: (*words.get(2)?).to_owned(), slots })
    }
}

fn start_node(guard: &Guard, bus: &str) -> Result<RedisServer> {
    let arguments = [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", bus],
        ["--cluster-node-timeout", NODE_TIMEOUT],
        // However long its master was silent, a replica may take over.
        ["--cluster-replica-validity-factor", "0"],
        ["--cluster-allow-replica-migration", "no"],
        ["--repl-diskless-sync-delay", "0"],
    ];
    RedisServer::start_guarded(guard, &arguments.concat())
}

/// An answer of lines; empty where there is none.
fn info(node: &RedisServer, words: &str) -> String {
    node.ask(words).unwrap_or_default()
}
