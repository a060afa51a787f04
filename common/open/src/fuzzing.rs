// SPDX-License-Identifier: GPL-3.0-or-later
//! What the fuzz target for sealed containers calls (`tests/fuzz/`), and the unit tests with its stored inputs. Built for
//! tests and for fuzzing only.

use crate::{
    answer::{Answer, Container},
    budget::Budget,
    passwords::Passwords,
    request::Kind,
    unseal::unseal,
    wire,
};
use std::time::Duration;

/// What may come out. Few inputs keep to the second.
const BYTES_OUT: [u64; 2] = [1 << 20, 1000];
/// Members, at most.
const MEMBERS: usize = 20;
/// Rounds of a key: one check must end, not be dear.
const ROUNDS: u64 = 1 << 10;
/// What opens the containers that are kept as inputs.
const PASSWORD: &str = "Rechnung-4711";

/// A container of the kind that the first byte says, or that it looks like. Nothing panics; what comes out keeps to the
/// limits, and twice the same comes out.
pub fn sealed(data: &[u8]) {
    let Some((pick, container)) = data.split_first() else { return };
    let kind = Kind::of(container).unwrap_or(Kind::ALL[usize::from(*pick) % Kind::ALL.len()]);
    for bytes_out in BYTES_OUT {
        let (first, second) = (opened(kind, container, bytes_out), opened(kind, container, bytes_out));
        assert_eq!(first.is_some(), second.is_some(), "the same container gives the same");
        if let (Some(first), Some(second)) = (first, second) {
            assert_eq!(first.container, second.container, "the same container gives the same");
            check(&first, bytes_out);
        }
    }
    let _ = wire::read_request(data);
}

fn opened(kind: Kind, container: &[u8], bytes_out: u64) -> Option<Answer> {
    let passwords = Passwords::new([(0, PASSWORD.into())]);
    let budget = Budget::new(bytes_out, MEMBERS, ROUNDS, Duration::from_secs(3600));
    unseal(kind, container, passwords, budget).ok()
}

fn check(answer: &Answer, bytes_out: u64) {
    let sum: u64 = answer.members.iter().map(|member| member.bytes.len() as u64).sum();
    assert!(sum <= bytes_out && answer.members.len() <= MEMBERS);
    assert!(answer.container != Container::Unsealed || answer.members.is_empty());
    for member in &answer.members {
        assert!(!member.name.contains(char::is_control) && member.name.chars().count() <= 255);
    }
    let mut reply = Vec::new();
    wire::write_reply(&mut reply, Ok(answer.clone())).expect("memory takes it");
    assert!(reply.len() as u64 <= sum + 4096 * (MEMBERS as u64 + 1));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Feeds the target with what is kept for it.
    #[test]
    fn sealed() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
        assert!(feed(&kept.join("corpus/sealed")) > 0, "no corpus");
        feed(&kept.join("regressions/sealed"));
    }

    /// How many files there were in `folder`.
    fn feed(folder: &Path) -> usize {
        let Ok(files) = fs::read_dir(folder) else { return 0 };
        let files = files.map(|file| file.expect("a folder of this repository").path());
        files
            .inspect(|file| {
                println!("{}", file.display()); // the last line that a failing test prints
                super::sealed(&fs::read(file).expect("a file of this repository"));
            })
            .count()
    }
}
