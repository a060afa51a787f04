// SPDX-License-Identifier: GPL-3.0-or-later
//! The command line of `thundergate`, and what the older names of `thundergate-worker` share with it.

use super::door::Door;
use clap::{Args, Parser, Subcommand};
use thundergate_common::record::seen::Sought;

/// Shows what thundergate does, and has it do things by hand. It asks a worker or milter that runs: here over its admin socket,
/// which is for root and the group thundergate-admin, or elsewhere with --url and a token.
#[derive(Debug, Parser)]
#[command(name = "thundergate", version)]
pub struct Cli {
    #[command(flatten)]
    pub how: How,
    #[command(subcommand)]
    pub command: Command,
}

/// Whom to ask, and how to tell.
#[derive(Clone, Debug, Default, Args)]
pub struct How {
    #[command(flatten)]
    pub door: Door,
    /// Print the answer as it is, in JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show how the programs here are: what is wrong, what flows, what waits.
    Status,
    /// Have the programs here look at what they need (Redis, scanners, MTA, files) and say what is wrong and what to do. Exit
    /// status 0 where nothing is, 69 where something is not available, 78 where the configuration is wrong.
    Check(CheckArgs),
    /// Show why a mail was accepted, deferred, held or rejected, and what is known of its parts now.
    Why {
        /// The mail's queue id, as the MTA's log has it
        queue_id: String,
    },
    /// Show what waits, what is being scanned and what was given up; try that again or drop it.
    Queue(QueueArgs),
    /// Show every Thunderstorm server as the workers see it.
    Farm,
    /// Show the signature version that the farm has reached, or make older verdicts stale by hand.
    Generation(GenerationArgs),
    /// Show or forget what is known of a sample.
    Verdict(VerdictArgs),
    /// Show which mails held a sample, of the last two days at most.
    Seen(SampleArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Have a harmless sample scanned on every scanner, too.
    #[arg(long)]
    pub scan: bool,
}

#[derive(Debug, Args)]
pub struct SampleArgs {
    /// DIGEST, under any name, or DIGEST.EXTENSION
    #[arg(value_parser = sample)]
    pub sample: String,
}

#[derive(Debug, Args)]
pub struct QueueArgs {
    #[command(subcommand)]
    pub action: Option<QueueAction>,
}

#[derive(Debug, Subcommand)]
pub enum QueueAction {
    /// Have the samples of dead letters scanned once more, as far as their bytes are still there (queue.sample_ttl). Nothing
    /// is held against them any longer (queue.failed_ttl).
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        why: Why,
    },
    /// Forget dead letters.
    Drop {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        why: Why,
    },
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Their ids, as `queue` prints them.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All of them.
    #[arg(long)]
    pub all: bool,
}

/// Why something is changed.
#[derive(Debug, Default, Args)]
pub struct Why {
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct GenerationArgs {
    #[command(subcommand)]
    pub action: Option<GenerationAction>,
}

#[derive(Debug, Subcommand)]
pub enum GenerationAction {
    /// Show it.
    Show,
    /// Custom rules have changed, which no version shows: clean verdicts from before now are stale.
    Bump(Why),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct VerdictArgs {
    /// DIGEST, under any name, or DIGEST.EXTENSION
    #[arg(value_parser = sample, required = true)]
    pub sample: Option<String>,
    #[command(subcommand)]
    pub action: Option<VerdictAction>,
}

#[derive(Debug, Subcommand)]
pub enum VerdictAction {
    /// Show it.
    Show(SampleArgs),
    /// Forget it: the next mail with this sample has it scanned again.
    Forget {
        #[command(flatten)]
        sample: SampleArgs,
        #[command(flatten)]
        why: Why,
    },
}

/// What stands for a sample, as it is.
fn sample(text: &str) -> Result<String, String> {
    match text.parse::<Sought>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_goes_for_all_commands_may_stand_anywhere() {
        for line in [
            "thundergate --json --socket /s queue retry --all",
            "thundergate queue --json --socket /s retry --all",
            "thundergate queue retry --all --reason why --json --socket /s",
        ] {
            let cli = parse(line).unwrap();
            assert!(cli.how.json && cli.how.door.socket.is_some(), "{line}");
        }
    }

    #[test]
    fn wrong_lines_are_refused() {
        let digest = "ab".repeat(32);
        for right in [format!("verdict {digest}.exe"), format!("verdict forget {digest} --reason x")] {
            assert!(parse(&format!("thundergate {right}")).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "queue retry",
            "queue drop --all 1-0",
            "verdict",
            "verdict abc",
            "verdict forget",
            "seen",
            "why",
            "farm --socket /s --url https://a",
            "farm --socket /s --token-file /t",
            "farm --url mx1:9101",
        ] {
            assert!(parse(&format!("thundergate {wrong}")).is_err(), "{wrong}");
        }
    }
}
