// SPDX-License-Identifier: GPL-3.0-or-later
//! The header field `MIME-Ambiguity-Results`: tells those behind us, mail filters and clients of the same site, how
//! readers could differ on a message, and what the scan of all readings gave.
//!
//! Name and intent are those of draft-chen-email-mime-ambiguity-defense-00. The value is of the form that RFC 8601,
//! section 2.2, gives Authentication-Results, so that what reads the one reads the other:
//!
//! ```text
//! MIME-Ambiguity-Results: mx.example.org; scan=clean mime.samples=3
//!  mime.ambiguity=repeated_content_type mime.ambiguity=base64_junk
//! ```
//!
//! As there (section 5), whoever writes it removes what came in under its name: here all of them, whoever they claim
//! to be from.

use crate::outcome::inspection::{Inspected, Inspection};
use thundergate_common::telemetry::hostname;
use thundergate_policy::{Cause, Disposition};

/// The field's name.
pub const NAME: &str = "MIME-Ambiguity-Results";

/// Columns that a line should not exceed (RFC 5322, 2.1.1).
const COLUMNS: usize = 78;

/// Who writes the field: the name that is configured, or else the MTA's, or else this host's.
pub fn authserv_id(configured: &str, mta: &str) -> String {
    let names = [configured, mta];
    names.into_iter().find(|name| is_token(name)).map_or_else(hostname, str::to_owned)
}

/// A token (RFC 2045, 5.1), which needs no quotes, and no longer than a domain name (RFC 1035, 2.3.4).
pub(crate) fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}

/// The field's value for a message that is ambiguous, folded by LF and a blank, as milters do it.
pub fn value(authserv_id: &str, inspection: &Inspection) -> String {
    let samples = inspection.parts.iter().filter(|part| part.key.is_some()).count();
    let mut words = vec![
        format!("{authserv_id};"),
        format!("scan={}", result(inspection)),
        format!("mime.samples={samples}"),
    ];
    words.extend(inspection.ambiguities.iter().map(|kind| format!("mime.ambiguity={kind}")));
    fold(&words)
}

/// What the scan of all readings gave, in one word.
fn result(inspection: &Inspection) -> &'static str {
    let any = |of: fn(&Inspected) -> bool| inspection.parts.iter().any(of);
    if any(|part| matches!(part.disposition, Disposition::Found(_))) {
        "found"
    } else if inspection.malformed.is_some() || any(|part| !was_scanned(part)) {
        "incomplete"
    } else {
        "clean"
    }
}

fn was_scanned(part: &Inspected) -> bool {
    matches!(part.disposition.cause(), Cause::Clean | Cause::Found)
}

/// `words` in as few lines as there can be. A word that is too long for any line has one of its own.
fn fold(words: &[String]) -> String {
    let mut value = String::new();
    let mut column = NAME.len() + ": ".len();
    for word in words {
        if column + word.len() > COLUMNS && !value.is_empty() {
            value.pop();
            value.push_str("\n ");
            column = 1;
        }
        value.push_str(word);
        value.push(' ');
        column += word.len() + 1;
    }
    value.pop();
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::inspection::Malformed;
    use proptest::prelude::*;
    use thundergate_common::{
        digest::Digest,
        sample::{HintStyle, NameHint, SampleKey},
        verdict::SkipReason,
    };
    use thundergate_extract::{Ambiguity, Exceeded};
    use thundergate_policy::{Decision, Failure, Source};

    fn part(disposition: Disposition) -> Inspected {
        let key = SampleKey { digest: Digest::of(b"a"), hint: NameHint::of(HintStyle::None, None) };
        Inspected {
            verdict: None,
            name: None,
            within: None,
            unopened: None,
            media_type: String::new(),
            size: 1,
            key: Some(key),
            disposition,
            source: Source::None,
        }
    }

    fn of(dispositions: &[Disposition], ambiguities: &[Ambiguity]) -> Inspection {
        Inspection {
            parts: dispositions.iter().cloned().map(part).collect(),
            ambiguities: ambiguities.to_vec(),
            ..Inspection::of(Decision::BUG)
        }
    }

    /// Reads a value by the grammar of RFC 8601, 2.2, as far as this field uses it: the results and properties.
    fn read(value: &str) -> (String, Vec<(String, String)>) {
        let unfolded = value.replace("\n ", " ");
        let (authserv_id, results) = unfolded.split_once(';').expect("a result follows the authserv-id");
        let keyword = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let mut found = Vec::new();
        for (number, word) in results.trim_start().split(' ').enumerate() {
            let (name, value) = word.split_once('=').expect("a name and a value");
            assert!(is_token(value), "{word}");
            match name.split_once('.') {
                None => {
                    assert!(number == 0 && keyword(name) && keyword(value), "a method and its result: {word}")
                }
                Some((kind, property)) => assert!(number > 0 && keyword(kind) && keyword(property), "{word}"),
            }
            found.push((name.to_owned(), value.to_owned()));
        }
        assert!(is_token(authserv_id), "{authserv_id}");
        (authserv_id.to_owned(), found)
    }

    #[test]
    fn an_ambiguous_message_has_one_result_and_every_kind() {
        let inspection =
            of(&[Disposition::Clean, Disposition::Clean], &[Ambiguity::RepeatedType, Ambiguity::Base64Junk]);
        let value = value("mx.example.org", &inspection);
        assert_eq!(
            value,
            "mx.example.org; scan=clean mime.samples=2\n mime.ambiguity=repeated_content_type mime.ambiguity=base64_junk"
        );
        let (id, words) = read(&value);
        assert_eq!((id.as_str(), words.len()), ("mx.example.org", 4));
    }

    #[test]
    fn the_result_is_clean_only_if_everything_was_scanned() {
        let found = || Disposition::Found(std::sync::Arc::default());
        let failed = Disposition::Failed(Failure::Unavailable);
        let skipped = Disposition::Skipped;
        for (dispositions, expected) in [
            (vec![Disposition::Clean], "clean"),
            (vec![Disposition::Clean, skipped(SkipReason::PlainText), skipped(SkipReason::Empty)], "clean"),
            (vec![Disposition::Pending, Disposition::Clean], "incomplete"),
            (vec![Disposition::Clean, failed], "incomplete"),
            (vec![skipped(SkipReason::TooLarge)], "incomplete"),
            (vec![Disposition::Clean, skipped(SkipReason::Encrypted)], "incomplete"),
            (vec![skipped(SkipReason::ExternalBody)], "incomplete"),
            (vec![skipped(SkipReason::Partial)], "incomplete"),
            (vec![Disposition::Pending, found()], "found"),
        ] {
            assert_eq!(result(&of(&dispositions, &[])), expected, "{dispositions:?}");
        }
        let malformed = Inspection {
            malformed: Some(Malformed::Exceeded(Exceeded::Parts)),
            ..of(&[Disposition::Clean], &[])
        };
        assert_eq!(result(&malformed), "incomplete");
    }

    #[test]
    fn the_name_is_the_configured_one_or_the_mtas_or_this_hosts() {
        assert_eq!(authserv_id("example.org", "mx.example.org"), "example.org");
        assert_eq!(authserv_id("", "mx.example.org"), "mx.example.org");
        for unusable in ["", "[192.0.2.1]", "mx example", "mx;scan=clean", "mx\r\nX-Evil: 1", "möx"] {
            assert_eq!(authserv_id("", unusable), hostname(), "{unusable:?}");
        }
        assert!(is_token(&hostname()));
    }

    proptest! {
        #[test]
        fn no_name_breaks_the_field(mta in any::<String>(), count in 1_usize..30) {
            let id = authserv_id("", &mta);
            let value = value(&id, &of(&[], &vec![Ambiguity::RepeatedEncoding; count]));
            prop_assert_eq!(read(&value).1.len(), count + 2);
            let field = format!("{NAME}: {value}");
            for line in field.split('\n') {
                prop_assert!(line.len() <= COLUMNS.max(NAME.len() + 3 + id.len()), "{}", line);
                prop_assert!(!line.trim().is_empty() && !line.ends_with(' ') && !line.contains('\r'));
            }
            prop_assert!(field.split('\n').skip(1).all(|line| line.starts_with(" m")));
        }
    }
}
