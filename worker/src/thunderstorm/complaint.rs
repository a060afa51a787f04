// SPDX-License-Identifier: GPL-3.0-or-later
//! A call that failed, as an administrator reads it: what happened, with its causes, and what to do.

use super::error::{CallError, with_causes};
use thundergate_common::{
    api::check::Level,
    check::cause::{Cause, Server, root_of},
};

const SCANNER: Server<'_> = Server {
    what: "the scanner",
    url_key: "farm.instances",
    section: "farm",
    plain: "http:// instead of https://",
};

/// What is wrong with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Whether the configuration is wrong, or the server is away.
    pub level: Level,
    /// What happened.
    pub text: String,
    /// What to do.
    pub cure: String,
}

impl CallError {
    /// What people are told of it.
    pub fn complaint(&self) -> Complaint {
        let all = with_causes(self);
        // Between what happened and why, the HTTP client says how it is built.
        let text = match self {
            Self::Unreachable(cause) | Self::Broken(cause) => format!("{self}: {}", root_of(&**cause)),
            _ => all.clone(),
        };
        let (level, cure) = match self {
            Self::Unreachable(_) => {
                let cause = Cause::of(&all);
                (cause.level(), cause.cure(SCANNER))
            }
            Self::Broken(_) => (
                Level::Unavailable,
                "look whether the url in farm.instances has the right port, and begins with https:// where \
                 the server speaks TLS; then at the scanner's log"
                    .to_owned(),
            ),
            Self::Timeout => (Level::Unavailable, Cause::Late.cure(SCANNER)),
            Self::NoApi | Self::Refused(404 | 405) => (
                Level::Wrong,
                "correct host, port and path in farm.instances: what is there is no Thunderstorm, whose \
                 /api/info answers in JSON"
                    .to_owned(),
            ),
            Self::Refused(status) => refused(*status),
            Self::Busy { .. } => (
                Level::Warning,
                "give the scanner more threads, or look who else uses it: deploy/farm.md".to_owned(),
            ),
            Self::TooLarge => (
                Level::Wrong,
                "raise the limit of the proxy before the scanner (nginx: client_max_body_size)".to_owned(),
            ),
            Self::Unusable(_) | Self::TooLong(_) | Self::GaveUp(_) | Self::Moved => (
                Level::Unavailable,
                "look at the scanner's log, and whether farm.instances names a Thunderstorm server"
                    .to_owned(),
            ),
        };
        Complaint { level, text, cure }
    }
}

fn refused(status: u16) -> (Level, String) {
    match status {
        401 | 403 => (
            Level::Wrong,
            "set username and password_file of the instance as the proxy before the scanner has them"
                .to_owned(),
        ),
        407 => (Level::Wrong, "name a user of the proxy in farm.proxy".to_owned()),
        300..=399 => (
            Level::Wrong,
            "name the address that it redirects to in farm.instances: none is followed".to_owned(),
        ),
        502 | 504 => {
            (Level::Unavailable, "start the scanner behind the proxy that answers at this address".to_owned())
        }
        _ => (Level::Unavailable, "look at the scanner's log".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_web_server_and_a_missing_login_are_the_configurations_fault() {
        for (error, level, word) in [
            (CallError::NoApi, Level::Wrong, "no Thunderstorm"),
            (CallError::Refused(404), Level::Wrong, "no Thunderstorm"),
            (CallError::Refused(401), Level::Wrong, "password_file"),
            (CallError::Refused(301), Level::Wrong, "redirects"),
            (CallError::Refused(502), Level::Unavailable, "proxy"),
            (CallError::Refused(500), Level::Unavailable, "log"),
            (CallError::Timeout, Level::Unavailable, "firewall"),
        ] {
            let complaint = error.complaint();
            assert_eq!(complaint.level, level, "{complaint:?}");
            assert!(complaint.cure.contains(word), "{complaint:?}");
        }
    }
}
