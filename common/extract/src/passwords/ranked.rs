// SPDX-License-Identifier: GPL-3.0-or-later
//! The candidates found so far, each with its best score, and the likeliest of them.

use super::candidate::{Candidate, LONGEST, MOST, Place};
use std::collections::{HashMap, hash_map::Entry};

/// Different ones that are remembered: further words of a long text are left.
const MOST_REMEMBERED: usize = 8192;
/// From this score on they are remembered even then.
const WORTHY: i32 = 500;
/// The same for those.
const MOST_WORTHY: usize = 2 * MOST_REMEMBERED;
/// The score of configured ones: behind what the mail names as its password, before what only could be one.
const CONFIGURED: i32 = 500;

/// What was found of one mail.
#[derive(Default)]
pub(crate) struct Ranked {
    all: HashMap<String, Standing>,
}

/// Of one candidate.
struct Standing {
    score: i32,
    place: Place,
    /// How many were found before it: of two with one score the first counts more.
    order: usize,
}

impl Ranked {
    /// `text` was found at `place`.
    pub(crate) fn add(&mut self, text: &str, place: Place, score: i32) {
        let most = if score < WORTHY { MOST_REMEMBERED } else { MOST_WORTHY };
        if text.is_empty() || text.len() > LONGEST {
            return;
        }
        if let Some(standing) = self.all.get_mut(text) {
            standing.score = standing.score.max(score);
            standing.place = standing.place.min(place);
        } else if self.all.len() < most {
            let order = self.all.len();
            self.all.insert(text.to_owned(), Standing { score, place, order });
        }
    }

    /// `text` is configured. It keeps the score that the mail gave it.
    pub(crate) fn configured(&mut self, text: &str) {
        if text.is_empty() || text.len() > LONGEST {
            return;
        }
        let order = self.all.len();
        match self.all.entry(text.to_owned()) {
            Entry::Occupied(mut known) => {
                let standing = known.get_mut();
                standing.score = standing.score.max(CONFIGURED);
                standing.place = Place::Configured;
            }
            Entry::Vacant(new) => {
                new.insert(Standing { score: CONFIGURED, place: Place::Configured, order });
            }
        }
    }

    /// At most [`MOST`], the likeliest first, all configured ones among them.
    pub(crate) fn likeliest(self) -> Vec<Candidate> {
        let mut all: Vec<(String, Standing)> = self.all.into_iter().collect();
        all.sort_unstable_by_key(|(_, standing)| (-standing.score, standing.order));
        let configured = all.iter().filter(|(_, standing)| standing.place == Place::Configured).count();
        let mut room = MOST.saturating_sub(configured);
        let mut kept = Vec::with_capacity(MOST);
        for (text, Standing { place, .. }) in all {
            if place != Place::Configured {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            kept.push(Candidate::new(text, place));
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ranked: Ranked) -> Vec<String> {
        ranked.likeliest().iter().map(|candidate| candidate.as_str().to_owned()).collect()
    }

    #[test]
    fn the_likeliest_come_first_and_each_once() {
        let mut ranked = Ranked::default();
        ranked.add("seldom", Place::Word, 1);
        ranked.add("often", Place::Word, 2);
        ranked.add("also", Place::Word, 2);
        ranked.add("seldom", Place::Marked, 3);
        assert_eq!(texts(ranked), ["seldom", "often", "also"]);
    }

    #[test]
    fn configured_ones_are_kept_however_many_others_there_are() {
        let mut ranked = Ranked::default();
        for number in 0..2 * MOST {
            ranked.add(&format!("word{number}"), Place::Password, CONFIGURED + 1);
        }
        ranked.configured("infected");
        let kept = texts(ranked);
        assert_eq!((kept.len(), kept.last().map(String::as_str)), (MOST, Some("infected")));
    }

    #[test]
    fn what_is_too_long_is_none_and_a_flood_of_words_leaves_room_for_what_is_likelier() {
        let mut ranked = Ranked::default();
        ranked.add(&"x".repeat(LONGEST + 1), Place::Password, 1000);
        for number in 0..2 * MOST_REMEMBERED {
            ranked.add(&number.to_string(), Place::Word, 1);
        }
        ranked.add("late", Place::Password, WORTHY);
        assert_eq!(ranked.all.len(), MOST_REMEMBERED + 1);
        assert_eq!(texts(ranked)[0], "late");
    }
}
