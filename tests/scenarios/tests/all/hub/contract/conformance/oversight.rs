// SPDX-License-Identifier: GPL-3.0-or-later
//! What the workers together know of their instances, and what every process learns of it.

use super::*;
use std::collections::BTreeMap;
use thundergate_common::{
    generation::{FarmReport, InstanceReport},
    oversight::{Oversight, Round},
};

/// All instances find their canaries but those that are `blind`; sent at `sent`.
fn round(oversight: &mut Oversight, sent: u64, blind: &[&str]) {
    let answers = ["storm1", "storm2"].map(|name| (name.to_owned(), !blind.contains(&name)));
    oversight.judge(&Round { sent, ended: sent, answers: BTreeMap::from(answers) });
}

fn by(instance: &str, scanned_at: u64) -> Arc<Verdict> {
    Arc::new(Verdict { instance: instance.to_owned(), scanned_at, ..Verdict::default() })
}

pub async fn what_a_blind_instance_called_clean_is_stale_everywhere(stage: Stage) {
    let at = now();
    for (name, instance) in [("seen", "storm1"), ("unseen", "storm2")] {
        store(&stage, name, &by(instance, at)).await;
    }
    let reserve =
        async |name: &str| stage.here.milter.reserve(&[key(name)], Lane::Background).await.unwrap().remove(0);
    assert!(matches!(reserve("unseen").await, Reservation::Known(_)));
    let mut oversight = Oversight::default();
    round(&mut oversight, at - 5, &[]);
    round(&mut oversight, at - 1, &["storm2"]);
    stage.there.worker.oversee(&oversight).await.unwrap();
    eventually("it is stale", async || reserve("unseen").await == Reservation::Owner).await;
    assert!(matches!(reserve("seen").await, Reservation::Known(_)), "the other one was not blind");
    assert_eq!(stage.there.worker.oversight().await.unwrap(), oversight);
    // It sees again: what it says from now on is believed, what it said meanwhile is not.
    round(&mut oversight, at, &[]);
    stage.there.worker.oversee(&oversight).await.unwrap();
    let spans = oversight.spans.clone();
    eventually("that is learnt", async || stage.here.milter.generation().blind == spans).await;
    store(&stage, "later", &by("storm2", at + 1)).await;
    assert!(matches!(reserve("later").await, Reservation::Known(_)));
    assert!(stage.here.milter.generation().outdates(&by("storm2", at)));
    // No clean verdict of that time is alive.
    oversight.spans[0].to = Some(at - ttls().clean_ttl.as_secs() - 10);
    stage.there.worker.oversee(&oversight).await.unwrap();
    eventually("it is forgotten", async || stage.here.milter.generation().blind.is_empty()).await;
}

pub async fn who_is_blind_or_late_does_not_count_for_the_generation(stage: Stage) {
    let instance = |name: &str, signatures: &str| InstanceReport {
        name: name.to_owned(),
        healthy: true,
        signatures: Some(signatures.to_owned()),
        ..InstanceReport::default()
    };
    let report = FarmReport {
        worker: "worker".into(),
        at: now(),
        instances: vec![instance("storm1", "2"), instance("storm2", "1")],
        doubt: None,
    };
    let reported = async || stage.there.worker.report(&report, None).await.unwrap();
    assert_eq!(reported().await, Oversight::default());
    let signatures = || stage.there.worker.generation().signatures.clone();
    assert_eq!(signatures().as_deref(), Some("1"));
    let mut oversight = Oversight::default();
    round(&mut oversight, now(), &["storm2"]);
    stage.there.worker.oversee(&oversight).await.unwrap();
    assert_eq!(reported().await, oversight, "who reports learns who gets no mail");
    assert_eq!(signatures().as_deref(), Some("2"));
}

pub async fn one_worker_leads_and_keeps_it(stage: Stage) {
    let life = Duration::from_millis(1500);
    let lead = async |end: &End, name: &str| end.worker.lead(name, life).await.unwrap();
    assert!(lead(&stage.here, "first").await);
    assert!(lead(&stage.here, "first").await, "and goes on");
    assert!(!lead(&stage.there, "second").await);
    eventually("the first is gone", async || lead(&stage.there, "second").await).await;
    assert!(!lead(&stage.here, "first").await);
}
