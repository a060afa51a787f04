// SPDX-License-Identifier: GPL-3.0-or-later
//! One connection of the MTA: what is known of its client, and the message that is on its way, apart from each other.
//! Knows the stages of the milter protocol but none of its types.

use crate::{
    ambiguity_results,
    envelope::{Client, Envelope},
    inspect::Gate,
    inspection::{Forged, Inspection},
    message::Collector,
};
use std::{net::IpAddr, sync::Arc};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// What a recipient takes beside its address.
const RECIPIENT_BYTES: usize = 32;

/// A connection's state.
pub struct Session {
    gate: Arc<Gate>,
    open: TaskTracker,
    client: Client,
    transaction: Option<Transaction>,
}

/// A message's state, from MAIL to its end or ABORT. Sendmail sends no ABORT between messages.
struct Transaction {
    envelope: Envelope,
    collector: Collector,
    forged: Forged,
    /// Held while the message is open, so that the drain waits for it; none where it began too late.
    open: Option<TaskTrackerToken>,
}

impl Session {
    /// A fresh connection. `open` counts the messages under way; once it is closed no new ones are taken.
    pub fn new(gate: Arc<Gate>, open: TaskTracker) -> Self {
        Self { gate, open, client: Client::default(), transaction: None }
    }

    /// CONNECT.
    pub fn connect(&mut self, mta: &[u8], name: &[u8], address: Option<IpAddr>) {
        self.client = Client { mta: text(mta), name: text(name), address, helo: String::new() };
    }

    /// HELO or EHLO.
    pub fn helo(&mut self, name: &[u8]) {
        self.client.helo = text(name);
    }

    /// MAIL: a new message begins, whatever was before.
    pub fn mail<'a>(&mut self, arguments: impl Iterator<Item = &'a [u8]>, authenticated: Option<&[u8]>) {
        let mut envelope = Envelope::begin(arguments);
        envelope.authenticated = authenticated.filter(|name| !name.is_empty()).map(text);
        let collector = Collector::new(&self.gate.memory, self.gate.message_bytes, envelope.declared_size);
        let open = (!self.open.is_closed()).then(|| self.open.token());
        self.transaction = Some(Transaction { envelope, collector, forged: Forged::default(), open });
    }

    /// RCPT.
    pub fn rcpt(&mut self, argument: &[u8]) {
        if let Some(transaction) = &mut self.transaction {
            transaction.envelope.add_recipient(argument);
            transaction.collector.count_beside(argument.len() + RECIPIENT_BYTES);
        }
    }

    /// DATA. False where the message came after the drain began and must be deferred.
    pub fn data(&self) -> bool {
        self.transaction.as_ref().is_none_or(|transaction| transaction.open.is_some())
    }

    /// A header field.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        if let Some(transaction) = &mut self.transaction {
            let is = |own: &str| usize::from(name.eq_ignore_ascii_case(own.as_bytes()));
            transaction.forged.tags += is(&self.gate.tag.header);
            transaction.forged.results += is(ambiguity_results::NAME);
            transaction.collector.header(name, value);
        }
    }

    /// The end of the header.
    pub fn end_of_header(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.collector.end_of_header();
        }
    }

    /// A piece of the body. False where no more is needed.
    pub fn body(&mut self, chunk: &[u8]) -> bool {
        self.transaction.as_mut().is_none_or(|transaction| transaction.collector.body(chunk))
    }

    /// The end of the message; none where no message is open.
    pub async fn end_of_message(&mut self, queue_id: &[u8]) -> Option<Inspection> {
        // `open` lives until the decision is made.
        let Transaction { mut envelope, collector, forged, open: _open } = self.transaction.take()?;
        envelope.queue_id = text(queue_id);
        let inspection = self.gate.inspect(&self.client, &envelope, collector.finish()).await;
        Some(Inspection { forged, ..inspection })
    }

    /// The message is given up.
    pub fn abort(&mut self) {
        self.transaction = None;
    }

    /// By what name we write header fields.
    pub fn authserv_id(&self) -> String {
        ambiguity_results::authserv_id(&self.gate.tag.authserv_id, &self.client.mta)
    }

    /// What this session works with.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
