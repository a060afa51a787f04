// SPDX-License-Identifier: GPL-3.0-or-later
//! What a line is, and that nothing in a value can break it or make it too long.

use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tracing_subscriber::layer::SubscriberExt;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(json: bool, log: impl FnOnce()) -> String {
    logged_as(Form { json, priorities: false }, log)
}

fn logged_as(form: Form, log: impl FnOnce()) -> String {
    let memory = Memory::default();
    let subscriber = tracing_subscriber::registry().with(Lines::new(form, memory.clone()));
    tracing::subscriber::with_default(subscriber, log);
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_line_is_flat_json_with_the_keys_that_people_alert_on() {
    let line = logged(true, || {
        let span = tracing::info_span!("message", queue.id = "4XyZ", level = 3).entered();
        let recipients = r#"["a@b.example","c@d.example"]"#;
        tracing::warn!(score = 95, ratio = 0.5, held = true, recipients.json = recipients, "Finding");
        drop(span);
    });
    assert!(line.starts_with(r#"{"time":"20"#) && line.ends_with("}\n"), "{line}");
    assert!(line.contains(r#""level":"warning","msg":"Finding""#), "{line}");
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["queue.id"], "4XyZ");
    assert_eq!(value["field.level"], 3);
    assert_eq!(value["score"], 95);
    assert_eq!(value["held"], true);
    assert_eq!(value["recipients"][1], "c@d.example");
    assert!(value["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_journal_gets_a_priority_before_each_line() {
    for json in [true, false] {
        let lines = logged_as(Form { json, priorities: true }, || {
            tracing::error!("a");
            tracing::warn!("b");
            tracing::info!("c");
            tracing::debug!("d");
            tracing::trace!("e");
        });
        let priorities: Vec<_> = lines.lines().map(|line| line.split_at(3).0).collect();
        assert_eq!(priorities, ["<3>", "<4>", "<6>", "<7>", "<7>"]);
        assert!(
            !json || lines.lines().all(|line| serde_json::from_str::<Value>(&line[3..]).is_ok()),
            "{lines}"
        );
    }
}

#[test]
fn what_is_no_json_stays_a_text() {
    let line = logged(true, || tracing::info!(parts.json = "[1,", "x"));
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["parts.json"], "[1,");
}

#[test]
fn no_value_can_break_a_line() {
    let hostile = "a\r\n{\"level\":\"error\"}\u{85}\u{2028}\u{1b}[31m\u{7f}\u{202e}";
    let structure = serde_json::to_string_pretty(&[hostile]).unwrap();
    for json in [true, false] {
        let line = logged(json, || tracing::warn!(name = hostile, names.json = structure, "{hostile}"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.trim_end_matches('\n').chars().all(|c| !c.is_control()), "{line:?}");
        assert!(!line.contains(['\u{2028}', '\u{202e}']), "{line:?}");
        if json {
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((value["name"].as_str(), value["msg"].as_str()), (Some(hostile), Some(hostile)));
            assert_eq!(value["names"][0], hostile);
        }
    }
}

#[test]
fn an_error_tells_its_causes() {
    let cause = std::io::Error::other("connection refused");
    let error = crate::hub::HubError::Unavailable(Box::new(cause));
    let error = &error as &(dyn std::error::Error + 'static);
    let line = logged(false, || tracing::error!(error, "The hub is gone"));
    assert!(
        line.contains(r#"error   The hub is gone error="hub unavailable: connection refused""#),
        "{line}"
    );
}

#[test]
fn a_line_of_the_crate_log_looks_like_any_other() {
    use tracing_log::log::{Level, Record};
    let record = |level, target| {
        let mut record = Record::builder();
        record.level(level).target(target).file(Some("/build/library.rs")).line(Some(7));
        record.args(format_args!("trouble"));
        tracing_log::format_trace(&record.build()).unwrap();
    };
    let line = logged(true, || record(Level::Warn, "library::tls"));
    assert!(line.ends_with("\"msg\":\"trouble\",\"target\":\"library::tls\"}\n"), "{line}");
    assert_eq!(logged(true, || record(Level::Debug, "indymilter::session")), "");
}

#[test]
fn the_milter_library_cannot_log_mails() {
    let line = logged(true, || {
        tracing::trace!(target: "indymilter::session", "whole mail");
        tracing::warn!(target: "indymilter", "trouble");
    });
    assert!(!line.contains("whole mail") && line.contains("trouble"), "{line}");
}

#[test]
fn a_line_that_would_be_too_long_is_cut_and_says_so() {
    let many: Vec<_> = (0..1_000).map(|number| format!("r{number}@b.example")).collect();
    let list = serde_json::to_string(&many).unwrap();
    let log =
        || tracing::warn!(queue.id = "4XyZ", recipients.json = list, name = "x".repeat(50_000), "Finding");
    let line = logged(true, log);
    assert!(line.len() <= LONGEST && line.len() > LONGEST - 200, "{}", line.len());
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&value["queue.id"], &value["msg"], &value["truncated"]),
        (&"4XyZ".into(), &"Finding".into(), &true.into())
    );
    let kept = value["recipients"].as_array().unwrap();
    assert!(kept.len() > 300 && kept.iter().zip(&many).all(|(one, other)| one == other), "{}", kept.len());
    assert!(value["name"].as_str().unwrap().len() > 7_000);

    let text = logged(false, log);
    assert!(text.len() <= LONGEST && text.contains(" truncated=true ["), "{}", text.len());
    assert!(!logged(true, || tracing::warn!(name = "x", "Finding")).contains("truncated"));
}

/// A text with much that is escaped, of any length.
fn text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        'a',
        'ä',
        '"',
        '\\',
        '\n',
        '\u{1b}',
        '\u{202e}',
        '€',
        '\u{1f600}',
        ',',
        ']',
    ]);
    let some = prop::collection::vec(prop_oneof![hostile, any::<char>()], 0..20);
    (some, 0..1_000_usize).prop_map(|(some, times)| String::from_iter(some).repeat(times))
}

/// Any JSON.
fn structure() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![text().prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    leaf.prop_recursive(4, 200, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{1,9}", inner, 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_line_is_longer_than_sixteen_kibibytes_or_broken(
        message in text(), outer in text(), inner in text(), list in structure(),
    ) {
        for json in [true, false] {
            let line = logged(json, || {
                let _span = tracing::info_span!("message", outer).entered();
                tracing::warn!(inner, list.json = list.to_string(), score = 95, "{message}");
            });
            prop_assert!(line.len() <= LONGEST, "{}", line.len());
            prop_assert_eq!(line.matches('\n').count(), 1);
            if json {
                let value: Value = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(&value["score"], 95);
                prop_assert!(message.starts_with(value["msg"].as_str().unwrap()));
                prop_assert!(outer.starts_with(value["outer"].as_str().unwrap()));
            }
        }
    }
}
