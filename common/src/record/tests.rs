// SPDX-License-Identifier: GPL-3.0-or-later
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::{
    MOST_BYTES, MailRecord, PartRecord, RecordId, VerdictUsed, pack,
    seen::{Search, Sought},
};
use crate::{
    digest::Digest,
    sample::{HintStyle, NameHint},
};
use proptest::{collection::vec, option, prelude::*};
use std::collections::HashSet;

#[test]
fn ids_sort_by_time_and_never_repeat() {
    let ids: Vec<_> = [1, 2, 1_764_376_000_123].map(RecordId::at).into();
    let texts: Vec<_> = ids.iter().map(RecordId::to_string).collect();
    assert!(ids.is_sorted() && texts.is_sorted(), "{texts:?}");
    assert!(texts.iter().all(|text| text.len() == 32), "{texts:?}");
    assert_ne!(RecordId::at(1), RecordId::at(1));
}

fn part(content: &str, disposition: &str) -> PartRecord {
    PartRecord {
        digest: Some(Digest::of(content.as_bytes())),
        hint: Some(NameHint::of(HintStyle::Extension, Some("a.pdf"))),
        name: Some("invoice.pdf".into()),
        media_type: "application/pdf".into(),
        size: 12_345,
        disposition: disposition.into(),
        source: "hub".into(),
        verdict: Some(VerdictUsed {
            scanned_at: 1_764_300_000,
            signatures: Some("2026/01/12-160550".into()),
            instance: "storm1".into(),
            ..VerdictUsed::default()
        }),
        ..PartRecord::default()
    }
}

fn mail(recipients: usize, parts: Vec<PartRecord>) -> MailRecord {
    MailRecord {
        id: RecordId::at(1_764_376_000_123),
        at_ms: 1_764_376_000_123,
        queue_id: "4cXyZ12345".into(),
        sender: "a@example.org".into(),
        recipients: (0..recipients).map(|number| format!("recipient{number}@example.net")).collect(),
        size: 23_456,
        parts,
        policy: Some(Digest::of(b"policy")),
        action: "accept".into(),
        cause: "clean".into(),
        ..MailRecord::default()
    }
}

fn travelled(record: &MailRecord) -> MailRecord {
    let wire = record.encode();
    assert!(wire.len() <= MOST_BYTES, "{} bytes", wire.len());
    MailRecord::decode(&wire).unwrap()
}

#[test]
fn of_many_parts_and_recipients_as_many_are_kept_as_fit_and_all_are_counted() {
    let parts = (0..900).map(|number| part(&number.to_string(), "clean")).collect();
    let kept = travelled(&mail(1000, parts));
    assert_eq!((kept.recipients_total, kept.parts_total), (Some(1000), Some(900)));
    assert!(kept.recipients.len() > 300 && kept.parts.len() > 40, "{kept:?}");
    assert_eq!(kept.recipients[1], "recipient1@example.net");
    assert!(kept.encode().len() > MOST_BYTES * 95 / 100, "the room is used");
}

#[test]
fn what_recipients_do_not_need_parts_have_and_the_other_way_round() {
    let parts = |count: usize| (0..count).map(|number| part(&number.to_string(), "clean")).collect();
    let (many_parts, many_recipients) = (travelled(&mail(3, parts(900))), travelled(&mail(5000, parts(3))));
    assert_eq!((many_parts.recipients.len(), many_parts.recipients_total), (3, None));
    assert!(many_parts.parts.len() > 70, "{}", many_parts.parts.len());
    assert_eq!((many_recipients.parts.len(), many_recipients.parts_total), (3, None));
    assert!(many_recipients.recipients.len() > 900, "{}", many_recipients.recipients.len());
}

#[test]
fn a_part_in_which_something_was_found_is_kept_wherever_it_stands() {
    let mut parts: Vec<_> = (0..900).map(|number| part(&number.to_string(), "clean")).collect();
    parts.push(part("pending", "pending"));
    parts.push(part("found", "found"));
    parts.extend((0..900).map(|_| part("another", "found")));
    let kept = travelled(&mail(1000, parts)).parts;
    let place =
        |content: &str| kept.iter().position(|part| part.digest == Some(Digest::of(content.as_bytes())));
    assert!(place("pending") < place("found") && place("found") < place("another"), "in their order");
    assert!(place("pending").is_some(), "900 times the same hide nothing");
}

#[test]
fn many_records_travel_in_few_packs_and_each_in_few_bytes() {
    let html = PartRecord { hint: None, name: None, media_type: "text/html".into(), ..part("html", "clean") };
    let ordinary = |number: usize| {
        let parts = vec![html.clone(), part(&number.to_string(), "clean")];
        let client_address = Some("192.0.2.7".parse().unwrap());
        let message_id = Some(format!("{}@mail.example.org", Digest::of(&[number as u8])));
        let mail = mail(1, parts);
        MailRecord { client_address, message_id, host: "mx1".into(), helo: "mail.example.org".into(), ..mail }
    };
    let records: Vec<_> = (0..100).map(ordinary).collect();
    let packed: Vec<_> = pack::packs(&records).collect();
    let unpacked: Vec<_> = packed.iter().flat_map(|pack| pack::records(pack)).collect();
    assert_eq!(unpacked, records);
    let alone = pack::packs(&records[..1]).next().unwrap().len();
    let among_others = packed.iter().map(Vec::len).sum::<usize>() / records.len();
    eprintln!("{} bytes as JSON, {alone} alone, {among_others} among others", records[0].encode().len());
    assert!(alone < 450 && among_others < 250, "{alone}, {among_others}");
}

#[test]
fn a_pack_that_is_damaged_or_bursts_is_nothing() {
    let records = [mail(1, vec![part("a", "clean")])];
    let pack = pack::packs(&records).next().unwrap();
    assert_eq!(pack::records(&pack), records);
    assert_eq!(pack::lines(&pack[..pack.len() - 1]), None, "cut off");
    assert_eq!(pack::lines(&[&[2], &pack[1..]].concat()), None, "another form");
    assert_eq!(pack::lines(&[]), None);
    let bomb = std::iter::repeat_n(b' ', 10 << 20);
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let mut body = vec![1];
    body.reserve(1 << 20);
    compress.compress_vec(&bomb.collect::<Vec<_>>(), &mut body, flate2::FlushCompress::Finish).unwrap();
    assert_eq!(pack::lines(&body), None, "10 MiB of blanks");
}

#[test]
fn a_search_finds_newest_first_by_digest_alone_or_with_a_hint() {
    let other = PartRecord { hint: Some(NameHint::Extension("exe".into())), ..part("sought", "found") };
    let records: Vec<_> = [part("sought", "clean"), part("else", "clean"), other]
        .into_iter()
        .enumerate()
        .map(|(number, part)| {
            let at_ms = 1_764_376_000_000 + number as u64;
            MailRecord { id: RecordId::at(at_ms), at_ms, queue_id: number.to_string(), ..mail(1, vec![part]) }
        })
        .collect();
    let pack = pack::packs(&records).next().unwrap();
    let seen = |hint: Option<NameHint>, most| {
        let sought = Sought { digest: Digest::of(b"sought"), hint };
        let mut search = Search::new(&sought, most);
        let _ = search.look_at(&pack);
        let _ = search.look_at(&pack);
        search.end()
    };
    let queue_ids =
        |seen: super::seen::Seen| seen.mails.into_iter().map(|mail| mail.queue_id).collect::<Vec<_>>();
    assert_eq!(queue_ids(seen(None, 10)), ["2", "0"], "a record that comes twice counts once");
    assert_eq!(queue_ids(seen(Some(NameHint::Extension("pdf".into())), 10)), ["0"]);
    assert_eq!(queue_ids(seen(Some(NameHint::None), 10)), [""; 0]);
    let first = seen(None, 1);
    assert!(first.more && first.is_at_least());
    assert_eq!(queue_ids(first), ["2"]);
    assert!(!seen(None, 2).is_at_least());
}

#[test]
fn a_record_that_leaves_parts_out_may_have_had_it() {
    let parts = (0..900).map(|number| part(&number.to_string(), "clean")).collect();
    let pack = pack::packs(&[mail(1, parts)]).next().unwrap();
    let unsure = |digest| {
        let sought = Sought { digest, hint: None };
        let mut search = Search::new(&sought, 10);
        let _ = search.look_at(&pack);
        let seen = search.end();
        (seen.mails.len(), seen.is_at_least())
    };
    assert_eq!(unsure(Digest::of(b"899")), (0, true));
    assert_eq!(unsure(Digest::of(b"0")), (1, false));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![8 => ".{0,40}", 1 => "[\\x00-\\x1f\"\\\\]{0,3000}", 1 => "\\PC{0,2000}"]
}

prop_compose! {
    fn parts()(
        content in option::of(0..50_u8), name in option::of(texts()), texts in vec(texts(), 4), size in any::<u64>(),
        rules in vec(texts(), 0..20), score in any::<i64>(), found in any::<bool>(),
    ) -> PartRecord {
        let [media_type, reason, source, instance] = texts.try_into().unwrap();
        PartRecord {
            digest: content.map(|content| Digest::of(&[content])),
            hint: name.as_deref().map(|name| NameHint::of(HintStyle::Full, Some(name))).filter(|hint| *hint != NameHint::None),
            name, media_type, size, source,
            disposition: if found { "found" } else { "clean" }.into(),
            reason: Some(reason),
            verdict: Some(VerdictUsed { instance, rules, score, ..VerdictUsed::default() }),
        }
    }
}

prop_compose! {
    fn mails()(
        at_ms in 0..1_u64 << 48, texts in vec(texts(), 8), recipients in vec(texts(), 0..100), parts in vec(parts(), 0..40),
        ambiguities in vec(texts(), 0..50), size in any::<u64>(), passive in any::<bool>(),
    ) -> MailRecord {
        let [host, queue_id, message_id, helo, sender, malformed, action, cause] = texts.try_into().unwrap();
        let (message_id, malformed) = (Some(message_id), Some(malformed));
        let id = RecordId::at(at_ms);
        MailRecord {
            id, at_ms, host, queue_id, message_id, helo, sender, malformed, action, cause, recipients, parts, ambiguities,
            size, passive, ..MailRecord::default()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_is_in_a_record_comes_back_within_the_bound(record in mails()) {
        let back = travelled(&record);
        if record.parts.len() == back.parts.len() && record.recipients == back.recipients && record.sender == back.sender {
            prop_assert_eq!(back.parts_total.or(back.recipients_total), None);
        }
        prop_assert_eq!(back.parts_total.unwrap_or(back.parts.len()), record.parts.len());
        prop_assert_eq!(back.recipients_total.unwrap_or(back.recipients.len()), record.recipients.len());
        prop_assert_eq!((back.id, back.at_ms, back.size, back.passive), (record.id, record.at_ms, record.size, record.passive));
        let found = |record: &MailRecord| record.parts.iter().filter(|part| part.disposition == "found").count();
        let all_found = found(&back) == found(&record);
        let one_clean = back.parts.iter().any(|part| part.disposition == "clean");
        let samples: Vec<_> = record.parts.iter().filter_map(PartRecord::sample).collect();
        let has_repeats = samples.iter().collect::<HashSet<_>>().len() < samples.len();
        prop_assert!(all_found || !one_clean || has_repeats);
        prop_assert_eq!(&travelled(&back), &back, "what was cut is not cut again");
        let pack = pack::packs(std::slice::from_ref(&record)).next().unwrap();
        prop_assert_eq!(pack::records(&pack), [back]);
    }
}
