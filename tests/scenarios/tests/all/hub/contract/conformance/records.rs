// SPDX-License-Identifier: GPL-3.0-or-later
//! Records of mails: kept within their bounds, and found again by the samples that the mails held.

use super::super::*;
use thundergate_common::{
    record::{MailRecord, RecordId, seen::Sought},
    sample::HintStyle,
};

/// A mail that is so many milliseconds younger than others.
fn record(younger: u64, queue_id: &str, samples: &[SampleKey]) -> MailRecord {
    let at_ms = now_ms() + younger;
    MailRecord { id: RecordId::at(at_ms), at_ms, ..mail_record(queue_id, samples) }
}

fn under(name: &str, extension: &str) -> SampleKey {
    let hint = NameHint::of(HintStyle::Extension, Some(&format!("a.{extension}")));
    SampleKey { hint, ..key(name) }
}

async fn seen(stage: &Stage, name: &str, hint: Option<NameHint>, most: usize) -> (Vec<String>, bool) {
    let sought = Sought { digest: key(name).digest, hint };
    let seen = stage.there.operator.seen(&sought, most).await.unwrap();
    let at_least = seen.is_at_least();
    (seen.mails.into_iter().map(|mail| mail.queue_id).collect(), at_least)
}

pub async fn mails_that_held_a_sample_are_told_newest_first_under_one_name_or_any(stage: Stage) {
    let records = [
        record(1000, "1", &[under("received", "pdf"), key("else")]),
        record(2000, "2", &[under("received", "exe")]),
        record(3000, "3", &[key("another")]),
    ];
    stage.here.milter.record(&records).await.unwrap();
    // A call may be repeated.
    stage.here.milter.record(&records).await.unwrap();
    stage.here.milter.record(&[record(4000, "4", &[key("received")])]).await.unwrap();
    let pdf = Some(NameHint::Extension("pdf".into()));
    for (hint, most, expected) in [
        (None, 10, (vec!["4", "2", "1"], false)),
        (None, 2, (vec!["4", "2"], true)),
        (pdf, 10, (vec!["1"], false)),
        (Some(NameHint::None), 10, (vec!["4"], false)),
        (Some(NameHint::Extension("zip".into())), 10, (vec![], false)),
    ] {
        let (mails, at_least) = seen(&stage, "received", hint, most).await;
        assert_eq!((mails.iter().map(String::as_str).collect::<Vec<_>>(), at_least), expected);
    }
    let sought = Sought { digest: key("else").digest, hint: None };
    let mails = stage.there.operator.seen(&sought, 1).await.unwrap().mails;
    assert_eq!((mails[0].sender.as_str(), mails[0].decision.as_str()), ("a@example.org", "accept"));
    assert_eq!(mails[0].recipients, ["b@example.org"]);
}

pub async fn every_decision_about_a_queue_id_is_told_newest_first(stage: Stage) {
    let deferred = MailRecord { action: "tempfail".into(), ..record(1000, "4Bq", &[key("sample")]) };
    let (other, accepted) = (record(2000, "4Bq2", &[key("sample")]), record(3000, "4Bq", &[key("sample")]));
    stage.here.milter.record(&[deferred.clone(), other]).await.unwrap();
    stage.here.milter.record(std::slice::from_ref(&accepted)).await.unwrap();
    let of = async |queue_id, most| stage.there.operator.decisions(queue_id, most).await.unwrap();
    let decisions = of("4Bq", 10).await;
    assert_eq!(decisions.mails, [accepted.clone(), deferred]);
    assert!(decisions.since_ms.is_some() && !decisions.dropped);
    assert_eq!(of("4Bq", 1).await.mails, [accepted]);
    assert_eq!(of("4B", 10).await.mails, []);
}

pub async fn the_oldest_records_go_where_there_is_no_room(stage: Stage) {
    let count = 4 * limits().records_bytes.as_u64() as usize / 700;
    stage.here.milter.record(&[record(0, "first", &[key("first")])]).await.unwrap();
    for number in 0..count {
        // Each in a pack of its own, and of what no compressor knows.
        let mut record = record(0, &number.to_string(), &[key(&format!("{number}"))]);
        record.recipients =
            (0..10).map(|at| Digest::of(format!("{number} {at}").as_bytes()).to_string()).collect();
        stage.here.milter.record(&[record]).await.unwrap();
    }
    stage.here.milter.record(&[record(0, "last", &[key("last")])]).await.unwrap();
    assert_eq!(seen(&stage, "first", None, 10).await, (vec![], true));
    assert_eq!(seen(&stage, "last", None, 10).await, (vec!["last".into()], true));
    let kept = count - count / 8..count;
    for number in [kept.start, kept.end - 1] {
        let (mails, _) = seen(&stage, &number.to_string(), None, 10).await;
        assert_eq!(mails, [number.to_string()], "the newest are there");
    }
}

pub async fn a_mail_that_had_more_parts_than_its_record_may_have_held_it(stage: Stage) {
    let keys: Vec<_> = (0..900).map(|number| key(&number.to_string())).collect();
    let mut large = record(0, "large", &keys);
    large.recipients = (0..1000).map(|number| format!("recipient{number}@example.org")).collect();
    stage.here.milter.record(&[large]).await.unwrap();
    assert_eq!(seen(&stage, "0", None, 10).await, (vec!["large".into()], false));
    assert_eq!(seen(&stage, "899", None, 10).await, (vec![], true));
    let sought = Sought { digest: keys[0].digest, hint: None };
    let mail = stage.there.operator.seen(&sought, 1).await.unwrap().mails.remove(0);
    assert_eq!(mail.recipients_total, Some(1000));
    assert!(mail.recipients.len() > 100, "{}", mail.recipients.len());
}
