// SPDX-License-Identifier: GPL-3.0-or-later
//! Lenient access to JSON objects: names in any spelling, `null` as if absent, numbers that may be strings.

use serde_json::{Map, Value};

/// A JSON object as the scanner sends it.
pub(crate) type Object = Map<String, Value>;

/// The first of `names` that is there and not null, whatever its upper and lower case.
pub(crate) fn field<'a>(object: &'a Object, names: &[&str]) -> Option<&'a Value> {
    let exact = |name: &&str| object.get(*name).filter(|value| !value.is_null());
    let any_case = |name: &&str| {
        let spelt = |(key, value): &(&String, &Value)| key.eq_ignore_ascii_case(name) && !value.is_null();
        object.iter().find(spelt).map(|(_, value)| value)
    };
    names.iter().find_map(|name| exact(name).or_else(|| any_case(name)))
}

/// A text; numbers and truth values as JSON writes them, anything else as the empty text.
pub(crate) fn text(object: &Object, names: &[&str]) -> String {
    field(object, names).and_then(scalar).unwrap_or_default()
}

/// A whole number, also written as a fraction or in a string.
pub(crate) fn number(object: &Object, names: &[&str]) -> Option<i64> {
    match field(object, names)? {
        // `as` saturates, and makes 0 of what is not a number.
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|n| n.round() as i64)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|n| n.round() as i64))
        }
        _ => None,
    }
}

/// A number that counts something, 0 where there is none.
pub(crate) fn count(object: &Object, names: &[&str]) -> u64 {
    number(object, names).and_then(|n| n.try_into().ok()).unwrap_or(0)
}

/// A list of texts: an array of them, of objects that hold one as `data`, or one text that `split` takes apart.
pub(crate) fn texts(value: Option<&Value>, split: fn(char) -> bool) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(data).collect(),
        Some(Value::String(text)) => {
            text.split(split).map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
        }
        Some(other) => data(other).into_iter().collect(),
        None => Vec::new(),
    }
}

/// `"x"`, `{"data": "x"}` and `{"data": {"data": "x", "encoding": "plain"}}` are all `x`.
fn data(value: &Value) -> Option<String> {
    let mut value = value;
    while let Value::Object(object) = value {
        value = field(object, &["data", "value"])?;
    }
    scalar(value)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_null_does_not_hide_another_spelling() {
        let both = object(json!({"firstBytes": null, "firstbytes": "4d5a"}));
        assert_eq!(text(&both, &["firstBytes"]), "4d5a");
        assert_eq!(text(&object(json!({"FIRSTBYTES": "4d5a"})), &["firstBytes"]), "4d5a");
    }

    #[test]
    fn numbers_come_in_many_forms() {
        let score = |value: Value| number(&object(json!({ "score": value })), &["score"]);
        assert_eq!(score(json!(75)), Some(75));
        assert_eq!(score(json!(74.6)), Some(75));
        assert_eq!(score(json!(" 75 ")), Some(75));
        assert_eq!(score(json!(-20)), Some(-20));
        assert_eq!(score(json!(u64::MAX)), Some(i64::MAX));
        assert_eq!(score(json!([])), None);
    }

    #[test]
    fn a_list_of_texts_is_strings_objects_or_one_string() {
        let space = char::is_whitespace;
        assert_eq!(texts(Some(&json!(["a", {"data": "b"}])), space), ["a", "b"]);
        assert_eq!(texts(Some(&json!([{"data": {"data": "c", "encoding": "hex"}}])), space), ["c"]);
        assert_eq!(texts(Some(&json!("EXE HKTL")), space), ["EXE", "HKTL"]);
        assert!(texts(Some(&json!({"data": null})), space).is_empty());
        assert!(texts(None, space).is_empty());
    }
}
