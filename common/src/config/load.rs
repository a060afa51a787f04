// SPDX-License-Identifier: GPL-3.0-or-later
//! Layers a configuration: compiled-in TOML, then a file, then the environment.
//!
//! Tables merge key by key, everything else replaces. Each layer's text is parsed as if it followed the ones before it
//! in one long document, so that the span of a value alone tells which layer it came from. That is how an error names
//! the file, line and key, or the variable, whatever was merged with what.
//!
//! `THUNDERGATE_SECTION__KEY` is the key `section.key`, `THUNDERGATE_KEY` one at the top, `THUNDERGATE_A__B__KEY` one
//! further down. Its value is TOML, or else taken as the string it is. `THUNDERGATE_CONFIG` is no key: it names the
//! file.

use serde::de::DeserializeOwned;
use std::{
    ops::Range,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

const PREFIX: &str = "THUNDERGATE_";

/// What makes a variable's value a document.
const ASSIGNMENT: &str = "v = ";

/// A configuration that cannot be used. Exit status 78 (EX_CONFIG). Holds no values, since they may be secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{place}: {key}{}{message}", if key.is_empty() { "" } else { ": " })]
    Invalid {
        /// `file:line`, or the environment variable.
        place: String,
        /// The key with its sections, `wait.deadline`; empty where the text is no TOML.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What a program finds wrong with values that are right one by one.
#[derive(Debug)]
pub struct Fault {
    /// The keys that do not go together, `wait.deadline`; the first that is set outside the defaults is named.
    pub keys: Vec<String>,
    /// What is wrong with them.
    pub message: String,
}

impl Fault {
    /// `message` about `keys`.
    pub fn new(keys: &[&str], message: impl Into<String>) -> Self {
        Self { keys: keys.iter().map(|&key| key.to_owned()).collect(), message: message.into() }
    }
}

/// The configuration from `defaults`, `file` and this process's environment.
///
/// # Errors
///
/// [`ConfigError`]; unknown keys are errors where `T` denies them.
pub fn load<T: DeserializeOwned>(defaults: &str, file: Option<&Path>) -> Result<T, ConfigError> {
    let environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    load_checked(defaults, file.map(Source::File), environment, |_| Ok(()))
}

/// What overlays the defaults.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A TOML file.
    File(&'a Path),
    /// TOML made from something else, under the name that errors call it by.
    Text(&'a str, &'a str),
}

/// As [`load`], from any environment, and with the program's own `check` of the whole.
///
/// # Errors
///
/// [`ConfigError`]; a [`Fault`] becomes one that says where the key was set.
pub fn load_checked<T: DeserializeOwned>(
    defaults: &str,
    source: Option<Source<'_>>,
    environment: impl IntoIterator<Item = (String, String)>,
    check: impl FnOnce(&T) -> Result<(), Fault>,
) -> Result<T, ConfigError> {
    let mut layers = vec![Layer::new(Place::Defaults, defaults, 0)];
    match source {
        Some(Source::File(path)) => push(&mut layers, Place::File(path.to_owned()), &read(path)?),
        Some(Source::Text(name, text)) => push(&mut layers, Place::File(name.into()), text),
        None => {}
    }
    let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| is_key(name)).collect();
    variables.sort();
    for (name, value) in variables {
        push(&mut layers, Place::Variable(name), &value);
    }
    let (document, config) = settle::<T>(&layers)?;
    check(&config).map_err(|fault| document.blame(&fault))?;
    Ok(config)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

fn is_key(name: &str) -> bool {
    name.starts_with(PREFIX) && name != "THUNDERGATE_CONFIG"
}

fn push(layers: &mut Vec<Layer>, place: Place, text: &str) {
    let start = layers.last().map_or(0, |layer| layer.padded.len());
    layers.push(Layer::new(place, text, start));
}

/// Merges and deserialises. A variable that looks like a number where a string is asked for is tried as a string.
fn settle<T: DeserializeOwned>(layers: &[Layer]) -> Result<(Document<'_>, T), ConfigError> {
    let mut verbatim = vec![false; layers.len()];
    let mut first_error = None;
    loop {
        let document = Document::merge(layers, &verbatim)?;
        let error = match T::deserialize(Deserializer::from(document.table.clone())) {
            Ok(config) => return Ok((document, config)),
            Err(error) => error,
        };
        let culprit = document.layer_at(error.span().map_or(0, |span| span.start));
        let described = first_error.unwrap_or_else(|| document.describe(&error));
        if verbatim[culprit] || !matches!(layers[culprit].place, Place::Variable(_)) {
            return Err(described);
        }
        verbatim[culprit] = true;
        first_error = Some(described);
    }
}

enum Place {
    Defaults,
    File(PathBuf),
    Variable(String),
}

/// One text of the long document.
struct Layer {
    place: Place,
    /// The text, behind as many blanks as the layers before it are long.
    padded: String,
    start: usize,
}

impl Layer {
    fn new(place: Place, text: &str, start: usize) -> Self {
        let assignment = if matches!(place, Place::Variable(_)) { ASSIGNMENT } else { "" };
        Self { place, padded: format!("{}{assignment}{text}", " ".repeat(start)), start }
    }

    fn parse(&self, verbatim: bool) -> Result<DeTable<'_>, ConfigError> {
        if let Place::Variable(name) = &self.place {
            return Ok(self.variable(name, verbatim));
        }
        let invalid = |error: toml::de::Error| ConfigError::Invalid {
            place: self.position(error.span().map_or(self.start, |span| span.start)),
            key: String::new(),
            message: error.message().to_owned(),
        };
        DeTable::parse(&self.padded).map(Spanned::into_inner).map_err(invalid)
    }

    /// The value of the variable `name`, inside the tables its name says.
    fn variable(&self, name: &str, verbatim: bool) -> DeTable<'_> {
        let value = if verbatim { None } else { self.value() };
        let string = || DeValue::String(self.padded[self.start + ASSIGNMENT.len()..].into());
        let mut value = value.unwrap_or_else(string);
        let segments: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        for (depth, segment) in segments.iter().enumerate().rev() {
            // a span of its own for each, so that an error names the right one
            let at = self.start + depth.min(ASSIGNMENT.len() - 1);
            value = DeValue::Table(single(segment, value, &(at..at + 1)));
        }
        match value {
            DeValue::Table(table) => table,
            _ => unreachable!("a split has at least one part"),
        }
    }

    fn value(&self) -> Option<DeValue<'_>> {
        let mut table = DeTable::parse(&self.padded).ok()?.into_inner();
        let value = table.remove("v")?;
        // a value with a line break could bring further keys
        table.is_empty().then(|| value.into_inner())
    }

    /// `file:line` or the name of the variable.
    fn position(&self, at: usize) -> String {
        let line = 1 + self.padded.bytes().take(at).filter(|byte| *byte == b'\n').count();
        match &self.place {
            Place::Defaults => format!("built-in defaults:{line}"),
            Place::File(path) => format!("{}:{line}", path.display()),
            Place::Variable(name) => name.clone(),
        }
    }
}

fn single<'a>(key: &str, value: DeValue<'a>, span: &Range<usize>) -> DeTable<'a> {
    let key = Spanned::new(span.clone(), key.to_owned().into());
    [(key, Spanned::new(span.clone(), value))].into_iter().collect()
}

/// All layers in one table, whose spans say what came from where.
struct Document<'a> {
    layers: &'a [Layer],
    table: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    fn merge(layers: &'a [Layer], verbatim: &[bool]) -> Result<Self, ConfigError> {
        let mut table = DeTable::new();
        for (layer, verbatim) in layers.iter().zip(verbatim) {
            overlay(&mut table, layer.parse(*verbatim)?);
        }
        // what is missing at the top is missing in the file, where there is one
        let file = layers.iter().rfind(|layer| !matches!(layer.place, Place::Variable(_)));
        let start = file.map_or(0, |layer| layer.start);
        Ok(Self { layers, table: Spanned::new(start..start, table) })
    }

    fn layer_at(&self, at: usize) -> usize {
        self.layers.partition_point(|layer| layer.start <= at).saturating_sub(1)
    }

    fn position(&self, at: usize) -> String {
        self.layers.get(self.layer_at(at)).map_or_else(String::new, |layer| layer.position(at))
    }

    fn describe(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or_else(|| self.table.span());
        let mut path = Vec::new();
        path_to(self.table.get_ref(), &span, &mut path);
        ConfigError::Invalid {
            place: self.position(span.start),
            key: path.join("."),
            message: without_values(error.message()),
        }
    }

    fn blame(&self, fault: &Fault) -> ConfigError {
        let root = self.table.get_ref();
        let set = fault.keys.iter().filter_map(|key| Some((key, span_of(root, key)?.start)));
        let named = set.clone().find(|(_, at)| self.layer_at(*at) > 0).or_else(|| set.clone().next());
        let section = || {
            let key = fault.keys.first()?;
            Some((key, span_of(root, key.split('.').next()?)?.start))
        };
        let named = named.or_else(section);
        let place = named.map_or_else(|| "configuration".to_owned(), |(_, at)| self.position(at));
        let key = named.map(|(key, _)| key).or(fault.keys.first()).cloned().unwrap_or_default();
        ConfigError::Invalid { place, key, message: fault.message.clone() }
    }
}

/// Tables merge key by key, anything else replaces; the newer key's span counts.
fn overlay<'a>(base: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, mut value) in over {
        if let (Some(DeValue::Table(old)), DeValue::Table(new)) =
            (base.remove(key.get_ref().as_ref()).map(Spanned::into_inner), value.get_mut())
        {
            let new = std::mem::replace(new, old);
            if let DeValue::Table(merged) = value.get_mut() {
                overlay(merged, new);
            }
        }
        base.insert(key, value);
    }
}

/// The keys down to the innermost value, or key, at `span`.
fn path_to(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        if key.span() == *span || path_into(value, span, path) {
            return true;
        }
        path.pop();
    }
    false
}

fn path_into(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    let inside = match value.get_ref() {
        DeValue::Table(table) => path_to(table, span, path),
        DeValue::Array(array) => array.iter().any(|element| path_into(element, span, path)),
        _ => false,
    };
    inside || value.span() == *span
}

/// Where `key` was set.
fn span_of(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let (found, value) = table.get_key_value(first)?;
    match rest {
        Some(rest) => span_of(value.get_ref().as_table()?, rest),
        None => Some(found.span()),
    }
}

/// serde quotes the value it did not like, and that may be a password.
fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(start), Some(end)) => format!("{}(not shown){}", &message[..start], &message[end + 1..]),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::time::Duration;

    const DEFAULTS: &str = "listen = [\"a\"]\n[wait]\ndeadline = \"20s\"\nsessions = 50\n";

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Program {
        listen: Vec<String>,
        wait: Wait,
        redis: Option<crate::config::Redis>,
        farm: Option<crate::config::Farm>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wait {
        #[serde(with = "humantime_serde")]
        deadline: Duration,
        sessions: usize,
    }

    fn with(file: &str, environment: &[(&str, &str)]) -> Result<Program, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("milter.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let check = |program: &Program| {
            let fault = Fault::new(&["wait.sessions", "wait.deadline"], "too many sessions for the deadline");
            if program.wait.sessions > 100 && program.wait.deadline.is_zero() { Err(fault) } else { Ok(()) }
        };
        load_checked(DEFAULTS, Some(Source::File(&path)), environment, check)
            .map_err(|error| error.to_string().replace(directory.path().to_str().unwrap(), "DIR"))
    }

    #[test]
    fn a_file_overrides_defaults_and_the_environment_both() {
        let program = with(
            "listen = [\"b\", \"c\"]\n[wait]\nsessions = 7\n",
            &[("THUNDERGATE_WAIT__SESSIONS", "9"), ("THUNDERGATE_WAIT__DEADLINE", "30s"), ("HOME", "/root")],
        )
        .unwrap();
        assert_eq!(program.listen, ["b", "c"]);
        assert_eq!((program.wait.sessions, program.wait.deadline), (9, Duration::from_secs(30)));
    }

    #[test]
    fn a_section_can_come_from_the_environment_alone() {
        let program = with(
            "",
            &[
                ("THUNDERGATE_CONFIG", "/etc/x.toml"),
                ("THUNDERGATE_FARM__INSTANCES", r#"[{ url = "http://storm1:8080" }]"#),
                ("THUNDERGATE_FARM__TIMEOUT", "5s"),
                ("THUNDERGATE_LISTEN", r#"["d"]"#),
                ("THUNDERGATE_REDIS__PREFIX", "1"),
                ("THUNDERGATE_REDIS__URL", "redis://:p@host"),
            ],
        )
        .unwrap();
        assert_eq!(program.listen, ["d"]);
        assert_eq!(program.redis.unwrap().prefix, "1");
        assert_eq!(program.farm.unwrap().instances[0].name(), "storm1:8080");
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        let error = |file| with(file, &[]).unwrap_err();
        assert_eq!(
            error("\n[wait]\n\ndeadline = \"soon\"\n"),
            "DIR/milter.toml:4: wait.deadline: invalid value: string (not shown), expected a duration"
        );
        assert!(
            error("[wait]\nsesions = 1\n")
                .starts_with("DIR/milter.toml:2: wait.sesions: unknown field `sesions`"),
        );
        assert!(error("wait = 1\n").starts_with("DIR/milter.toml:1: wait: "));
        assert!(error("[wait\n").starts_with("DIR/milter.toml:1: "));
        assert_eq!(error("\n[farm]\n"), "DIR/milter.toml:2: farm: missing field `instances`");
    }

    #[test]
    fn an_error_names_the_variable() {
        let error = |name, value| with("", &[(name, value), ("THUNDERGATE_LISTEN", "[]")]).unwrap_err();
        let message = error("THUNDERGATE_WAIT__SESSIONS", "many");
        assert!(message.starts_with("THUNDERGATE_WAIT__SESSIONS: wait.sessions: invalid type"), "{message}");
        let message = error("THUNDERGATE_WIAT__SESSIONS", "1");
        assert!(message.starts_with("THUNDERGATE_WIAT__SESSIONS: wiat: unknown field"), "{message}");
        let message = error("THUNDERGATE_WAIT__SESSIONS", "1\n[redis]\nurl = 1");
        assert!(message.starts_with("THUNDERGATE_WAIT__SESSIONS: wait.sessions: "), "{message}");
    }

    #[test]
    fn values_that_contradict_each_other_are_found_where_they_were_set() {
        let zero = ("THUNDERGATE_WAIT__DEADLINE", "0s");
        let too_many = "wait.sessions: too many sessions for the deadline";
        assert_eq!(
            with("[wait]\nsessions = 101", &[zero]).unwrap_err(),
            format!("DIR/milter.toml:2: {too_many}")
        );
        assert_eq!(
            with("", &[("THUNDERGATE_WAIT__SESSIONS", "101"), zero]).unwrap_err(),
            format!("THUNDERGATE_WAIT__SESSIONS: {too_many}")
        );
    }

    #[test]
    fn an_error_never_shows_a_secret() {
        let file = "[farm]\ninstances = [{ url = \"https://user:secret@st orm\" }]\n";
        let message = with(file, &[]).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
        assert!(message.starts_with("DIR/milter.toml:2: farm.instances.url: "), "{message}");
        let message = with("[redis]\nurl = \"redis://:secret@host\n", &[]).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Program>(DEFAULTS, Some(Path::new("/nowhere/milter.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/milter.toml: cannot be read");
    }
}
