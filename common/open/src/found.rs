// SPDX-License-Identifier: GPL-3.0-or-later
//! What was found in a container and the containers inside it.

use super::{
    answer::{Answer, By, Container, Member, Why},
    failure::Excess,
    stop::Stop,
};
use bytes::Bytes;

/// Characters of a member's name.
const LONGEST_NAME: usize = 255;

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    members: Vec<Member>,
    by: Vec<By>,
    sealed: bool,
    unsupported: Option<Why>,
    cut_off: Option<Excess>,
}

impl Found {
    pub(crate) fn member(&mut self, name: &str, bytes: Bytes) {
        let name = name.chars().filter(|char| !char.is_control()).take(LONGEST_NAME).collect();
        self.members.push(Member { name, bytes });
    }

    /// Something opened.
    pub(crate) fn opened(&mut self, by: By) {
        if !self.by.contains(&by) {
            self.by.push(by);
        }
    }

    /// No password fitted something.
    pub(crate) fn sealed(&mut self) {
        self.sealed = true;
    }

    /// Something stays closed whatever its password.
    pub(crate) fn unsupported(&mut self, why: Why) {
        self.unsupported.get_or_insert(why);
    }

    /// How the work on one container ended.
    pub(crate) fn note(&mut self, ended: Result<(), Stop>) {
        match ended {
            Ok(()) => (),
            Err(Stop::Unsupported(why)) => self.unsupported(why),
            Err(Stop::Damaged) => self.unsupported(Why::Damaged),
            // There is more.
            Err(Stop::TooMuch(excess)) => {
                self.cut_off.get_or_insert(excess);
            }
        }
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.is_some()
    }

    /// All of it; fails where a limit left nothing.
    pub(crate) fn finish(self) -> Result<Answer, Stop> {
        let Self { members, by, sealed, unsupported, cut_off } = self;
        if let Some(excess) = cut_off.filter(|_| members.is_empty()) {
            return Err(Stop::TooMuch(excess));
        }
        let container = match unsupported {
            _ if sealed => Container::Sealed,
            Some(why) => Container::Unsupported(why),
            None if by.is_empty() => Container::Unsealed,
            None => Container::Opened(by),
        };
        Ok(Answer { container, members, cut_off })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tell: impl FnOnce(&mut Found)) -> Result<Answer, Stop> {
        let mut found = Found::default();
        tell(&mut found);
        found.finish()
    }

    #[test]
    fn what_stays_closed_outweighs_what_opened() {
        assert_eq!(found(|_| ()).unwrap().container, Container::Unsealed);
        let by = By::Candidate(0);
        let opened = |found: &mut Found| {
            found.opened(by);
            found.opened(by);
        };
        assert_eq!(found(opened).unwrap().container, Container::Opened(vec![by]));
        let partly = found(|found| {
            opened(found);
            found.unsupported(Why::Cipher);
        });
        assert_eq!(partly.unwrap().container, Container::Unsupported(Why::Cipher));
        let sealed = found(|found| {
            opened(found);
            found.unsupported(Why::Cipher);
            found.sealed();
        });
        assert_eq!(sealed.unwrap().container, Container::Sealed);
    }

    #[test]
    fn a_limit_that_left_nothing_is_a_failure() {
        assert_eq!(
            found(|found| found.note(Err(Stop::TooMuch(Excess::Bytes)))),
            Err(Stop::TooMuch(Excess::Bytes))
        );
        let some = found(|found| {
            found.member("a\r\nb", Bytes::from_static(b"x"));
            found.note(Err(Stop::TooMuch(Excess::Members)));
            found.note(Err(Stop::TooMuch(Excess::Bytes)));
        })
        .unwrap();
        assert_eq!((some.cut_off, some.members[0].name.as_str()), (Some(Excess::Members), "ab"));
    }
}
