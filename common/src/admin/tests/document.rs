// SPDX-License-Identifier: GPL-3.0-or-later
//! deploy/api.md says of each endpoint what the code says.

use crate::api::Endpoint;

const DOCUMENT: &str = include_str!("../../../../deploy/api.md");

#[test]
fn the_document_lists_every_endpoint_and_no_other() {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `GET /") || line.starts_with("| `POST /"));
    let written: Vec<Vec<&str>> =
        rows.map(|row| row.split('|').skip(1).take(3).map(str::trim).collect()).collect();
    let row = |endpoint: &Endpoint| {
        let Endpoint { method, path, scope, audited, .. } = endpoint;
        vec![format!("`{method} {path}`"), scope.to_string(), audited.unwrap_or_default().to_owned()]
    };
    assert_eq!(written, Endpoint::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_document_says_what_bounds_there_are() {
    let kib = crate::api::LARGEST_REQUEST >> 10;
    for text in [
        crate::api::PREFIX,
        crate::api::CHANGE_HEADER,
        &format!("{kib} KiB"),
        &format!("at most {} dead letters", crate::api::queue::MOST_LETTERS),
    ] {
        assert!(DOCUMENT.contains(text), "{text}");
    }
}
