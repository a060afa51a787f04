// SPDX-License-Identifier: GPL-3.0-or-later
//! `why`: every decision about mails with a queue id, how each part ended, and what is known of it now.

use super::{
    client::Client,
    error::PeopleError,
    print::{self, say, say_all, width},
    reason,
    seen::{recipients, sender},
    table::Table,
    verdict,
};
use thundergate_common::{
    api::{
        Endpoint,
        mails::{Asked, Mail, Part, Story},
    },
    clock::now_ms,
    terminal::readable,
};

/// Shows why mails with this queue id were decided as they were.
pub(super) async fn show(client: &Client, queue_id: String, json: bool) -> Result<(), PeopleError> {
    let answer = client.post(&Endpoint::MAILS_WHY, &Asked { queue_id }).await?;
    let story: Story = answer.read()?;
    if json {
        answer.print()?;
    } else if story.mails.is_empty() {
        eprintln!("{}", reach(&story));
    } else {
        for (number, mail) in story.mails.iter().enumerate() {
            if number > 0 {
                say("");
            }
            say_all(&lines(mail, width(), now_ms()));
        }
    }
    if story.mails.is_empty() {
        return Err(PeopleError::Unknown("nothing is known of a mail with this queue id"));
    }
    Ok(())
}

fn lines(mail: &Mail, width: Option<u16>, now_ms: u64) -> Vec<String> {
    let at = print::time(mail.at_ms);
    let [host, decision, cause] = [&mail.host, &mail.decision, &mail.cause].map(|text| readable(text));
    let passive = if mail.passive { ", passive: accepted" } else { "" };
    let mut lines = vec![
        format!("{at} on {host}: {decision} ({cause}{passive}) after {}", print::span(mail.total_ms)),
        format!("  from {}", readable(&sender(&mail.sender))),
        format!("  to {}", readable(&recipients(&mail.recipients, None))),
    ];
    lines.extend(mail.message_id.as_ref().map(|id| format!("  Message-ID {}", readable(id))));
    if !mail.troubles.is_empty() {
        lines.push(format!("  as a whole: {}", readable(&mail.troubles.join(", "))));
    }
    if !mail.parts.is_empty() {
        lines.extend(parts(&mail.parts, now_ms).lines(width));
    }
    if let Some(total) = mail.parts_total {
        lines.push(format!("{} parts more, which are left out", total.saturating_sub(mail.parts.len())));
    }
    lines.push(reason::of(mail, now_ms));
    lines
}

fn parts(parts: &[Part], now_ms: u64) -> Table {
    let mut table = Table::new(&["PART", "SIZE", "ENDED", "WHY", "NOW", "SAMPLE"])
        .whole(&["SIZE", "ENDED"])
        .last_is_long();
    for part in parts {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            or_dash(&part.name),
            bytesize::ByteSize(part.size).to_string(),
            part.disposition.clone(),
            or_dash(&part.reason),
            now(part, now_ms),
            or_dash(&part.sample),
        ]);
    }
    table
}

/// What is known of a part now.
fn now(part: &Part, now_ms: u64) -> String {
    let held = part.failed_now.as_ref().filter(|failed| failed.until_ms > now_ms);
    match (&part.verdict_now, held) {
        (Some(verdict), _) => verdict::short(verdict),
        (None, Some(held)) => format!("failed: {}, held until {}", held.reason, print::time(held.until_ms)),
        (None, None) => "-".to_owned(),
    }
}

/// How far back records reach, for an answer that is empty.
fn reach(story: &Story) -> String {
    match (story.since_ms, story.dropped) {
        (None, _) => "there is no record of any mail".to_owned(),
        (Some(since), false) => format!("records reach back to {}", print::time(since)),
        (Some(since), true) => {
            format!("records reach back to {}, older ones are dropped", print::time(since))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thundergate_common::api::verdicts::{Failed, Verdict};

    const AT: u64 = 1_764_376_000_000;

    fn mail() -> Mail {
        let pending = Part {
            name: Some("a.pdf".to_owned()),
            sample: Some("d.pdf".to_owned()),
            size: 2048,
            disposition: "pending".to_owned(),
            verdict_now: Some(Verdict { clean: true, ..Verdict::default() }),
            ..Part::default()
        };
        let failed =
            Failed { reason: "it answered 400".to_owned(), until_ms: AT + 60_000, ..Failed::default() };
        let held = Part { verdict_now: None, failed_now: Some(failed), ..pending.clone() };
        Mail {
            at_ms: AT,
            host: "mx1".to_owned(),
            recipients: vec!["b@example.net".to_owned()],
            decision: "tempfail".to_owned(),
            cause: "pending".to_owned(),
            total_ms: 20_040,
            parts: vec![pending, held],
            parts_total: Some(9),
            ..Mail::default()
        }
    }

    #[test]
    fn a_mail_is_told_with_its_parts_and_its_reason() {
        assert_eq!(
            lines(&mail(), None, AT),
            [
                "2025-11-29T00:26:40Z on mx1: tempfail (pending) after 20.0 s",
                "  from <>",
                "  to b@example.net",
                "PART   SIZE     ENDED    WHY  NOW                                                       SAMPLE",
                "a.pdf  2.0 KiB  pending  -    clean                                                     d.pdf",
                "a.pdf  2.0 KiB  pending  -    failed: it answered 400, held until 2025-11-29T00:27:40Z  d.pdf",
                "7 parts more, which are left out",
                "The mail was deferred since there was no verdict on a.pdf and 1 more in time; the sender tries again, and \
                 until 2025-11-29T00:27:40Z the next try gets the same answer without a scan (`thundergate queue retry` ends \
                 that).",
            ]
        );
    }

    #[test]
    fn nothing_that_others_wrote_reaches_the_terminal_as_it_is() {
        let hostile = || "\u{1b}]0;x\u{7}\u{202e}fdp.exe\r\n\u{9b}2J".to_owned();
        let part = Part {
            name: Some(hostile()),
            sample: Some(hostile()),
            disposition: hostile(),
            reason: Some(hostile()),
            ..Part::default()
        };
        let mail = Mail {
            host: hostile(),
            message_id: Some(hostile()),
            sender: hostile(),
            recipients: vec![hostile()],
            decision: hostile(),
            cause: hostile(),
            troubles: vec![hostile()],
            parts: vec![part],
            ..Mail::default()
        };
        for width in [None, Some(80)] {
            let lines = lines(&mail, width, AT);
            let harmless = |c: char| c.is_ascii_graphic() || c == ' ';
            assert!(lines.iter().flat_map(|line| line.chars()).all(harmless), "{lines:?}");
        }
    }
}
