// SPDX-License-Identifier: GPL-3.0-or-later
//! How an event becomes a line: fields are collected as JSON values, in their order, and written as one JSON object or
//! as text for people.

use super::INDISCREET;
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

/// Room for what most lines hold.
const USUAL: usize = 1024;

/// Writes one line an event to `W`.
pub(super) struct Lines<W> {
    json: bool,
    writer: W,
}

impl<W: Write + Clone> Lines<W> {
    pub(super) fn new(json: bool, writer: W) -> Self {
        Self { json, writer }
    }

    fn line(&self, level: Level, target: &str, fields: &Fields) -> String {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        if self.json { fields.to_json(time, level, target) } else { fields.to_text(time, level, target) }
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

    fn to_json(&self, time: impl fmt::Display, level: Level, target: &str) -> String {
        let mut line = String::with_capacity(self.shown.len() + USUAL);
        // writing to a string cannot fail
        let _ = write!(line, r#"{{"time":"{time}","level":"{}","msg":"#, name_of(level));
        json(&mut line, &self.message);
        line.push_str(r#","target":"#);
        json(&mut line, target);
        for (name, shown) in self.iter() {
            line.push(',');
            json(&mut line, name);
            line.push(':');
            line.push_str(shown);
        }
        line.push_str("}\n");
        line
    }

    fn to_text(&self, time: impl fmt::Display, level: Level, target: &str) -> String {
        let mut line = format!("{time} {:<7} ", name_of(level));
        without_controls(&mut line, &self.message);
        for (name, shown) in self.iter() {
            let word = shown.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let _ = write!(line, " {name}={}", word.filter(|word| is_word(word)).unwrap_or(shown));
        }
        let _ = writeln!(line, " [{target}]");
        line
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

/// JSON allows DEL, C1 controls and Unicode's line ends in a string, and log viewers break lines at some of them.
/// `\uXXXX` means the same inside a JSON string.
fn without_controls(line: &mut String, text: &str) {
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return line.push_str(text);
    }
    for c in text.chars() {
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
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
mod tests {
    use super::*;
    use serde_json::Value;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let subscriber = tracing_subscriber::registry().with(Lines::new(json, memory.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_flat_json_with_the_keys_that_people_alert_on() {
        let line = logged(true, || {
            let span = tracing::info_span!("message", queue.id = "4XyZ", level = 3).entered();
            let recipients = r#"["a@b.example","c@d.example"]"#;
            tracing::warn!(score = 95, ratio = 0.5, held = true, recipients.json = recipients, "Finding");
            drop(span);
        });
        assert!(line.starts_with(r#"{"time":"20"#) && line.ends_with("}\n"), "{line}");
        assert!(line.contains(r#""level":"warning","msg":"Finding""#), "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["queue.id"], "4XyZ");
        assert_eq!(value["field.level"], 3);
        assert_eq!(value["score"], 95);
        assert_eq!(value["held"], true);
        assert_eq!(value["recipients"][1], "c@d.example");
        assert!(value["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn what_is_no_json_stays_a_text() {
        let line = logged(true, || tracing::info!(parts.json = "[1,", "x"));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["parts.json"], "[1,");
    }

    #[test]
    fn no_value_can_break_a_line() {
        let hostile = "a\r\n{\"level\":\"error\"}\u{85}\u{2028}\u{1b}[31m\u{7f}\u{202e}";
        let structure = serde_json::to_string_pretty(&[hostile]).unwrap();
        for json in [true, false] {
            let line = logged(json, || tracing::warn!(name = hostile, names.json = structure, "{hostile}"));
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(line.trim_end_matches('\n').chars().all(|c| !c.is_control()), "{line:?}");
            assert!(!line.contains(['\u{2028}', '\u{202e}']), "{line:?}");
            if json {
                let value: Value = serde_json::from_str(&line).unwrap();
                assert_eq!((value["name"].as_str(), value["msg"].as_str()), (Some(hostile), Some(hostile)));
                assert_eq!(value["names"][0], hostile);
            }
        }
    }

    #[test]
    fn an_error_tells_its_causes() {
        let cause = std::io::Error::other("connection refused");
        let error = crate::hub::HubError::Unavailable(Box::new(cause));
        let error = &error as &(dyn std::error::Error + 'static);
        let line = logged(false, || tracing::error!(error, "The hub is gone"));
        assert!(
            line.contains(r#"error   The hub is gone error="hub unavailable: connection refused""#),
            "{line}"
        );
    }

    #[test]
    fn a_line_of_the_crate_log_looks_like_any_other() {
        use tracing_log::log::{Level, Record};
        let record = |level, target| {
            let mut record = Record::builder();
            record.level(level).target(target).file(Some("/build/library.rs")).line(Some(7));
            record.args(format_args!("trouble"));
            tracing_log::format_trace(&record.build()).unwrap();
        };
        let line = logged(true, || record(Level::Warn, "library::tls"));
        assert!(line.ends_with("\"msg\":\"trouble\",\"target\":\"library::tls\"}\n"), "{line}");
        assert_eq!(logged(true, || record(Level::Debug, "indymilter::session")), "");
    }

    #[test]
    fn the_milter_library_cannot_log_mails() {
        let line = logged(true, || {
            tracing::trace!(target: "indymilter::session", "whole mail");
            tracing::warn!(target: "indymilter", "trouble");
        });
        assert!(!line.contains("whole mail") && line.contains("trouble"), "{line}");
    }
}
