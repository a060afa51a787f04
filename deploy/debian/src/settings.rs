// SPDX-License-Identifier: GPL-3.0-or-later
//! man5: the commented defaults of a program as a page.
//!
//! In these files a comment stands above the key or the `[section]` that it explains; keys below each other share one.
//! Keys and sections that are not set by default are commented out. Within a comment, lines that are indented by three
//! are terms, with what is said of each to the right and below.

use roff::{Roff, bold, roman};

/// A piece of the file.
#[derive(Debug, PartialEq)]
enum Block<'a> {
    /// `[farm]`
    Section(&'a str),
    /// A comment that explains what was begun above.
    Text(Vec<&'a str>),
    /// Keys with their values, and the comment above them.
    Keys(Vec<(&'a str, &'a str)>, Vec<&'a str>),
}

/// The page of `program`'s configuration.
pub fn page(program: &str, defaults: &str) -> Roff {
    let name = format!("{program}.toml");
    let short = program.trim_start_matches("thundergate-");
    let source = concat!("thundergate ", env!("CARGO_PKG_VERSION"));
    let mut page = Roff::new();
    page.control("TH", [name.as_str(), "5", "", source, "thundergate"]);
    page.control("SH", ["NAME"]).text([roman(format!("{name} - configuration of {program}(8)"))]);
    page.control("SH", ["SYNOPSIS"]).text([bold(format!("/etc/thundergate/{short}.toml"))]);
    page.control("SH", ["DESCRIPTION"]);
    let mut in_section = false;
    for block in blocks(defaults) {
        match block {
            Block::Section(section) => {
                in_section = true;
                page.control("SH", [format!("[{section}]").as_str()]);
            }
            Block::Text(lines) => {
                page.control("PP", []);
                prose(&mut page, &lines);
            }
            Block::Keys(keys, lines) => {
                if !in_section {
                    page.control("SH", ["OUTSIDE OF SECTIONS"]);
                    in_section = true;
                }
                for (number, (key, value)) in keys.into_iter().enumerate() {
                    page.control(if number == 0 { "TP" } else { "TQ" }, []);
                    page.text([bold(key), roman(format!(" = {value}"))]);
                }
                prose(&mut page, &lines);
            }
        }
    }
    page.control("SH", ["SEE ALSO"]).text([roman(format!(
        "{program}(8); {program} check says whether a file is right and prints what holds in the end."
    ))]);
    page
}

fn blocks(defaults: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut comment = Vec::new();
    for line in defaults.lines() {
        let text = line.strip_prefix('#').map_or(line, |text| text.strip_prefix(' ').unwrap_or(text));
        if let Some(section) = section(text) {
            blocks.push(Block::Section(section));
            blocks.push(Block::Text(std::mem::take(&mut comment)));
        } else if let Some(setting) = setting(text) {
            match blocks.last_mut() {
                Some(Block::Keys(keys, _)) if comment.is_empty() => keys.push(setting),
                _ => blocks.push(Block::Keys(vec![setting], std::mem::take(&mut comment))),
            }
        } else if line.starts_with('#') {
            comment.push(text);
        } else {
            blocks.push(Block::Text(std::mem::take(&mut comment)));
        }
    }
    blocks.retain(|block| *block != Block::Text(Vec::new()));
    blocks
}

fn section(text: &str) -> Option<&str> {
    let name = text.strip_prefix('[')?.strip_suffix(']')?;
    is_name(name).then_some(name)
}

fn setting(text: &str) -> Option<(&str, &str)> {
    text.split_once(" = ").filter(|(key, _)| is_name(key))
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_.".contains(&byte))
}

/// Running text, with the terms in it as a list.
fn prose(page: &mut Roff, lines: &[&str]) {
    let mut in_list = false;
    for line in lines {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if indent == 2 {
            page.control(if in_list { "TP" } else { "RS" }, []);
            if !in_list {
                page.control("TP", []);
                in_list = true;
            }
            let (term, said) = text.split_once("  ").unwrap_or((text, ""));
            page.text([bold(term)]);
            if !said.is_empty() {
                page.text([roman(said.trim_start())]);
            }
        } else {
            if in_list && indent == 0 {
                page.control("RE", []);
                in_list = false;
            }
            page.text([roman(text)]);
        }
    }
    if in_list {
        page.control("RE", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(defaults: &str) -> Vec<String> {
        let blocks = blocks(defaults);
        let mut section = String::new();
        let mut found = Vec::new();
        for block in blocks {
            match block {
                Block::Section(name) => section = format!("{name}."),
                Block::Keys(keys, _) => found.extend(keys.iter().map(|(key, _)| format!("{section}{key}"))),
                Block::Text(_) => {}
            }
        }
        found
    }

    /// All keys that a TOML file sets.
    fn set(prefix: &str, table: &toml::Table) -> Vec<String> {
        let one = |(key, value): (&String, &toml::Value)| match value {
            toml::Value::Table(table) => set(&format!("{prefix}{key}."), table),
            _ => vec![format!("{prefix}{key}")],
        };
        table.iter().flat_map(one).collect()
    }

    #[test]
    fn every_key_of_the_defaults_is_on_the_page() {
        for defaults in [thundergate_milter::config::DEFAULTS, thundergate_worker::config::DEFAULTS] {
            let found = keys(defaults);
            let expected = set("", &defaults.parse().expect("the defaults are TOML"));
            assert!(expected.len() > 20);
            for key in expected {
                assert!(found.contains(&key), "{key} is missing");
            }
            assert!(found.contains(&"farm.quorum".to_owned()), "what is commented out is there, too");
        }
    }

    #[test]
    fn terms_in_a_comment_become_a_list() {
        let page = page(
            "thundergate-x",
            "# Head.\n\n# Of each:\n#   url   where\n#         it is\n#   a, b\n#         both\nkey = 1\n",
        );
        let page = page.to_roff();
        assert!(page.contains(".TP\n\\fBkey\\fR = 1\nOf each:\n.RS\n.TP\n\\fBurl\\fR\nwhere\nit is\n.TP\n\\fBa, b\\fR\nboth\n.RE"), "{page}");
    }
}
