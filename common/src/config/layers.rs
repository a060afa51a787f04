// SPDX-License-Identifier: GPL-3.0-or-later
//! The layers of a configuration as one long document.
//!
//! Each layer's text is parsed as if it followed the ones before it, so that the span of a value alone tells which layer
//! it came from. That is how an error names the file, line and key, or the variable, whatever was merged with what.

use super::{
    error::{ConfigError, Fault},
    words,
};
use std::{ops::Range, path::PathBuf};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What the names of variables begin with.
pub(super) const PREFIX: &str = "THUNDERGATE_";

/// What makes a variable's value a document.
const ASSIGNMENT: &str = "v = ";

/// Where a layer comes from.
pub(super) enum Place {
    Defaults,
    File(PathBuf),
    Variable(String),
}

/// One text of the long document.
pub(super) struct Layer {
    pub place: Place,
    /// The text, behind as many blanks as the layers before it are long.
    pub padded: String,
    start: usize,
}

impl Layer {
    pub(super) fn new(place: Place, text: &str, start: usize) -> Self {
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
            message: words::of_text(error.message()),
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
pub(super) struct Document<'a> {
    layers: &'a [Layer],
    pub table: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn merge(layers: &'a [Layer], verbatim: &[bool]) -> Result<Self, ConfigError> {
        let mut table = DeTable::new();
        for (layer, verbatim) in layers.iter().zip(verbatim) {
            overlay(&mut table, layer.parse(*verbatim)?);
        }
        // what is missing at the top is missing in the file, where there is one
        let file = layers.iter().rfind(|layer| !matches!(layer.place, Place::Variable(_)));
        let start = file.map_or(0, |layer| layer.start);
        Ok(Self { layers, table: Spanned::new(start..start, table) })
    }

    pub(super) fn layer_at(&self, at: usize) -> usize {
        self.layers.partition_point(|layer| layer.start <= at).saturating_sub(1)
    }

    fn position(&self, at: usize) -> String {
        self.layers.get(self.layer_at(at)).map_or_else(String::new, |layer| layer.position(at))
    }

    pub(super) fn describe(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or_else(|| self.table.span());
        let mut path = Vec::new();
        let root = self.table.get_ref();
        path_to(root, &span, &mut path);
        ConfigError::Invalid {
            place: self.position(span.start),
            message: words::of_value(&without_values(error.message()), &path, value_at(root, &path)),
            key: path.join("."),
        }
    }

    pub(super) fn blame(&self, fault: &Fault) -> ConfigError {
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

/// What stands at the end of these keys; nothing inside of arrays.
fn value_at<'t, 'a>(table: &'t DeTable<'a>, path: &[String]) -> Option<&'t DeValue<'a>> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first.as_str())?.get_ref();
    if rest.is_empty() { Some(value) } else { value_at(value.as_table()?, rest) }
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
