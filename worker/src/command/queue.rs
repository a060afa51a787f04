// SPDX-License-Identifier: GPL-3.0-or-later
//! `queue`: the lanes and the dead letters; `queue retry` and `queue drop`: what becomes of these.

use super::{CliError, cli::Which, print_json, print_table};
use std::time::Duration;
use thundergate_common::{
    clock::now,
    hub::{DeadLetter, LaneState, Observer, Operator, Retried},
    terminal::shown,
};

/// Dead letters shown.
const SHOWN: usize = 20;
/// More than are kept.
const ALL: usize = 100_000;

/// Prints the queue.
pub(super) async fn show(hub: &dyn Observer, json: bool) -> Result<(), CliError> {
    let (queue, letters) = (hub.queue().await?, hub.dead_letters(if json { ALL } else { SHOWN }).await?);
    if json {
        return print_json(&serde_json::json!({ "queue": queue, "dead_letters": letters }));
    }
    print_table(["LANE", "WAITING", "CLAIMED", "OLDEST"], &queue.lanes.iter().map(lane).collect::<Vec<_>>());
    say!("\nBytes of samples: {}", bytesize::ByteSize(queue.sample_bytes));
    say!("Dead letters: {}\n", queue.dead_letters);
    if !letters.is_empty() {
        print_table(
            ["ID", "AGE", "SIZE", "TRIES", "QUEUE ID", "SAMPLE", "INSTANCE", "REASON"],
            &letters.iter().map(letter).collect::<Vec<_>>(),
        );
    }
    Ok(())
}

/// Has the samples of dead letters scanned once more. One that is named and has no bytes is an error; of all letters those
/// are skipped.
pub(super) async fn retry(hub: &dyn Operator, which: &Which) -> Result<(), CliError> {
    let mut queued = 0;
    let mut gone = 0;
    for letter in chosen(hub, which).await? {
        match hub.retry(&letter).await? {
            Retried::Queued => queued += 1,
            Retried::BytesGone => gone += 1,
            Retried::Unknown => say!("{}: somebody else has taken it", shown(&letter.id)),
        }
    }
    say!("{queued} queued again");
    if gone > 0 {
        say!("{gone} skipped: the bytes are no longer there, only the sender can bring them again");
    }
    if gone > 0 && !which.all {
        return Err(CliError::Unavailable("not all of them can be tried again"));
    }
    Ok(())
}

/// Forgets dead letters.
pub(super) async fn drop(hub: &dyn Operator, which: &Which) -> Result<(), CliError> {
    let mut dropped = 0;
    for letter in chosen(hub, which).await? {
        dropped += u64::from(hub.drop_letter(&letter).await?);
    }
    say!("{dropped} dropped");
    Ok(())
}

async fn chosen(hub: &dyn Observer, which: &Which) -> Result<Vec<DeadLetter>, CliError> {
    let mut letters = hub.dead_letters(ALL).await?;
    if which.all {
        return Ok(letters);
    }
    if let Some(unknown) = which.ids.iter().find(|id| !letters.iter().any(|letter| letter.id == **id)) {
        return Err(CliError::NoLetter(unknown.clone()));
    }
    letters.retain(|letter| which.ids.contains(&letter.id));
    Ok(letters)
}

fn lane(lane: &LaneState) -> [String; 4] {
    let oldest = lane.oldest_ms.map(|ms| format!("{:.1} s", Duration::from_millis(ms).as_secs_f64()));
    [
        lane.lane.as_str().to_owned(),
        lane.waiting.to_string(),
        lane.claimed.to_string(),
        oldest.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn letter(letter: &DeadLetter) -> [String; 8] {
    let age = Duration::from_secs(now().saturating_sub(letter.buried_at) / 60 * 60);
    [
        letter.id.clone(),
        humantime::format_duration(age).to_string(),
        bytesize::ByteSize(letter.job.size).to_string(),
        letter.deliveries.to_string(),
        letter.job.queue_id.clone(),
        letter.job.sample.to_string(),
        if letter.instance.is_empty() { "-".to_owned() } else { letter.instance.clone() },
        letter.reason.clone(),
    ]
}
