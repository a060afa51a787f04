// SPDX-License-Identifier: GPL-3.0-or-later
//! Looks for candidates in one text: behind and before each word for "password", in brackets and quotes, and everywhere
//! else.
//!
//! Scores are what the kinds are worth to each other; only their order counts. Behind "password" with a colon: 1000.

use super::{
    actions::is_action,
    candidate::{LONGEST, Place},
    cues::{self, Cue},
    forms::{after_label, forms, may_begin, pieces, trimmed, whole_forms},
    looks::{leads, looks},
    marks::{self, Mark},
    ranked::Ranked,
    texts::{Kind, Text},
    tokens::{self, Token},
};

/// Words for "password" that are looked at in one text.
const MOST_CUES: usize = 256;
/// Tokens behind one, and before it, among which the password is looked for.
const BEHIND: usize = 12;
const BEFORE: usize = 5;
/// Words of a phrase.
const MOST_WORDS: usize = 6;
/// Bytes between one and what is marked, behind it and before it.
const NEAR_BEHIND: usize = 160;
const NEAR_BEFORE: usize = 60;

const DIRECT: i32 = 1000;
const LED_TO: i32 = 930;
const FOLLOWING: i32 = 760;
const PRECEDING: i32 = 620;
const PHRASE: i32 = 880;
const UNLED_PHRASE: i32 = 720;
const MARKED_NEAR: i32 = 960;
const MARKED: i32 = 420;
const ALONE: i32 = 260;
const ACTED: i32 = 280;
const WORD: i32 = 120;
/// What a word for something else takes from all of these.
const DOUBTFUL: i32 = 160;
/// Looks from which on a word is a candidate with the marks around it.
const STRIKING: i32 = 100;
/// What a word in the subject is worth more.
const SUBJECT: i32 = 120;

/// Adds the candidates in `text` to `ranked`.
pub(crate) fn search(text: &Text, ranked: &mut Ranked) {
    let tokens = tokens::tokens(&text.text);
    let cues = cues::cues(&tokens, MOST_CUES);
    let mut search = Search { text: &text.text, tokens: &tokens, cues: &cues, ranked };
    for cue in &cues {
        search.behind(cue);
        search.before(cue);
    }
    for mark in marks::marks(&text.text) {
        search.marked(&mark);
    }
    search.near_actions();
    search.words(if text.kind == Kind::Subject { SUBJECT } else { 0 });
}

struct Search<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    cues: &'a [Cue],
    ranked: &'a mut Ranked,
}

impl Search<'_> {
    /// What follows `cue`, in its token and in the next ones, over the ends of lines.
    fn behind(&mut self, cue: &Cue) {
        let less = doubt(cue);
        let token = self.tokens[cue.token];
        let inner =
            self.text[cue.end..token.end()].trim_start_matches(|character: char| !may_begin(character));
        if inner.chars().filter(|character| character.is_alphanumeric()).count() >= 2 {
            self.add_forms(inner, Place::Password, DIRECT - less);
            self.phrases(token.end() - inner.len(), cue.token, PHRASE - less);
        }
        let (mut separated, mut led, mut sentences) = (0, false, 0);
        let following = self.tokens.iter().enumerate().skip(cue.token + 1).take(BEHIND);
        for (distance, (index, token)) in (0..).zip(following) {
            let mut score = FOLLOWING - 25 * distance;
            if led {
                score = LED_TO - 15 * distance;
            }
            if token.separated {
                score = DIRECT - 12 * distance - 60 * separated;
                separated += 1;
            }
            score += if token.alone { 60 } else { 0 };
            score += looks(trimmed(token.text)) / 2 - 40 * sentences - less;
            self.add_forms(token.text, Place::Password, score);
            if token.separated || led {
                self.phrases(token.start, index, PHRASE - 12 * distance - less);
            } else if distance == 0 || token.first {
                self.phrases(token.start, index, UNLED_PHRASE - 12 * distance - less);
            }
            if let Some(inner) = after_label(token.text) {
                self.add_forms(inner, Place::Password, score - 30);
                self.phrases(token.end() - inner.len(), index, PHRASE - 12 * distance - less);
            }
            led = leads(token.text);
            sentences += i32::from(token.ends_sentence);
        }
    }

    /// What stands before `cue` in its sentence: "use X as the password".
    fn before(&mut self, cue: &Cue) {
        let less = doubt(cue);
        let start = cue.token.saturating_sub(BEFORE);
        for (distance, token) in (0..).zip(self.tokens[start..cue.token].iter().rev()) {
            if token.ends_sentence {
                return;
            }
            let score = PRECEDING - 30 * distance + looks(trimmed(token.text)) - less;
            self.add_forms(token.text, Place::Password, score);
        }
    }

    /// The words from `start`, in token `from`, to the end of the line or the sentence, together.
    fn phrases(&mut self, start: usize, from: usize, score: i32) {
        let mut words = 1;
        for (index, token) in self.tokens.iter().enumerate().skip(from + 1).take(MOST_WORDS - 1) {
            if token.first || self.tokens[index - 1].ends_sentence || token.end() - start > LONGEST {
                break;
            }
            words += 1;
            let last = self.tokens.get(index + 1).is_none_or(|next| next.first || token.ends_sentence);
            let score = score - if last { 0 } else { 240 + 20 * words };
            let phrase = &self.text[start..token.end()];
            self.ranked.add(trimmed(phrase), Place::Password, score);
            if last && phrase != trimmed(phrase) {
                self.ranked.add(phrase, Place::Password, score - 60);
            }
        }
    }

    /// `mark`, which counts more near a word for "password".
    fn marked(&mut self, mark: &Mark<'_>) {
        let next = self.cues.partition_point(|cue| cue.end <= mark.start);
        let behind = next.checked_sub(1).map(|last| &self.cues[last]);
        let behind = behind.filter(|cue| mark.start - cue.end <= NEAR_BEHIND);
        let before = self.cues.get(next).filter(|cue| cue.start >= mark.end);
        let before = before.filter(|cue| cue.start - mark.end <= NEAR_BEFORE);
        let (place, score) = match (behind, before) {
            (Some(cue), _) => (Place::Password, MARKED_NEAR - near(mark.start - cue.end) - doubt(cue)),
            (_, Some(cue)) => (Place::Password, MARKED_NEAR - 60 - near(cue.start - mark.end) - doubt(cue)),
            _ => (Place::Marked, MARKED),
        };
        let words = mark.text.split_whitespace().count();
        let score = score + if words > 1 { -80 } else { looks(trimmed(mark.text)) / 2 };
        self.ranked.add(mark.text, place, score);
        self.ranked.add(trimmed(mark.text), place, score - 10);
    }

    /// What stands near a word for what one does with a password: "enter X to open it".
    fn near_actions(&mut self) {
        let actions = self.tokens.iter().enumerate().filter(|(_, token)| is_action(token));
        for (at, _) in actions.take(MOST_CUES) {
            let start = at.saturating_sub(BEFORE);
            for (distance, token) in (0..).zip(self.tokens[start..at].iter().rev()) {
                if token.ends_sentence {
                    break;
                }
                self.acted_on(token, distance);
            }
            for (distance, token) in (0..).zip(self.tokens.iter().skip(at + 1).take(BEHIND / 2)) {
                self.acted_on(token, distance);
                if token.ends_sentence {
                    break;
                }
            }
        }
    }

    fn acted_on(&mut self, token: &Token<'_>, distance: i32) {
        let core = trimmed(token.text);
        if core.chars().count() >= 3 {
            self.ranked.add(core, Place::Word, ACTED - 10 * distance + looks(core));
        }
    }

    /// Every word, `more` in a text that counts more.
    fn words(&mut self, more: i32) {
        for token in self.tokens {
            let core = trimmed(token.text);
            let alone = if token.alone { ALONE - WORD } else { 0 };
            let looks_like = looks(core);
            let score = WORD + more + alone + looks_like;
            if core.chars().count() >= 3 {
                self.ranked.add(core, Place::Word, score);
            }
            if !core.chars().all(char::is_alphanumeric) {
                for piece in pieces(core) {
                    self.ranked.add(piece, Place::Word, score.min(WORD + more + looks(piece)) - 20);
                }
            }
            if looks_like >= STRIKING {
                for (form, less) in whole_forms(token.text) {
                    self.ranked.add(form, Place::Word, score - less);
                }
            }
        }
    }

    /// Adds `token` in each form that it could be meant in.
    fn add_forms(&mut self, token: &str, place: Place, score: i32) {
        for (form, less) in forms(token) {
            self.ranked.add(&form, place, score - less);
        }
    }
}

fn doubt(cue: &Cue) -> i32 {
    if cue.doubtful { DOUBTFUL } else { 0 }
}

/// What so many bytes between take from a score.
fn near(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX).min(400)
}
