// SPDX-License-Identifier: GPL-3.0-or-later
//! Messages as bytes go in, samples come out: what readers could see, whatever the message looks like.

use bytes::Bytes;
use encodify::base64::MIME;
use mail_builder::{MessageBuilder, mime::MimePart};
use proptest::prelude::*;
use thundergate_common::{digest::Digest, verdict::SkipReason};
use thundergate_extract::{Ambiguity, Bodies, Budget, Exceeded, Extraction, Step, explain, extract};

const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 64 << 20 };
/// Not text, with line ends in it.
const PLANTED: &[u8] = b"MZ\x90\0\x03planted\r\nbytes\n\xff that a scanner would know, wherever they are";

fn scan(message: impl Into<Vec<u8>>) -> Extraction {
    extract(&Bytes::from(message.into()), Bodies::Html, &BUDGET)
}

fn holds(found: &Extraction, bytes: &[u8]) -> bool {
    let digest = Digest::of(bytes);
    found.parts.iter().any(|part| part.digest == digest && part.content.bytes() == bytes)
}

/// A header of a part with base64 and the planted bytes.
fn part(fields: &str) -> String {
    format!("{fields}Content-Transfer-Encoding: base64\r\n\r\n{}\r\n", MIME.encode(PLANTED))
}

fn mixed(parts: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}")
}

/// The planted bytes are found, without any doubt.
fn plain_sight(message: impl Into<Vec<u8>>) -> Extraction {
    let found = scan(message);
    assert!(holds(&found, PLANTED), "{found:?}");
    assert_eq!((found.ambiguities.as_slice(), found.malformed), (&[][..], None), "{found:?}");
    found
}

/// The planted bytes are found, and why others may not see them.
fn doubtful(message: impl Into<Vec<u8>>, kind: Ambiguity) -> Extraction {
    let found = scan(message);
    assert!(holds(&found, PLANTED), "{found:?}");
    assert!(found.ambiguities.contains(&kind), "{:?}", found.ambiguities);
    found
}

#[test]
fn a_single_part_is_a_message() {
    let found = plain_sight(part("Content-Type: application/pdf; name=x.pdf\r\n"));
    assert_eq!(found.parts.len(), 1);
    assert_eq!(found.parts[0].name.as_deref(), Some("x.pdf"));
    assert_eq!(found.parts[0].media_type, "application/pdf");
    assert_eq!(found.parts[0].size, PLANTED.len() as u64);
}

#[test]
fn every_kind_of_line_end_will_do() {
    let message =
        mixed(&format!("--b\r\nA: 1\r\n\r\nhi\r\n--b\r\n{}--b--\r\n", part("Content-Type:\r\n a/b\r\n")));
    plain_sight(message.clone());
    plain_sight(message.replace("\r\n", "\n"));
    plain_sight(message.replace("\r\n ", "\n ").replace("--b\r\n", "--b\n"));
}

#[test]
fn a_multipart_may_lack_its_end_and_its_blank_lines() {
    plain_sight(mixed(&format!("--b\r\n{}", part("Content-Type: a/b\r\n"))));
    let inner = format!(
        "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n{}--b--",
        part("Content-Type: a/b\r\n")
    );
    plain_sight(mixed(&inner));
    let no_blank = part("Content-Type: a/b\r\n").replace("\r\n\r\n", "\r\n");
    doubtful(mixed(&format!("--b\r\n{no_blank}--b--")), Ambiguity::HeaderJunk);
}

#[test]
fn nested_messages_are_taken_apart_encoded_or_not() {
    let inner = mixed(&format!("--b\r\n{}--b--\r\n", part("Content-Type: a/b; name=x.exe\r\n")));
    for media_type in ["message/rfc822", "message/global", "message/news"] {
        let nested = inner.replace("=b\r", "=c\r").replace("--b", "--c");
        plain_sight(mixed(&format!("--b\r\nContent-Type: {media_type}\r\n\r\n{nested}\r\n--b--")));
        let fields = format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        let encoded = format!("{fields}{}", MIME.encode(&nested));
        let twice = format!("{fields}{}", MIME.encode(&encoded));
        assert!(holds(&plain_sight(encoded), nested.as_bytes()), "a client offers it as a file, too");
        plain_sight(twice);
    }
    let digest = format!("Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n{inner}--d--");
    plain_sight(digest);
}

#[test]
fn a_nested_message_may_start_as_in_a_mailbox() {
    for start in ["From x@y Mon Nov 23\r\n", ">From x\r\n", "\r\n"] {
        let nested = format!("{start}{}", part("Content-Type: a/b\r\n"));
        plain_sight(nested.clone());
        plain_sight(format!("Content-Type: message/rfc822\r\n\r\n{nested}"));
    }
}

#[test]
fn a_multipart_may_have_the_boundary_of_the_one_around_it() {
    let inner = format!("--b\r\n{}--b\r\n\r\nhi\r\n--b--\r\n", part("Content-Type: a/b\r\n"));
    let last = "--b\r\nContent-Type: c/d\r\n\r\nlast\r\n--b--\r\n";
    let found = plain_sight(mixed(&format!("--b\r\n{}{last}", mixed(&inner))));
    assert!(holds(&found, b"last"));
    let prefix = mixed(&inner).replace("=b\r", "=bb\r").replace("--b", "--bb");
    assert!(holds(&plain_sight(mixed(&format!("--b\r\n{prefix}{last}"))), b"last"));
}

#[test]
fn a_choice_that_only_a_further_reading_meets_is_read_too() {
    let doubled = "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n";
    let message = format!(
        "Content-Type: text/plain\r\n{doubled}--a\r\n\r\nhi\r\n--a--\r\n--b\r\n{}--b--",
        part("Content-Type: a/b\r\n")
    );
    doubtful(message, Ambiguity::RepeatedBoundary);
}

#[test]
fn a_message_in_an_unclear_encoding_is_taken_apart() {
    let nested = part("Content-Type: a/b\r\n");
    let fields = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: xxx\r\n\r\n";
    doubtful(format!("{fields}{nested}"), Ambiguity::UnknownEncoding);
    doubtful(format!("{fields}{}", MIME.encode(nested)), Ambiguity::UnknownEncoding);
}

#[test]
fn an_undelimited_multipart_is_a_leaf() {
    doubtful(part("Content-Type: multipart/mixed; boundary=b\r\n"), Ambiguity::NoDelimiter);
    doubtful(part("Content-Type: multipart/mixed\r\n"), Ambiguity::NoDelimiter);
    let inner = part("Content-Type: multipart/mixed; boundary=c\r\n");
    doubtful(mixed(&format!("--b\r\n{inner}--b--")), Ambiguity::NoDelimiter);
    for wrong in ["multipart/mixed; boundary=c", "multipart/mixed"] {
        let message = mixed(&format!("--b\r\n{}--b--", part("Content-Type: a/b\r\n")));
        doubtful(message.replace("multipart/mixed; boundary=b", wrong), Ambiguity::NoDelimiter);
    }
}

#[test]
fn repeated_fields_are_read_first_and_last() {
    let leaf = format!("--b\r\n{}--b--\r\n", part("Content-Type: a/b\r\n"));
    for pair in ["b c", "c b"] {
        let (first, last) = pair.split_once(' ').unwrap();
        let types = format!(
            "Content-Type: multipart/mixed; boundary={first}\r\nContent-Type: multipart/mixed; boundary={last}\r\n\r\n"
        );
        doubtful(types + &leaf, Ambiguity::RepeatedType);
        let decoy = format!("--c\r\n\r\nhi\r\n--c--\r\n{leaf}");
        for parameters in
            [format!("boundary={first}; boundary={last}"), format!("boundary*0={first}; boundary={last}")]
        {
            let twice = format!("Content-Type: multipart/mixed; {parameters}\r\n\r\n");
            doubtful(format!("{twice}{decoy}"), Ambiguity::RepeatedBoundary);
            // One that delimits nothing leaves no choice.
            let found = doubtful(format!("{twice}{leaf}"), Ambiguity::UnclearType);
            assert!(!found.ambiguities.contains(&Ambiguity::RepeatedBoundary), "{:?}", found.ambiguities);
        }
    }
    for other in ["quoted-printable", "7bit", "xxx", ""] {
        let again = format!("Content-Transfer-Encoding: {other}\r\n");
        doubtful(part(&again), Ambiguity::RepeatedEncoding);
        doubtful(
            part("").replacen("base64\r\n", &format!("base64\r\n{again}"), 1),
            Ambiguity::RepeatedEncoding,
        );
    }
    plain_sight(part("Content-Type: a/b\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n"));
}

#[test]
fn unclear_transfer_encodings_are_tried() {
    for name in ["base64;", "\"base64\"", "base64, 7bit", "=?us-ascii?Q?base64?=", "x-unheard-of"] {
        let message = part("Content-Type: a/b\r\n").replace(": base64", &format!(": {name}"));
        let found = doubtful(message, Ambiguity::UnknownEncoding);
        let raw = MIME.encode(PLANTED) + "\r\n";
        assert!(holds(&found, raw.as_bytes()), "the raw bytes are a sample as well");
    }
}

#[test]
fn base64_is_read_to_its_padding_and_beyond() {
    let (one, two) = (MIME.encode(b"first piece!."), MIME.encode(b"and the rest"));
    let message =
        |data: String| format!("Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}");
    let found = scan(message(format!("{one}\r\n{two}")));
    assert!(holds(&found, b"first piece!.and the rest") && holds(&found, b"first piece!."));
    assert_eq!(found.ambiguities[0], Ambiguity::AfterPadding);
    let found = scan(message("QUJD\r\n!QUJD".into()));
    assert!(holds(&found, b"ABCABC") && holds(&found, b"ABC"));
    assert_eq!(found.ambiguities[0], Ambiguity::Base64Junk);
}

#[test]
fn undeclared_runs_are_read_as_malformed_ones_are() {
    // Two symbols too many on each line, in a part that only some see.
    let large = PLANTED.repeat(9);
    let lines = MIME.encode(&large).replace("\r\n", "AB\r\n");
    let hidden = format!(
        "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n --b\r\n{}",
        part("").replace(&MIME.encode(PLANTED), &lines)
    );
    let found = scan(mixed(&hidden));
    assert!(holds(&found, &large), "{found:?}");
    assert_eq!(found.malformed, None);
}

#[test]
fn undeclared_runs_are_decoded() {
    let large: Vec<u8> = PLANTED.repeat(9);
    let run = MIME.encode(&large);
    let leaf = "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n";
    for (message, kind) in [
        (format!("Content-Type: application/x; name=x.exe\r\n\r\n{run}"), Ambiguity::UndeclaredBase64),
        (format!("Subject: x\r\n\r\n{run}"), Ambiguity::UndeclaredBase64),
        (mixed(&format!("Hello\r\n{run}\r\n{leaf}--b--")), Ambiguity::Preamble),
        (mixed(&format!("{leaf}--b--\r\n\r\n{run}")), Ambiguity::Epilogue),
    ] {
        let found = scan(message);
        assert!(holds(&found, &large), "{found:?}");
        assert_eq!(found.ambiguities[0], kind);
    }
    doubtful(
        mixed(&format!("{leaf}--b--\r\n--b\r\n{}", part("Content-Type: a/b\r\n"))),
        Ambiguity::AfterClose,
    );
}

#[test]
fn uuencoded_files_are_found() {
    let data = "#0V%T\r\n`\r\nend\r\n";
    let text = format!("Subject: x\r\n\r\nHi\r\nbegin 644 cat.exe\r\n{data}");
    let found = scan(text);
    assert!(holds(&found, b"Cat"));
    assert!(found.parts.iter().any(|part| part.name.as_deref() == Some("cat.exe")));
    let declared =
        format!("Content-Type: a/b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n{data}");
    assert!(holds(&scan(declared), b"Cat"));
}

#[test]
fn quoted_printable_binary_is_read_with_both_line_ends() {
    let found =
        scan("Content-Type: a/b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=00a\nb\r\nc=3d");
    assert!(holds(&found, b"\0a\r\nb\r\nc=") && holds(&found, b"\0a\nb\nc="));
    assert_eq!(found.ambiguities, [Ambiguity::BinaryLineBreaks]);
    let text =
        scan("Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na =\r\nb\r\n");
    assert!(holds(&text, b"a b\r\n") && text.ambiguities.is_empty());
}

/// A text in a multipart, between these.
fn message_around(preamble: &str, epilogue: &str) -> Bytes {
    let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let part = "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
    Bytes::from(format!("{head}{preamble}{part}{epilogue}"))
}

#[test]
fn bodies_are_samples_as_configured() {
    let message = Bytes::from(mixed(
        "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n\
         --b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nhi\r\n\
         --b\r\nContent-Type: text/plain; name=x.txt\r\n\r\nhowdy\r\n--b\r\n\r\n\r\n--b--\r\n",
    ));
    let of = |bodies| extract(&message, bodies, &BUDGET);
    let samples = |bodies| of(bodies).parts.len();
    assert_eq!((samples(Bodies::Html), samples(Bodies::All), samples(Bodies::None)), (3, 4, 2));
    // As a scan of the raw message would, `all` takes what stands around the parts.
    let around = message_around("Before\r\n", "After\r\n");
    let samples = |bodies| extract(&around, bodies, &BUDGET).parts.len();
    assert_eq!((samples(Bodies::Html), samples(Bodies::All), samples(Bodies::None)), (0, 3, 0));
    let reasons: Vec<_> = of(Bodies::Html).skipped.iter().map(|skipped| skipped.reason).collect();
    assert_eq!(reasons, [SkipReason::PlainText, SkipReason::Empty]);
    assert!(of(Bodies::Html).ambiguities.is_empty());
}

#[test]
fn one_digest_under_two_extensions_is_two_parts() {
    let both = ["x.pdf", "x.exe", "x.pdf"]
        .map(|name| format!("--b\r\n{}", part(&format!("Content-Type: a/b; name={name}\r\n"))));
    assert_eq!(plain_sight(mixed(&both.concat())).parts.len(), 2);
    let differing =
        part("Content-Type: a/b; name=x.exe\r\nContent-Disposition: inline; filename=\"y.txt\"\r\n");
    let found = doubtful(differing, Ambiguity::Names);
    let names: Vec<_> = found.parts.iter().filter_map(|part| part.name.as_deref()).collect();
    assert_eq!(names, ["x.exe"], "the most dangerous one counts");
}

#[test]
fn a_budget_that_is_exceeded_is_told_and_keeps_what_was_found() {
    let message = Bytes::from(mixed(&format!("--b\r\n{}", part("Content-Type: a/b\r\n")).repeat(5)));
    for (budget, why) in [
        (Budget { parts: 3, ..BUDGET }, Exceeded::Parts),
        (Budget { decoded_bytes: PLANTED.len() as u64, ..BUDGET }, Exceeded::DecodedBytes),
    ] {
        let found = extract(&message, Bodies::Html, &budget);
        assert_eq!(found.malformed, Some(why));
        assert!(holds(&found, PLANTED));
    }
    let found = extract(&message, Bodies::Html, &Budget { depth: 0, ..BUDGET });
    assert_eq!(found.malformed, Some(Exceeded::Depth));
    assert!(!found.parts.is_empty(), "what is too deep is a sample as it stands");
}

#[test]
fn what_exceeds_a_budget_is_not_read_further() {
    let message = Bytes::from(mixed(&("--b\r\n\r\nx\0\r\n".repeat(3) + &part("--b\r\n"))));
    let readings = |parts| {
        let (found, steps) = explain(&message, Bodies::Html, &Budget { parts, ..BUDGET });
        (found.malformed, steps.iter().filter(|step| matches!(step, Step::Reading { .. })).count())
    };
    assert_eq!(readings(100), (None, 2), "the NULs are a reason to leave the structure aside");
    assert_eq!(readings(3), (Some(Exceeded::Parts), 1));
}

/// Hostile messages of some 10 MB each are cut off by a budget. What they cost is measured by the bench `hostile`.
#[test]
fn hostile_messages_are_cut_off() {
    let deep: String =
        (0..10_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    let messages = "Content-Type: message/rfc822\n\n".repeat(50_000);
    let unopened =
        "Content-Type: multipart/mixed; boundary=b\n\nContent-Type: message/rfc822\n\n".repeat(40_000);
    let same: String = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(100_000);
    let cases = [
        ("deep", deep.clone(), Some(Exceeded::Depth)),
        ("messages", messages, Some(Exceeded::Depth)),
        ("unopened", unopened, Some(Exceeded::Readings)),
        ("same", same, Some(Exceeded::Depth)),
        ("boundaries", mixed(&"--b\n".repeat(1_000_000)), Some(Exceeded::Parts)),
        ("near boundaries", mixed(&format!("--b\n\n{}", "--bb\n".repeat(1_000_000))), None),
        ("field", format!("Content-Type: a/b; {}\n\n", "x=y;".repeat(200_000)), Some(Exceeded::FieldBytes)),
        ("fields", "Content-Type: a/b\n".repeat(500_000), Some(Exceeded::HeaderBytes)),
        ("comment", format!("Content-Type: {}\n\n", "(".repeat(500_000)), Some(Exceeded::FieldBytes)),
        ("begins", format!("A: b\n\n{}", "\nbegin 644 x\n#0V%T".repeat(200_000)), Some(Exceeded::Parts)),
        ("begin", format!("A: b\n\n{}", "begin ".repeat(800_000)), None),
        (
            "unclear messages",
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted 7bit\n\n".repeat(100_000),
            Some(Exceeded::Readings),
        ),
        (
            "guesses",
            "Content-Type: multipart/mixed; boundary=x\n\n--b\n".repeat(200_000),
            Some(Exceeded::Parts),
        ),
        ("junk", "junk\n".repeat(1_000_000), Some(Exceeded::HeaderBytes)),
    ];
    let large = Budget { parts: 1 << 20, depth: 1 << 20, ..BUDGET };
    for (name, message, malformed) in cases {
        let found = scan(message);
        assert_eq!(found.malformed, malformed, "{name}: {:?}", found.ambiguities);
        // What is left of the reading without structure makes it ambiguous.
        assert!(name != "near boundaries" || found.ambiguities.contains(&Ambiguity::TooMany));
    }
    // Without a budget it ends, too.
    extract(&Bytes::from(deep), Bodies::Html, &large);
}

fn attachments() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let size = prop_oneof![1..200_usize, 2000..5000_usize];
    prop::collection::vec(size.prop_flat_map(|size| prop::collection::vec(any::<u8>(), size)), 1..5)
}

/// A message as programs write it: the attachments in turn as mixed, inline, nested.
fn built(attachments: &[Vec<u8>]) -> Vec<u8> {
    let parts = attachments.iter().enumerate().map(|(index, bytes)| {
        let part = MimePart::new("application/octet-stream", bytes.clone());
        match index % 3 {
            0 => part.attachment(format!("grüße {index}.bin")),
            1 => part.inline().cid("x@y"),
            _ => MimePart::new("multipart/mixed", vec![part]),
        }
    });
    let text = MimePart::new("text/plain", "Hello, plain text");
    let parts: Vec<_> = std::iter::once(text).chain(parts).collect();
    let message = MessageBuilder::new().from("a@a.example").to("b@b.example").subject("Hi");
    message.body(MimePart::new("multipart/mixed", parts)).write_to_vec().expect("a vector takes everything")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_attachment_of_a_well_formed_message_is_found(attachments in attachments()) {
        let found = scan(built(&attachments));
        for attachment in &attachments {
            prop_assert!(holds(&found, attachment));
        }
        prop_assert!(found.ambiguities.is_empty(), "{:?}", found.ambiguities);
        prop_assert_eq!(found.malformed, None);
    }

    #[test]
    fn arbitrary_bytes_are_survived(message in prop::collection::vec(any::<u8>(), 0..2000)) {
        scan(message);
    }

    #[test]
    fn mutilated_messages_are_survived(
        attachments in attachments(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..20),
    ) {
        let mut message = built(&attachments);
        for (place, byte, edit) in edits {
            let at = place.index(message.len());
            match edit {
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                _ => drop(message.drain(at..(at + usize::from(byte)).min(message.len() - 1).max(at))),
            }
        }
        for part in scan(message).parts {
            prop_assert_eq!(Digest::of(&part.content.bytes()), part.digest);
        }
    }

    #[test]
    fn fragments_of_mime_are_survived(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "Content-Type: multipart/mixed; boundary=b", "Content-Type: message/rfc822", "\r\n", "\n", "\r", "--b",
            "--b--", "--", "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "QUJD",
            "=", "=3D", " ", "\t", ":", "(", "\"", "begin 644 x", "#0V%T", ";", "boundary*0*='", "%", "From ", "\0",
        ]), 0..200),
    ) {
        scan(pieces.concat());
    }
}
