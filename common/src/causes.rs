// SPDX-License-Identifier: GPL-3.0-or-later
//! Errors as one line for people.

use std::error::Error;

/// An error and what caused it: `a: b: c`.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Of `a: b: c` the last cause, which says it best.
pub fn innermost(error: &str) -> &str {
    error.rsplit(": ").next().unwrap_or(error)
}
