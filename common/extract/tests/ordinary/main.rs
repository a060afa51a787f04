// SPDX-License-Identifier: GPL-3.0-or-later
//! Mails as people, shops and mail servers write them, by the thousand: how many the extraction calls ambiguous or
//! malformed, and how many samples a mail costs beside its files and pages.
//!
//! `tests/run long ordinary` writes 20,000 of each kind and its table is committed; here a few hundred are judged. Everything
//! in them follows from a number, so that a mail that is called by its number comes again: `TG_ORDINARY=bulk:17` prints it.

#![allow(clippy::write_with_newline, reason = "the line ends are the message's")]

mod bounces;
mod clients;
mod shops;
mod texts;
mod writer;

use bytes::Bytes;
use fastrand::Rng;
use std::{
    collections::BTreeMap,
    env, thread,
    time::{Duration, Instant},
};
use thundergate_extract::{Bodies, Budget, explain, extract};
use writer::Mail;

/// As delivered.
const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };
/// Of mails that are written as the standards say, in one of so many.
const TAGGED_AT_MOST: f64 = 0.003;

/// A kind of mail, its writer, and how many samples a mail may cost for each file and page in it.
struct Kind {
    name: &'static str,
    write: fn(&mut Rng) -> Mail,
    samples_for_each: f64,
}

const KINDS: [Kind; 3] = [
    Kind { name: "ham", write: clients::write, samples_for_each: 1.1 },
    Kind { name: "bulk", write: shops::write, samples_for_each: 1.02 },
    Kind { name: "bounce", write: bounces::write, samples_for_each: 1.2 },
];

/// What came of the mails of one kind.
#[derive(Default)]
struct Tally {
    mails: u32,
    bytes: usize,
    files: usize,
    samples: usize,
    ambiguous: u32,
    malformed: u32,
    /// What, and the mails with it.
    reasons: BTreeMap<String, Vec<u32>>,
    spent: Duration,
}

impl Tally {
    fn take(&mut self, number: u32, mail: &Mail) {
        let message = Bytes::from(mail.text.clone());
        let started = Instant::now();
        let found = extract(&message, Bodies::Html, &BUDGET);
        self.spent += started.elapsed();
        self.mails += 1;
        self.bytes += message.len();
        self.files += mail.files;
        self.samples += found.parts.len();
        self.ambiguous += u32::from(!found.ambiguities.is_empty());
        self.malformed += u32::from(found.malformed.is_some());
        let reasons = found.ambiguities.iter().map(|it| it.as_str().to_owned());
        for reason in reasons.chain(found.malformed.map(|it| format!("malformed: {}", it.as_str()))) {
            self.reasons.entry(reason).or_default().push(number);
        }
    }

    fn tagged(&self) -> f64 {
        f64::from(self.ambiguous.max(self.malformed)) / f64::from(self.mails)
    }

    fn samples_for_each(&self) -> f64 {
        self.samples as f64 / self.files.max(1) as f64
    }
}

fn mail(kind: &Kind, number: u32) -> Mail {
    (kind.write)(&mut Rng::with_seed(u64::from(number)))
}

fn measure(kind: &Kind, mails: u32) -> Tally {
    let mut tally = Tally::default();
    for number in 0..mails {
        tally.take(number, &mail(kind, number));
    }
    tally
}

#[test]
fn ordinary_mail_is_neither_ambiguous_nor_malformed_and_costs_a_sample_a_part() {
    if let Ok(asked) = env::var("TG_ORDINARY") {
        return show(&asked);
    }
    let mails = env::var("TG_ORDINARY_MAILS").map_or(300, |text| text.parse().expect("a number of mails"));
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let running = KINDS.each_ref().map(|kind| scope.spawn(move || measure(kind, mails)));
        running.map(|it| it.join().expect("a mail that is counted")).into_iter().collect()
    });
    println!("kind      mails  KiB/mail  ambiguous  malformed  files/mail  samples/mail  samples/file");
    for (kind, tally) in KINDS.iter().zip(&tallies) {
        let each = |count: usize| count as f64 / f64::from(tally.mails);
        println!(
            "{:8} {:6} {:9.1} {:9.2}% {:9.2}% {:11.2} {:13.2} {:13.3}",
            kind.name,
            tally.mails,
            each(tally.bytes) / 1024.0,
            100.0 * f64::from(tally.ambiguous) / f64::from(tally.mails),
            100.0 * f64::from(tally.malformed) / f64::from(tally.mails),
            each(tally.files),
            each(tally.samples),
            tally.samples_for_each(),
        );
    }
    for (kind, tally) in KINDS.iter().zip(&tallies) {
        for (reason, mails) in &tally.reasons {
            let some: Vec<String> =
                mails.iter().take(8).map(|number| format!("{}:{number}", kind.name)).collect();
            println!("{}: {} × {reason}, for example {}", kind.name, mails.len(), some.join(" "));
        }
    }
    for (kind, tally) in KINDS.iter().zip(&tallies) {
        assert_eq!(tally.malformed, 0, "{}", kind.name);
        assert!(tally.tagged() <= TAGGED_AT_MOST, "{}: {:.4} tagged", kind.name, tally.tagged());
        let samples = tally.samples_for_each();
        assert!(samples <= kind.samples_for_each, "{}: {samples:.3} samples for a file", kind.name);
        assert!(samples >= 0.99, "{}: {samples:.3} samples for a file: some are missing", kind.name);
    }
}

/// Prints the mail that `asked` names, as `bulk:17`.
fn show(asked: &str) {
    let (kind, number) = asked.split_once(':').expect("KIND:NUMBER");
    let kind = KINDS.iter().find(|it| it.name == kind).expect("ham, bulk or bounce");
    let mail = mail(kind, number.parse().expect("KIND:NUMBER"));
    println!("{}", mail.text);
    let (found, steps) = explain(&Bytes::from(mail.text), Bodies::Html, &BUDGET);
    for step in steps {
        println!("{step:?}");
    }
    println!("{:?}, {} files, {} samples", found.ambiguities, mail.files, found.parts.len());
}
