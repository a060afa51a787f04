// SPDX-License-Identifier: GPL-3.0-or-later
//! `queue`: the lanes and the newest dead letters.

use super::{CliError, print_json, print_table};
use std::time::Duration;
use thundergate_common::hub::{DeadLetter, Hub, LaneState};

/// Dead letters shown.
const LETTERS: usize = 20;

/// Prints the queue.
pub async fn show(hub: &dyn Hub, json: bool) -> Result<(), CliError> {
    let (queue, letters) = (hub.queue().await?, hub.dead_letters(LETTERS).await?);
    if json {
        return print_json(&serde_json::json!({ "queue": queue, "dead_letters": letters }));
    }
    print_table(["LANE", "WAITING", "CLAIMED", "OLDEST"], &queue.lanes.iter().map(lane).collect::<Vec<_>>());
    say!("\nBytes of samples: {}", bytesize::ByteSize(queue.sample_bytes));
    say!("Dead letters: {}\n", queue.dead_letters);
    if !letters.is_empty() {
        print_table(
            ["SAMPLE", "SIZE", "QUEUE ID", "TRIES", "REASON"],
            &letters.iter().map(letter).collect::<Vec<_>>(),
        );
    }
    Ok(())
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

fn letter(letter: &DeadLetter) -> [String; 5] {
    [
        letter.job.sample.to_string(),
        bytesize::ByteSize(letter.job.size).to_string(),
        letter.job.queue_id.escape_debug().to_string(),
        letter.deliveries.to_string(),
        letter.reason.escape_debug().to_string(),
    ]
}
