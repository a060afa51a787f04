// SPDX-License-Identifier: GPL-3.0-or-later
//! The rules behind a finding. They come as `matches` (THOR 10), as `reasons` with or without a `signature` in each
//! (jsonlog v2 and v3), or as numbered keys such as `rulename_1` (the flat shapes).

use super::{
    ShapeError,
    fields::{Object, field, number, text, texts},
};
use serde_json::Value;
use thundergate_common::verdict::Rule;

/// What a rule's name is called.
const NAMES: [&str; 4] = ["rulename", "rule_name", "rule", "name"];

/// What is called why it matched, beside a signature's description.
const REASONS: [&str; 3] = ["description", "reason", "summary"];

/// The rules of `entry`, whose details are in `context` where the shape has one, and how many it lists: of numbered ones
/// only the first are read.
pub(super) fn rules(entry: &Object, context: &Object) -> Result<(Vec<Rule>, usize), ShapeError> {
    for name in ["matches", "reasons"] {
        for object in [entry, context] {
            match field(object, &[name]) {
                None => {}
                Some(Value::Array(items)) if items.is_empty() => {}
                Some(Value::Array(items)) => {
                    let rules = items.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
                    return Ok((rules, items.len()));
                }
                Some(_) => return Err(ShapeError::Entry("its rules are no list")),
            }
        }
    }
    let whose = if is_numbered(context, 1) { context } else { entry };
    let listed = (1..).take_while(|n| is_numbered(whose, *n)).count();
    let read = 1..=listed.min(super::MOST_RULES);
    Ok((read.map(|n| described(whose, whose, &format!("_{n}"))).collect(), listed))
}

fn rule(item: &Value) -> Result<Rule, ShapeError> {
    let item = match item {
        Value::Object(item) => item,
        Value::String(reason) => return Ok(Rule { reason: reason.clone(), ..Rule::default() }),
        _ => return Err(ShapeError::Entry("one of its rules is no object")),
    };
    // jsonlog nests what the scanner knows of a rule; THOR 10 writes it beside what matched.
    let signature = match field(item, &["signature"]) {
        Some(Value::Object(signature)) => signature,
        _ => item,
    };
    Ok(described(signature, item, ""))
}

/// Rules as numbered keys: `rulename_1`, `subscore_1`, … until neither a name nor a reason has the next number.
fn is_numbered(object: &Object, n: usize) -> bool {
    let names = NAMES.iter().chain(&REASONS).map(|name| format!("{name}_{n}"));
    names.into_iter().any(|name| !text(object, &[&name]).is_empty())
}

fn described(signature: &Object, item: &Object, suffix: &str) -> Rule {
    let named = |names: &[&str]| names.iter().map(|name| format!("{name}{suffix}")).collect::<Vec<_>>();
    let from = |object: &Object, names: &[&str]| {
        let names = named(names);
        text(object, &names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let list = |object: &Object, names: &[&str], split: fn(char) -> bool| {
        let names = named(names);
        texts(field(object, &names.iter().map(String::as_str).collect::<Vec<_>>()), split)
    };
    let subscore = named(&["subscore", "score"]);
    Rule {
        name: first([from(signature, &NAMES), from(item, &NAMES)]),
        subscore: number(signature, &subscore.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_or(0),
        reason: first([from(signature, &["description"]), from(item, &["reason", "summary"])]),
        author: from(signature, &["author"]),
        reference: list(signature, &["ref", "reference", "references"], |_| false).join(", "),
        date: from(signature, &["ruledate", "date"]),
        class: from(signature, &["sigclass", "kind", "class"]),
        origin: from(signature, &["sigtype", "origin"]),
        tags: list(signature, &["tags"], |c| c.is_whitespace() || c == ','),
        matched: list(item, &["matched"], |_| false),
    }
}

fn first<const N: usize>(texts: [String; N]) -> String {
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}
