// SPDX-License-Identifier: GPL-3.0-or-later
//! Why the API does not do what it is asked: a status, and a sentence for people.

use super::access::CHALLENGE;
use crate::{api::Error, hub::HubError, terminal};
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{error, iter::successors};

/// Why there is no other answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    text: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), header: None }
    }

    /// The request makes no sense.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// The caller may not do that, or not in this way.
    pub(super) fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    /// No endpoint has this path.
    pub(super) fn nothing_there() -> Self {
        Self::elsewhere("there is no such endpoint: api.md lists them")
    }

    /// Another program has it.
    pub(super) fn elsewhere(text: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// It cannot be done now.
    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// Nobody knows who asks.
    pub(super) fn unknown(text: impl Into<String>) -> Self {
        let header = Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)));
        Self { header, ..Self::new(StatusCode::UNAUTHORIZED, text) }
    }

    /// The path has another method.
    pub(super) fn method(allowed: &'static str) -> Self {
        let header = Some((header::ALLOW, HeaderValue::from_static(allowed)));
        let text = format!("this endpoint takes {allowed}");
        Self { header, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    /// The hub did not do it, and what it says of itself, where it does.
    pub(super) fn hub(error: &HubError, trouble: Option<&str>) -> Self {
        let causes = successors(Some(error as &dyn error::Error), |error| error.source());
        let causes: Vec<_> = causes.map(ToString::to_string).collect();
        let text = match trouble {
            Some(trouble) => format!("Redis: {trouble}"),
            None => format!("Redis did not do what was asked: {}", causes.join(": ")),
        };
        Self::unavailable(text)
    }

    /// The same, after something was done already.
    #[must_use]
    pub(super) fn after(self, done: impl Into<String>) -> Self {
        Self { text: format!("{}; {}", done.into(), self.text), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = terminal::json(&Error { error: self.text }, false).expect("a text always serialises");
        let text = text + "\n";
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (self.status, json, text).into_response();
        response.headers_mut().extend(self.header);
        response
    }
}
