// SPDX-License-Identifier: GPL-3.0-or-later
//! The names an expression may use, and where. The interpreter gives nil for a member that does not exist, so that a
//! typo would silently never match.

use super::tokens::{Kind, Token, is_keyword};

const ROOTS: [&str; 2] = ["FullMatch", "Matches"];
const FULL_MATCH: [&str; 6] = ["Level", "Module", "Message", "Score", "Context", "Matches"];
const CONTEXT: [&str; 10] =
    ["Ext", "File", "Firstbytes", "Md5", "ReasonsCount", "SampleID", "Sha1", "Sha256", "Size", "Type"];
const MATCH: [&str; 10] =
    ["Author", "Matched", "Reason", "Ref", "Ruledate", "Rulename", "Sigclass", "Sigtype", "Subscore", "Tags"];
const FUNCTIONS: [&str; 53] = [
    "abs",
    "all",
    "any",
    "ceil",
    "concat",
    "count",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "first",
    "flatten",
    "float",
    "floor",
    "hasPrefix",
    "hasSuffix",
    "indexOf",
    "int",
    "join",
    "last",
    "lastIndexOf",
    "len",
    "lower",
    "map",
    "max",
    "mean",
    "median",
    "min",
    "none",
    "one",
    "reduce",
    "repeat",
    "replace",
    "reverse",
    "round",
    "sort",
    "sortBy",
    "split",
    "splitAfter",
    "string",
    "sum",
    "take",
    "trim",
    "trimPrefix",
    "trimSuffix",
    "type",
    "uniq",
    "upper",
    "bitand",
    "bitor",
    "bitxor",
    "bitnot",
];
const CONSTANTS: [&str; 6] = ["true", "false", "nil", "#", "#acc", "#index"];

/// Refuses the first name that does not exist where it stands.
pub(super) fn check(tokens: &[Token<'_>]) -> Result<(), String> {
    let own: Vec<&str> =
        tokens.windows(2).filter(|pair| pair[0].is("let")).map(|pair| pair[1].text).collect();
    let unknown = (0..tokens.len()).find_map(|index| unknown(tokens, index, &own));
    unknown.map_or(Ok(()), Err)
}

/// The complaint about the token at `index`, where there is one.
fn unknown(tokens: &[Token<'_>], index: usize, own: &[&str]) -> Option<String> {
    let token = &tokens[index];
    let before = |back: usize| index.checked_sub(back).map(|index| &tokens[index]);
    let after = tokens.get(index + 1);
    let is = |token: Option<&Token<'_>>, text: &str| token.is_some_and(|token| token.is(text));
    if token.kind == Kind::Text {
        let indexed = is(before(1), "[") && is(after, "]") && before(2).is_some_and(Token::is_operand);
        return if indexed { complain(token.unquoted(), members(before(2)), "member") } else { None };
    }
    if token.kind != Kind::Name || is_keyword(token.text) {
        return None;
    }
    if is(before(1), ".") || is(before(1), "?.") {
        let owner = before(2).filter(|owner| owner.is_operand());
        return complain(token.text, owner.map_or(MATCH.to_vec(), |owner| members(Some(owner))), "member");
    }
    if is(after, "(") {
        return complain(token.text, FUNCTIONS.to_vec(), "function");
    }
    let mut roots = [&ROOTS[..], &CONSTANTS[..], own].concat();
    roots.push("$env");
    complain(token.text, roots, "name")
}

/// What may stand behind the dot after `owner`.
fn members(owner: Option<&Token<'_>>) -> Vec<&'static str> {
    match owner.map_or("", |owner| owner.text) {
        "FullMatch" => FULL_MATCH.to_vec(),
        "Context" => CONTEXT.to_vec(),
        "$env" => ROOTS.to_vec(),
        "#" => MATCH.to_vec(),
        _ => [&FULL_MATCH[..], &CONTEXT[..], &MATCH[..]].concat(),
    }
}

fn complain(name: &str, known: Vec<&str>, what: &str) -> Option<String> {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let near = |known: &&&str| known.eq_ignore_ascii_case(&name);
    if known.contains(&name.as_str()) {
        return None;
    }
    let known = known.iter().find(near).map_or_else(|| known.join(", "), |near| (*near).to_owned());
    Some(format!("unknown {what} `{name}`, expected {known}"))
}
