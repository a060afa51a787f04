// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo run --release --bin sealed`: how often the password of a sealed attachment is among the candidates that its mail
//! gives, for each language, format, place and kind of password. Ends with status 1 where it is less often than promised.
//!
//! Sealing takes longer than everything else and changes nothing for the candidates, so the attachments are only the first
//! bytes of sealed files. `--write FOLDER` seals them, and writes the mails there with a list of their passwords.

use anyhow::{Context, ensure};
use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};
use thundergate_extract::{Bodies, Budget, extract, passwords};
use thundergate_sealed::{
    Half, Mail,
    mail::compose,
    tally::{Found, Tally},
};

/// What is promised of mails in the half that is judged, in percent.
const PROMISED: f64 = 95.0;
/// About the programs' defaults.
const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 64 << 20 };

/// Measures how often the password of a sealed attachment is found in its mail.
#[derive(Parser)]
struct Arguments {
    /// Mails of each half.
    #[arg(long, default_value_t = 5000)]
    mails: u64,
    /// The number of the first one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the half that candidates are developed with, and what is not found there.
    #[arg(long)]
    develop: bool,
    /// Write the mails there, their attachments really sealed, and measure nothing.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let halves: &[Half] =
        if arguments.develop { &[Half::Development] } else { &[Half::Development, Half::Judged] };
    for &half in halves {
        if let Some(folder) = &arguments.write {
            write(&arguments, half, folder)?;
            continue;
        }
        let mut tally = measure(&arguments, half)?;
        println!("{} half\n{}", half.as_str(), tally.table());
        let found = tally.found();
        ensure!(
            half != Half::Judged || found >= PROMISED,
            "found in {found:.1} % of the mails, not in {PROMISED} %"
        );
    }
    Ok(())
}

/// The mails of `half`.
fn mails(arguments: &Arguments, half: Half) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Mail>>> {
    let languages = half.languages()?;
    let (first, hollow) = (arguments.seed, arguments.write.is_none());
    Ok((first..first + arguments.mails).map(move |number| compose(number, half, &languages, hollow)))
}

fn measure(arguments: &Arguments, half: Half) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for mail in mails(arguments, half)? {
        let mail = mail?;
        let extraction = extract(&mail.message, Bodies::Html, &BUDGET);
        let before = cpu();
        let candidates = passwords(&mail.message, &extraction, &[]);
        let time = cpu().saturating_sub(before);
        let rank = candidates.iter().position(|candidate| candidate.as_str() == mail.password);
        let found = rank.map(|at| Found { rank: at + 1, meant: candidates[at].place().is_meant() });
        if arguments.develop && found.is_none() {
            let Mail { language, place, kind, password, .. } = &mail;
            println!("not found: {language}, {}, {}: {password}", place.as_str(), kind.as_str());
        }
        tally.add(&mail, found, time);
    }
    Ok(tally)
}

/// What this thread has taken so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn write(arguments: &Arguments, half: Half, folder: &std::path::Path) -> anyhow::Result<()> {
    let folder = folder.join(half.as_str());
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut list = String::new();
    for (number, mail) in (arguments.seed..).zip(mails(arguments, half)?) {
        let mail = mail?;
        let name = format!("{number:05}.eml");
        fs::write(folder.join(&name), &mail.message)?;
        let Mail { language, place, kind, format, password, .. } = &mail;
        let (place, kind, format) = (place.as_str(), kind.as_str(), format.as_str());
        writeln!(list, "{name}\t{language}\t{place}\t{kind}\t{format}\t{password}")?;
    }
    fs::write(folder.join("passwords.tsv"), list)?;
    Ok(())
}
