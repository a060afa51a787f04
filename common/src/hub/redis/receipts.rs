// SPDX-License-Identifier: GPL-3.0-or-later
//! Receipts: what milters up to 0.1.1 wrote down for each part of a mail, a list a sample, for 30 days. Nobody writes them
//! any more. They are read as long as there can be any, so that an upgrade forgets nobody; a version later this file goes.

use super::{RedisHub, entry::read, seal::Purpose};
use crate::{
    hub::HubError,
    keys::Kept,
    record::seen::{Seen, Sighting, Sought},
    sample::{NameHint, SampleKey},
    wire::Versioned,
};
use redis::cmd;
use serde::Deserialize;

/// Hints under which a digest without one is looked for: those that mail has most. A list that nobody wrote costs little.
const USUAL: [&str; 16] = [
    "pdf", "docx", "doc", "xlsx", "xls", "xlsm", "docm", "zip", "exe", "html", "htm", "js", "iso", "eml",
    "png", "jpg",
];

/// One delivery of a sample.
#[derive(Deserialize)]
struct Receipt {
    at: u64,
    queue_id: String,
    sender: String,
    recipients: Vec<String>,
    name: Option<String>,
    decision: String,
}

/// Who received a sample by its receipts, newest first, at most `most`.
pub(super) async fn of(hub: &RedisHub, sought: &Sought, most: usize) -> Result<Seen, HubError> {
    let Some(last) = most.checked_sub(1) else { return Ok(Seen::default()) };
    let hints = match &sought.hint {
        Some(hint) => vec![hint.clone()],
        None => std::iter::once(NameHint::None)
            .chain(USUAL.map(|hint| NameHint::Extension(hint.into())))
            .collect(),
    };
    let keys: Vec<_> = hints.into_iter().map(|hint| SampleKey { digest: sought.digest, hint }).collect();
    let list = |key| cmd("LRANGE").arg(hub.keys.of(key, Kept::Receipts)).arg(0).arg(last).take().into();
    let lists = hub.verdicts.each(keys.iter().map(list).collect()).await?;
    let mut seen = Seen::default();
    for (key, list) in keys.iter().zip(lists) {
        let name = key.to_string();
        let receipts: Vec<Vec<u8>> = read(list)?;
        let receipts = receipts
            .into_iter()
            .filter_map(|sealed| Versioned::decode(&hub.vault.open(Purpose::Receipt, &name, sealed)?));
        let mails = receipts.map(|receipt| sighting(receipt, &name)).collect();
        seen = seen.and(Seen { mails, ..Seen::default() }, most);
    }
    Ok(seen)
}

fn sighting(receipt: Receipt, sample: &str) -> Sighting {
    Sighting {
        at: receipt.at,
        queue_id: receipt.queue_id,
        sender: receipt.sender,
        recipients: receipt.recipients,
        name: receipt.name,
        decision: receipt.decision,
        id: None,
        recipients_total: None,
        sample: sample.to_owned(),
        disposition: None,
    }
}
