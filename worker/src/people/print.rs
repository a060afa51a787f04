// SPDX-License-Identifier: GPL-3.0-or-later
//! What goes to standard output, and how times are written there.

use super::error::PeopleError;
use std::{
    fmt::Display,
    io::Write as _,
    time::{Duration, UNIX_EPOCH},
};
use thundergate_common::terminal;

/// Prints a line. Whoever closed the pipe (`… | head`) wanted no more of them.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints lines.
pub(crate) fn say_all(lines: &[String]) {
    lines.iter().for_each(say);
}

/// Prints any value as indented JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), PeopleError> {
    say(terminal::json(value, true)?);
    Ok(())
}

/// How many columns standard output has; none where it is no terminal, or one that does not say.
pub(crate) fn width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
}

/// An instant, to the second.
pub(crate) fn time(ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    // RFC 3339 ends with the year 9999.
    let at = at.filter(|at| *at < UNIX_EPOCH + Duration::from_secs(253_402_300_800)).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// How long ago an instant was, in two units at most, the coarser the longer.
pub(crate) fn age(ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(ms) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        (1..10, _, _) => format!("{days}d {}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// A span of time, to the tenth of a second.
pub(crate) fn span(ms: u64) -> String {
    format!("{:.1} s", Duration::from_millis(ms).as_secs_f64())
}

/// `text`, or a dash where there is none.
pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// `count` of something, in its right number.
pub(crate) fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_to_the_second_and_ages_as_coarse_as_they_are_old() {
        assert_eq!(time(1_764_376_000_999), "2025-11-29T00:26:40Z");
        assert_eq!(time(u64::MAX), "1970-01-01T00:00:00Z", "what no clock says");
        let ages = [59_000, 61_000, 7_300_000, 90_061_000, 864_000_000];
        let ages = ages.map(|past| age(1000, 1000 + past));
        assert_eq!(ages, ["59s", "1m", "2h 1m", "1d 1h", "10d"]);
        assert_eq!(age(5000, 1000), "0s", "another clock is ahead");
        assert_eq!(span(2340), "2.3 s");
    }
}
