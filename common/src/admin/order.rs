// SPDX-License-Identifier: GPL-3.0-or-later
//! What a request to the API asks for, read out of its body, in bounds.

use super::refusal::Refusal;
use crate::{
    api::{Endpoint, Reason, check, mails, queue, verdicts},
    record::seen::Sought,
    sample::NotASample,
};
use serde::de::DeserializeOwned;

/// Characters of a queue id: no MTA's is longer.
const LONGEST_QUEUE_ID: usize = 64;

/// Bytes of the name of a dead letter.
const LONGEST_ID: usize = 64;

/// Ids that the audit names; of the others it tells the number.
const IDS: usize = 40;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Order {
    Queue,
    Retry(queue::Letters),
    Drop(queue::Letters),
    Farm,
    Generation,
    Bump(Reason),
    Verdicts(Sought),
    Forget { sought: Sought, text: String, reason: String },
    Seen { sought: Sought, text: String },
    Why(String),
    Check(check::Wanted),
}

impl Order {
    /// What `body` asks of an endpoint.
    pub(super) fn read(endpoint: &Endpoint, body: &[u8]) -> Result<Self, Refusal> {
        Ok(match *endpoint {
            Endpoint::QUEUE => Self::Queue,
            Endpoint::QUEUE_RETRY => Self::Retry(letters(body)?),
            Endpoint::QUEUE_DROP => Self::Drop(letters(body)?),
            Endpoint::FARM => Self::Farm,
            Endpoint::GENERATION => Self::Generation,
            Endpoint::GENERATION_BUMP => Self::Bump(json(body)?),
            Endpoint::VERDICTS => Self::Verdicts(sought(&json::<verdicts::Sought>(body)?.sample)?),
            Endpoint::VERDICTS_FORGET => {
                let verdicts::Forget { sample: text, reason } = json(body)?;
                Self::Forget { sought: sought(&text)?, text, reason }
            }
            Endpoint::MAILS_SEEN => {
                let verdicts::Sought { sample: text } = json(body)?;
                Self::Seen { sought: sought(&text)?, text }
            }
            Endpoint::MAILS_WHY => Self::Why(queue_id(json::<mails::Asked>(body)?.queue_id)?),
            Endpoint::CHECK => Self::Check(json(body)?),
            _ => return Err(Refusal::nothing_there()),
        })
    }

    /// What the audit is told that it is about.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Retry(letters) | Self::Drop(letters) => {
                let ids = &letters.ids;
                let named = ids[..ids.len().min(IDS)].join(",");
                match ids.len().saturating_sub(IDS) {
                    0 => named,
                    more => format!("{named} and {more} more"),
                }
            }
            Self::Forget { text, .. } | Self::Seen { text, .. } => text.clone(),
            Self::Why(queue_id) => queue_id.clone(),
            Self::Check(check::Wanted { scan: true }) => "with a scan".to_owned(),
            _ => String::new(),
        }
    }

    /// Why it is to be done.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Retry(letters) | Self::Drop(letters) => &letters.reason,
            Self::Bump(why) => &why.reason,
            Self::Forget { reason, .. } => reason,
            _ => "",
        }
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("the body is not the JSON that this endpoint takes: {error}")))
}

fn letters(body: &[u8]) -> Result<queue::Letters, Refusal> {
    let letters: queue::Letters = json(body)?;
    if letters.ids.is_empty() {
        return Err(Refusal::bad("`ids` names no dead letter"));
    }
    if letters.ids.len() > queue::MOST_LETTERS {
        let most = queue::MOST_LETTERS;
        return Err(Refusal::bad(format!(
            "`ids` may name {most} dead letters at a time: ask again for the rest"
        )));
    }
    let usable =
        |id: &String| (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    if !letters.ids.iter().all(usable) {
        return Err(Refusal::bad("one of `ids` is no name of a dead letter: GET /api/v1/queue has them"));
    }
    Ok(letters)
}

fn sought(text: &str) -> Result<Sought, Refusal> {
    let no_sample = |error: NotASample| {
        Refusal::bad(format!(
            "`sample` must be DIGEST or DIGEST.EXTENSION, a SHA-256 in hexadecimal: {error}"
        ))
    };
    text.parse().map_err(no_sample)
}

fn queue_id(text: String) -> Result<String, Refusal> {
    let usable = !text.is_empty()
        && text.chars().count() <= LONGEST_QUEUE_ID
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if !usable {
        return Err(Refusal::bad(
            "`queue_id` must be a queue id as the MTA logs it, of at most 64 characters",
        ));
    }
    Ok(text)
}
