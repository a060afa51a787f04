// SPDX-License-Identifier: GPL-3.0-or-later
//! How an event becomes a line: fields are collected as JSON values, in their order, and written as one JSON object or
//! as text for people.

use super::{
    INDISCREET,
    cut::{self, LONGEST},
    journal,
};
use crate::terminal::without_controls;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io::{self, Write},
    ops::Range,
    time::SystemTime,
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Ending of a field's name that says: this text is JSON.
const STRUCTURE: &str = ".json";

/// Names that a line has of its own.
const OWN: [&str; 4] = ["time", "level", "msg", "target"];

/// Says that values of the line were cut.
const TRUNCATED: &str = "truncated";

/// More than a line has beside its target, its fields and what its message says: time, level, priority, [`TRUNCATED`].
const AROUND: usize = 256;

/// Room for what most lines hold.
const USUAL: usize = 1024;

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// As JSON; else as text for people.
    pub(super) json: bool,
    /// With the journal's priority before them.
    pub(super) priorities: bool,
}

/// A line that is no event of `tracing`: no filter keeps it away.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What wrote it.
    pub target: &'static str,
    /// A sentence that can be read alone.
    pub message: String,
    /// Its fields.
    pub fields: Vec<(&'static str, String)>,
}

impl Entry {
    /// As it is written.
    pub(super) fn line(&self, form: Form) -> String {
        let mut fields = Fields { message: self.message.clone(), ..Fields::default() };
        for (name, text) in &self.fields {
            fields.set(*name, |shown| json(shown, text));
        }
        Lines { form, writer: io::sink() }.line(Level::INFO, self.target, &fields)
    }
}

/// Writes one line an event to `W`.
pub(super) struct Lines<W> {
    form: Form,
    writer: W,
}

impl<W> Lines<W> {
    pub(super) fn new(form: Form, writer: W) -> Self {
        Self { form, writer }
    }

    fn line(&self, level: Level, target: &str, fields: &Fields) -> String {
        let line = self.written(level, target, fields);
        if line.len() <= LONGEST { line } else { self.written(level, target, &fields.cut(target)) }
    }

    fn written(&self, level: Level, target: &str, fields: &Fields) -> String {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        let mut line = String::with_capacity(fields.shown.len() + USUAL);
        if self.form.priorities {
            line.push_str(journal::priority(level));
        }
        if self.form.json {
            fields.to_json(&mut line, time, level, target);
        } else {
            fields.to_text(&mut line, time, level, target);
        }
        line
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + Clone + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // An event that came from the crate `log` has its target and its place in the source in fields.
        let logged = event.normalized_metadata();
        let metadata = logged.as_ref().unwrap_or_else(|| event.metadata());
        let (level, target) = (*metadata.level(), metadata.target());
        if level > Level::WARN && target.starts_with(INDISCREET) {
            return;
        }
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                outer.iter().for_each(|(name, shown)| fields.set(name.clone(), |text| text.push_str(shown)));
            }
        }
        event.record(&mut fields);
        if logged.is_some() {
            fields.entries.retain(|(name, _)| !name.starts_with("log."));
        }
        // a line that cannot be written is lost: there is nowhere left to say so
        let _ = self.writer.clone().write_all(self.line(level, target, &fields).as_bytes());
    }
}

/// Fields by name, in the order in which they came; the last value of a name counts.
#[derive(Default)]
struct Fields {
    message: String,
    /// All values as they stand in a line, one behind the other.
    shown: String,
    entries: Vec<(Cow<'static, str>, Range<usize>)>,
}

impl Fields {
    fn iter(&self) -> impl Iterator<Item = (&Cow<'static, str>, &str)> {
        self.entries.iter().map(|(name, range)| (name, &self.shown[range.clone()]))
    }

    fn set(&mut self, name: impl Into<Cow<'static, str>>, show: impl FnOnce(&mut String)) {
        let (name, start) = (name.into(), self.shown.len());
        if self.shown.capacity() == 0 {
            self.shown.reserve(USUAL);
        }
        show(&mut self.shown);
        let range = start..self.shown.len();
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = range,
            None => self.entries.push((name, range)),
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        let name = field.name();
        if name == "message" {
            text.clone_into(&mut self.message);
            return;
        }
        match name.strip_suffix(STRUCTURE) {
            Some(name) if is_json(text) => self.set(name, |shown| on_one_line(shown, text)),
            _ => self.value(field, text),
        }
    }

    fn value(&mut self, field: &Field, value: impl Serialize) {
        let name = field.name();
        let own = OWN.contains(&name);
        let name = if own { Cow::from(format!("field.{name}")) } else { Cow::from(name) };
        self.set(name, |shown| json(shown, value));
    }

    /// The same with its longest values cut, so that its line is no longer than [`LONGEST`] in either form.
    fn cut(&self, target: &str) -> Self {
        let names: usize = self.entries.iter().map(|(name, _)| name.len() + r#","":"#.len()).sum();
        let room = LONGEST.saturating_sub(AROUND + target.len() + names);
        let values = self.entries.iter().map(|(_, range)| range.len());
        let most = cut::share(values.chain([cut::escaped(&self.message)]), room);
        let mut fields = Self { message: cut::plain(&self.message, most).to_owned(), ..Self::default() };
        for (name, shown) in self.iter() {
            fields.set(name.clone(), |text| text.push_str(&cut::json(shown, most)));
        }
        fields.set(TRUNCATED, |text| text.push_str("true"));
        fields
    }

    fn to_json(&self, line: &mut String, time: impl fmt::Display, level: Level, target: &str) {
        // writing to a string cannot fail
        let _ = write!(line, r#"{{"time":"{time}","level":"{}","msg":"#, name_of(level));
        json(line, &self.message);
        line.push_str(r#","target":"#);
        json(line, target);
        for (name, shown) in self.iter() {
            line.push(',');
            json(line, name);
            line.push(':');
            line.push_str(shown);
        }
        line.push_str("}\n");
    }

    fn to_text(&self, line: &mut String, time: impl fmt::Display, level: Level, target: &str) {
        let _ = write!(line, "{time} {:<7} ", name_of(level));
        without_controls(line, &self.message);
        for (name, shown) in self.iter() {
            let word = shown.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let _ = write!(line, " {name}={}", word.filter(|word| is_word(word)).unwrap_or(shown));
        }
        let _ = writeln!(line, " [{target}]");
    }
}

/// Appends `value` as JSON.
fn json(line: &mut String, value: impl Serialize) {
    // texts and numbers always serialise
    let _ = serde_json::to_writer(WithoutControls(line), &value);
}

/// Appends JSON text on one line: line breaks are allowed only between its tokens, where a blank does as well.
fn on_one_line(line: &mut String, text: &str) {
    if text.contains(['\n', '\r', '\t']) {
        without_controls(line, &text.replace(['\n', '\r', '\t'], " "));
    } else {
        without_controls(line, text);
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The line's end, for a serialiser.
struct WithoutControls<'a>(&'a mut String);

impl Write for WithoutControls<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        without_controls(self.0, std::str::from_utf8(bytes).map_err(io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\'))
}

fn name_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match fmt::format(format_args!("{value:?}")) {
            text if field.name() == "message" => self.message = text,
            text => self.text(field, &text),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        // durations in milliseconds are of this type, and no real one is larger than this
        self.value(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(value), |error| error.source());
        self.text(field, &causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    }
}

#[cfg(test)]
mod tests;
