// SPDX-License-Identifier: GPL-3.0-or-later
//! The Lua scripts: what must be atomic. Each file says what its keys and arguments are. All keys of one call share a
//! hash tag. Scripts are called by their SHA-1; every new connection loads them, and a call that Redis does not know
//! (`SCRIPT FLUSH`, a fail-over) is repeated with its text.

use redis::{Cmd, Script, ToRedisArgs, cmd};
use std::sync::LazyLock;

/// All scripts, in their texts and digests.
pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(Scripts::new);

/// One field for each file.
pub(super) struct Scripts {
    pub reserve: Text,
    pub leave: Text,
    pub enqueue: Text,
    pub owe: Text,
    pub forget: Text,
    pub lease: Text,
    pub give_back: Text,
    pub record: Text,
    pub claim: Text,
    pub begin: Text,
    pub renew_lease: Text,
    pub take_turn: Text,
    pub end_turn: Text,
    pub renew_claim: Text,
    pub reclaim: Text,
    pub complete: Text,
    pub acknowledge: Text,
    pub bury: Text,
    pub held: Text,
    pub hand_back: Text,
    pub demote: Text,
    pub retry: Text,
    pub drop_letter: Text,
    pub report: Text,
    pub time: Text,
    pub names: Text,
    pub fill: Text,
    pub keys_of: Text,
}

/// A script's text and SHA-1.
pub(super) struct Text {
    text: &'static str,
    sha1: String,
}

/// A command, or a call of a script.
pub(super) enum Step {
    Plain(Cmd),
    Script(Call),
}

/// A call of a script.
pub(super) struct Call {
    script: &'static Text,
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

impl Scripts {
    fn new() -> Self {
        macro_rules! with_remove {
            ($file:literal) => {
                Text::new(concat!(include_str!("scripts/remove.lua"), include_str!($file)))
            };
        }
        macro_rules! with_unbury {
            ($file:literal) => {
                Text::new(concat!(include_str!("scripts/unbury.lua"), include_str!($file)))
            };
        }
        macro_rules! with_give_way {
            ($file:literal) => {
                Text::new(concat!(include_str!("scripts/give_way.lua"), include_str!($file)))
            };
        }
        macro_rules! with_both {
            ($file:literal) => {
                Text::new(concat!(
                    include_str!("scripts/remove.lua"),
                    include_str!("scripts/unbury.lua"),
                    include_str!($file)
                ))
            };
        }
        Self {
            reserve: Text::new(include_str!("scripts/reserve.lua")),
            leave: Text::new(include_str!("scripts/leave.lua")),
            enqueue: with_give_way!("scripts/enqueue.lua"),
            owe: Text::new(include_str!("scripts/owe.lua")),
            forget: Text::new(include_str!("scripts/forget.lua")),
            lease: Text::new(include_str!("scripts/lease.lua")),
            give_back: Text::new(include_str!("scripts/give_back.lua")),
            record: Text::new(include_str!("scripts/record.lua")),
            claim: Text::new(include_str!("scripts/claim.lua")),
            begin: Text::new(include_str!("scripts/begin.lua")),
            renew_lease: Text::new(include_str!("scripts/renew_lease.lua")),
            take_turn: Text::new(include_str!("scripts/take_turn.lua")),
            end_turn: Text::new(include_str!("scripts/end_turn.lua")),
            renew_claim: Text::new(include_str!("scripts/renew_claim.lua")),
            reclaim: Text::new(include_str!("scripts/reclaim.lua")),
            complete: Text::new(include_str!("scripts/complete.lua")),
            acknowledge: with_both!("scripts/acknowledge.lua"),
            bury: with_both!("scripts/bury.lua"),
            held: Text::new(include_str!("scripts/held.lua")),
            hand_back: with_remove!("scripts/hand_back.lua"),
            demote: Text::new(concat!(
                include_str!("scripts/remove.lua"),
                include_str!("scripts/give_way.lua"),
                include_str!("scripts/demote.lua")
            )),
            retry: with_unbury!("scripts/retry.lua"),
            drop_letter: with_unbury!("scripts/drop_letter.lua"),
            report: Text::new(include_str!("scripts/report.lua")),
            time: Text::new(include_str!("scripts/time.lua")),
            names: Text::new(include_str!("scripts/names.lua")),
            fill: Text::new(include_str!("scripts/fill.lua")),
            keys_of: Text::new(include_str!("scripts/keys_of.lua")),
        }
    }

    /// One `SCRIPT LOAD` for each script.
    pub(super) fn loading(&self) -> Vec<Step> {
        let all = [
            &self.reserve,
            &self.leave,
            &self.enqueue,
            &self.owe,
            &self.forget,
            &self.lease,
            &self.give_back,
            &self.record,
            &self.claim,
            &self.begin,
            &self.renew_lease,
            &self.take_turn,
            &self.end_turn,
            &self.renew_claim,
            &self.reclaim,
            &self.complete,
            &self.acknowledge,
            &self.bury,
            &self.held,
            &self.hand_back,
            &self.demote,
            &self.retry,
            &self.drop_letter,
            &self.report,
            &self.time,
            &self.names,
            &self.fill,
            &self.keys_of,
        ];
        all.map(|script| Step::Plain(cmd("SCRIPT").arg("LOAD").arg(script.text).take())).into()
    }
}

impl Text {
    fn new(text: &'static str) -> Self {
        Self { text, sha1: Script::new(text).get_hash().to_owned() }
    }

    /// A call with these keys; arguments follow with [`Call::arg`].
    pub(super) fn on<const N: usize>(&'static self, keys: [String; N]) -> Call {
        Call { script: self, keys: keys.into(), arguments: Vec::new() }
    }
}

impl Call {
    /// One argument more.
    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.arguments.extend(argument.to_redis_args());
        self
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        cmd(name).arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments).take()
    }
}

impl Step {
    /// What is sent: the script by its SHA-1.
    pub(super) fn short(&self) -> Cmd {
        match self {
            Self::Plain(command) => command.clone(),
            Self::Script(call) => call.command("EVALSHA", &call.script.sha1),
        }
    }

    /// What is sent where the SHA-1 is unknown: the script's text.
    pub(super) fn long(&self) -> Cmd {
        match self {
            Self::Plain(command) => command.clone(),
            Self::Script(call) => call.command("EVAL", call.script.text),
        }
    }
}

impl From<Call> for Step {
    fn from(call: Call) -> Self {
        Self::Script(call)
    }
}

impl From<Cmd> for Step {
    fn from(command: Cmd) -> Self {
        Self::Plain(command)
    }
}
