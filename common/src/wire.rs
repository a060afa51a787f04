// SPDX-License-Identifier: GPL-3.0-or-later
//! JSON with a version, the wire form of all that goes through Redis but bytes, names and times. What has no version is of
//! the first: before all forms had one, some had none. What has another than this program's is read as if it were not
//! there.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version that this program writes and reads.
const VERSION: u8 = 1;

/// A body as it travels: `{"v":1, …}` with the body's own fields beside the version. Reading it ignores fields that it
/// does not know, so that a later program can add some.
#[derive(Serialize)]
pub struct Versioned<T> {
    v: u8,
    #[serde(flatten)]
    body: T,
}

/// What is read first, of a body of any version.
#[derive(Deserialize)]
struct Version {
    #[serde(default = "first")]
    v: u8,
}

fn first() -> u8 {
    1
}

impl<T: Serialize> Versioned<T> {
    /// The JSON of a struct whose fields always serialise, none of which is called `v`.
    pub fn encode(body: T) -> Vec<u8> {
        serde_json::to_vec(&Self { v: VERSION, body }).expect("strings and numbers always serialise")
    }
}

impl<T: DeserializeOwned> Versioned<T> {
    /// The body in `bytes`; none where they hold another version or no such body. Read twice rather than flattened: that
    /// would copy every field on its way.
    pub fn decode(bytes: &[u8]) -> Option<T> {
        let Version { v } = serde_json::from_slice(bytes).ok()?;
        if v == VERSION { serde_json::from_slice(bytes).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Body {
        text: String,
    }

    fn decoded(json: &str) -> Option<String> {
        Versioned::<Body>::decode(json.as_bytes()).map(|body| body.text)
    }

    #[test]
    fn a_body_travels_with_its_version_first() {
        let wire = Versioned::encode(&Body { text: "x".to_owned() });
        assert_eq!(String::from_utf8(wire).unwrap(), r#"{"v":1,"text":"x"}"#);
    }

    #[test]
    fn what_has_no_version_is_of_the_first_and_another_one_is_nothing() {
        assert_eq!(decoded(r#"{"v":1,"text":"x"}"#).as_deref(), Some("x"));
        assert_eq!(decoded(r#"{"text":"x"}"#).as_deref(), Some("x"));
        assert_eq!(
            decoded(r#"{"text":"x","more":[1],"v":1}"#).as_deref(),
            Some("x"),
            "a later program adds fields"
        );
        for other in [
            r#"{"v":2,"text":"x"}"#,
            r#"{"v":0,"text":"x"}"#,
            r#"{"v":null,"text":"x"}"#,
            r#"{"v":1}"#,
            "x",
            "",
        ] {
            assert_eq!(decoded(other), None, "{other}");
        }
    }
}
