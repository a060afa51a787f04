// SPDX-License-Identifier: GPL-3.0-or-later
//! How the stand-in behaves: what it says of itself, how slow it is, and what goes wrong.
//!
//! A file can go wrong too, by a mark in its bytes: [`Hostility`](super::Hostility) says which marks there are.

use super::{drift::Drift, uploads::Origin};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the stand-in behaves while nothing goes wrong. In JSON times are written `"250ms"`, `"2s"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Samples scanned at a time; also what `/api/info` reports.
    pub threads: usize,
    /// Synchronous requests that may wait for a thread; one more gets 503.
    pub waiting: usize,
    /// How long a thread is busy with one sample; longer only where matching takes longer.
    #[serde(with = "humantime_serde")]
    pub service_time: Duration,
    /// Time on the way, spent without a thread.
    #[serde(with = "humantime_serde")]
    pub latency: Duration,
    /// What a 503 says in `Retry-After`, in seconds; none: the header is absent.
    pub retry_after: Option<u64>,
    /// Signature version, `2026/11/01-120000`. A file with `THUNDERGATE-TEST-SINCE-<version>` in it is not found by
    /// older ones.
    pub signatures: String,
    /// THOR's version.
    pub thor_version: String,
    /// Larger files are not scanned: the answer is `[]`, as if they were clean.
    pub max_file_bytes: usize,
    /// The members of a ZIP are matched too, where they are stored as they are.
    pub unpacks: bool,
    /// Nothing is ever found, whatever is sent: signatures that are empty or broken.
    pub blind: bool,
    /// How long it is away after a file with `THUNDERGATE-TEST-CRASH` in it.
    #[serde(with = "humantime_serde")]
    pub restart: Duration,
    /// How long a thread is busy with a file with `THUNDERGATE-TEST-SLOW` in it, even when the client has gone.
    #[serde(with = "humantime_serde")]
    pub slow: Duration,
    /// How many matches a finding lists; 0: all, as in intense mode.
    pub max_reasons: usize,
    /// Which generation of the API is served.
    pub shape: Shape,
    /// Whether `checkAsync` is served.
    #[serde(rename = "async")]
    pub asynchronous: bool,
    /// Results kept for `getAsyncResults`.
    pub result_cache: usize,
    /// The only `Authorization` header that the API lets in; none: everybody. As a reverse proxy in front would.
    pub authorization: Option<String>,
    /// How answers differ from the usual form; none: not at all.
    pub drift: Option<Drift>,
    /// When the licence ends, `2099-12-31`.
    pub licence_ends: String,
}

/// Which generation of the API is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// `/api/…`: THOR 10.
    Old,
    /// `/api/v1/…`: THOR 11.
    V1,
    /// Both of them.
    Both,
}

/// What goes wrong with scans (`check` and `checkAsync`). Without a limit of times, [`Fault::Down`] and [`Fault::Hang`]
/// hold for `info` and `status` too. With one, what comes by itself is spared: `info`, `status`, canaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The connection is closed without an answer.
    Down,
    /// No answer ever comes.
    Hang,
    /// This status, with an error in JSON.
    Status(u16),
    /// 503 with `Retry-After` as set.
    Busy503,
    /// 200 with a page of HTML: a proxy's login page.
    Html,
    /// 200 with JSON that ends in the middle.
    TruncatedJson,
    /// A finding about other bytes than those sent: an upload that was cut on its way.
    WrongHash,
    /// 200 with a JSON object.
    NotAnArray,
    /// 200 with 15 MiB of JSON, a list of numbers.
    Huge,
    /// 307 to a place that answers `[]` to everything.
    Redirect,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A scan.
    Scan(Origin),
    /// Anything else of the API.
    Other,
}

/// A fault and how many more requests it meets.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// How many scans it meets; none: all.
    #[serde(default)]
    pub times: Option<u64>,
    /// Whether it spares the workers' own samples, as a fault of the samples does.
    #[serde(default)]
    pub mail_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 4,
            waiting: 64,
            service_time: Duration::ZERO,
            latency: Duration::ZERO,
            retry_after: Some(1),
            signatures: "2026/11/01-120000".to_owned(),
            thor_version: "10.7.20".to_owned(),
            max_file_bytes: 200 << 20,
            unpacks: false,
            blind: false,
            restart: Duration::from_secs(2),
            slow: Duration::from_secs(60),
            max_reasons: 0,
            shape: Shape::Both,
            asynchronous: true,
            result_cache: 10_000,
            authorization: None,
            drift: None,
            licence_ends: "2099-12-31".to_owned(),
        }
    }
}

impl Settings {
    /// These settings with the members of a JSON object put over them.
    pub fn patched(&self, patch: serde_json::Map<String, serde_json::Value>) -> serde_json::Result<Self> {
        let mut settings = serde_json::to_value(self)?;
        if let Some(members) = settings.as_object_mut() {
            members.extend(patch);
        }
        serde_json::from_value(settings)
    }
}

impl FaultPlan {
    /// The fault that the next request meets.
    pub(super) fn meet(&mut self, asked: &Asked) -> Fault {
        let own = matches!(asked, Asked::Scan(Origin::Own(_)) | Asked::Other);
        if self.mail_only && own {
            return Fault::None;
        }
        match (&mut self.times, asked) {
            (None, Asked::Scan(_)) => self.fault,
            (None, Asked::Other) if matches!(self.fault, Fault::Down | Fault::Hang) => self.fault,
            (Some(left @ 1..), Asked::Scan(origin)) if !origin.comes_by_itself() => {
                *left -= 1;
                self.fault
            }
            _ => Fault::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_with_a_limit_spares_probes_and_ends() {
        let mut plan = FaultPlan { fault: Fault::Down, times: Some(1), ..FaultPlan::default() };
        let of = |source: &str| Asked::Scan(Origin::of_query(Some(&format!("source={source}"))));
        assert_eq!(plan.meet(&Asked::Other), Fault::None);
        assert_eq!(plan.meet(&of("thundergate-canary")), Fault::None);
        assert_eq!(plan.meet(&of("mx1")), Fault::Down);
        assert_eq!(plan.meet(&of("mx1")), Fault::None);
        plan.times = Some(1);
        assert_eq!(plan.meet(&of("thundergate-proof")), Fault::Down, "a proof follows a failure");
        plan.times = None;
        assert_eq!(plan.meet(&of("thundergate-canary")), Fault::Down);
        plan.mail_only = true;
        assert_eq!(plan.meet(&of("thundergate-proof")), Fault::None);
        assert_eq!((plan.meet(&Asked::Other), plan.meet(&of("mx1"))), (Fault::None, Fault::Down));
    }

    #[test]
    fn a_patch_changes_what_it_names_and_refuses_what_it_does_not_know() {
        let patch = |json: &str| Settings::default().patched(serde_json::from_str(json).unwrap());
        let settings = patch(r#"{"service_time": "250ms", "async": false}"#).unwrap();
        assert_eq!(settings.service_time, Duration::from_millis(250));
        assert_eq!(
            Settings { asynchronous: true, service_time: Duration::ZERO, ..settings },
            Settings::default()
        );
        assert!(patch(r#"{"speed": 9}"#).is_err());
    }
}
