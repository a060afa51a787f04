// SPDX-License-Identifier: GPL-3.0-or-later
//! What is made of the metrics: alert rules, the scrape example and the dashboard. They speak of metrics that there are,
//! and Prometheus understands them.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use thundergate_harness::promtool::Promtool;

const TABLE: &str = include_str!("../../../../../deploy/metrics.md");
const RULES: &str = include_str!("../../../../../deploy/prometheus/thundergate.rules.yaml");
const RULE_TESTS: &str = include_str!("../../../../../deploy/prometheus/thundergate.test.yaml");
const DASHBOARD: &str = include_str!("../../../../../deploy/grafana/thundergate.json");

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    alert: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RuleTests {
    tests: Vec<RuleTest>,
}

#[derive(Deserialize)]
struct RuleTest {
    promql_expr_test: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    exp_samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    labels: String,
}

fn alerts() -> Vec<Alert> {
    let rules: Rules = serde_saphyr::from_str(RULES).unwrap();
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn panels() -> Vec<Value> {
    dashboard()["panels"].as_array().unwrap().clone()
}

/// Every query of the dashboard.
fn queries() -> Vec<String> {
    let panels = panels();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let annotations = dashboard()["annotations"]["list"].as_array().unwrap().clone();
    targets.chain(&annotations).map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

fn prometheus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

/// None, and a word about it, where there is no promtool.
fn promtool() -> Option<Promtool> {
    let found = Promtool::prepare();
    found.inspect_err(|reason| println!("skipped: promtool cannot be had here: {reason:#}")).ok()
}

/// The metrics that `text` speaks of, by the names under which Prometheus keeps them.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.starts_with("thundergate_") || word.starts_with("process_")).collect()
}

/// The names that the table in `deploy/metrics.md` gives rise to.
fn documented() -> BTreeSet<String> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        let suffixes: &[&str] = if cells[1] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        suffixes.iter().map(|suffix| format!("{name}{suffix}")).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn rules_and_dashboard_speak_of_metrics_that_there_are() {
    let documented = documented();
    assert!(documented.len() > 50, "the table is read");
    for (file, text) in [("rules", RULES), ("tests of the rules", RULE_TESTS), ("dashboard", DASHBOARD)] {
        let unknown: Vec<_> =
            metrics_in(text).into_iter().filter(|metric| !documented.contains(*metric)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn each_alert_says_what_it_means_and_has_a_case_that_fires_and_one_that_does_not() {
    let tests: RuleTests = serde_saphyr::from_str(RULE_TESTS).unwrap();
    let alerts = alerts();
    assert!(alerts.len() > 10, "the rules are read");
    for Alert { alert, labels, annotations } in alerts {
        assert!(matches!(labels["severity"].as_str(), "page" | "ticket"), "{alert}");
        for annotation in ["summary", "description", "action"] {
            assert!(annotations.contains_key(annotation), "{alert} has no {annotation}");
        }
        let name = format!("alertname=\"{alert}\"");
        let alone = |expected: &Expected| match expected.exp_samples.as_slice() {
            [sample] => sample.labels.contains(&name),
            _ => false,
        };
        let covered = tests.tests.iter().any(|test| {
            let quiet = test.promql_expr_test.iter().any(|expected| expected.exp_samples.is_empty());
            quiet && test.promql_expr_test.iter().any(alone)
        });
        assert!(covered, "{alert} has no test");
    }
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    let Some(promtool) = promtool() else { return };
    promtool.run(&prometheus(), &["test", "rules", "thundergate.test.yaml"], "").unwrap();
}

#[test]
fn prometheus_takes_the_example_with_the_rules() {
    let Some(promtool) = promtool() else { return };
    promtool.run(&prometheus(), &["check", "config", "prometheus.yaml"], "").unwrap();
}

#[test]
fn prometheus_understands_the_queries_of_the_dashboard() {
    let Some(promtool) = promtool() else { return };
    // Where Grafana fills in: times, and the choice of the reader.
    let filled = |query: &str| {
        let query = query.replace("$__rate_interval", "1m").replace("$__range", "1h");
        query.replace("$job", ".*").replace("$instance", ".*")
    };
    let rules = queries().into_iter().enumerate().map(|(number, query)| {
        assert!(!filled(&query).contains('$'), "{query}");
        json!({ "record": format!("query:{number}"), "expr": filled(&query) })
    });
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("queries.yaml"), rules.to_string()).unwrap();
    promtool.run(directory.path(), &["check", "rules", "queries.yaml"], "").unwrap();
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null() && dashboard["uid"].is_null(), "the importing Grafana gives it one");
    let sources = DASHBOARD.lines().filter(|line| line.contains("\"uid\"") && !line.contains("null"));
    assert!(sources.clone().count() > 10);
    assert!(
        sources.into_iter().all(|line| line.contains("\"${datasource}\"")),
        "no data source of anybody's"
    );
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} lies over another panel", panel["title"]);
        }
        let explained =
            panel["type"] == "row" || panel["description"].as_str().is_some_and(|text| !text.is_empty());
        assert!(explained, "{} has no description", panel["title"]);
    }
}
