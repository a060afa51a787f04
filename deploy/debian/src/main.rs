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
use thundergate_milter::cli::Cli;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os().nth(1).context("usage: thundergate-manual DIRECTORY")?;
    let directory = PathBuf::from(directory);
    let (milter, worker) = (Cli::command(), thundergate_worker::cli::definition());

    let man8 = folder(&directory, "man8")?;
    commands::write(&milter, &commands::MILTER, &man8)?;
    commands::write(&worker, &commands::WORKER, &man8)?;

    let man5 = folder(&directory, "man5")?;
    for (program, defaults) in [
        ("thundergate-milter", thundergate_milter::config::DEFAULTS),
        ("thundergate-worker", thundergate_worker::config::DEFAULTS),
    ] {
        fs::write(man5.join(format!("{program}.toml.5")), settings::page(program, defaults).to_roff())?;
    }

    for mut command in [milter, worker] {
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
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    fs::create_dir_all(file.parent().expect("a file stands in a folder"))?;
    fs::write(file, script).with_context(|| format!("cannot write {}", file.display()))
}

fn folder(directory: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = directory.join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
