// SPDX-License-Identifier: GPL-3.0-or-later
//! A delivery of a sample that may ask for a password: once it has a verdict as it is, it is opened, and each file in it is
//! scanned under the same lease. The verdict has the findings of all of them. A file that cannot be scanned leaves the whole
//! sample without a verdict, as if it were refused itself.

use super::{Begun, Ending, Scanning};
use crate::farm::{ScanError, with_causes};
use std::{collections::HashSet, sync::Arc};
use thundergate_common::{
    digest::Digest,
    hub::Claim,
    sample::{HintStyle, NameHint, Sample, SampleKey},
    sealed::Sealed,
    traces::Span,
    verdict::{Answer, Container, Verdict},
};
use thundergate_open::Member;

impl Scanning {
    /// What becomes of `ending` with what is in the sample, which may be a sealed container of this `kind`.
    pub(super) async fn with_what_is_inside(
        &self,
        claim: &Claim,
        kind: Option<Sealed>,
        ending: Ending,
        span: &Span,
    ) -> Ending {
        match (kind, ending) {
            (Some(kind), Ending::Answered(Answer::Verdict(verdict))) => {
                self.inside(claim, kind, Verdict::clone(&verdict), span).await
            }
            (_, ending) => ending,
        }
    }

    async fn inside(&self, claim: &Claim, kind: Sealed, mut verdict: Verdict, span: &Span) -> Ending {
        let _busy = self.containers.enter();
        let (container, members) = {
            // Neither its bytes nor memory wait with it: many containers cost other mail nothing.
            let _turn = self.containers.turn().await;
            let _memory = self.memory.take(claim.job.size + self.containers.bytes_out()).await;
            let bytes = match self.begin(claim).await {
                Ok(Begun { bytes, .. }) => bytes,
                Err(ending) => return ending,
            };
            // Without them there are those that everybody tries.
            let candidates = self.hub.offered(claim).await.unwrap_or_default();
            let inside = self.containers.open(kind, bytes, candidates).await;
            (inside.container, inside.members)
        };
        verdict.container = container;
        let mut seen = HashSet::new();
        for member in members {
            let sample = sample(&claim.job.sample, &member);
            if !sample.bytes.is_empty() && seen.insert(sample.key.clone()) {
                match self.scan_member(claim, &sample, span).await {
                    Ok(found) => add(&mut verdict, found, &member.name),
                    Err(ScanError::NoInstance) => return Ending::NoInstance,
                    // As any file of that size, it is not sent; what is in it nobody knows.
                    Err(ScanError::TooLarge) => verdict.container = Container::Unsupported(kind),
                    Err(error) => return Ending::Dead(format!("a file in it: {}", with_causes(&error))),
                }
            }
        }
        // What stays behind expires.
        let _ = self.hub.forget_offered(claim).await;
        Ending::Answered(Answer::Verdict(Arc::new(verdict)))
    }

    async fn scan_member(&self, claim: &Claim, sample: &Sample, span: &Span) -> Result<Verdict, ScanError> {
        let job = &claim.job;
        let scanned =
            self.farm.scan_until_free(sample, &job.source, self.needs(job).as_deref(), span).await?;
        Ok(scanned.verdict().await)
    }
}

/// A file of the container that `key` names, with as much of its name as that has.
fn sample(key: &SampleKey, member: &Member) -> Sample {
    let style = if matches!(key.hint, NameHint::Full(_)) { HintStyle::Full } else { HintStyle::Extension };
    let name = member.name.rsplit(['/', '\\']).next();
    let key = SampleKey { digest: Digest::of(&member.bytes), hint: NameHint::of(style, name) };
    Sample { key, bytes: member.bytes.clone() }
}

/// What was found in a file of this `name` counts as found in the container.
fn add(verdict: &mut Verdict, found: Verdict, name: &str) {
    verdict.signatures = verdict.signatures.take().zip(found.signatures).map(|(one, other)| one.min(other));
    verdict.scan_ms += found.scan_ms;
    verdict.omitted += found.omitted;
    for mut finding in found.findings {
        finding.file.name = name.to_owned();
        verdict.findings.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use thundergate_common::verdict::Finding;

    #[test]
    fn a_file_has_its_own_name_and_the_style_of_its_container() {
        let member = Member { name: "in/Invoice.EXE".to_owned(), bytes: Bytes::from_static(b"MZ") };
        let key = |hint| sample(&SampleKey { digest: Digest::of(b"zip"), hint }, &member).key;
        let zip = key(NameHint::Extension("zip".to_owned()));
        assert_eq!((zip.digest, zip.hint), (Digest::of(b"MZ"), NameHint::Extension("exe".to_owned())));
        assert_eq!(key(NameHint::Full("a.zip".to_owned())).hint, NameHint::Full("Invoice.EXE".to_owned()));
    }

    #[test]
    fn a_container_is_as_bad_as_what_is_in_it_and_as_old_as_its_oldest_scan() {
        let signed = |version: &str, findings: Vec<Finding>| Verdict {
            signatures: Some(version.to_owned()),
            scan_ms: 5,
            findings,
            ..Verdict::default()
        };
        let mut verdict = signed("2", Vec::new());
        add(&mut verdict, signed("1", vec![Finding { score: 90, ..Finding::default() }]), "a.exe");
        add(&mut verdict, signed("3", Vec::new()), "b.txt");
        assert_eq!((verdict.score(), verdict.signatures.as_deref(), verdict.scan_ms), (90, Some("1"), 15));
        assert_eq!(verdict.findings[0].file.name, "a.exe");
        add(&mut verdict, Verdict::default(), "c");
        assert_eq!(verdict.signatures, None, "of one nobody knows");
    }
}
