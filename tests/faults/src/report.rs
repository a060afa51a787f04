// SPDX-License-Identifier: GPL-3.0-or-later
//! What a run prints: its plan, how it goes, what it found, and with every violation enough to look into it.

use super::{
    Options,
    checker::{Outcome, Verdict, Violation, meets_a_stop},
    journal::{End, Measured, Millis, Record},
    kind::Kind,
    schedule::Schedule,
    senders::Senders,
    site::Site,
};
use std::collections::{BTreeMap, BTreeSet};

/// Violations of one sort that are shown in full.
const SHOWN: usize = 5;
/// Violations of one sort that are listed.
const LISTED: usize = 50;
/// Log lines that are shown with a violation.
const LINES: usize = 6;

/// The plan.
pub fn beginning(options: &Options, site: &Site, schedule: &Schedule) {
    let Options { seed, mails, redis, .. } = options;
    println!("thundergate's fault suite: seed {seed}, {mails} mails, Redis: {redis:?}");
    let (milters, workers, farm) = (site.milters.len(), site.workers.len(), site.farm.len());
    println!("{milters} milters, {workers} workers, {farm} stand-in scanners (no real ones)");
    if site.postfix.is_some() {
        println!("one mail of twenty goes through a real Postfix in front of milter0");
    }
    if site.disk.is_none() {
        println!("left out: LogDiskFull, since nothing can be mounted here");
    }
    if site.clock.is_none() {
        println!("left out: ClockJump, since Debian's package faketime is not installed");
    }
    let kinds: BTreeSet<_> = schedule.faults.iter().map(|fault| fault.kind).collect();
    println!(
        "{} faults of {} kinds in {:.0} s:",
        schedule.faults.len(),
        kinds.len(),
        schedule.ends.as_secs_f64()
    );
    schedule.faults.iter().for_each(|fault| println!("  {fault}"));
    println!();
}

/// One line.
pub fn progress(senders: &Senders) {
    let record = senders.journal.record();
    let active: Vec<_> = record.faults.iter().filter(|fault| fault.to == Millis::MAX).collect();
    let active: Vec<_> = active.iter().map(|fault| format!("{:?} {}", fault.kind, fault.target)).collect();
    drop(record);
    let outbox = &senders.outbox;
    println!(
        "  {:>6.1} s  {:>6} of {} mails decided, {:>5} attempts to be repeated; {}",
        senders.journal.now() as f64 / 1e3,
        outbox.decided(),
        outbox.total(),
        outbox.deferred(),
        if active.is_empty() { "quiet".to_owned() } else { active.join(", ") }
    );
}

/// Figures, then violations.
pub async fn end(options: &Options, site: &Site, record: &Record, outcome: &Outcome, verdict: &Verdict) {
    println!("\n  mails                      {:>8}", outcome.mails);
    for (what, count) in ends(record) {
        println!("  attempts: {what:<16} {count:>8}");
    }
    let deferred = record.attempts.iter().filter(|one| matches!(one.end, End::Tempfailed(_)));
    let elsewhere = deferred.filter(|one| !meets_a_stop(record, one)).count();
    println!("  tempfailed by a milter that was not being stopped {elsewhere}");
    let (delivered, held) = postfix(outcome);
    println!("  Postfix delivered          {delivered:>8}\n  Postfix holds              {held:>8}");
    let reasons = &verdict.reasons;
    println!("  samples scanned            {:>8}", reasons.samples);
    println!("  uploads (scans begun)      {:>8}, {} beyond one a sample", reasons.uploads, reasons.extra());
    for (reason, samples) in &reasons.because {
        println!("    {:>5}  {reason}", samples.len());
        if options.verbose {
            samples.iter().for_each(|sample| println!("           {sample}"));
        }
    }
    let dead = tokio::task::block_in_place(|| site.backend.dead_letters()).unwrap_or_default();
    println!("  dead letters               {:>8}", dead.len());
    let most = verdict.rescues.iter().max().copied().unwrap_or_default();
    println!("  scans of killed workers    {:>8}, begun elsewhere within {most} ms", verdict.rescues.len());
    for Measured { what, at, took, limit } in &record.measured {
        println!("  {:>6.1} s  {what}: {took:.1?} (limit {limit:?})", *at as f64 / 1e3);
    }
    let kinds: BTreeSet<Kind> = record.faults.iter().map(|fault| fault.kind).collect();
    let errors = site.lines_about(r#""level":"error""#).await;
    println!("  log lines of level error   {:>8}", errors.len());
    errors.iter().take(LINES).for_each(|line| println!("    {line:.400}"));
    println!("  faults done                {:>8} of {} kinds\n", record.faults.len(), kinds.len());
    for what in [
        "lost",
        "accepted unscanned",
        "wrong decision",
        "hung session",
        "broken session",
        "left over",
        "needless upload",
    ] {
        let count = verdict.violations.iter().filter(|violation| violation.what == what).count();
        println!("  {what:<26} {count:>8}");
    }
    let expiring = outcome.leftovers.iter().filter(|left| left.expires).count();
    if outcome.expiring_tolerated && expiring > 0 {
        println!("  {expiring} keys in Redis are left to expire, as the default time-outs let them");
    }
    violations(options, site, record, &verdict.violations).await;
}

async fn violations(options: &Options, site: &Site, record: &Record, violations: &[Violation]) {
    if violations.is_empty() {
        println!("\nNothing happened that must not (seed {}).", options.seed);
        return;
    }
    println!("\n{} VIOLATIONS; again with --seed {}:", violations.len(), options.seed);
    let mut shown = BTreeMap::<&str, usize>::new();
    for violation in violations {
        let shown = shown.entry(violation.what).or_default();
        *shown += 1;
        if *shown <= LISTED {
            println!("  {violation}");
        }
        if *shown > SHOWN {
            continue;
        }
        let around = record
            .faults
            .iter()
            .filter(|fault| fault.overlaps(violation.at.saturating_sub(5_000), violation.at));
        let around: Vec<_> = around.map(|fault| format!("{:?} {}", fault.kind, fault.target)).collect();
        println!("             faults in the five seconds before: {}", around.join(", "));
        if !violation.look_for.is_empty() {
            let lines = site.lines_about(&violation.look_for).await;
            lines.iter().take(LINES).for_each(|line| println!("             {line:.600}"));
        }
    }
}

fn ends(record: &Record) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for attempt in &record.attempts {
        let what = match &attempt.end {
            End::Other(_) => "other".to_owned(),
            End::Tempfailed(_) => "tempfailed".to_owned(),
            End::Broken(_) => "broken".to_owned(),
            End::Taken => "taken by Postfix".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        *ends.entry(what).or_default() += 1;
    }
    ends
}

fn postfix(outcome: &Outcome) -> (usize, usize) {
    let sum = |(delivered, held): (usize, usize), one: &(usize, usize)| (delivered + one.0, held + one.1);
    outcome.postfix.values().fold((0, 0), sum)
}
