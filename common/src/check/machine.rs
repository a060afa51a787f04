// SPDX-License-Identifier: GPL-3.0-or-later
//! What a program needs of this system, and what its configuration alone is worth a word for.

use crate::{
    api::check::{Finding, Level},
    descriptors::Needs,
};

/// Whether enough files and connections may be open.
pub fn descriptors(needs: Needs) -> Finding {
    let subject = "RLIMIT_NOFILE";
    let cure = "raise LimitNOFILE= of the unit, or ulimit -n";
    match needs.provide() {
        Ok(provided) => match provided.advice {
            None => Finding::ok(subject, "as many files and connections may be open as are needed"),
            Some(advice) => Finding::new(Level::Warning, subject, advice, cure),
        },
        Err(too_few) => Finding::new(Level::Unavailable, subject, too_few.to_string(), cure),
    }
}

/// What an operator should know about a configuration that is right: a key, the words about it, and what to do.
pub fn advice(key: &str, words: Option<&str>) -> Option<Finding> {
    Some(Finding::new(Level::Warning, key, words?, format!("set {key}")))
}
