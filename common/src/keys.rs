// SPDX-License-Identifier: GPL-3.0-or-later
//! Every key in Redis. The part in braces is the hash tag of Redis Cluster: keys that share it share a slot, so that one
//! script may touch them all. A sample's tag is its digest. The queue has one shard on a server and [`CLUSTER_SHARDS`] in
//! a cluster, so that its load spreads; a sample's digest says which is its shard. The records of mails have as many, and any will do
//! for a record.
//!
//! | name | type | written by | expiry |
//! |---|---|---|---|
//! | `<prefix>:1:{<digest>}:<hint>:verdict` | string, [`Verdict::encode`](crate::verdict::Verdict::encode), or the [short form](crate::verdict::short) of a clean one | worker, operator | `cache.clean_ttl` (less as Redis fills: `cache.redis_bytes`) or `cache.found_ttl` after the scan |
//! | `<prefix>:1:{<digest>}:<hint>:sample` | string, the bytes | milter | deleted with the verdict, at most `queue.sample_ttl` |
//! | `<prefix>:1:{<digest>}:<hint>:lease` | string: `milter:<process>`, `job:<lane>:<entry>`, `queued` after a job was handed back, `bulk` where a job waits in that lane, `background` where one does that nobody waits for | milter, then worker | `queue.reserve_ttl`, then `queue.lease_ttl`, renewed; `background`: `queue.sample_ttl` |
//! | `<prefix>:1:{<digest>}:<hint>:waiters` | set of process ids | milter | deleted with the answer, at most `queue.sample_ttl` |
//! | `<prefix>:1:{<digest>}:<hint>:failed` | string, JSON of a [`FailedSample`](crate::failed::FailedSample) | worker, deleted by operator | when it is over, a suspect's an hour later; deleted with a verdict |
//! | `<prefix>:1:{<digest>}:<hint>:passwords` | hash: 0 to 3 → sealed JSON, a list of words of one message that may open the sample; none without `redis.secret_file` | milter, which may not read it; deleted by worker | `queue.sample_ttl` after the last |
//! | `<prefix>:1:{<digest>}:<hint>:receipts` | list of JSON, the newest first, capped | milters up to 0.1.1; operators read it | 30 days after the last receipt |
//! | `<prefix>:1:{jobs-<shard>}:<lane>` | stream with the consumer group `workers` | milter | entries are deleted when acknowledged |
//! | `<prefix>:1:{jobs-<shard>}:<lane>:queued` | hash: sample → entry of its job | as the stream | fields go with their entries |
//! | `<prefix>:1:{jobs-<shard>}:bytes` | integer: bytes of the samples of all entries | as the stream | changes with the entries |
//! | `<prefix>:1:{jobs-<shard>}:owed` | hash: sample → the queue id of a message that was delivered although it was not scanned; the empty sample → how far the owed entries of background reach | milter, worker | fields go with their entries, the hash twice `queue.sample_ttl` after the last one |
//! | `<prefix>:1:{jobs-<shard>}:pulse-<process>:lease` | string, empty: whether the shard takes writes. Named so that an older users.acl permits it | milter, worker | 10 s |
//! | `<prefix>:1:{jobs-<shard>}:dead` | stream, capped | worker | 30 days after the last letter |
//! | `<prefix>:1:{jobs-<shard>}:dead:samples` | hash: sample → entry of its dead letter | worker | as the stream; fields go with their letters |
//! | `<prefix>:1:{records-<shard>}:mails` | stream: [packs](crate::record::pack) of records of mails, at most `queue.records_bytes` in all shards | milter, which may not read it | entries go after `queue.records_ttl` or when there is no room, the stream so long after the last |
//! | `<prefix>:1:{records-<shard>}:marks` | list of `<entry> <bytes>`: how many bytes had been written up to that entry, one for each piece that is dropped as a whole, the oldest first | milter | as the stream |
//! | `<prefix>:1:{farm}:reports` | hash: worker → time of Redis and its [`FarmReport`](crate::generation::FarmReport) | worker | fields go 30 s after the last report, the hash as well |
//! | `<prefix>:1:{farm}:names:verdict` | hash: id → time of Redis and JSON of the [`Names`](crate::verdict::short::Names) that short verdicts refer to. Named so that an older users.acl lets milters read it | worker | `cache.clean_ttl` and an hour after the last verdict; so are its fields, once there are 256 |
//! | `<prefix>:1:{farm}:signatures` | string: the version that the farm has reached | worker | 30 days after the last report |
//! | `<prefix>:1:{farm}:outage` | string: why no instance scans | worker | 30 s after the last report; deleted when one does |
//! | `<prefix>:1:{farm}:bumped` | string: seconds since the epoch | operator | 30 days, or `cache.clean_ttl` where that is longer |
//! | `<prefix>:1:{farm}:suspect` | string: the worker that scans suspects, and at which instance | worker | 5 s, renewed |
//! | `<prefix>:1:{farm}:leader` | string: the worker that looks after the instances for all | worker | 30 s, renewed |
//! | `<prefix>:1:{farm}:oversight` | string, JSON of an [`Oversight`](crate::oversight::Oversight) | worker | 30 days after its last change, or `cache.clean_ttl` where that is longer |
//! | `<prefix>:1:{farm}:blind` | string, JSON: when instances were blind ([`BlindSpan`](crate::blind::BlindSpan)) | worker | the same |
//! | `<prefix>:1:announce:<process>` | channel | whoever has an answer | – |
//!
//! JSON has a version, as [`wire`](crate::wire) says.
//!
//! With `redis.secret_file` verdicts and their names, what failed, bytes, records, what is owed, what workers report and make of it, announcements, and the fields
//! `job` and `letter` of the streams are [sealed](crate::hub::redis::seal).
//!
//! `<hint>` is `-` for none, `.<extension>` or `/<file name>`.

use crate::{
    digest::Digest,
    job::Lane,
    sample::{NameHint, SampleKey},
};

/// The version of all wire forms; programs of two versions share a Redis without seeing each other.
const VERSION: u8 = 1;
/// How many shards the queue has in a cluster. Every program must have the same idea of it, so it is no setting.
pub const CLUSTER_SHARDS: usize = 4;

/// Builds the names of keys.
#[derive(Clone, Debug)]
pub struct Keys {
    root: String,
    shards: usize,
}

/// What is kept of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Its verdict.
    Verdict,
    /// Its bytes.
    Sample,
    /// Who scans it or will.
    Lease,
    /// The processes that wait for it.
    Waiters,
    /// What is held against it since it could not be scanned.
    Failed,
    /// Words of messages that may open it.
    Passwords,
    /// Who received it, as milters up to 0.1.1 wrote it.
    Receipts,
}

impl Keys {
    /// The consumer group of all job streams.
    pub const GROUP: &str = "workers";

    /// Keys that begin with `prefix`, which must not hold braces, and a queue of `shards`.
    pub fn new(prefix: &str, shards: usize) -> Self {
        Self { root: format!("{prefix}:{VERSION}"), shards: shards.max(1) }
    }

    /// How many shards the queue has.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The shard that has the jobs of a sample.
    pub(crate) fn shard_of(&self, sample: &SampleKey) -> usize {
        usize::from(sample.digest.as_bytes()[0]) % self.shards
    }

    /// A key of one sample.
    pub(crate) fn of(&self, sample: &SampleKey, kept: Kept) -> String {
        let kept = match kept {
            Kept::Verdict => "verdict",
            Kept::Sample => "sample",
            Kept::Lease => "lease",
            Kept::Waiters => "waiters",
            Kept::Failed => "failed",
            Kept::Passwords => "passwords",
            Kept::Receipts => "receipts",
        };
        let (root, digest) = (&self.root, sample.digest);
        match &sample.hint {
            NameHint::None => format!("{root}:{{{digest}}}:-:{kept}"),
            NameHint::Extension(extension) => format!("{root}:{{{digest}}}:.{extension}:{kept}"),
            NameHint::Full(name) => format!("{root}:{{{digest}}}:/{name}:{kept}"),
        }
    }

    /// The glob pattern of Redis for all keys of a digest.
    pub(crate) fn pattern_of(&self, digest: Digest) -> String {
        let special = |c| matches!(c, '*' | '?' | '[' | ']' | '\\' | '^');
        let escaped = self.root.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c]));
        format!("{}:{{{digest}}}:*", escaped.collect::<String>())
    }

    /// The sample that a key of a digest belongs to; none where it belongs to none.
    pub(crate) fn sample_of(&self, digest: Digest, key: &str) -> Option<SampleKey> {
        let rest = key.strip_prefix(&*self.root)?.strip_prefix(&*format!(":{{{digest}}}:"))?;
        let (hint, _) = rest.rsplit_once(':')?;
        let hint = match hint.split_at_checked(1)? {
            ("-", "") => NameHint::None,
            (".", extension) => NameHint::Extension(extension.to_owned()),
            ("/", name) => NameHint::Full(name.to_owned()),
            _ => return None,
        };
        Some(SampleKey { digest, hint })
    }

    /// The stream of a lane's jobs.
    pub fn jobs(&self, shard: usize, lane: Lane) -> String {
        self.queue(shard, lane.as_str())
    }

    /// Which samples a lane holds a job for.
    pub fn queued(&self, shard: usize, lane: Lane) -> String {
        self.queue(shard, &format!("{}:queued", lane.as_str()))
    }

    /// How many bytes the samples of all jobs have.
    pub(crate) fn job_bytes(&self, shard: usize) -> String {
        self.queue(shard, "bytes")
    }

    /// For which samples a message was delivered unscanned.
    pub fn owed(&self, shard: usize) -> String {
        self.queue(shard, "owed")
    }

    /// What `process` writes to see whether writes are taken.
    pub(crate) fn pulse(&self, shard: usize, process: &str) -> String {
        self.queue(shard, &format!("pulse-{process}:lease"))
    }

    /// The dead letters.
    pub fn dead_letters(&self, shard: usize) -> String {
        self.queue(shard, "dead")
    }

    /// Which samples have a dead letter.
    pub fn buried(&self, shard: usize) -> String {
        self.queue(shard, "dead:samples")
    }

    /// The records of mails.
    pub fn records(&self, shard: usize) -> String {
        format!("{}:{{records-{shard}}}:mails", self.root)
    }

    /// How many bytes of records were written, up to which.
    pub fn record_marks(&self, shard: usize) -> String {
        format!("{}:{{records-{shard}}}:marks", self.root)
    }

    /// What the workers report of the farm.
    pub fn reports(&self) -> String {
        format!("{}:{{farm}}:reports", self.root)
    }

    /// The names that short verdicts refer to.
    pub fn names(&self) -> String {
        format!("{}:{{farm}}:names:verdict", self.root)
    }

    /// The signature version that the farm has reached.
    pub fn signatures(&self) -> String {
        format!("{}:{{farm}}:signatures", self.root)
    }

    /// Why no instance scans.
    pub fn outage(&self) -> String {
        format!("{}:{{farm}}:outage", self.root)
    }

    /// When an operator bumped the generation.
    pub fn bumped(&self) -> String {
        format!("{}:{{farm}}:bumped", self.root)
    }

    /// Which worker scans suspects, and where.
    pub fn suspect(&self) -> String {
        format!("{}:{{farm}}:suspect", self.root)
    }

    /// The worker that looks after the instances for all.
    pub fn leader(&self) -> String {
        format!("{}:{{farm}}:leader", self.root)
    }

    /// What the workers together know of their instances.
    pub fn oversight(&self) -> String {
        format!("{}:{{farm}}:oversight", self.root)
    }

    /// When instances were blind.
    pub fn blind(&self) -> String {
        format!("{}:{{farm}}:blind", self.root)
    }

    /// What all announcement channels begin with.
    pub(crate) fn announce_root(&self) -> String {
        format!("{}:announce:", self.root)
    }

    /// The channel for answers that `process` waits for.
    pub fn announce(&self, process: &str) -> String {
        format!("{}{process}", self.announce_root())
    }

    fn queue(&self, shard: usize, rest: &str) -> String {
        format!("{}:{{jobs-{shard}}}:{rest}", self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn keys_of_one_digest_share_a_hash_tag_and_hints_tell_them_apart() {
        let keys = Keys::new("tg", 2);
        let name = |hint| keys.of(&SampleKey { digest: Digest::of(b""), hint }, Kept::Verdict);
        let tag = format!("tg:1:{{{}}}", Digest::of(b""));
        assert_eq!(name(NameHint::None), format!("{tag}:-:verdict"));
        assert_eq!(name(NameHint::Extension("pdf".into())), format!("{tag}:.pdf:verdict"));
        assert_eq!(name(NameHint::Full("pdf".into())), format!("{tag}:/pdf:verdict"));
    }

    #[test]
    fn a_shard_of_the_queue_shares_one_hash_tag() {
        let keys = Keys::new("tg", 2);
        assert_eq!(keys.jobs(0, Lane::Mail), "tg:1:{jobs-0}:mail");
        assert_eq!(keys.jobs(0, Lane::Bulk), "tg:1:{jobs-0}:bulk");
        assert_eq!(keys.queued(1, Lane::Background), "tg:1:{jobs-1}:background:queued");
        assert_eq!(keys.dead_letters(0), "tg:1:{jobs-0}:dead");
        assert_eq!(keys.buried(0), "tg:1:{jobs-0}:dead:samples");
    }

    #[test]
    fn samples_spread_over_all_shards() {
        let keys = Keys::new("tg", CLUSTER_SHARDS);
        let shard =
            |number: u8| keys.shard_of(&SampleKey { digest: Digest::of(&[number]), hint: NameHint::None });
        let used: std::collections::BTreeSet<usize> = (0..100).map(shard).collect();
        assert_eq!(used.into_iter().collect::<Vec<_>>(), (0..CLUSTER_SHARDS).collect::<Vec<_>>());
    }
}
