// SPDX-License-Identifier: GPL-3.0-or-later
use super::*;
use proptest::prelude::*;
use serde_json::json;
use thundergate_common::{digest::Digest, sample::NameHint};

fn sample() -> SampleKey {
    SampleKey { digest: Digest::of(b"sample"), hint: NameHint::Extension("exe".into()) }
}

fn read(answer: Value) -> Result<Vec<Finding>, ShapeError> {
    parse(answer.to_string().as_bytes(), &sample())
}

fn only(answer: Value) -> Finding {
    let mut findings = read(answer).unwrap();
    assert_eq!(findings.len(), 1);
    findings.remove(0)
}

#[test]
fn an_empty_array_is_clean() {
    assert_eq!(read(json!([])).unwrap(), []);
}

#[test]
fn a0_has_numbered_keys_and_numbers_as_strings() {
    let finding = only(json!([{
        "lvl": "Alert", "mod": "Filescan", "msg": "Malware file found",
        "context": {
            "file": "x/y", "rulename_1": "Rule_One", "reason_1": "Yara rule Rule_One / words", "ref_1": "somewhere",
            "ruledate_1": "", "tags_1": "EXAMPLE HKTL", "subscore_1": "75", "matched_1": "Str1: \"a b\"",
            "rulename_2": "Rule_Two", "subscore_2": "60",
        }
    }]));
    assert_eq!((finding.level.as_str(), finding.module.as_str()), ("Alert", "Filescan"));
    assert_eq!(finding.message, "Malware file found");
    assert_eq!(finding.score, 75, "without a total the strongest rule counts");
    assert_eq!(finding.file.name, "x/y");
    assert_eq!(finding.rules.len(), 2);
    assert_eq!(finding.rules[0].tags, ["EXAMPLE", "HKTL"]);
    assert_eq!(finding.rules[0].matched, ["Str1: \"a b\""]);
    assert_eq!(finding.rules[1].subscore, 60);
}

fn shape_a() -> Value {
    json!([{
        "level": "Warning", "module": "Filescan", "message": "Possibly Dangerous file found", "score": 140,
        "context": {
            "ext": "php", "file": "web.txt", "firstBytes": "3c3f / <?", "md5": "m", "sha1": "s", "sha256": "other",
            "size": 58, "type": "PHP", "reasons_count": 7, "sample_id": 12,
        },
        "matches": [
            {"matched": ["one", "two"], "reason": "a web shell", "ref": "https://example.org", "ruledate": "2015-03-10",
             "rulename": "WebShell_A", "subscore": 75, "tags": ["GEN", "T1100"], "author": "somebody",
             "sigclass": "YARA Rule", "sigtype": "internal"},
            {"matched": null, "reason": "tiny", "rulename": "WebShell_B", "subscore": "65"},
        ]
    }])
}

#[test]
fn a_has_context_and_matches() {
    let finding = only(shape_a());
    let expected = FileFacts {
        name: "web.txt".into(),
        extension: "php".into(),
        kind: "PHP".into(),
        size: 58,
        first_bytes: "3c3f / <?".into(),
        md5: "m".into(),
        sha1: "s".into(),
        sha256: "other".into(),
    };
    assert_eq!(finding.file, expected);
    assert_eq!((finding.score, finding.rules_total), (140, 7));
    let rule = Rule {
        name: "WebShell_A".into(),
        subscore: 75,
        reason: "a web shell".into(),
        author: "somebody".into(),
        reference: "https://example.org".into(),
        date: "2015-03-10".into(),
        class: "YARA Rule".into(),
        origin: "internal".into(),
        tags: vec!["GEN".into(), "T1100".into()],
        matched: vec!["one".into(), "two".into()],
    };
    assert_eq!(finding.rules[0], rule);
    assert_eq!(finding.rules[1].subscore, 65);
}

#[test]
fn a_without_matches_is_still_a_finding() {
    let mut answer = shape_a();
    answer[0].as_object_mut().unwrap().remove("matches");
    assert_eq!(only(answer.clone()).score, 140);
    answer[0]["matches"] = Value::Null;
    assert!(only(answer).rules.is_empty());
}

#[test]
fn a_spells_first_bytes_in_more_than_one_way() {
    let mut answer = shape_a();
    let context = answer[0]["context"].as_object_mut().unwrap();
    let bytes = context.remove("firstBytes").unwrap();
    context.insert("firstbytes".into(), bytes);
    assert_eq!(only(answer).file.first_bytes, "3c3f / <?");
}

#[test]
fn b_has_numbered_keys_beside_the_level() {
    let finding = only(json!([{
        "time": "t", "level": "Notice", "module": "Filescan", "message": "Suspicious file found", "score": "50",
        "file": "a.exe", "rulename_1": "SUSP_X", "subscore_1": 50, "reasons_count": "1", "tags_1": "SUSP, T1027",
    }]));
    assert_eq!((finding.score, finding.rules_total), (50, 1));
    assert_eq!(finding.file.name, "a.exe");
    assert_eq!(finding.rules[0].name, "SUSP_X");
    assert_eq!(finding.rules[0].tags, ["SUSP", "T1027"]);
}

#[test]
fn c_has_flat_reasons() {
    let finding = only(json!([{
        "time": "t", "hostname": "h", "level": "Warning", "module": "Filescan", "message": "something", "score": 66,
        "file": {"path": "b.exe", "size": 3, "sha256": "other"}, "log_version": 2, "scanid": "S-x",
        "reasons": [
            {"reason": "r1", "rulename": "rn1", "matched": [{"data": "d", "offset": 1, "context": "c"}]},
            {"name": "rn2", "signature": {"score": 60, "tags": ["T"]}},
            "only words",
        ]
    }]));
    assert_eq!(finding.file.name, "b.exe");
    assert_eq!(finding.rules[0].name, "rn1");
    assert_eq!(finding.rules[0].matched, ["d"]);
    assert_eq!((finding.rules[1].name.as_str(), finding.rules[1].subscore), ("rn2", 60));
    assert_eq!(finding.rules[2].reason, "only words");
}

fn shape_d() -> Value {
    json!([{
        "type": "THOR finding",
        "meta": {"time": "t", "level": "Alert", "module": "HTTPServer", "scan_id": "S-y", "hostname": "127.0.0.1"},
        "message": "Malicious file found",
        "subject": {
            "type": "file", "path": sample().upload_name(), "exists": "yes", "extension": ".exe", "magic_header": "EXE",
            "hashes": {"md5": "m", "sha1": "s", "sha256": sample().digest.to_string()},
            "first_bytes": {"hex": "4d5a", "ascii": "MZ"}, "size": 1352192, "permissions": null,
        },
        "score": 94,
        "reasons": [{
            "type": "reason", "summary": "some YARA rule",
            "signature": {"score": 85, "reference": ["one", "two"], "origin": "internal", "kind": "YARA Rule",
                          "date": "2023-05-12", "tags": ["EXE", "HKTL"], "rule_name": "Some_Rule", "description": "words"},
            "matched": [{"data": "plain", "offset": 9, "field": "/content"},
                        {"data": {"data": "4d5a", "encoding": "hex"}, "offset": 10}],
        }],
        "reason_count": 28, "context": null, "log_version": "v3.0.0"
    }])
}

#[test]
fn d_has_meta_subject_and_reasons() {
    let finding = only(shape_d());
    assert_eq!((finding.level.as_str(), finding.module.as_str()), ("Alert", "HTTPServer"));
    assert_eq!((finding.score, finding.rules_total), (94, 28));
    assert_eq!((finding.file.extension.as_str(), finding.file.kind.as_str()), ("exe", "EXE"));
    assert_eq!(finding.file.first_bytes, "4d5a / MZ");
    let rule = &finding.rules[0];
    assert_eq!((rule.name.as_str(), rule.subscore, rule.reason.as_str()), ("Some_Rule", 85, "words"));
    assert_eq!((rule.reference.as_str(), rule.class.as_str()), ("one, two", "YARA Rule"));
    assert_eq!(rule.matched, ["plain", "4d5a"]);
}

#[test]
fn d_drifts_without_a_new_version() {
    let mut answer = shape_d();
    answer[0]["type"] = json!("THOR assessment");
    answer[0]["reasons"] = Value::Null;
    answer[0]["subject"] = json!({"type": "process", "name": "x", "pid": 4});
    answer[0]["context"] = json!([{"object": {"type": "file"}, "relations": ["derives from"]}]);
    let finding = only(answer);
    assert!(finding.rules.is_empty());
    assert_eq!(finding.rules_total, 28);
}

#[test]
fn a_false_positive_rule_keeps_its_negative_score() {
    let mut answer = shape_d();
    answer[0]["reasons"][0]["signature"]["score"] = json!(-20);
    assert_eq!(only(answer).rules[0].subscore, -20);
}

#[test]
fn entries_about_the_scanner_itself_are_no_findings() {
    let mut answer = shape_d();
    answer[0]["meta"]["level"] = json!("Debug");
    assert!(read(answer.clone()).unwrap().is_empty());
    for level in ["Error", "ERROR"] {
        answer[0]["meta"]["level"] = json!(level);
        assert!(matches!(read(answer.clone()), Err(ShapeError::Troubled(_))), "an error alone is not clean");
        let mut both = answer.clone();
        both.as_array_mut().unwrap().push(shape_d()[0].clone());
        assert_eq!(only(both), only(shape_d()), "{level} beside a finding");
    }
}

#[test]
fn another_digest_for_the_submitted_file_is_a_failed_scan() {
    let other = Digest::of(b"cut short").to_string();
    let mut answer = shape_d();
    answer[0]["subject"]["hashes"]["sha256"] = json!(other);
    assert!(matches!(read(answer.clone()), Err(ShapeError::OtherFile(_))));
    answer[0]["meta"]["level"] = json!("Error");
    assert!(matches!(read(answer.clone()), Err(ShapeError::OtherFile(_))), "whatever the level");
    answer[0]["meta"]["level"] = json!("Alert");
    answer[0]["subject"]["path"] = json!("inner/file.exe");
    assert_eq!(only(answer).file.sha256, other, "inside an archive");

    let mut answer = shape_a();
    answer[0]["context"]["file"] = json!(sample().upload_name());
    assert!(matches!(read(answer.clone()), Err(ShapeError::OtherFile(_))));
    answer[0]["context"]["sha256"] = json!(sample().digest.to_string().to_uppercase());
    only(answer);
}

#[test]
fn what_is_not_understood_is_never_clean() {
    for answer in [
        json!({}),
        json!(null),
        json!("[]"),
        json!({"message": "Unauthorized"}),
        json!([null]),
        json!([[]]),
        json!([{}]),
        json!([{"id": 12345}]),
        json!([{"level": "Alert"}]),
        json!([{"message": "Malware file found"}]),
        json!([{"level": 5, "message": {"text": "x"}}]),
        json!([{"level": "Alert", "message": "x", "matches": {"rulename": "y"}}]),
        json!([{"level": "Alert", "message": "x", "reasons": [7]}]),
    ] {
        assert!(read(answer.clone()).is_err(), "{answer}");
    }
    for text in ["", "<html>[]</html>", "[", "[]]", &shape_a().to_string()[..200]] {
        assert!(matches!(parse(text.as_bytes(), &sample()), Err(ShapeError::Json(_))), "{text}");
    }
}

#[test]
fn a_giant_answer_keeps_its_highest_scores_and_is_bounded() {
    let entry = |score: usize| {
        let mut entry = shape_a()[0].clone();
        entry["score"] = json!(score);
        entry["message"] = json!("ä".repeat(5000));
        entry
    };
    let findings = read((1..=200).map(entry).collect()).unwrap();
    assert_eq!(findings.len(), MOST_FINDINGS);
    assert_eq!(findings[0].score, 200);
    assert!(findings.iter().all(|finding| finding.message.len() <= LONGEST_TEXT));
}

#[test]
fn rules_that_are_not_kept_are_counted() {
    let mut flat = json!({"level": "Alert", "message": "x", "score": 80});
    for n in 1..=300 {
        flat[format!("rulename_{n}")] = json!("R");
    }
    let finding = only(json!([flat]));
    assert_eq!((finding.rules.len(), finding.rules_total), (MOST_RULES, 300));
    let reasons: Vec<_> = (0..300).map(|n| json!({"rulename": "R", "subscore": n})).collect();
    let finding = only(json!([{"level": "Alert", "message": "x", "score": 80, "matches": reasons}]));
    assert_eq!((finding.rules.len(), finding.rules_total, finding.rules[0].subscore), (MOST_RULES, 300, 299));
    flat["context"] = (0..=MOST_NAMES).map(|n| (n.to_string(), json!(0))).collect::<Object>().into();
    assert!(matches!(read(json!([flat])), Err(ShapeError::Entry(_))));
}

/// JSON with the keys and words that matter often enough to get past the first checks.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("level"),
        Just("lvl"),
        Just("meta"),
        Just("message"),
        Just("msg"),
        Just("matches"),
        Just("reasons"),
        Just("context"),
        Just("subject"),
        Just("signature"),
        Just("Alert"),
        Just("Error"),
        Just("debug"),
        Just("rulename_1"),
        Just("score"),
        Just("sha256"),
        Just("hashes"),
        Just("file"),
        Just("firstBytes"),
        Just("x"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn about_the_scanner(entry: &Value) -> bool {
    let entry = entry.as_object().unwrap();
    let level = entry.get("meta").and_then(Value::as_object).unwrap_or(entry);
    let level = text(level, &["level", "lvl"]).to_ascii_lowercase();
    level == "error" || level == "debug"
}

proptest! {
    #[test]
    fn clean_is_only_what_says_so(entries in prop::collection::vec(any_json(), 0..4)) {
        let answer = Value::from(entries);
        if let Ok(findings) = findings(&answer, &sample()) {
            let said = answer.as_array().unwrap();
            let expected = said.iter().filter(|entry| !about_the_scanner(entry)).count();
            prop_assert_eq!(findings.len(), expected);
        }
    }

    #[test]
    fn what_is_no_array_is_no_result(answer in any_json()) {
        prop_assert!(answer.is_array() || findings(&answer, &sample()).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &sample());
    }

    #[test]
    fn an_answer_cut_short_is_an_error(at in 0_usize..1000) {
        let whole = shape_d().to_string();
        let at = at.min(whole.len() - 1);
        prop_assert!(parse(&whole.as_bytes()[..at], &sample()).is_err());
    }
}
