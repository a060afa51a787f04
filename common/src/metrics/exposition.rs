// SPDX-License-Identifier: GPL-3.0-or-later
//! `/metrics` in the format that the reader asks for: OpenMetrics, as Prometheus does, or the text format from before it,
//! which everything else reads (`curl … | promtool check metrics`, and agents of other monitoring systems). They differ
//! in what stands above the samples: OpenMetrics names a counter there without its `_total`, and has units and an end.

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::gauge::ConstGauge,
    registry::Registry,
};
use std::fmt::Write as _;

/// A format of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format, 0.0.4.
    Prometheus,
}

impl Format {
    /// The one for a request with this `Accept`; without one the older.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if open { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All of `registry`, and `thundergate_ready`: 1 where `/ready` says that the process can do its work.
pub(crate) fn write(registry: &Registry, ready: bool, format: Format) -> String {
    let mut state = Registry::default();
    state.register(
        "thundergate_ready",
        "1 where the process can do its work, as /ready says",
        ConstGauge::new(i64::from(ready)),
    );
    let mut text = String::new();
    let written = encode_registry(&mut text, registry)
        .and_then(|()| encode_registry(&mut text, &state))
        .and_then(|()| encode_eof(&mut text));
    written.expect("a String takes everything");
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => in_prometheus_format(&text),
    }
}

fn in_prometheus_format(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let _ = write!(text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{
        metrics::{counter::Counter, histogram::Histogram, info::Info},
        registry::Unit,
    };

    #[test]
    fn prometheus_and_older_readers_get_what_they_ask_for() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("*/*")), Format::Prometheus);
        assert_eq!(Format::accepted(None), Format::Prometheus);
    }

    #[test]
    fn both_formats_have_the_same_samples_under_names_of_their_own() {
        let mut registry = Registry::default();
        registry.register("mails", "Mails", Counter::<u64>::default());
        registry.register("build", "The build", Info::new(vec![("version", "1")]));
        registry.register_with_unit("wait", "Waiting", Unit::Seconds, Histogram::new([0.5]));
        let open = write(&registry, true, Format::OpenMetrics);
        assert!(open.starts_with("# HELP mails Mails.\n# TYPE mails counter\nmails_total 0\n"), "{open}");
        assert!(open.ends_with("thundergate_ready 1\n# EOF\n"), "{open}");
        let text = write(&registry, false, Format::Prometheus);
        assert!(
            text.starts_with("# HELP mails_total Mails.\n# TYPE mails_total counter\nmails_total 0\n"),
            "{text}"
        );
        for part in
            ["# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n", "# TYPE wait_seconds histogram\n"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.ends_with("thundergate_ready 0\n") && !text.contains("# UNIT"), "{text}");
        let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples(&open), samples(&text));
    }
}
