// SPDX-License-Identifier: GPL-3.0-or-later
//! A farm that changes while it scans: new signatures, and instances that come and go.

use crate::{
    eventually,
    stub::{Reply, Stub, farm, farm_with, info, instance, sample},
};
use std::sync::Arc;
use thundergate_common::{config, generation::InstanceState, verdict::Verdict};
use thundergate_worker::farm::{Changes, Farm, ScanError, metrics::FarmMetrics};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const OLD: &str = "2026/01/01-000000";
const NEW: &str = "2026/02/02-000000";

/// A farm that is being watched until the end of the test.
struct Watched {
    farm: Arc<Farm>,
    _tasks: JoinSet<()>,
}

impl Watched {
    async fn new(configured: &config::Farm) -> Self {
        let farm = Arc::new(Farm::new(configured, FarmMetrics::default()).unwrap());
        let (watching, mut tasks) = (Arc::clone(&farm), JoinSet::new());
        tasks.spawn(async move { watching.watch(CancellationToken::new()).await });
        eventually("all instances are available", async || {
            farm.reports().iter().all(|instance| instance.healthy)
        })
        .await;
        Self { farm, _tasks: tasks }
    }

    fn scan(&self, number: u8, needs: Option<&'static str>) -> JoinSet<Result<Verdict, ScanError>> {
        let (farm, mut scan) = (Arc::clone(&self.farm), JoinSet::new());
        scan.spawn(async move { farm.scan(&sample(&[number]), "", needs).await });
        scan
    }
}

async fn ended(mut scan: JoinSet<Result<Verdict, ScanError>>) -> Result<Verdict, ScanError> {
    scan.join_next().await.unwrap().unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_sample_goes_only_where_the_signatures_are_that_it_needs() {
    let (old, new) = (Stub::start().await, Stub::start().await);
    new.info(info(NEW, 4));
    let keys = "timeout = \"300ms\"\nconnect_timeout = \"100ms\"";
    let both = farm_with(&[instance("old", &old.url), instance("new", &new.url)], keys);
    let watched = Watched::new(&both).await;
    for number in 0..20 {
        let verdict = ended(watched.scan(number, Some(NEW))).await.unwrap();
        assert_eq!((verdict.instance.as_str(), verdict.signatures.as_deref()), ("new", Some(NEW)));
    }
    assert!(old.uploads().is_empty());
    for needs in [None, Some(OLD)] {
        for number in 0..20 {
            ended(watched.scan(number, needs)).await.unwrap();
        }
    }
    assert!(!old.uploads().is_empty(), "what needs less goes anywhere");
    let nobody = ended(watched.scan(0, Some("2026/03/03-000000"))).await;
    assert!(matches!(nobody, Err(ScanError::NoInstance)), "{nobody:?}");
}

#[tokio::test]
async fn a_sample_waits_for_an_instance_with_the_signatures_that_it_needs() {
    let stub = Stub::start().await;
    let watched = Watched::new(&farm(&[instance("one", &stub.url)])).await;
    let scan = watched.scan(1, Some(NEW));
    assert_eq!(ended(watched.scan(2, None)).await.unwrap().signatures.as_deref(), Some(OLD), "overtakes it");
    stub.info(info(NEW, 4));
    assert_eq!(ended(scan).await.unwrap().signatures.as_deref(), Some(NEW));
    assert_eq!(stub.uploads().len(), 2);
}

#[tokio::test]
async fn an_instance_that_goes_back_to_older_signatures_is_found_out() {
    let stub = Stub::start().await;
    stub.info(info(NEW, 4));
    let keys = "probe_interval = \"1h\"";
    let watched = Watched::new(&farm_with(&[instance("one", &stub.url)], keys)).await;
    stub.info(info(OLD, 4));
    let verdict = ended(watched.scan(1, Some(NEW))).await.unwrap();
    assert_eq!(verdict.signatures.as_deref(), Some(OLD), "the verdict is there and says what it is");
}

#[tokio::test]
async fn instances_come_and_go_and_no_scan_is_lost() {
    let (stays, goes, comes) = (Stub::start().await, Stub::start().await, Stub::start().await);
    let watched = Watched::new(&farm(&[instance("stays", &stays.url), instance("goes", &goes.url)])).await;
    stays.hold();
    goes.hold();
    let scans: Vec<_> = (0..12).map(|number| watched.scan(number, None)).collect();
    eventually("both are full", async || stays.uploads().len() + goes.uploads().len() == 8).await;

    let changes = watched
        .farm
        .reconfigure(&farm(&[instance("stays", &stays.url), instance("comes", &comes.url)]))
        .unwrap();
    let expected = Changes {
        added: names(&["comes"]),
        removed: names(&["goes"]),
        kept: names(&["stays"]),
        ..Changes::default()
    };
    assert_eq!(changes, expected);
    eventually("the new one gets what waits", async || comes.uploads().len() == 4).await;
    assert_eq!(watched.farm.reports()[0].in_flight, 4, "what stays keeps its state");
    goes.let_pass(100);
    stays.let_pass(100);
    for scan in scans {
        ended(scan).await.unwrap();
    }
    assert_eq!((stays.uploads().len(), goes.uploads().len()), (4, 4), "none was sent twice");
    let asked = goes.infos();
    for number in 0..20 {
        ended(watched.scan(number, None)).await.unwrap();
    }
    eventually("the others are probed", async || stays.infos() > 5 && comes.infos() > 5).await;
    assert_eq!(goes.uploads().len(), 4, "what is gone gets nothing");
    assert!(goes.infos() <= asked + 1, "and is asked nothing");
}

#[tokio::test]
async fn an_instance_that_is_reached_in_another_way_is_the_same_instance() {
    let stub = Stub::start().await;
    let one = instance("one", &stub.url);
    let keys = "probe_interval = \"1h\"";
    let watched = Watched::new(&farm_with(std::slice::from_ref(&one), keys)).await;
    let limited = format!("{{ name = \"one\", url = {:?}, concurrency = 2 }}", stub.url);
    let changes = watched.farm.reconfigure(&farm_with(&[limited], keys)).unwrap();
    assert_eq!(changes, Changes { changed: names(&["one"]), ..Changes::default() });
    assert_eq!(watched.farm.capacity(), 2, "it is known to scan");
    stub.answer(|_| Reply::new(500, ""));
    ended(watched.scan(2, None)).await.unwrap_err();
    watched.farm.reconfigure(&farm_with(&[one], keys)).unwrap();
    assert_eq!(watched.farm.reports()[0].state, InstanceState::Open, "and to have failed");
    let other = Stub::start().await;
    watched.farm.reconfigure(&farm_with(&[instance("one", &other.url)], keys)).unwrap();
    eventually("another place is another server", async || watched.farm.available()).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_set_up_changes_nothing() {
    let stub = Stub::start().await;
    let watched = Watched::new(&farm(&[instance("one", &stub.url)])).await;
    let mut gone = farm(&[instance("one", &stub.url), instance("two", &stub.url)]);
    gone.ca_file = Some("/nonexistent/ca.pem".into());
    let error = watched.farm.reconfigure(&gone).unwrap_err();
    assert!(error.to_string().contains("farm.ca_file") && error.to_string().contains("/nonexistent/ca.pem"));
    assert_eq!(watched.farm.reports().len(), 1);
    ended(watched.scan(1, None)).await.unwrap();
}
