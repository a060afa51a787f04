// SPDX-License-Identifier: GPL-3.0-or-later
//! One connection of the MTA: what is known of its client, and the message that is on its way, apart from each other.
//! Knows the stages of the milter protocol but none of its types.

use crate::{
    inspect::inspector::Gate,
    mail::{
        envelope::{Client, Envelope, own_queue_id},
        forged::Forged,
        message::{Collector, Message},
    },
    outcome::{ambiguity_results, inspection::Inspection},
};
use std::{net::IpAddr, sync::Arc};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// What a recipient takes beside its address.
const RECIPIENT_BYTES: usize = 32;

/// A connection's state.
pub(super) struct Session {
    gate: Arc<Gate>,
    open: TaskTracker,
    client: Arc<Client>,
    /// The MTA sends the whole message in place of its body.
    whole: bool,
    transaction: Option<Transaction>,
}

/// A message's state, from MAIL to its end or ABORT. Sendmail sends no ABORT between messages.
struct Transaction {
    envelope: Envelope,
    collector: Collector,
    forged: Forged,
    in_body: bool,
    /// Held while the message is open, so that the drain waits for it; none where it began too late.
    open: Option<TaskTrackerToken>,
}

/// A message that has arrived.
pub(crate) struct Arrived {
    gate: Arc<Gate>,
    client: Arc<Client>,
    whole: bool,
    transaction: Transaction,
}

impl Session {
    /// A fresh connection. `open` counts the messages under way; once it is closed no new ones are taken.
    pub(super) fn new(gate: Arc<Gate>, open: TaskTracker) -> Self {
        Self { gate, open, client: Arc::default(), whole: false, transaction: None }
    }

    /// CONNECT.
    pub(super) fn connect(&mut self, mta: &[u8], name: &[u8], address: Option<IpAddr>) {
        self.client = Arc::new(Client { mta: text(mta), name: text(name), address, helo: String::new() });
    }

    /// Whether the MTA sends the whole message in place of its body, see [`crate::mail::repeated`].
    pub(super) fn gets_whole_messages(&mut self, whole: bool) {
        self.whole = whole;
    }

    /// HELO or EHLO.
    pub(super) fn helo(&mut self, name: &[u8]) {
        Arc::make_mut(&mut self.client).helo = text(name);
    }

    /// MAIL: a new message begins, whatever was before.
    pub(super) fn mail<'a>(
        &mut self,
        arguments: impl Iterator<Item = &'a [u8]>,
        authenticated: Option<&[u8]>,
    ) {
        let mut envelope = Envelope::begin(arguments);
        envelope.authenticated = authenticated.filter(|name| !name.is_empty()).map(text);
        let collector = Collector::new(&self.gate.memory, self.gate.message_bytes(), envelope.declared_size);
        let open = (!self.open.is_closed()).then(|| self.open.token());
        let forged = Forged::default();
        self.transaction = Some(Transaction { envelope, collector, forged, in_body: false, open });
    }

    /// True from MAIL to the end of the message.
    pub(super) fn has_message(&self) -> bool {
        self.transaction.is_some()
    }

    /// RCPT.
    pub(crate) fn rcpt(&mut self, argument: &[u8]) {
        if let Some(transaction) = &mut self.transaction {
            transaction.envelope.add_recipient(argument);
            transaction.collector.count_beside(argument.len() + RECIPIENT_BYTES);
        }
    }

    /// DATA. False where the message came after the drain began and must be deferred.
    pub(super) fn data(&self) -> bool {
        self.transaction.as_ref().is_none_or(|transaction| transaction.open.is_some())
    }

    /// True where a message is open whose header is not over.
    pub(crate) fn is_in_header(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| !transaction.in_body)
    }

    /// A header field.
    pub(super) fn header(&mut self, name: &[u8], value: &[u8]) {
        if let Some(transaction) = &mut self.transaction {
            // Blanks before the colon (RFC 5322, 4.5) belong to no name; Postfix and Sendmail leave them out, others may
            // not.
            let bare = name.trim_ascii_end();
            let is = |own: &str| usize::from(bare.eq_ignore_ascii_case(own.as_bytes()));
            transaction.forged.tags += is(&self.gate.settings.tag.header);
            transaction.forged.results += is(ambiguity_results::NAME);
            transaction.forged.fields += 1;
            transaction.collector.header(name, value);
        }
    }

    /// The end of the header.
    pub(super) fn end_of_header(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.in_body = true;
            transaction.collector.end_of_header();
        }
    }

    /// Where the body of the message that is open is collected; none before its header is over.
    pub(crate) fn open_body(&mut self) -> Option<&mut Collector> {
        let transaction = self.transaction.as_mut().filter(|transaction| transaction.in_body);
        transaction.map(|transaction| &mut transaction.collector)
    }

    /// A piece of the body.
    pub(super) fn body(&mut self, chunk: &[u8]) {
        if let Some(transaction) = &mut self.transaction {
            transaction.collector.body(chunk);
        }
    }

    /// False once no more of the message is needed.
    pub(crate) fn wants_more(&self) -> bool {
        self.transaction.as_ref().is_none_or(|transaction| !transaction.collector.is_lost())
    }

    /// The end of the message; none where no message is open.
    pub(crate) fn end_of_message(&mut self, queue_id: &[u8]) -> Option<Arrived> {
        let mut transaction = self.transaction.take()?;
        transaction.envelope.queue_id = if queue_id.is_empty() { own_queue_id() } else { text(queue_id) };
        let (gate, client) = (Arc::clone(&self.gate), Arc::clone(&self.client));
        Some(Arrived { gate, client, whole: self.whole, transaction })
    }

    /// The message is given up.
    pub(super) fn abort(&mut self) {
        self.transaction = None;
    }

    /// By what name we write header fields.
    pub(super) fn authserv_id(&self) -> String {
        ambiguity_results::authserv_id(&self.gate.settings.tag.authserv_id, &self.client.mta)
    }

    /// What this session works with.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

impl Arrived {
    /// Decides what happens to the message.
    pub(super) async fn inspect(self) -> Arc<Inspection> {
        // `open` lives until the decision is made.
        let Transaction { envelope, collector, forged, open: _open, .. } = self.transaction;
        let message = if self.whole { collector.finish_whole() } else { collector.finish() };
        let message = Message { forged, ..message };
        self.gate.inspect(&self.client, &envelope, message).await
    }

    /// What was collected.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        Some(self.transaction.collector.finish().bytes.ok()?.to_vec())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
