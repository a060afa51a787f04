// SPDX-License-Identifier: GPL-3.0-or-later
//! `queue`: the lanes and the dead letters; `queue retry` and `queue drop`: what becomes of these.

use super::{
    cli::{QueueAction, Which},
    client::Client,
    error::PeopleError,
    print::{self, or_dash, say},
    table::Table,
};
use indicatif::{ProgressBar, ProgressStyle};
use thundergate_common::{
    api::{
        Endpoint,
        queue::{Dropped, Letter, Letters, MOST_LETTERS, Queue, Retried},
    },
    clock::now_ms,
    hub::LaneState,
    terminal::readable,
};

/// Dead letters shown; `--json` has all.
const SHOWN: usize = 20;

/// Shows the queue, or has something done with dead letters.
pub(super) async fn run(client: &Client, action: Option<QueueAction>, json: bool) -> Result<(), PeopleError> {
    match action {
        None => show(client, json).await,
        Some(QueueAction::Retry { which, why }) => retry(client, &which, &why.reason, json).await,
        Some(QueueAction::Drop { which, why }) => drop(client, &which, &why.reason, json).await,
    }
}

async fn show(client: &Client, json: bool) -> Result<(), PeopleError> {
    let answer = client.get(&Endpoint::QUEUE).await?;
    if json {
        return answer.print();
    }
    let Queue { queue, dead_letters } = answer.read()?;
    lanes(&queue.lanes).print();
    say(format_args!("\nBytes of samples: {}", bytesize::ByteSize(queue.sample_bytes)));
    say(format_args!("Dead letters: {}", queue.dead_letters));
    if !dead_letters.is_empty() {
        say("");
        letters(&dead_letters, now_ms()).print();
    }
    if dead_letters.len() > SHOWN {
        say(format_args!("… and {} older ones: --json has them", dead_letters.len() - SHOWN));
    }
    Ok(())
}

/// Has the samples of dead letters scanned once more. One that is named and has no bytes is an error; of all letters those
/// are skipped.
async fn retry(client: &Client, which: &Which, reason: &str, json: bool) -> Result<(), PeopleError> {
    let mut all = Retried::default();
    for_chunks(client, which, async |ids| {
        let letters = Letters { ids, reason: reason.to_owned() };
        let one: Retried = client.post(&Endpoint::QUEUE_RETRY, &letters).await?.read()?;
        all.queued += one.queued;
        all.bytes_gone.extend(one.bytes_gone);
        all.unknown.extend(one.unknown);
        Ok(())
    })
    .await?;
    let gone = all.bytes_gone.len();
    if json {
        print::json(&all)?;
    } else {
        say(format_args!("{} queued again", all.queued));
        if gone > 0 {
            say(format_args!(
                "{gone} skipped: the bytes are no longer there, only the sender can bring them again"
            ));
        }
    }
    told_of(which, &all.unknown)?;
    if gone > 0 && !which.all {
        return Err(PeopleError::Unavailable("not all of them can be tried again"));
    }
    Ok(())
}

/// Forgets dead letters.
async fn drop(client: &Client, which: &Which, reason: &str, json: bool) -> Result<(), PeopleError> {
    let mut all = Dropped::default();
    for_chunks(client, which, async |ids| {
        let letters = Letters { ids, reason: reason.to_owned() };
        let one: Dropped = client.post(&Endpoint::QUEUE_DROP, &letters).await?.read()?;
        all.dropped += one.dropped;
        all.unknown.extend(one.unknown);
        Ok(())
    })
    .await?;
    if json {
        print::json(&all)?;
    } else {
        say(format_args!("{} dropped", all.dropped));
    }
    told_of(which, &all.unknown)
}

/// A letter that was named is there, or it is an error. Of all letters, somebody else may have taken some meanwhile.
fn told_of(which: &Which, unknown: &[String]) -> Result<(), PeopleError> {
    match unknown.first() {
        Some(id) if !which.all => Err(PeopleError::NoLetter(readable(id))),
        _ => Ok(()),
    }
}

/// Does `what` with the ids of the letters, as many at a time as one request can name.
async fn for_chunks(
    client: &Client,
    which: &Which,
    mut what: impl AsyncFnMut(Vec<String>) -> Result<(), PeopleError>,
) -> Result<(), PeopleError> {
    let ids = if which.all {
        let queue: Queue = client.get(&Endpoint::QUEUE).await?.read()?;
        queue.dead_letters.into_iter().map(|letter| letter.id).collect()
    } else {
        which.ids.clone()
    };
    let bar = bar(ids.len());
    for chunk in ids.chunks(MOST_LETTERS) {
        let done = what(chunk.to_vec()).await;
        bar.inc(chunk.len() as u64);
        if done.is_err() {
            bar.abandon();
        }
        done?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// A progress bar on standard error, if that is a terminal and it takes more than a moment.
fn bar(letters: usize) -> ProgressBar {
    if letters <= MOST_LETTERS {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} dead letters, {eta} to go");
    ProgressBar::new(letters as u64).with_style(style.expect("the template is one"))
}

fn lanes(lanes: &[LaneState]) -> Table {
    let mut table = Table::new(&["LANE", "WAITING", "CLAIMED", "OLDEST"]);
    for lane in lanes {
        let oldest = lane.oldest_ms.map_or_else(|| "-".to_owned(), print::span);
        table.row([
            lane.lane.as_str().to_owned(),
            lane.waiting.to_string(),
            lane.claimed.to_string(),
            oldest,
        ]);
    }
    table
}

fn letters(letters: &[Letter], now_ms: u64) -> Table {
    let head = ["ID", "AGE", "SIZE", "TRIES", "QUEUE ID", "INSTANCE", "REASON", "SAMPLE"];
    let mut table = Table::new(&head).whole(&["ID", "AGE", "SIZE", "QUEUE ID"]).last_is_long();
    for letter in &letters[..letters.len().min(SHOWN)] {
        table.row([
            letter.id.clone(),
            print::age(letter.buried_at_ms, now_ms),
            bytesize::ByteSize(letter.size).to_string(),
            letter.deliveries.to_string(),
            or_dash(&letter.queue_id),
            or_dash(&letter.instance),
            letter.reason.clone(),
            letter.sample.clone(),
        ]);
    }
    table
}
