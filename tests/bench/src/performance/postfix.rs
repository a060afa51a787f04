// SPDX-License-Identifier: GPL-3.0-or-later
//! Behind a real Postfix, which forgets what it accepts: known attachments, against the same without a milter, and against
//! a milter that does nothing: what Postfix itself does for a milter is in both.

use super::{KIB, Run, median, programs, smtp};
use std::time::Duration;
use thundergate_harness::{
    mails::{mail, noise},
    postfix::Postfix,
};

const CONNECTIONS: usize = 8;
const TRANSPORTS: [(&str, &str); 4] = [
    ("default_transport", "discard:"),
    ("local_transport", "discard:"),
    ("relay_transport", "discard:"),
    ("virtual_transport", "discard:"),
];

pub async fn measure(run: &mut Run) -> anyhow::Result<()> {
    if std::process::Command::new("postfix").arg("-h").output().is_err() {
        eprintln!("section 8 is left out: Postfix is not installed");
        return Ok(());
    }
    let scanner = programs::scanner(Duration::ZERO).await;
    let ours = programs::milter(&programs::farm(&scanner))?;
    let null = programs::null_milter()?;
    let mut mtas = vec![Postfix::start_with(&[], &TRANSPORTS).await?];
    for address in [null.addresses()?, ours.addresses()?].concat() {
        mtas.push(Postfix::start_with(&[address], &TRANSPORTS).await?);
    }
    for size in [KIB, 100 * KIB] {
        let message = mail().attach("known.bin", "application/octet-stream", noise(8, size)).bytes();
        let mut rates = vec![Vec::new(); mtas.len()];
        for round in 0..=run.rounds {
            eprintln!("Postfix, {}: round {round} of {}", super::bytes(size), run.rounds);
            for (mta, rates) in mtas.iter().zip(&mut rates) {
                let (to, message, time) =
                    (mta.address(), message.clone(), Duration::from_secs_f64(run.seconds));
                let sent = tokio::task::spawn_blocking(move || smtp::send(to, &message, CONNECTIONS, time));
                let sent = sent.await??;
                // The first round makes processes start and attachments known.
                rates.extend((round > 0).then_some(sent));
                settled(mta).await?;
            }
        }
        for (rates_of, how, promised) in [
            (&rates[1], "null milter over TCP", false),
            (&rates[2], "over TCP", true),
            (&rates[3], "over a unix socket", true),
        ] {
            let ratio = median(rates_of.iter().zip(&rates[0]).map(|(ours, none)| ours / none).collect());
            let (rate, alone) = (median(rates_of.clone()), median(rates[0].clone()));
            run.say(
                8,
                format!("Postfix, {}, {how}", super::bytes(size)),
                format!("{rate:.0}/s of {alone:.0}/s without a milter = {ratio:.2}"),
                if promised { "at least 0.8" } else { "" },
                promised.then_some(ratio >= 0.8),
                vec![ratio, rate, alone],
            );
        }
    }
    Ok(())
}

/// Waits until it has delivered everything, or the next one would share the machine with that.
async fn settled(mta: &Postfix) -> anyhow::Result<()> {
    for _ in 0..200 {
        if mta.queued().await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("Postfix has not delivered everything");
    Ok(())
}
