// SPDX-License-Identifier: GPL-3.0-or-later
//! A hostile sender: a mail every few seconds while a fault lasts, each tried again as an MTA would.

use super::{
    hostile::{self, Attack},
    journal::End,
    kind::Kind,
    senders::Senders,
};
use futures_util::future::join_all;
use std::{
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often a mail is tried.
const TRIES: usize = 6;
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Sends hostile mails of this kind for so long; `sent` counts them.
pub async fn attack(senders: &Senders, kind: Kind, sent: &AtomicU32, lasts: Duration) {
    let Some(Attack { every, .. }) = hostile::attack(kind) else { return };
    let ends = Instant::now() + lasts;
    let mails = lasts.div_duration_f64(*every).ceil() as u32;
    let first = sent.fetch_add(mails, SeqCst);
    let sending = (0..mails).map(|number| async move {
        sleep(*every * number).await;
        insist(senders, hostile::mail(kind, first + number), ends).await;
    });
    join_all(sending).await;
}

async fn insist(senders: &Senders, mail: u32, ends: Instant) {
    for attempt in 0..TRIES {
        let milter = (mail as usize + attempt) % senders.addresses.len();
        let end = senders.probe(milter, mail).await;
        let is_final = matches!(end, End::Accepted | End::Held | End::Other(_));
        if is_final || Instant::now() + PAUSE > ends {
            return;
        }
        sleep(PAUSE).await;
    }
}
