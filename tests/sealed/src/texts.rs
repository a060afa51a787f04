// SPDX-License-Identifier: GPL-3.0-or-later
//! The texts that mails are written from: `templates/`, a list for each half, a section for each language.

use anyhow::Context;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Which half of the mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// That which candidates are developed with.
    Development,
    /// That which judges them.
    Judged,
}

/// Texts by language, such as `de`.
pub type Languages = BTreeMap<String, Texts>;

/// The texts of one language. `{p}` stands for the password, `{n}` for a number, `{d}` for a date.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    pub(crate) subjects: Vec<String>,
    /// Subjects that tell the password.
    pub(crate) subject_secrets: Vec<String>,
    pub(crate) greetings: Vec<String>,
    /// Sentences that have nothing to do with it.
    pub(crate) fillers: Vec<String>,
    pub(crate) closings: Vec<String>,
    pub(crate) signatures: Vec<String>,
    /// "Password: X".
    pub(crate) colon: Vec<String>,
    /// "The password is: X".
    pub(crate) is: Vec<String>,
    /// Sentences that tell it.
    pub(crate) said: Vec<String>,
    /// What stands in the line above it.
    pub(crate) leads: Vec<String>,
    /// Sentences that tell it without a word for it.
    pub(crate) untold: Vec<String>,
    /// What stands in the cell beside it.
    pub(crate) labels: Vec<String>,
    /// Sentences that speak of another password.
    pub(crate) decoys: Vec<String>,
    /// Names of files, without what says their kind.
    pub(crate) names: Vec<String>,
    /// Words that are passwords.
    pub(crate) words: Vec<String>,
    /// Quotes: the first character opens, the last one closes.
    pub(crate) quotes: Vec<String>,
}

impl Half {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Judged => "judged",
        }
    }

    /// Its texts.
    pub fn languages(self) -> anyhow::Result<Languages> {
        let text = match self {
            Self::Development => include_str!("../templates/development.toml"),
            Self::Judged => include_str!("../templates/judged.toml"),
        };
        toml::from_str(text).with_context(|| format!("templates/{}.toml", self.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn both_halves_have_the_same_languages_and_no_text_in_common() {
        let [development, judged] = [Half::Development, Half::Judged].map(|half| half.languages().unwrap());
        assert_eq!(development.len(), 12);
        assert!(development.keys().eq(judged.keys()));
        for (one, other) in development.values().zip(judged.values()) {
            let known: HashSet<&String> = told(one).collect();
            assert!(told(other).all(|text| !known.contains(text)), "{:?}", told(other).next());
        }
    }

    #[test]
    fn whatever_tells_a_password_has_a_place_for_it() {
        for half in [Half::Development, Half::Judged] {
            let languages = half.languages().unwrap();
            assert!(languages.values().flat_map(told).all(|text| text.matches("{p}").count() == 1));
        }
    }

    fn told(texts: &Texts) -> impl Iterator<Item = &String> {
        let Texts { subject_secrets, colon, is, said, untold, .. } = texts;
        [subject_secrets, colon, is, said, untold].into_iter().flatten()
    }
}
