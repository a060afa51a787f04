// SPDX-License-Identifier: GPL-3.0-or-later
//! What the libraries say of a wrong value, in words that say what to write instead.

use toml::de::DeValue;

/// Ends of messages of the libraries, and what is said in their place.
const ENDS: [(&str, &str); 5] = [
    ("expected struct Instance", "is no scanner: write each as { url = \"http://scanner.example:8080\" }"),
    ("expected parsable string", "is no size: write a number and a unit, such as 30MiB, 512KiB or 1GiB"),
    ("expected a duration", "is no duration: write a number and a unit, such as 20s, 10min or 24h"),
    (
        "relative URL without a base",
        "is no URL: it begins with a scheme, such as http://scanner.example:8080",
    ),
    ("empty host", "has no host: write it as http://scanner.example:8080"),
];

/// What other programs call an action.
const ACTIONS: [(&str, &str); 6] = [
    ("defer", "tempfail"),
    ("hold", "quarantine"),
    ("drop", "discard"),
    ("pass", "accept"),
    ("refuse", "reject"),
    ("bounce", "reject"),
];

/// What is wrong with a value; `message` is serde's, without values. `place` holds the keys down to it, and `value` is what
/// stands there.
pub(super) fn of_value(message: &str, place: &[String], value: Option<&DeValue<'_>>) -> String {
    let message = message.strip_suffix(": (not shown)").unwrap_or(message);
    if let Some((_, words)) = ENDS.iter().find(|(end, _)| message.contains(end)) {
        return (*words).to_owned();
    }
    let meant = ACTIONS.iter().find(|(word, _)| message.starts_with(&format!("unknown variant `{word}`")));
    if let Some((word, action)) = meant.filter(|(_, action)| message.contains(&format!("`{action}`"))) {
        return format!("{message}; what `{word}` means is `{action}` here");
    }
    match (message.starts_with("unknown field"), place, value) {
        // `farm.instances = …` behind `[log]` is `log.farm.instances`.
        (true, [section, .., key], Some(DeValue::Table(_))) => format!(
            "{message}. A key below [{section}] belongs to that section: begin another with [{key}], or write it above the \
             first section"
        ),
        _ => message.to_owned(),
    }
}

/// What is wrong with a text that is no TOML.
pub(super) fn of_text(message: &str) -> String {
    let inside = [("inline table", "}"), ("array", "]")].into_iter().find(|(what, _)| message.contains(what));
    match inside {
        Some((what, end)) => {
            format!("{message}: is the {end} missing that ends an {what}, here or in a line before?")
        }
        None => message.to_owned(),
    }
}
