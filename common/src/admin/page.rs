// SPDX-License-Identifier: GPL-3.0-or-later
//! The status page: one file, compiled in, that asks `/status` every two seconds. What it shows comes from mail, scanners
//! and configuration, so the browser is told to run nothing but the one script of the file, to load nothing else, and to
//! let nothing become markup.

use axum::{
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const PAGE: &str = include_str!("page.html");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash_of("script"),
        hash_of("style")
    )
});

/// The page.
pub(super) async fn page() -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY.as_str())];
    (headers, PAGE).into_response()
}

/// How the policy names what stands in the one element `tag` of the page.
fn hash_of(tag: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("<{tag}>")).expect("the page has such an element");
    let (content, _) = rest.split_once(&format!("</{tag}>")).expect("the element ends");
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_file_that_needs_nothing_else() {
        for tag in ["<script", "<style"] {
            assert_eq!(PAGE.matches(tag).count(), 1, "{tag}");
        }
        for word in [
            "http://",
            "https://",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            " style=",
            "@import",
        ] {
            let allowed = PAGE.matches("http://www.w3.org/").count();
            let found = PAGE.matches(word).count();
            assert_eq!(found, if word == "http://" { allowed } else { 0 }, "{word}");
        }
        assert!(!POLICY.contains("unsafe"), "{}", *POLICY);
    }
}
