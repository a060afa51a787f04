// SPDX-License-Identifier: GPL-3.0-or-later
//! How long a check may take, and how it is told.

use super::cause::with_causes;
use crate::{
    api::check::{Finding, Level, Report},
    config::{ConfigError, Fault},
    telemetry, terminal,
};
use std::{path::Path, time::Duration};

/// No part of a check takes longer.
pub const PATIENCE: Duration = Duration::from_secs(9);

/// Where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "/run/credentials/";

impl Report {
    /// What `program` found.
    pub fn of(program: &str, findings: Vec<Finding>) -> Self {
        Self { program: program.to_owned(), process: telemetry::process_name(), findings }
    }

    /// For people: a line a finding, and below it what to do.
    pub fn as_text(&self) -> String {
        self.findings.iter().map(Finding::as_text).collect()
    }
}

impl Finding {
    /// A configuration that cannot be used.
    pub fn of_config(error: &ConfigError) -> Self {
        let subject = match error {
            ConfigError::Unreadable { .. } => "config",
            ConfigError::Invalid { key, .. } if key.is_empty() => "config",
            ConfigError::Invalid { key, .. } => key,
        };
        let place = match error {
            ConfigError::Invalid { place, message, .. } => format!("{message} ({place})"),
            ConfigError::Unreadable { .. } => with_causes(error),
        };
        Self::of_words(subject, place)
    }

    /// Values that do not go together, or a file that cannot be used.
    pub fn of_fault(fault: &Fault) -> Self {
        Self::of_words(&fault.keys.join(", "), fault.message.clone())
    }

    fn of_words(subject: &str, text: String) -> Self {
        let unreadable = text.contains("cannot be read");
        if unreadable && text.contains(CREDENTIALS) {
            return Self::new(
                Level::Unavailable,
                subject,
                format!("{text}; it is a credential, which systemd shows to the service alone"),
                "ask the service that runs: `thundergate check`",
            );
        }
        let cure = if unreadable {
            "make the file readable for the user thundergate, or correct its name".to_owned()
        } else {
            format!("correct {subject}")
        };
        Self::new(Level::Wrong, subject, text, cure)
    }

    fn as_text(&self) -> String {
        let level = self.level.as_str();
        let mut lines = format!("{level:11} {}: {}\n", shown(&self.subject), shown(&self.text));
        if !self.cure.is_empty() {
            lines.push_str(&format!("{:11} -> {}\n", "", shown(&self.cure)));
        }
        lines
    }
}

impl Level {
    /// As it is printed and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unavailable => "unavailable",
            Self::Wrong => "wrong",
        }
    }
}

/// Names, answers and errors come from Redis, scanners and the MTA: on one line, whatever they hold.
fn shown(text: &str) -> String {
    terminal::legible(&text.replace('\n', " "))
}

/// What looking at `subject` found, or that it took too long.
pub async fn in_time(subject: &str, looking: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let late = |_| {
        let text = format!("no end after {} s", PATIENCE.as_secs());
        vec![Finding::new(Level::Unavailable, subject, text, "look at the network, and try again")]
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(late)
}

/// Whether only the service itself can read `file`.
pub(crate) fn is_credential(file: &Path) -> bool {
    file.starts_with(CREDENTIALS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_level_subject_text_and_below_it_what_to_do() {
        let findings = vec![
            Finding::ok("redis.url", "Redis 7.0.15"),
            Finding::new(Level::Wrong, "listen", "in use\u{1b}[2J", "end the other program"),
        ];
        let report = Report::of("milter", findings);
        assert_eq!(report.status(), 78);
        let text = report.as_text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ok          redis.url: Redis 7.0.15");
        assert!(lines[1].starts_with("wrong       listen: in use") && !lines[1].contains('\u{1b}'), "{text}");
        assert_eq!(lines[2], "            -> end the other program");
    }

    #[test]
    fn a_credential_of_the_service_is_not_called_wrong() {
        let of = |file: &str| {
            let message = format!("{file} cannot be read: Permission denied (os error 13)");
            Finding::of_fault(&Fault::new(&["redis.password_file"], message))
        };
        let credential = of("/run/credentials/thundergate-milter.service/redis-password");
        assert_eq!(credential.level, Level::Unavailable);
        assert!(credential.cure.contains("thundergate check"), "{credential:?}");
        assert_eq!(of("/etc/thundergate/password").level, Level::Wrong);
    }
}
