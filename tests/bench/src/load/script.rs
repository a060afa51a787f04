// SPDX-License-Identifier: GPL-3.0-or-later
//! A message rendered once into what goes over the wire, cut where the MTA awaits a reply.
//!
//! What is sent depends on what was negotiated: commands the milter does not want are left out, and those it does not
//! answer go together with the next one that it does (two small writes in a row would stall, as there is no TCP_NODELAY).
//! All connections write from the same bytes; only the few places
//! that differ from one copy to the next ([`Slot`]) come from elsewhere.

use super::message::{Slot, slots};
use std::{io::IoSlice, ops::Range};
use thundergate_harness::mta::{
    CHUNK, Field, LEADING_SPACE, Mail, Offer, Stage, connect_data, mail_data, mail_macros, strings,
};

/// So many pieces are written from where they are, more are put together first.
const PIECES: usize = 16;

/// Which replies are possible behind a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// None.
    Nothing,
    /// What the milter chooses of what is offered.
    Options,
    /// Continue, or an early decision.
    Continue,
    /// The same, or no more of the body is wanted.
    Body,
    /// Changes of the message, and the decision.
    Decision,
}

/// What is written in one go before a reply is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it ends; it begins where the one before it ends.
    pub end: usize,
    /// What comes back.
    pub awaited: Awaited,
}

/// Everything of a message, or of what comes before the first one.
#[derive(Debug, Default)]
pub struct Script {
    bytes: Vec<u8>,
    patches: Vec<Patch>,
    /// In the order in which they are written.
    pub steps: Vec<Step>,
}

/// Where something else is written than the script's own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patch {
    at: usize,
    slot: Slot,
    /// Which part of it: a chunk's end can cut it.
    from: usize,
    to: usize,
}

/// What differs in this copy of the message.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The MTA's queue id.
    pub queue_id: [u8; Slot::QueueId.width()],
    /// Of each attachment.
    pub numbers: Vec<[u8; Slot::Number(0).width()]>,
    /// Of each attachment.
    pub names: Vec<[u8; Slot::Name(0).width()]>,
}

impl Values {
    fn of(&self, slot: Slot) -> &[u8] {
        match slot {
            Slot::QueueId => &self.queue_id,
            Slot::Number(part) => &self.numbers[part],
            Slot::Name(part) => &self.names[part],
        }
    }
}

impl Script {
    /// What a connection begins with.
    pub fn negotiation(offer: Offer) -> Self {
        let mut writer = Writer { agreed: offer, script: Self::default() };
        writer.put(b'O', &[offer.version, offer.actions, offer.options].map(u32::to_be_bytes).concat());
        writer.finish(Awaited::Options)
    }

    /// A message is given up.
    pub fn abort() -> Self {
        Self::unanswered(b'A')
    }

    /// A session ends.
    pub fn quit() -> Self {
        Self::unanswered(b'Q')
    }

    fn unanswered(letter: u8) -> Self {
        let mut writer = Writer { agreed: Offer::default(), script: Self::default() };
        writer.put(letter, &[]);
        writer.finish(Awaited::Nothing)
    }

    /// What comes before a connection's first message.
    pub fn greeting(mail: &Mail, agreed: Offer) -> Self {
        let mut writer = Writer { agreed, script: Self::default() };
        let client = mail.client.ip().to_string();
        let macros =
            ["j", "mta.test.example", "{daemon_name}", "smtpd", "v", "load", "{client_addr}", &client];
        writer.command(Stage::Connect, &strings(macros), &connect_data(mail, false));
        writer.command(Stage::Helo, &[], &strings([&mail.helo]));
        writer.finish(Awaited::Nothing)
    }

    /// One message.
    pub fn message(mail: &Mail, agreed: Offer) -> Self {
        let mut writer = Writer { agreed, script: Self::default() };
        let (fields, body) = mail.split();
        let id = strings(["i", &mail.queue_id]);
        writer.command(Stage::Mail, &mail_macros(mail, &mail.client.ip().to_string()), &mail_data(mail));
        for recipient in &mail.recipients {
            let data = strings([format!("<{recipient}>")]);
            writer.command(Stage::Rcpt, &strings(["{rcpt_addr}", recipient]), &data);
        }
        writer.command(Stage::Data, &id, &[]);
        writer.fields(&fields);
        writer.command(Stage::Eoh, &id, &[]);
        writer.body(body);
        writer.put(b'D', &[b"E", &id[..]].concat());
        writer.put(b'E', &[]);
        writer.finish(Awaited::Decision)
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Behind which step a message is given up: the first chunk of its body, or what comes before the end.
    pub fn given_up_after(&self) -> usize {
        let body = self.steps.iter().position(|step| step.awaited == Awaited::Body);
        body.unwrap_or(self.steps.len().saturating_sub(2))
    }

    /// These bytes of it, where nothing is filled in.
    pub fn plain(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Writes what was left over from before and these bytes of it, or the first of them; gives back how many went. It
    /// is one write whatever there is to fill in: of two in a row the second would stall.
    pub fn write(
        &self,
        ahead: &[u8],
        range: Range<usize>,
        values: &Values,
        to: &mut impl std::io::Write,
    ) -> std::io::Result<usize> {
        let mut pieces = [IoSlice::new(ahead); PIECES];
        let first = usize::from(ahead.is_empty());
        let mut used = 1;
        for piece in self.pieces(range.clone(), values) {
            let Some(place) = pieces.get_mut(used) else {
                let pieces = self.pieces(range, values);
                let gathered: Vec<&[u8]> = [ahead].into_iter().chain(pieces).collect();
                return to.write(&gathered.concat());
            };
            *place = IoSlice::new(piece);
            used += 1;
        }
        to.write_vectored(&pieces[first..used])
    }

    /// These bytes of it, with the values in their places.
    fn pieces<'a>(&'a self, range: Range<usize>, values: &'a Values) -> impl Iterator<Item = &'a [u8]> {
        let mut at = range.start;
        let mut next = self.patches.partition_point(|patch| patch.at + (patch.to - patch.from) <= at);
        std::iter::from_fn(move || {
            let piece = match self.patches.get(next) {
                _ if at >= range.end => return None,
                Some(patch) if patch.at <= at => {
                    next += 1;
                    &values.of(patch.slot)[patch.from + (at - patch.at)..patch.to]
                }
                Some(patch) => &self.bytes[at..patch.at.min(range.end)],
                None => &self.bytes[at..range.end],
            };
            at += piece.len();
            Some(piece)
        })
    }
}

/// Renders a script.
struct Writer {
    agreed: Offer,
    script: Script,
}

impl Writer {
    fn fields(&mut self, fields: &[Field]) {
        for (name, value) in fields {
            let value = match value.split_first() {
                Some((b' ', rest)) if self.agreed.options & LEADING_SPACE == 0 => rest,
                _ => value,
            };
            self.command(Stage::Header, &[], &strings([name, value]));
        }
    }

    fn body(&mut self, body: &[u8]) {
        if self.agreed.options & Stage::Body.unwanted() != 0 {
            return;
        }
        let slots = slots(body);
        for from in (0..body.len()).step_by(CHUNK) {
            self.put_part(b'B', body, from..body.len().min(from + CHUNK), &slots);
            self.answered(Stage::Body, Awaited::Body);
        }
    }

    fn command(&mut self, stage: Stage, macros: &[u8], data: &[u8]) {
        if self.agreed.options & stage.unwanted() != 0 {
            return;
        }
        if !macros.is_empty() {
            self.put(b'D', &[&[stage.letter()], macros].concat());
        }
        self.put(stage.letter(), data);
        self.answered(stage, Awaited::Continue);
    }

    /// Ends the step if the milter answers this.
    fn answered(&mut self, stage: Stage, awaited: Awaited) {
        if self.agreed.options & stage.unanswered() == 0 {
            self.end_step(awaited);
        }
    }

    fn end_step(&mut self, awaited: Awaited) {
        self.script.steps.push(Step { end: self.script.bytes.len(), awaited });
    }

    fn put(&mut self, letter: u8, data: &[u8]) {
        self.put_part(letter, data, 0..data.len(), &slots(data));
    }

    /// One packet with this part of `data`.
    fn put_part(&mut self, letter: u8, data: &[u8], part: Range<usize>, slots: &[(usize, Slot)]) {
        let Script { bytes, patches, .. } = &mut self.script;
        let len = u32::try_from(part.len() + 1).expect("header fields and chunks are far below 4 GiB");
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.push(letter);
        for (found, slot) in slots {
            let begin = part.start.max(*found);
            let end = part.end.min(found + slot.width());
            if begin < end {
                let at = bytes.len() + begin - part.start;
                patches.push(Patch { at, slot: *slot, from: begin - found, to: end - found });
            }
        }
        bytes.extend_from_slice(&data[part]);
    }

    fn finish(mut self, awaited: Awaited) -> Script {
        if self.script.steps.last().map_or(0, |step| step.end) < self.script.bytes.len() {
            self.end_step(awaited);
        }
        self.script
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::message::{Look, with_attachments};

    const ALL_REPLIES: Offer = Offer { version: 6, actions: 0, options: LEADING_SPACE };

    fn values(parts: usize) -> Values {
        Values {
            queue_id: *b"0123456789",
            numbers: vec![*b"AAAABBBBCCCC"; parts],
            names: vec![*b"abcdefghij"; parts],
        }
    }

    /// All that goes over the wire, written a few bytes at a time or at once.
    fn written(script: &Script, values: &Values, most: usize) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < script.len() {
            at += script.write(&[], at..script.len().min(at + most), values, &mut out).unwrap();
        }
        out
    }

    #[test]
    fn values_stand_in_their_places_even_where_a_chunk_ends_within_one() {
        let look = Look { attachments: 2, text: true, distinct_names: true };
        // So that the number of the second attachment lies on the first chunk's end.
        let mut cut = 0;
        for size in 47_300..47_800 {
            let mail = with_attachments(&look, size);
            let body = mail.split().1;
            let Some((at, _)) = slots(body).into_iter().find(|(_, slot)| *slot == Slot::Number(1)) else {
                continue;
            };
            if !(at < CHUNK && at + Slot::Number(1).width() > CHUNK) {
                continue;
            }
            cut += 1;
            let script = Script::message(&mail, ALL_REPLIES);
            let at_once = written(&script, &values(2), usize::MAX >> 1);
            assert_eq!(
                at_once.iter().filter(|byte| **byte == b'@').count(),
                7,
                "addresses: macros, envelope, header"
            );
            assert_eq!(at_once, written(&script, &values(2), 7));
        }
        assert!(cut > 0, "no size put a place on a chunk's end");
    }

    #[test]
    fn a_step_is_one_write_however_much_is_filled_in() {
        let look = Look { attachments: 30, text: true, distinct_names: true };
        let script = Script::message(&with_attachments(&look, 100), ALL_REPLIES);
        let mut at = 0;
        for step in &script.steps {
            let mut out = Vec::new();
            let wrote = script.write(b"ahead", at..step.end, &values(30), &mut out).unwrap();
            assert_eq!((wrote, out.len()), (step.end - at + 5, step.end - at + 5));
            at = step.end;
        }
    }

    #[test]
    fn commands_without_replies_go_with_the_next_one() {
        let mail = with_attachments(&Look { attachments: 1, text: false, distinct_names: false }, 100_000);
        let awaited = |options| {
            let script = Script::message(&mail, Offer { options, ..ALL_REPLIES });
            script.steps.iter().map(|step| step.awaited).collect::<Vec<_>>()
        };
        let quiet = Stage::Mail.unanswered()
            | Stage::Rcpt.unanswered()
            | Stage::Header.unanswered()
            | Stage::Eoh.unanswered();
        use Awaited::{Body, Continue, Decision};
        assert_eq!(awaited(quiet), [Continue, Body, Body, Body, Decision]);
        assert_eq!(awaited(quiet | Stage::Data.unanswered() | Stage::Body.unanswered()), [Decision]);
        assert_eq!(awaited(Stage::Body.unwanted()).len(), 3 + 7 + 1 + 1);
    }
}
