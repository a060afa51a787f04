// SPDX-License-Identifier: GPL-3.0-or-later
//! Writes what stands beside the programs in a package: `thundergate-manual DIRECTORY`.
//!
//! | folder | content | made of |
//! |---|---|---|
//! | `man8/` | a page for each program and each of its subcommands | the definition of the command line |
//! | `man5/` | a page for each configuration file | the commented defaults |
//! | `bash/`, `fish/`, `zsh/` | shell completions | the definition of the command line |

mod commands;
mod settings;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use std::{
    fs,
    path::{Path, PathBuf},
};
use thundergate_milter::command::cli::Cli;
use thundergate_worker::{command::cli::Cli as Worker, people::cli::Cli as People};

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1).context("usage: thundergate-manual DIRECTORY")?;
    let directory = PathBuf::from(directory);
    let (milter, worker, people) = (Cli::command(), Worker::command(), People::command());

    let man8 = folder(&directory, "man8")?;
    commands::write(&milter, &commands::MILTER, &man8)?;
    commands::write(&worker, &commands::WORKER, &man8)?;
    commands::write(&people, &commands::PEOPLE, &man8)?;

    let man5 = folder(&directory, "man5")?;
    for (program, defaults) in [
        ("thundergate-milter", thundergate_milter::config::DEFAULTS),
        ("thundergate-worker", thundergate_worker::config::DEFAULTS),
    ] {
        fs::write(man5.join(format!("{program}.toml.5")), settings::page(program, defaults).to_roff())?;
    }

    for mut command in [milter, worker, people] {
        let name = command.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, format!("bash/{name}")),
            (Shell::Fish, format!("fish/{name}.fish")),
            (Shell::Zsh, format!("zsh/_{name}")),
        ] {
            complete(shell, &mut command, &name, &directory.join(file))?;
        }
    }
    Ok(())
}

fn complete(shell: Shell, command: &mut Command, name: &str, file: &Path) -> anyhow::Result<()> {
    let script = script(shell, command, name)?;
    fs::create_dir_all(file.parent().expect("a file stands in a folder"))?;
    fs::write(file, script).with_context(|| format!("cannot write {}", file.display()))
}

/// clap_complete (clap-rs/clap#6421) escapes the hyphen of a program's name in two ways for bash: what it looks for after the
/// first word is not what it has found. One way is as good as the other.
fn script(shell: Shell, command: &mut Command, name: &str) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    let script = String::from_utf8(script)?;
    Ok(match shell {
        Shell::Bash => script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__")),
        _ => script,
    })
}

fn folder(directory: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = directory.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bash offers for the last of `words`.
    fn offered(script: &str, words: &[&str]) -> Vec<String> {
        let (program, last) = (words[0], words[words.len() - 1]);
        let function = program.replace('-', "__");
        let ask = format!(
            "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_{function} {program} '{last}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words[words.len() - 2],
        );
        let output = std::process::Command::new("bash").args(["-c", &ask]).output().expect("bash is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_every_word() {
        let of = |mut command: Command| {
            let name = command.get_name().to_owned();
            script(Shell::Bash, &mut command, &name).expect("a script is text")
        };
        let (milter, worker, people) = (of(Cli::command()), of(Worker::command()), of(People::command()));
        for (script, words, expected) in [
            (&milter, &["thundergate-milter", "sc"][..], "scan"),
            (&milter, &["thundergate-milter", "scan", "--exp"], "--explain"),
            (&milter, &["thundergate-milter", "check", "--conf"], "--config"),
            (&worker, &["thundergate-worker", "queue", "ret"], "retry"),
            (&worker, &["thundergate-worker", "queue", "retry", "--al"], "--all"),
            (&worker, &["thundergate-worker", "generation", "show", "--js"], "--json"),
            (&people, &["thundergate", "gen"], "generation"),
            (&people, &["thundergate", "queue", "dr"], "drop"),
            (&people, &["thundergate", "verdict", "forget", "--rea"], "--reason"),
        ] {
            assert_eq!(offered(script, words), [expected], "{words:?}");
        }
    }
}
