// SPDX-License-Identifier: GPL-3.0-or-later
//! `seen`: which mails held a sample, and how sure that is.

use super::{
    client::Client,
    error::PeopleError,
    print::{self, count, say},
    table::Table,
};
use thundergate_common::api::{
    Endpoint,
    mails::{Seen, Sighting},
    verdicts::Sought,
};

/// Recipients shown in one row of the table; `--json` has all.
const RECIPIENTS: usize = 20;

/// Shows who received `sample`.
pub(super) async fn show(client: &Client, sample: String, json: bool) -> Result<(), PeopleError> {
    let answer = client.post(&Endpoint::MAILS_SEEN, &Sought { sample }).await?;
    let seen: Seen = answer.read()?;
    if json {
        answer.print()?;
    } else if seen.mails.is_empty() {
        eprintln!("{}", summary(&seen));
    } else {
        table(&seen.mails).print();
        say(summary(&seen));
    }
    if seen.mails.is_empty() {
        return Err(PeopleError::Unknown("nothing is known of this sample"));
    }
    Ok(())
}

fn table(mails: &[Sighting]) -> Table {
    let head = ["AT", "QUEUE ID", "DECISION", "FROM", "TO", "NAME"];
    let mut table = Table::new(&head).whole(&["AT", "QUEUE ID", "DECISION"]);
    for mail in mails {
        table.row([
            print::time(mail.at_ms),
            mail.queue_id.clone(),
            mail.decision.clone(),
            sender(&mail.sender),
            recipients(&mail.recipients, mail.recipients_total),
            mail.name.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}

/// An envelope sender; a bounce has an empty one.
pub(super) fn sender(sender: &str) -> String {
    if sender.is_empty() { "<>".to_owned() } else { sender.to_owned() }
}

/// Envelope recipients, some of them where there are many.
pub(super) fn recipients(recipients: &[String], total: Option<usize>) -> String {
    let shown = &recipients[..recipients.len().min(RECIPIENTS)];
    let all = total.unwrap_or(recipients.len());
    match all.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// How many mails, since when, and what may be missing.
fn summary(seen: &Seen) -> String {
    let at_least = if seen.at_least { "at least " } else { "" };
    let mut text = format!("{at_least}{}", count(seen.mails.len(), "mail", "mails"));
    if let Some(since) = seen.since_ms {
        text += &format!("; records reach back to {}", print::time(since));
    }
    if seen.dropped {
        text += ", older ones are dropped";
    }
    if seen.more {
        text += "; there are more mails than are shown";
    }
    if seen.unsure > 0 {
        text += &format!("; {} more had too many parts for their records to name all", seen.unsure);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_how_sure_it_is() {
        let sure = Seen { since_ms: Some(1_764_376_000_123), ..Seen::default() };
        assert_eq!(summary(&sure), "0 mails; records reach back to 2025-11-29T00:26:40Z");
        let unsure = Seen { dropped: true, more: true, unsure: 2, at_least: true, ..sure };
        assert_eq!(
            summary(&unsure),
            "at least 0 mails; records reach back to 2025-11-29T00:26:40Z, older ones are dropped; there are more mails \
             than are shown; 2 more had too many parts for their records to name all"
        );
    }

    #[test]
    fn recipients_that_are_left_out_are_counted() {
        let some: Vec<_> = (0..21).map(|number| format!("{number}@a")).collect();
        assert_eq!(recipients(&some[..2], None), "0@a, 1@a");
        assert_eq!(recipients(&some[..1], Some(9)), "0@a and 8 more");
        assert!(recipients(&some, None).ends_with("19@a and 1 more"));
        assert_eq!(recipients(&some[..2], Some(1)), "0@a, 1@a", "what others count is not believed");
        assert_eq!(sender(""), "<>");
    }
}
