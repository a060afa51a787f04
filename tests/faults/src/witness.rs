// SPDX-License-Identifier: GPL-3.0-or-later
//! Reads HTTP/1.1 on the links between workers and instances: which sample was uploaded when, and what came back.
//!
//! So it is not the stand-in that says what it scanned and not the worker what it was told, but the wire. Only bodies
//! with a Content-Length are understood; workers and stand-ins send no others. An upload counts from its last byte on.

use super::journal::{Answer, Journal};
use serde_json::Value;
use std::sync::Arc;
use thundergate_harness::{
    proxy::{Conversation, Observer},
    thunderstorm::uploads::Origin,
};

/// What is kept of a request's body: enough for the name of the file.
const KEPT_OF_REQUEST: usize = 4 << 10;
/// What is kept of an answer's body; findings are shorter.
const KEPT_OF_ANSWER: usize = 1 << 20;

/// Watches one link.
pub struct Witness {
    /// Where it writes.
    pub journal: Arc<Journal>,
    /// The worker's number.
    pub worker: usize,
    /// The instance's number.
    pub instance: usize,
}

/// One connection.
struct Exchanges {
    journal: Arc<Journal>,
    worker: usize,
    instance: usize,
    requests: Messages,
    answers: Messages,
    /// The request that awaits its answer: its scan and the digest, where it is an upload.
    pending: Option<(usize, String)>,
}

/// One direction of a connection: messages, one after the other.
struct Messages {
    head: Vec<u8>,
    body: Vec<u8>,
    left: Option<usize>,
    kept: usize,
}

impl Observer for Witness {
    fn opened(&self) -> Box<dyn Conversation> {
        Box::new(Exchanges {
            journal: Arc::clone(&self.journal),
            worker: self.worker,
            instance: self.instance,
            requests: Messages::keeping(KEPT_OF_REQUEST),
            answers: Messages::keeping(KEPT_OF_ANSWER),
            pending: None,
        })
    }
}

impl Conversation for Exchanges {
    fn sent(&mut self, bytes: &[u8]) {
        let Self { requests, journal, worker, instance, pending, .. } = self;
        requests.feed(bytes, |head, body| {
            let name = uploaded_name(head, body);
            *pending = name.map(|name| {
                let digest = name.split('.').next().unwrap_or_default().to_owned();
                (journal.scan_begins(*worker, *instance, name), digest)
            });
        });
    }

    fn answered(&mut self, bytes: &[u8]) {
        let Self { answers, journal, pending, .. } = self;
        answers.feed(bytes, |head, body| {
            if let Some((scan, digest)) = pending.take() {
                journal.scan_ends(scan, Some(judged(head, body, &digest)));
            }
        });
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        if let Some((scan, _)) = self.pending.take() {
            self.journal.scan_ends(scan, None);
        }
    }
}

impl Messages {
    fn keeping(kept: usize) -> Self {
        Self { head: Vec::new(), body: Vec::new(), left: None, kept }
    }

    /// Tells of every message that these bytes complete.
    fn feed(&mut self, mut bytes: &[u8], mut complete: impl FnMut(&str, &[u8])) {
        while !bytes.is_empty() {
            if self.left.is_none() {
                let seen = self.head.len();
                self.head.extend_from_slice(bytes);
                let Some(end) = self.head.windows(4).position(|window| window == b"\r\n\r\n") else { return };
                bytes = &bytes[end + 4 - seen..];
                self.head.truncate(end);
                self.left = Some(content_length(&self.head));
            }
            let left = self.left.unwrap_or_default();
            let (now, later) = bytes.split_at(left.min(bytes.len()));
            self.body.extend_from_slice(&now[..now.len().min(self.kept - self.body.len())]);
            self.left = Some(left - now.len());
            bytes = later;
            if self.left == Some(0) {
                complete(&String::from_utf8_lossy(&self.head), &self.body);
                (self.left, self.head, self.body) = (None, Vec::new(), Vec::new());
            }
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    value.unwrap_or_default()
}

/// The file name of an upload; none where the request is none, or the sample is one of the worker's own.
fn uploaded_name(head: &str, body: &[u8]) -> Option<String> {
    let target = head.strip_prefix("POST ")?.split(' ').next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !path.ends_with("/check") || Origin::of_query(Some(query)) != Origin::Mail {
        return None;
    }
    let body = String::from_utf8_lossy(body);
    let (_, name) = body.split_once("filename=\"")?;
    Some(name.split('"').next()?.to_owned())
}

fn judged(head: &str, body: &[u8], digest: &str) -> Answer {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, serde_json::from_slice(body)) {
        (Some(503), _) => Answer::Busy,
        (Some(200), Ok(Value::Array(findings))) if findings.is_empty() => Answer::Clean,
        (Some(200), Ok(Value::Array(findings))) if findings.iter().all(|one| is_about(one, digest)) => {
            Answer::Found
        }
        (Some(200) | None, _) => Answer::Lie,
        (Some(status), _) => Answer::Refused(status),
    }
}

/// Whether a finding names this SHA-256 somewhere; the name of the file, which may look like one, does not count.
fn is_about(finding: &Value, digest: &str) -> bool {
    match finding {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let named = name.eq_ignore_ascii_case("sha256") && value.as_str() == Some(digest);
            named || is_about(value, digest)
        }),
        Value::Array(values) => values.iter().any(|value| is_about(value, digest)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLOAD: &str = "POST /api/check?source=a HTTP/1.1\r\nContent-Length: 61\r\n\r\n\
        --b\r\nContent-Disposition: form-data; filename=\"ab12.pdf\"\r\n\r\n.";

    fn seen(sent: &[&str], answered: &[&str]) -> Vec<super::super::journal::Scan> {
        let journal = Arc::<Journal>::default();
        let mut conversation = Witness { journal: Arc::clone(&journal), worker: 1, instance: 2 }.opened();
        sent.iter().for_each(|bytes| conversation.sent(bytes.as_bytes()));
        answered.iter().for_each(|bytes| conversation.answered(bytes.as_bytes()));
        drop(conversation);
        journal.record().scans.clone()
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn uploads_are_read_in_any_pieces() {
        assert_eq!(UPLOAD.split_once("\r\n\r\n").unwrap().1.len(), 61);
        let whole = answer("200 OK", "[]");
        for at in 1..UPLOAD.len() {
            let (one, two) = UPLOAD.split_at(at);
            let scans = seen(&[one, two], &[&whole]);
            assert_eq!((scans.len(), scans[0].name.as_str()), (1, "ab12.pdf"));
            assert_eq!(scans[0].answer, Some(Answer::Clean));
        }
    }

    #[test]
    fn answers_are_judged_by_what_they_say_of_the_sample() {
        let judged = |text: String| seen(&[UPLOAD], &[&text])[0].answer.clone();
        assert_eq!(judged(answer("200 OK", r#"[{"sha256":"ab12"}]"#)), Some(Answer::Found));
        assert_eq!(judged(answer("200 OK", r#"[{"file":{"SHA256":"ab12"}}]"#)), Some(Answer::Found));
        assert_eq!(judged(answer("200 OK", r#"[{"sha256":"ffff","sample":"ab12"}]"#)), Some(Answer::Lie));
        assert_eq!(judged(answer("200 OK", r#"{"findings":[]}"#)), Some(Answer::Lie));
        assert_eq!(judged(answer("200 OK", "<html>")), Some(Answer::Lie));
        assert_eq!(judged(answer("503 Busy", "{}")), Some(Answer::Busy));
        assert_eq!(judged(answer("307 Elsewhere", "")), Some(Answer::Refused(307)));
        assert_eq!(judged(answer("200 OK", "[]")[..30].to_owned()), None);
    }

    #[test]
    fn other_requests_are_no_scans() {
        let info = "GET /api/info HTTP/1.1\r\nhost: a\r\n\r\n";
        let scans = seen(&[info], &[&answer("200 OK", "{}")]);
        assert!(scans.is_empty());
        let own = UPLOAD.replace("source=a", "source=thundergate-proof");
        assert!(seen(&[&own], &[&answer("200 OK", "[]")]).is_empty(), "a proof is no sample of mail");
        let cut = seen(&[&UPLOAD[..70]], &[]);
        assert!(cut.is_empty(), "an upload counts from its last byte on");
    }
}
