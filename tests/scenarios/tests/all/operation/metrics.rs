// SPDX-License-Identifier: GPL-3.0-or-later
//! `/metrics` of the programs as they run: valid, complete from the start, and what `deploy/metrics.md` says.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};
use thundergate_harness::{
    eventually,
    mails::{eicar, mail},
    mta::Mail,
    process::Program,
    promtool::Promtool,
    site::{Milter, Site},
    thunderstorm::Settings,
};

const PATIENCE: Duration = Duration::from_secs(20);
const TABLE: &str = include_str!("../../../../../deploy/metrics.md");

/// A metric's type and labels by its name.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// Media type and body of a program's `/metrics`.
async fn scrape(program: &Program, accept: &str) -> (String, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = program.addresses("admin").swap_remove(0);
    let request = reqwest::Client::new().get(format!("http://{address}/metrics")).header("accept", accept);
    let response = request.send().await.unwrap();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    (media_type, response.text().await.unwrap())
}

async fn text_of(program: &Program) -> String {
    scrape(program, "*/*").await.1
}

/// What a text in Prometheus' format holds.
fn families(text: &str) -> Families {
    let mut families = Families::new();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in kinds {
        let unknown = families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new())).is_none();
        assert!(unknown, "{name} is there twice");
    }
    let mut seen = BTreeSet::new();
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = sample.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let base = base.filter(|base| families.contains_key(*base)).unwrap_or(name);
        let family = families.get_mut(base).unwrap_or_else(|| panic!("{name} has no type"));
        seen.insert(base.to_owned());
        let labels = labels.split(',').filter_map(|label| label.split_once("=\""));
        family.1.extend(labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le"));
    }
    let empty: Vec<_> = families.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(empty.is_empty(), "without a sample: {empty:?}");
    families
}

/// The rows of the table in `deploy/metrics.md` that concern one of `whose`.
fn documented(whose: &[&str]) -> Families {
    let rows = TABLE.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let concerned = cells.filter(|cells| whose.contains(&cells[3]));
    let names = |cell: &str| {
        cell.split('`').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    concerned
        .map(|cells| (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), names(cells[2]))))
        .collect()
}

fn with_attachment(name: &str, bytes: &[u8]) -> Mail {
    Mail::of(mail().attach(name, "application/octet-stream", bytes).bytes())
}

/// A milter, a worker and a milter that scans by itself, all of which have seen mail and scanners.
async fn busy(site: &Site) -> [Program; 3] {
    let (milter, worker) = (site.milter("").await, site.worker("").await);
    let single = Milter::start(&site.farm_section()).await;
    for milter in [&milter, &single] {
        milter.send(&with_attachment("a.com", &eicar())).await;
        milter.send(&with_attachment("b.bin", b"\x00\x01clean")).await;
    }
    for program in [&worker, &single.program] {
        for sign in [
            "thundergate_queue_jobs{",
            "thundergate_farm_latency_seconds{",
            "licence_expiry_timestamp_seconds{",
            "thundergate_farm_instance_max_file_bytes{",
        ] {
            eventually(PATIENCE, sign, async || text_of(program).await.contains(sign)).await;
        }
    }
    [milter.program, worker, single.program]
}

#[tokio::test]
async fn the_programs_expose_what_the_table_says_and_promtool_finds_no_fault() {
    let site = Site::cluster(1, Settings::default()).await;
    let programs = busy(&site).await;
    let promtool = Promtool::prepare();
    if let Err(reason) = &promtool {
        println!("not checked by promtool: {reason:#}");
    }
    let whose: [&[&str]; 3] = [&["both", "milter"], &["both", "worker"], &["both", "milter", "worker"]];
    for (program, whose) in programs.iter().zip(whose) {
        let text = text_of(program).await;
        let (found, expected) = (families(&text), documented(whose));
        for name in found.keys().chain(expected.keys()) {
            assert_eq!(found.get(name), expected.get(name), "{name} in {whose:?}: exposed, then documented");
        }
        assert!(expected.len() > 20, "the table is read");
        if let Ok(promtool) = &promtool {
            promtool.run(Path::new("."), &["check", "metrics"], &text).unwrap();
        }
    }
}

#[tokio::test]
async fn prometheus_gets_open_metrics() {
    let site = Site::cluster(1, Settings::default()).await;
    let (milter, worker) = (site.milter("").await, site.worker("").await);
    for program in [&milter.program, &worker] {
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let (media_type, text) = scrape(program, accept).await;
        assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        let (media_type, text) = scrape(program, "*/*").await;
        assert!(
            media_type.starts_with("text/plain; version=0.0.4") && !text.contains("# EOF"),
            "{media_type}"
        );
    }
}

#[tokio::test]
async fn what_can_be_counted_is_there_before_anything_has_happened() {
    let site = Site::cluster(1, Settings::default()).await;
    let (milter, worker) = (site.milter("").await, site.worker("").await);
    let milter = text_of(&milter.program).await;
    for series in [
        "thundergate_milter_messages_total{decision=\"tempfail\",cause=\"pending\"} 0",
        "thundergate_milter_passed_unscanned_total{cause=\"unavailable\"} 0",
        "thundergate_milter_parts_total{disposition=\"found\",source=\"scan\"} 0",
        "thundergate_milter_lookups_total{layer=\"hub\",result=\"miss\"} 0",
        "thundergate_milter_ambiguities_total{kind=\"base64_junk\"} 0",
        "thundergate_milter_malformed_total{budget=\"depth\"} 0",
        "thundergate_milter_unscannable_total{reason=\"encrypted\"} 0",
        "thundergate_milter_wait_duration_seconds_bucket{le=\"20.0\"} 0",
        "thundergate_milter_wait_deadline_seconds 20.0",
        "thundergate_config_last_reload_successful 1.0",
    ] {
        assert!(milter.lines().any(|line| line == series), "{series}\n{milter}");
    }
    let worker = text_of(&worker).await;
    for series in [
        "thundergate_worker_scans_total{result=\"dead\"} 0",
        "thundergate_worker_queue_wait_seconds_count{lane=\"mail\"} 0",
        "thundergate_farm_attempts_total{farm_instance=\"storm0\",result=\"failed\"} 0",
        "thundergate_farm_scan_duration_seconds_count{farm_instance=\"storm0\"} 0",
        "thundergate_queue_jobs_limit 10000.0",
    ] {
        assert!(worker.lines().any(|line| line == series), "{series}\n{worker}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_shows() {
    let site = Site::single(1, Settings::default()).await;
    let milter = site.milter("").await;
    let file = milter.program.dir().unwrap().join("config.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    for (config, successful) in [(format!("nonsense = 1\n{good}"), "0.0"), (good, "1.0")] {
        std::fs::write(&file, config).unwrap();
        milter.program.hang_up().unwrap();
        let line = format!("thundergate_config_last_reload_successful {successful}\n");
        eventually(PATIENCE, &line, async || text_of(&milter.program).await.contains(&line)).await;
    }
}

#[tokio::test]
async fn mail_that_passes_unscanned_and_a_redis_that_is_away_show() {
    let site = Site::cluster(1, Settings::default()).await;
    let milter = site.milter("policy.on.unavailable = \"accept\"\n").await;
    let up = "thundergate_milter_hub_up 1\n";
    eventually(PATIENCE, up, async || text_of(&milter.program).await.contains(up)).await;
    site.stop_redis();
    assert!(milter.send(&with_attachment("b.bin", b"\x00\x01new")).await.delivers());
    for line in [
        "thundergate_milter_passed_unscanned_total{cause=\"unavailable\"} 1\n",
        "thundergate_milter_messages_total{decision=\"accept\",cause=\"unavailable\"} 1\n",
        "thundergate_milter_hub_up 0\n",
        "thundergate_ready 0\n",
    ] {
        eventually(PATIENCE, line, async || text_of(&milter.program).await.contains(line)).await;
    }
}
