// SPDX-License-Identifier: GPL-3.0-or-later
//! Which API a configured URL means.
//!
//! A path that ends in `/api` or `/api/v1`, or in one of their calls as configurations of postfix2thunderstorm have it
//! (`http://localhost:8080/api/check`), fixes the API. Anything else is where the server is, and the API is found by
//! asking `api/v1/info` and then `api/info`.

use url::Url;

/// The calls that a configured URL may end in.
const CALLS: [&str; 5] = ["check", "checkAsync", "getAsyncResults", "info", "status"];
/// Both APIs, the newer one first: a server that has both answers more in it.
const APIS: [&str; 2] = ["api/v1", "api"];

/// Where the API of a server is or may be. Every URL ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The URL says it.
    Fixed(Url),
    /// One of these, to be asked in this order.
    Probe(Vec<Url>),
}

impl Address {
    /// What `url` means.
    pub fn of(url: &Url) -> Self {
        let path = url.path().trim_end_matches('/');
        let path = match path.rsplit_once('/') {
            Some((above, call)) if CALLS.contains(&call) => above,
            _ => path,
        };
        let at = |path: String| {
            let mut url = url.clone();
            url.set_path(&path);
            url.set_query(None);
            url.set_fragment(None);
            url
        };
        if APIS.iter().any(|api| path.strip_suffix(api).is_some_and(|above| above.ends_with('/'))) {
            return Self::Fixed(at(format!("{path}/")));
        }
        Self::Probe(APIS.iter().map(|api| at(format!("{path}/{api}/"))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Vec<String> {
        match Address::of(&url.parse().unwrap()) {
            Address::Fixed(url) => vec![url.to_string()],
            Address::Probe(urls) => urls.iter().map(Url::to_string).collect(),
        }
    }

    #[test]
    fn a_path_that_names_the_api_fixes_it() {
        for url in [
            "http://h:8080/api",
            "http://h:8080/api/",
            "http://h:8080/api/check",
            "http://h:8080/api/info/?x#y",
        ] {
            assert_eq!(of(url), ["http://h:8080/api/"], "{url}");
        }
        assert_eq!(of("https://h/thor/api/v1/checkAsync"), ["https://h/thor/api/v1/"]);
    }

    #[test]
    fn any_other_path_is_probed() {
        assert_eq!(of("http://h:8080"), ["http://h:8080/api/v1/", "http://h:8080/api/"]);
        assert_eq!(of("http://h/storm1/"), ["http://h/storm1/api/v1/", "http://h/storm1/api/"]);
        assert_eq!(of("http://h/notapi"), ["http://h/notapi/api/v1/", "http://h/notapi/api/"]);
    }
}
