// SPDX-License-Identifier: GPL-3.0-or-later
//! Mail that was let through on clean verdicts, for when one of these turns out to be from an instance that was blind: then
//! the log names the mails. Their attachments are scanned again once somebody sends them; whoever has them, has them.
//!
//! Kept in this process only, for [`KEPT`] and at most [`MOST`] mails; verdicts older than that cannot be meant, since a
//! canary comes more often.

use crate::outcome::inspection::Inspection;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use thundergate_common::{blind::BlindSpan, digest::Digest, hub, verdict::Verdict};
use thundergate_policy::{Action, Disposition};
use tokio_util::sync::CancellationToken;

/// How old mails and verdicts may be, in seconds.
const KEPT: u64 = 6 * 3600;
/// Mails kept.
const MOST: usize = 65_536;
/// Mails named in one line.
const NAMED: usize = 50;
/// The time between two looks at the blind spans.
const EVERY: Duration = Duration::from_secs(3);

/// Mails and what was believed of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Believed(Arc<Mutex<VecDeque<Mail>>>);

#[derive(Debug)]
struct Mail {
    at: u64,
    queue_id: String,
    clean: Vec<(Digest, Arc<Verdict>)>,
}

/// One mail that should not have been let through without another scan.
#[derive(Debug, PartialEq, Eq)]
struct Doubtful {
    queue_id: String,
    digests: Vec<Digest>,
}

impl Believed {
    /// Notes what a mail that goes to its recipients was believed to be, at `now` in seconds since the epoch.
    pub(crate) fn note(&self, queue_id: &str, inspection: &Inspection, now: u64) {
        if !matches!(inspection.action, Action::Accept | Action::Tag) {
            return;
        }
        let young = |verdict: &&Arc<Verdict>| now.saturating_sub(verdict.scanned_at) < KEPT;
        let clean = inspection.parts.iter().filter_map(|part| {
            let verdict = part.verdict.as_ref().filter(young)?;
            let clean = part.disposition == Disposition::Clean;
            clean.then_some((part.key.as_ref()?.digest, Arc::clone(verdict)))
        });
        let clean: Vec<_> = clean.collect();
        if !clean.is_empty() {
            self.keep(Mail { at: now, queue_id: queue_id.to_owned(), clean }, now);
        }
    }

    /// Names the mails behind each new blind span of `hub`, until `drain`.
    pub(crate) async fn watch(self, hub: Arc<dyn hub::Milter>, drain: CancellationToken) {
        let mut told = BTreeSet::new();
        let watch = async {
            loop {
                let generation = hub.generation();
                let known = |span: &BlindSpan| (span.instance.clone(), span.from);
                for span in &generation.blind {
                    if told.insert(known(span)) {
                        tell(span, &self.doubtful(span));
                    }
                }
                told.retain(|one| generation.blind.iter().any(|span| known(span) == *one));
                tokio::time::sleep(EVERY).await;
            }
        };
        let () = drain.run_until_cancelled(watch).await.unwrap_or_default();
    }

    fn keep(&self, mail: Mail, now: u64) {
        let mut mails = self.lock();
        mails.push_back(mail);
        while mails.len() > MOST || mails.front().is_some_and(|first| now.saturating_sub(first.at) >= KEPT) {
            mails.pop_front();
        }
    }

    fn doubtful(&self, span: &BlindSpan) -> Vec<Doubtful> {
        let mails = self.lock();
        let doubtful = mails.iter().filter_map(|mail| {
            let digests: Vec<_> = mail
                .clean
                .iter()
                .filter(|(_, verdict)| span.covers(verdict))
                .map(|(digest, _)| *digest)
                .collect();
            (!digests.is_empty()).then(|| Doubtful { queue_id: mail.queue_id.clone(), digests })
        });
        doubtful.collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Mail>> {
        self.0.lock().expect("nothing panics while it holds the mails")
    }
}

/// Some lines where one would be endless.
fn tell(span: &BlindSpan, mails: &[Doubtful]) {
    for some in mails.chunks(NAMED) {
        let ids: Vec<_> = some.iter().map(|mail| mail.queue_id.as_str()).collect();
        let digests: BTreeSet<_> = some.iter().flat_map(|mail| &mail.digests).take(NAMED).collect();
        let digests: Vec<_> = digests.into_iter().map(Digest::to_string).collect();
        tracing::warn!(
            event = "blind",
            farm.instance = span.instance,
            blind.since = span.from,
            mails.count = mails.len(),
            queue.ids = ids.join(","),
            sample.digests = digests.join(","),
            "Mail was let through on the word of an instance that was blind"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::inspection::Inspected;
    use thundergate_common::{
        sample::{NameHint, SampleKey},
        verdict::SkipReason,
    };
    use thundergate_extract::Skipped;
    use thundergate_policy::{Cause, Decision};

    const NOW: u64 = 1_000_000;

    fn clean(content: &[u8], instance: &str, scanned_at: u64) -> Inspected {
        let skipped = Skipped { name: None, media_type: String::new(), size: 0, reason: SkipReason::Empty };
        let verdict = Verdict { instance: instance.to_owned(), scanned_at, ..Verdict::default() };
        Inspected {
            key: Some(SampleKey { digest: Digest::of(content), hint: NameHint::None }),
            disposition: Disposition::Clean,
            verdict: Some(Arc::new(verdict)),
            ..Inspected::skipped(&skipped)
        }
    }

    fn inspection(action: Action, parts: Vec<Inspected>) -> Inspection {
        Inspection { parts, ..Inspection::of(Decision { action, cause: Cause::Clean }) }
    }

    fn span(from: u64) -> BlindSpan {
        BlindSpan { instance: "blind".to_owned(), from, to: None }
    }

    #[test]
    fn mails_that_believed_a_blind_instance_are_named() {
        let believed = Believed::default();
        let parts =
            || vec![clean(b"1", "blind", NOW), clean(b"2", "other", NOW), clean(b"3", "blind", NOW - 60)];
        believed.note("A", &inspection(Action::Accept, parts()), NOW);
        believed.note("B", &inspection(Action::Quarantine, parts()), NOW);
        believed.note("C", &inspection(Action::Tag, vec![clean(b"2", "other", NOW)]), NOW);
        let named = |digests: &[&[u8]]| {
            vec![Doubtful {
                queue_id: "A".to_owned(),
                digests: digests.iter().map(|content| Digest::of(content)).collect(),
            }]
        };
        assert_eq!(believed.doubtful(&span(NOW - 10)), named(&[b"1"]));
        assert_eq!(believed.doubtful(&span(NOW - 100)), named(&[b"1", b"3"]));
        assert_eq!(believed.doubtful(&span(NOW + 1)), []);
    }

    #[test]
    fn neither_many_mails_nor_old_ones_are_kept() {
        let believed = Believed::default();
        let note =
            |now| believed.note("A", &inspection(Action::Accept, vec![clean(b"1", "blind", now)]), now);
        (0..MOST + 10).for_each(|_| note(NOW));
        assert_eq!(believed.lock().len(), MOST);
        note(NOW + KEPT);
        assert_eq!(believed.lock().len(), 1);
        believed.note("A", &inspection(Action::Accept, vec![clean(b"1", "blind", NOW)]), NOW + KEPT);
        assert_eq!(believed.lock().len(), 1, "an old verdict cannot be meant");
    }
}
