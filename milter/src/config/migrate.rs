// SPDX-License-Identifier: GPL-3.0-or-later
//! Turns postfix2thunderstorm's `p2t.config.yaml` into `milter.toml`, and says what will be different.
//!
//! There is one way: YAML to TOML text. `serve --config p2t.config.yaml` loads that very text, so that what `migrate`
//! prints is what runs.

use serde::{Deserialize, Deserializer, de};
use std::{
    fmt,
    path::{Component, Path},
};
use thundergate_common::config::ConfigError;

/// Where the service may write (LogsDirectory=, StateDirectory= and RuntimeDirectory= of its unit); everything else is
/// read-only for it.
const WRITABLE: [&str; 3] = ["/var/log/thundergate", "/var/lib/thundergate", "/run/thundergate"];

/// A migrated configuration.
#[derive(Debug)]
pub(crate) struct Migrated {
    /// `milter.toml`.
    pub toml: String,
    /// What an operator should know before switching over, a sentence or two each.
    pub warnings: Vec<String>,
}

/// A text that is no `p2t.config.yaml`.
#[derive(Debug, thiserror::Error)]
#[error("no configuration of postfix2thunderstorm: {message}")]
pub(crate) struct NotOurs {
    /// Where it stops being one.
    pub line: Option<u64>,
    message: String,
}

/// postfix2thunderstorm's keys, and the defaults for those that a file leaves out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Original {
    log_filepath: String,
    #[serde(deserialize_with = "number")]
    max_filesize_bytes: u64,
    active_mode: bool,
    milter_host: String,
    #[serde(deserialize_with = "number")]
    milter_port: u64,
    thorthunderstorm_url: String,
    quarantine_expression: String,
}

impl Default for Original {
    fn default() -> Self {
        Self {
            log_filepath: String::new(),
            max_filesize_bytes: 50_000_000,
            active_mode: false,
            milter_host: "127.0.0.1".to_owned(),
            milter_port: 11337,
            thorthunderstorm_url: "http://127.0.0.1:8080/api/check".to_owned(),
            quarantine_expression: "FullMatch.Score > 90".to_owned(),
        }
    }
}

impl Original {
    /// Whether the service can write the log where it was.
    fn has_usable_log(&self) -> bool {
        let path = Path::new(&self.log_filepath);
        let plain = !path.components().any(|component| component == Component::ParentDir);
        plain && WRITABLE.iter().any(|folder| path.starts_with(folder) && path != Path::new(folder))
    }
}

/// Migrates the file at `path`.
///
/// # Errors
///
/// It cannot be read or is no configuration of postfix2thunderstorm.
pub(crate) fn read(path: &Path) -> Result<Migrated, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let yaml = std::fs::read_to_string(path).map_err(unreadable)?;
    migrate(&yaml).map_err(|error| ConfigError::Invalid {
        place: error.line.map_or(path.display().to_string(), |line| format!("{}:{line}", path.display())),
        key: String::new(),
        message: error.message,
    })
}

/// Migrates the text of a `p2t.config.yaml`.
///
/// # Errors
///
/// [`NotOurs`]: no YAML, unknown keys, or values of the wrong kind.
pub(crate) fn migrate(yaml: &str) -> Result<Migrated, NotOurs> {
    let original: Original = serde_saphyr::from_str(yaml).map_err(|error| NotOurs {
        line: error.location().map(|location| location.line()),
        message: error.to_string().lines().next().unwrap_or_default().to_owned(),
    })?;
    let warnings = warnings(&original);
    Ok(Migrated { toml: print(&original, &warnings), warnings })
}

fn warnings(original: &Original) -> Vec<String> {
    let mut warnings = Vec::new();
    if uses_one(&original.quarantine_expression) {
        warnings.push(
            "one(…) means exactly one: a sample with two strong matches does not satisfy it. You probably want any(…)."
                .to_owned(),
        );
    }
    warnings.push(
        "postfix2thunderstorm accepted a message whenever something failed. Here [policy.on] decides; by default the \
         sender is asked to try again later (451). For the old behaviour set its rows to \"accept\"."
            .to_owned(),
    );
    warnings.push(format!(
        "A message above {} bytes was accepted unscanned. Here it is quarantined; see policy.on.oversize.",
        original.max_filesize_bytes
    ));
    warnings.push(
        "Fragments of messages (message/partial) were accepted. Here they are quarantined, and messages with content \
         elsewhere (message/external-body) or that clients could read in several ways are tagged; see [policy.on]."
            .to_owned(),
    );
    if !original.log_filepath.is_empty() && !original.has_usable_log() {
        warnings.push(format!(
            "log_filepath was {:?}. The service cannot write there, so the log goes to its standard output: `journalctl \
             --unit thundergate-milter`. For a file set log.file = \"/var/log/thundergate/milter.log\".",
            original.log_filepath
        ));
    }
    if !original.active_mode {
        warnings.push("active_mode was false: mode is \"passive\", nothing is quarantined.".to_owned());
    }
    warnings
}

fn uses_one(expression: &str) -> bool {
    expression.match_indices("one(").any(|(at, _)| {
        !expression[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') // none(…)
    })
}

fn print(original: &Original, warnings: &[String]) -> String {
    let host = &original.milter_host;
    let host = if host.contains(':') { format!("[{}]", host.trim_matches(['[', ']'])) } else { host.clone() };
    let size = original.max_filesize_bytes;
    let notes: String = warnings.iter().map(|warning| format!("# {warning}\n")).collect();
    let mut toml = format!(
        "# Migrated from postfix2thunderstorm. What is different:\n{notes}\n\
         listen = [{listen}]\nmode = {mode}\n\n\
         [farm]\ninstances = [{{ url = {url} }}]\n\n\
         [scan]\n# postfix2thunderstorm scanned every body and uploaded under the file's name\n\
         name_hint = \"full\"\nbodies = \"all\"\n\n\
         [policy]\nquarantine = {expression}\n\n\
         [limits]\nmessage_bytes = {size}\nsample_bytes = {size}\n",
        listen = quoted(&format!("inet:{host}:{}", original.milter_port)),
        mode = quoted(if original.active_mode { "active" } else { "passive" }),
        url = quoted(&original.thorthunderstorm_url),
        expression = quoted(&original.quarantine_expression),
    );
    if size > 1 << 30 {
        toml.push_str(&format!("memory_bytes = {size}\n"));
    }
    if original.has_usable_log() {
        let file = quoted(&original.log_filepath);
        toml.push_str(&format!(
            "\n[log]\nfile = {file}\n# the same file for ever, as before\nrotation = \"never\"\n"
        ));
    }
    toml
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A number, or a text that is one; with underscores, as Go reads it.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Number;

    impl de::Visitor<'_> for Number {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
            u64::try_from(number).map_err(|_| E::custom("expected a number that is not negative"))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            text.trim().replace('_', "").parse().map_err(|_| E::custom("expected a number"))
        }
    }

    deserializer.deserialize_any(Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, outcome::settings::Mode};
    use bytesize::ByteSize;

    const ORIGINAL: &str = "\
log_filepath: ./p2t.log
max_filesize_bytes: 50_000_000
active_mode: true
milter_host: localhost
milter_port: '11337'
thorthunderstorm_url: http://localhost:8080/api/check
quarantine_expression: one(Matches, {.Subscore > 90}) or FullMatch.Score > 90
";

    #[test]
    fn the_original_configuration_keeps_its_meaning() {
        let migrated = migrate(ORIGINAL).unwrap();
        let config = Config::from_toml(&migrated.toml).unwrap();
        assert_eq!(config.listen[0].to_string(), "inet:localhost:11337");
        assert_eq!(config.mode, Mode::Active);
        assert_eq!(config.limits.message_bytes, ByteSize::b(50_000_000));
        assert_eq!(config.policy.quarantine, "one(Matches, {.Subscore > 90}) or FullMatch.Score > 90");
        assert_eq!(config.log.file, Path::new(""));
        assert!(migrated.warnings.iter().any(|warning| warning.contains(r#"log_filepath was "./p2t.log""#)));
        assert_eq!(config.farm.unwrap().instances[0].url.as_str(), "http://localhost:8080/api/check");
        assert!(migrated.warnings[0].contains("exactly one"), "{:?}", migrated.warnings);
        assert!(migrated.warnings.iter().any(|warning| warning.contains("try again later")));
        assert!(migrated.warnings.iter().any(|warning| warning.contains("50000000 bytes")));
        assert!(migrated.warnings.iter().any(|warning| warning.contains("message/partial")));
    }

    #[test]
    fn the_printed_form_is_this() {
        let toml = migrate(ORIGINAL).unwrap().toml;
        let lines: Vec<&str> =
            toml.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                r#"listen = ["inet:localhost:11337"]"#,
                r#"mode = "active""#,
                "[farm]",
                r#"instances = [{ url = "http://localhost:8080/api/check" }]"#,
                "[scan]",
                r#"name_hint = "full""#,
                r#"bodies = "all""#,
                "[policy]",
                r#"quarantine = "one(Matches, {.Subscore > 90}) or FullMatch.Score > 90""#,
                "[limits]",
                "message_bytes = 50000000",
                "sample_bytes = 50000000",
            ]
        );
    }

    #[test]
    fn the_yaml_and_what_is_printed_from_it_are_the_same_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let (yaml, toml) = (directory.path().join("p2t.config.yaml"), directory.path().join("milter.toml"));
        std::fs::write(&yaml, ORIGINAL).unwrap();
        std::fs::write(&toml, migrate(ORIGINAL).unwrap().toml).unwrap();
        let load = |path| Config::load(Some(path)).unwrap().to_toml();
        assert_eq!(load(&yaml), load(&toml));
    }

    #[test]
    fn a_log_stays_where_the_service_can_write_it() {
        let log = |path: &str| {
            let migrated = migrate(&format!("log_filepath: {path}\n")).unwrap();
            let warned = migrated.warnings.iter().any(|warning| warning.starts_with("log_filepath"));
            let file = Config::from_toml(&migrated.toml).unwrap().log.file;
            assert_ne!(warned, !file.as_os_str().is_empty(), "{path}");
            file.display().to_string()
        };
        assert_eq!(log("/var/log/thundergate/p2t.log"), "/var/log/thundergate/p2t.log");
        for elsewhere in [
            "./p2t.log",
            "p2t.log",
            "/opt/p2t/p2t.log",
            "/var/log/p2t.log",
            "/var/log/thundergate",
            "/var/log/thundergate/../p2t.log",
            "/var/log/thundergate.log",
        ] {
            assert_eq!(log(elsewhere), "", "{elsewhere}");
        }
    }

    #[test]
    fn hostile_values_stay_values() {
        let yaml = "quarantine_expression: 'FullMatch.Message contains \"\"\"\n'\nmilter_host: ::1\n";
        let toml = migrate(yaml).unwrap().toml;
        let table: toml::Table = toml.parse().unwrap();
        assert!(
            table["policy"]["quarantine"].as_str().unwrap().starts_with("FullMatch.Message contains \"\"\"")
        );
        assert_eq!(table["listen"][0].as_str(), Some("inet:[::1]:11337"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = migrate("active_mode: true\nmilter_prot: 1\n").unwrap_err();
        assert!(error.to_string().contains("milter_prot"), "{error}");
        assert_eq!(error.line, Some(2));
    }

    #[test]
    fn none_is_not_one() {
        assert!(!uses_one("none(Matches, {.Subscore > 1})"));
        assert!(uses_one("not one(Matches, {.Subscore > 1})"));
    }
}
