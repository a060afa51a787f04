// SPDX-License-Identifier: GPL-3.0-or-later
//! What is wrong with the scanners, each by itself and beside the others. With [`Wanted::scan`] each is sent a sample that
//! it must find; its log names [`SOURCE`] for it.

use crate::{
    oversee::Canary,
    thunderstorm::{
        client::Client,
        complaint::Complaint,
        error::with_causes,
        facts::Info,
        settings::{Settings, SetupError},
    },
};
use futures_util::future::join_all;
use std::time::{Duration, Instant, SystemTime};
use thundergate_common::{
    api::check::{Finding, Level, Wanted},
    check::visit::in_time,
    config::{Farm, Instance},
    licence,
};

/// What a scanner's log says of where the sample comes from.
pub const SOURCE: &str = "thundergate-check";
/// How long a scanner may take for what it says of itself, and for the sample.
const PATIENCE: Duration = Duration::from_secs(4);
/// A licence that ends within so many days is worth a word.
const SOON: i64 = 30;
/// Signatures are worth a word after so many days.
const OLD: u64 = 14;
const DAY: u64 = 24 * 3600;

/// One instance, and what it said of itself.
struct Looked {
    subject: String,
    info: Option<Info>,
    findings: Vec<Finding>,
}

/// Looks at all of them at once.
pub async fn of_farm(farm: &Farm, canary: &Canary, wanted: Wanted) -> Vec<Finding> {
    let looked = join_all(farm.instances.iter().map(async |instance| {
        let subject = format!("farm.instances {}", instance.name());
        let mut info = None;
        let findings = in_time(&subject, look(instance, farm, canary, wanted, &mut info)).await;
        Looked { subject, info, findings }
    }));
    let mut looked = looked.await;
    compare(&mut looked);
    looked.into_iter().flat_map(|one| one.findings).collect()
}

async fn look(
    instance: &Instance,
    farm: &Farm,
    canary: &Canary,
    wanted: Wanted,
    known: &mut Option<Info>,
) -> Vec<Finding> {
    let subject = format!("farm.instances {}", instance.name());
    let client = Settings::read(instance, farm).and_then(|settings| Ok((Client::new(&settings)?, settings)));
    let (client, settings) = match client {
        Ok(client) => client,
        Err(error) => return vec![of_setup(&error, &subject)],
    };
    let url = settings.public_url();
    let began = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, client.info()).await;
    let info = match answer.unwrap_or(Err(crate::thunderstorm::error::CallError::Timeout)) {
        Ok(info) => info,
        Err(error) => return vec![complaint(subject, &url, error.complaint())],
    };
    let mut findings = vec![Finding::ok(&subject, said(&url, &info, began.elapsed()))];
    findings.extend(of_licence(&subject, &info));
    findings.extend(of_age(&subject, &info));
    findings.extend(of_threads(&subject, instance, &info));
    *known = Some(info);
    if wanted.scan {
        findings.push(scan(&client, &url, subject, canary).await);
    }
    findings
}

fn complaint(subject: String, url: &str, complaint: Complaint) -> Finding {
    let Complaint { level, text, cure } = complaint;
    Finding::new(level, subject, format!("{url}: {text}"), cure)
}

/// A file of `[farm]` that cannot be used.
fn of_setup(error: &SetupError, subject: &str) -> Finding {
    let key = match error {
        SetupError::Unreadable { key, .. } | SetupError::Unusable { key, .. } => key,
        SetupError::Http(_) => subject,
    };
    Finding::new(
        Level::Wrong,
        key,
        with_causes(error),
        "correct the file, and let the user thundergate read it",
    )
}

fn said(url: &str, info: &Info, took: Duration) -> String {
    let known = |what: &Option<String>| what.clone().unwrap_or_else(|| "unknown".to_owned());
    let threads = info.threads.map_or_else(|| "unknown".to_owned(), |threads| threads.to_string());
    format!(
        "{url}: THOR {}, signatures {}, {threads} threads, licence until {}, answered in {} ms",
        known(&info.thor),
        known(&info.signatures),
        known(&info.licence_ends),
        took.as_millis()
    )
}

fn of_licence(subject: &str, info: &Info) -> Option<Finding> {
    let words = info.licence_ends.as_deref()?;
    let days = licence::days_left(words, SystemTime::now()).filter(|days| *days < SOON)?;
    let (level, text) = if days < 0 {
        (Level::Unavailable, format!("the licence has ended ({words}): THOR scans nothing without one"))
    } else {
        (Level::Warning, format!("the licence ends in {days} days ({words})"))
    };
    Some(Finding::new(level, subject, text, "install a new licence on that scanner"))
}

/// Signatures that are old by their own date.
fn of_age(subject: &str, info: &Info) -> Option<Finding> {
    let signatures = info.signatures.as_deref()?;
    let age = SystemTime::now().duration_since(licence::ends(signatures)?).ok()?.as_secs() / DAY;
    let text = format!("the signatures are {age} days old ({signatures})");
    let cure = "have that scanner update its signatures (thor-util update) every day";
    (age >= OLD).then(|| Finding::new(Level::Warning, subject, text, cure))
}

fn of_threads(subject: &str, instance: &Instance, info: &Info) -> Option<Finding> {
    let warn = |text: String, cure: &str| Some(Finding::new(Level::Warning, subject, text, cure));
    match (instance.concurrency?, info.threads) {
        (0, _) => {
            warn("drained: it gets no samples".to_owned(), "remove concurrency = 0 when it shall get some")
        }
        (wanted, Some(threads)) if wanted > threads => warn(
            format!("concurrency = {wanted}, and the scanner has {threads} threads: the rest waits there"),
            "lower concurrency to the scanner's threads, or remove it",
        ),
        _ => None,
    }
}

async fn scan(client: &Client, url: &str, subject: String, canary: &Canary) -> Finding {
    let sample = match canary.fresh().await {
        Ok(sample) => sample,
        Err(error) => {
            let text = format!("{} cannot be read: {error}", canary.file.display());
            return Finding::new(Level::Wrong, "canary.file", text, "correct the file's name");
        }
    };
    let began = Instant::now();
    match client.scan_within(PATIENCE, &sample, SOURCE).await {
        Ok(findings) if findings.is_empty() => Finding::new(
            Level::Unavailable,
            subject,
            format!("{url}: scans, and does not find a test file that every scanner finds: it is blind"),
            "look at signatures and licence of that scanner, and at canary.file",
        ),
        Ok(_) => Finding::ok(subject, format!("found a test file in {} ms", began.elapsed().as_millis())),
        Err(error) => {
            let Complaint { level, text, cure } = error.complaint();
            Finding::new(level, subject, format!("{url}: a test file was not scanned: {text}"), cure)
        }
    }
}

/// Who has older signatures than others.
fn compare(looked: &mut [Looked]) {
    let signatures = |one: &Looked| one.info.as_ref()?.signatures.clone();
    let Some(newest) = looked.iter().filter_map(signatures).max() else { return };
    for one in looked {
        if let Some(own) = signatures(one).filter(|own| *own < newest) {
            let text = format!("the signatures {own} are older than others' {newest}");
            let cure = "update that scanner: after farm.lag it gets no mail";
            one.findings.push(Finding::new(Level::Warning, &one.subject, text, cure));
        }
    }
}
