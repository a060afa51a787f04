// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether Redis takes what this process writes: a look-up alone says nothing of a replica, a full disk, a full memory or
//! missing rights. Each shard of the queue is asked, since in a cluster each may live on another server:
//!
//! 1. a small value is written, which goes by itself after seconds;
//! 2. a job is added in a way that Redis always refuses for its id, after it has looked at everything else;
//! 3. what belongs to the queue is read, which shows a key that holds something else;
//! 4. a worker announces nothing to nobody. A milter may not announce.
//!
//! What is wrong is one line: whose it is, and what to do. The log has it once when it begins and once when it is over.

use super::{
    RedisHub,
    connection::Connection,
    entry::millis,
    error::out_of_memory,
    scripts::{SCRIPTS, Step},
};
use crate::{
    check::cause::{Cause, REDIS, with_causes},
    hub::{HubError, Trouble},
    job::Lane,
    keys::Keys,
};
use redis::{RedisError, RedisResult, Value, cmd};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// How long the value lives.
const LIFE: Duration = Duration::from_secs(10);
/// A trouble is over once it has stayed away so long, so that one that comes and goes does not fill the log.
const QUIET: Duration = Duration::from_secs(5);
/// What Redis says to the job that is none.
const NO_ID: &str = "must be greater than 0-0";

/// What this process has told of troubles.
#[derive(Default)]
pub(super) struct Told {
    /// When there was one last, while it counts.
    last: Option<Instant>,
    now: Option<Arc<str>>,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has samples scanned.
    Milter,
    /// It takes jobs.
    Worker,
}

/// One question, and the key that it is about.
struct Question {
    step: Step,
    about: String,
    /// Whether nothing can be done where it is not permitted.
    is_needed: bool,
}

/// Who asks whom.
pub(super) struct Asked<'a> {
    pub connection: &'a Connection,
    pub keys: &'a Keys,
    pub process: &'a str,
    pub role: Role,
    /// Who logs in, for people.
    pub user: &'a str,
}

/// Asks, and remembers the answer.
pub(super) async fn probe(hub: &RedisHub, role: Role) -> Result<(), Trouble> {
    let user = hub.entrance.user();
    let asked = Asked { connection: &hub.pulse, keys: &hub.keys, process: &hub.process, role, user: &user };
    let found = asked.first_fault().await;
    hub.told().hear(found.as_ref());
    found.map_or(Ok(()), Err)
}

impl Asked<'_> {
    /// The first thing that is wrong.
    pub(super) async fn first_fault(&self) -> Option<Trouble> {
        let questions: Vec<Question> =
            (0..self.keys.shards()).flat_map(|shard| self.of_shard(shard)).collect();
        let (steps, about): (Vec<Step>, Vec<_>) = questions
            .into_iter()
            .map(|question| (question.step, (question.about, question.is_needed)))
            .unzip();
        match self.connection.each(steps).await {
            Ok(outcomes) => {
                let all = outcomes.iter().zip(&about);
                all.filter_map(|(outcome, (about, is_needed))| fault(outcome, about, *is_needed, self.user))
                    .next()
            }
            Err(error) => Some(unanswered(&error)),
        }
    }

    fn of_shard(&self, shard: usize) -> Vec<Question> {
        let keys = self.keys;
        let question = |step: Step, about: &str| Question { step, about: about.to_owned(), is_needed: true };
        let pulse = keys.pulse(shard, self.process);
        let set = cmd("SET").arg(&pulse).arg("").arg("PX").arg(millis(LIFE)).take();
        let script = SCRIPTS.renew_lease.on([pulse.clone()]).arg("-").arg(1);
        let mut asked = vec![question(set.into(), &pulse), question(script.into(), &pulse)];
        for lane in Lane::ALL {
            let (stream, queued) = (keys.jobs(shard, lane), keys.queued(shard, lane));
            let add = cmd("XADD").arg(&stream).arg("NOMKSTREAM").arg("0-0").arg("size").arg(0).take();
            let (length, index) = (cmd("XLEN").arg(&stream).take(), cmd("HGET").arg(&queued).arg("").take());
            let of_lane = [(add, &stream), (length, &stream), (index, &queued)];
            // A lane that an older users.acl does not know: there is a way without it.
            let is_needed = lane == Lane::Mail;
            asked.extend(of_lane.map(|(step, about)| Question { is_needed, ..question(step.into(), about) }));
        }
        let bytes = keys.job_bytes(shard);
        asked.push(question(cmd("GET").arg(&bytes).take().into(), &bytes));
        if self.role == Role::Worker && shard == 0 {
            let channel = keys.announce("");
            asked.push(question(cmd("PUBLISH").arg(&channel).arg("").take().into(), &channel));
        }
        asked
    }
}

/// What an answer says is wrong.
fn fault(outcome: &RedisResult<Value>, about: &str, is_needed: bool, user: &str) -> Option<Trouble> {
    let error = outcome.as_ref().err()?;
    let text = error.to_string();
    if text.contains(NO_ID) || (!is_needed && code(error, &text) == "NOPERM") {
        return None;
    }
    Some(Trouble { reason: words(error, about, user), full: out_of_memory(error) })
}

/// An error of Redis, with whose it is and what to do.
fn words(error: &RedisError, about: &str, user: &str) -> String {
    if out_of_memory(error) {
        return "Redis is full (maxmemory): give it more memory, or less to hold (queue.max_bytes, cache.redis_bytes); \
                known attachments are served"
            .to_owned();
    }
    let text = error.to_string();
    match code(error, &text) {
        "READONLY" => {
            "Redis takes no writes, it is a replica (READONLY): redis.url has to name the master, or the \
                       Sentinels that know it"
                .to_owned()
        }
        "MISCONF" => {
            "Redis takes no writes, since it cannot write its own disk (MISCONF): look at its log and at the \
                      room on its disk"
                .to_owned()
        }
        "NOREPLICAS" => {
            "Redis takes no writes without its replicas (NOREPLICAS): bring them back, or lower its \
                         min-replicas-to-write"
                .to_owned()
        }
        "NOPERM" => format!(
            "Redis lets the user {user} do too little (NOPERM on {about}): its users.acl has to be that of this \
             version (deploy/redis/users.acl), and redis.prefix the one in there"
        ),
        "WRONGTYPE" => format!(
            "the key {about} in Redis holds something else than it should (WRONGTYPE): somebody else writes there; \
             delete it, or choose another redis.prefix"
        ),
        _ => format!("Redis does not take what this process writes: {text}"),
    }
}

/// The first word of what Redis said; within a script it stands somewhere else.
fn code<'a>(error: &'a RedisError, text: &str) -> &'a str {
    const CODES: [&str; 5] = ["READONLY", "MISCONF", "NOREPLICAS", "NOPERM", "WRONGTYPE"];
    match error.code() {
        Some(code) if code != "ERR" => code,
        _ => CODES.into_iter().find(|code| text.contains(code)).unwrap_or_default(),
    }
}

/// No answer at all.
fn unanswered(error: &HubError) -> Trouble {
    let told = with_causes(error);
    let reason = match Cause::of(&told) {
        Cause::Other => told,
        cause => format!("{told}; {}", cause.cure(REDIS)),
    };
    Trouble { reason, full: false }
}

impl Told {
    /// What is wrong now.
    pub(super) fn now(&self) -> Option<Arc<str>> {
        self.now.clone()
    }

    fn hear(&mut self, found: Option<&Trouble>) {
        let now = Instant::now();
        self.now = found.map(|trouble| Arc::from(trouble.reason.as_str()));
        match found {
            Some(found) => {
                if self.last.replace(now).is_none() {
                    warn!(
                        event = "hub_trouble",
                        error = found.reason,
                        "Redis does not do what it is needed for"
                    );
                }
            }
            None => {
                let over = |last: &mut Instant| now.saturating_duration_since(*last) >= QUIET;
                if self.last.take_if(over).is_some() {
                    info!(event = "hub_trouble_over", "Redis does what it is needed for again");
                }
            }
        }
    }
}
