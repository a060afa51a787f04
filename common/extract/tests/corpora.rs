// SPDX-License-Identifier: GPL-3.0-or-later
//! Mails that other projects test with, and what other programs find in them: every attachment of theirs is among our
//! samples, and no mail is over the usual budget.
//!
//! `tests/run corpora` fetches the mails and lets the other programs decode them. Without it the test takes the mails
//! in mail-parser's own package, which is always there, and says what it leaves out.
//!
//! Equal means the same bytes, or the same but for CRLF and LF and one line end more or less at the end: tools differ in
//! the line ends of texts, and in whom the one before a delimiter belongs to. Where we differ on purpose, or where another
//! program is wrong, `tests/corpora/exceptions.toml` says why; an exception that is not needed is an error.

use bytes::Bytes;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, panic,
    path::{Path, PathBuf},
    process::Command,
};
use thundergate_common::digest::Digest;
use thundergate_extract::{Bodies, Budget, Exceeded, extract};

const BUDGET: Budget = Budget { parts: 1000, depth: 50, readings: 500, decoded_bytes: 200 << 20 };

/// An attachment that another program found.
#[derive(Clone, Debug, Deserialize)]
struct Attachment {
    decoder: String,
    /// The mail's path in its folder.
    mail: String,
    name: String,
    /// In bytes.
    size: usize,
    /// Of its bytes, and of its bytes with LF for each CRLF.
    digest: String,
    lf: String,
}

/// Attachments that we need not find, or a mail that may exceed the budget.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// The end of the mail's path.
    mail: String,
    /// Whose attachments; `budget` where the mail exceeds it.
    decoder: String,
    /// Why.
    reason: String,
}

/// What we found in one mail.
struct Ours {
    digests: HashSet<String>,
    /// With LF for each CRLF; as it is, and with one line end more and less at the end.
    lf: HashSet<String>,
    malformed: Option<Exceeded>,
    ambiguous: bool,
    samples: usize,
}

/// How often something was, for a decoder.
#[derive(Debug, Default)]
struct Count {
    attachments: usize,
    same: usize,
    but_line_ends: usize,
    excepted: usize,
}

/// A folder of mails and what other programs found in it.
struct Corpus {
    folder: PathBuf,
    mails: Vec<String>,
    attachments: Vec<Attachment>,
}

#[test]
fn no_attachment_that_another_program_finds_is_missed() {
    let fetched = root().join("target/corpora");
    let corpus = if fetched.join("attachments.jsonl").exists() {
        Corpus::fetched(&fetched)
    } else {
        println!("left out: everything but mail-parser's own mails; `tests/run corpora` fetches the rest");
        Corpus::of_mail_parser()
    };
    assert!(corpus.mails.len() > 100, "only {} mails in {}", corpus.mails.len(), corpus.folder.display());
    corpus.compare();
}

impl Corpus {
    /// What `tests/run corpora` left behind.
    fn fetched(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("attachments.jsonl")).expect("a file that can be read");
        Self::new(folder.join("mails"), &text)
    }

    /// The mails in the package of mail-parser that we are built with.
    fn of_mail_parser() -> Self {
        // Of this platform alone: what only others need was never downloaded.
        let metadata = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform=host-tuple"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo");
        assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
        let packages = metadata["packages"].as_array().expect("packages");
        let package = packages.iter().find(|package| package["name"] == "mail-parser").expect("a dependency");
        let folder =
            Path::new(package["manifest_path"].as_str().expect("a path")).with_file_name("resources/eml");
        let program = root().join("tests/corpora/decode.py");
        let decoded = match Command::new("python3").arg(program).arg(&folder).arg("python").output() {
            Ok(decoded) if decoded.status.success() => String::from_utf8(decoded.stdout).expect("text"),
            _ => {
                println!("left out: Python's reading of them; there is no python3");
                String::new()
            }
        };
        Self::new(folder, &decoded)
    }

    fn new(folder: PathBuf, attachments: &str) -> Self {
        let mut mails = Vec::new();
        list(&folder, &folder, &mut mails);
        mails.sort();
        let mut attachments: Vec<Attachment> =
            attachments.lines().map(|line| serde_json::from_str(line).expect("an attachment")).collect();
        for mail in &mails {
            attachments.extend(with_mail_parser(mail, &fs::read(folder.join(mail)).expect("a mail")));
        }
        Self { folder, mails, attachments }
    }

    fn compare(&self) {
        let exceptions = exceptions();
        let (mut used, mut wrong) = (BTreeSet::new(), Vec::new());
        let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
        let (mut ambiguous, mut most) = (0, (0, ""));
        let mut except = |mail: &str, decoder: &str| {
            let known =
                |exception: &&Exception| mail.ends_with(&exception.mail) && exception.decoder == decoder;
            exceptions.iter().find(known).map(|exception| used.insert(exception)).is_some()
        };
        for mail in &self.mails {
            let ours = Ours::of(&fs::read(self.folder.join(mail)).expect("a mail"));
            ambiguous += usize::from(ours.ambiguous);
            most = most.max((ours.samples, mail));
            if let Some(malformed) = ours.malformed.filter(|_| !except(mail, "budget")) {
                wrong.push(format!("{mail} is malformed: {malformed}"));
            }
            for theirs in self.attachments.iter().filter(|theirs| theirs.mail == *mail) {
                let count = counts.entry(&theirs.decoder).or_default();
                count.attachments += 1;
                if ours.digests.contains(&theirs.digest) {
                    count.same += 1;
                } else if ours.lf.contains(&theirs.lf) {
                    count.but_line_ends += 1;
                } else if except(mail, &theirs.decoder) {
                    count.excepted += 1;
                } else {
                    let Attachment { decoder, name, size, .. } = theirs;
                    wrong.push(format!("{mail}: {decoder} finds {name:?}, {size} bytes"));
                }
            }
        }
        println!("{} mails, {ambiguous} ambiguous; {} samples in {}", self.mails.len(), most.0, most.1);
        for (decoder, count) in &counts {
            println!("{decoder}: {count:?}");
        }
        let checked = |exception: &&Exception| {
            let decoder = &exception.decoder;
            (decoder == "budget" || counts.contains_key(&decoder[..]))
                && self.mails.iter().any(|mail| mail.ends_with(&exception.mail))
        };
        let unused = exceptions.iter().filter(checked).filter(|exception| !used.contains(exception));
        wrong.extend(unused.map(|exception| format!("not needed: {exception:?}")));
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

impl Ours {
    fn of(mail: &[u8]) -> Self {
        let found = extract(&Bytes::copy_from_slice(mail), Bodies::Html, &BUDGET);
        let digests = found.parts.iter().map(|part| part.digest.to_string()).collect();
        let lf = found.parts.iter().flat_map(|part| {
            let mut bytes = with_lf(&part.content.bytes());
            let same = Digest::of(&bytes);
            let less = Digest::of(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
            bytes.push(b'\n');
            [same, less, Digest::of(&bytes)].map(|digest| digest.to_string())
        });
        Self {
            digests,
            lf: lf.collect(),
            malformed: found.malformed,
            ambiguous: !found.ambiguities.is_empty(),
            samples: found.parts.len(),
        }
    }
}

/// What mail-parser finds; its texts are left out, as it converts them to UTF-8.
fn with_mail_parser(mail: &str, raw: &[u8]) -> Vec<Attachment> {
    // It asserts what does not hold for every mail; whoever reads the test's output need not know.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let parsed = panic::catch_unwind(|| MessageParser::new().parse(raw));
    panic::set_hook(hook);
    let Ok(Some(message)) = parsed else { return Vec::new() };
    let mut found = Vec::new();
    let mut messages = vec![&message];
    while let Some(message) = messages.pop() {
        for part in &message.parts {
            match &part.body {
                PartType::Message(nested) => messages.push(nested),
                PartType::Binary(bytes) | PartType::InlineBinary(bytes) if !bytes.is_empty() => {
                    found.push(Attachment {
                        decoder: "mail-parser".into(),
                        mail: mail.to_owned(),
                        name: part.attachment_name().unwrap_or_default().to_owned(),
                        size: bytes.len(),
                        digest: Digest::of(bytes).to_string(),
                        lf: Digest::of(&with_lf(bytes)).to_string(),
                    });
                }
                _ => (),
            }
        }
    }
    found
}

/// With LF for each CRLF.
fn with_lf(bytes: &[u8]) -> Vec<u8> {
    let ends = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    (0..bytes.len()).filter(|&at| !ends(at)).map(|at| bytes[at]).collect()
}

/// The files below `folder`, by their path from `root`, without what a package expects of its mails.
fn list(root: &Path, folder: &Path, mails: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            list(root, &path, mails);
        } else if path.extension().is_none_or(|extension| extension != "json") {
            mails.push(path.strip_prefix(root).expect("a path below it").to_string_lossy().into_owned());
        }
    }
}

fn exceptions() -> Vec<Exception> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        exception: Vec<Exception>,
    }
    let text = fs::read_to_string(root().join("tests/corpora/exceptions.toml")).expect("exceptions");
    toml::from_str::<File>(&text).expect("exceptions").exception
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
