// SPDX-License-Identifier: GPL-3.0-or-later
//! Senders that behave as MTAs do: several messages a connection, now and then one given up in the middle, and what got
//! no final answer stays in the queue and is tried again, at this milter or another.

use super::{
    corpus::Corpus,
    hostile,
    journal::{Attempt, End, Journal},
    outbox::{Outbox, Task},
};
use std::{io, sync::Arc, time::Duration};
use thundergate_harness::{
    mta::{Action, Mail, Mta, Reply},
    postfix::Postfix,
};
use tokio::time::timeout;

/// What a milter may take beyond `wait.deadline`; generous, since a loaded machine is no hung session.
pub const MARGIN: Duration = Duration::from_secs(10);
/// What Postfix may take: its own time-outs come first.
const POSTFIX_PATIENCE: Duration = Duration::from_secs(90);
/// One mail of so many goes through Postfix.
const POSTFIX_SHARE: u32 = 20;

/// What senders share.
pub struct Senders {
    /// What is to be sent.
    pub outbox: Outbox,
    /// What the mails are.
    pub corpus: Corpus,
    /// Where attempts are written down.
    pub journal: Arc<Journal>,
    /// The milters.
    pub addresses: Vec<String>,
    /// How long a milter may take for a message.
    pub patience: Duration,
    /// Whether sessions are given up and connections closed in the middle, now and then.
    pub aborts: bool,
}

/// A connection and what it is good for.
struct Session {
    mta: Mta,
    milter: usize,
    left: u32,
}

/// Which mail goes through Postfix, where there is one.
pub fn goes_through_postfix(mail: u32) -> bool {
    mail % POSTFIX_SHARE == 7
}

/// The envelope sender that names a mail; hostile ones come from somewhere else.
pub fn address_of(mail: u32) -> String {
    match hostile::kind_of(mail) {
        Some(_) => format!("hostile-{mail}@hostile.example"),
        None => format!("mail-{mail}@senders.example"),
    }
}

/// The mail that [`address_of`] names.
pub fn mail_of(address: &str) -> Option<u32> {
    address.strip_prefix("mail-")?.split('@').next()?.parse().ok()
}

impl Senders {
    /// Sends until every mail has its decision.
    pub async fn work(&self, postfix: Option<&Postfix>) {
        let mut session = None;
        while let Some(task) = self.outbox.next().await {
            let end = match postfix {
                Some(postfix) if goes_through_postfix(task.mail) => self.submit(postfix, task).await,
                _ => self.send(&mut session, task).await,
            };
            match end {
                End::Accepted | End::Held | End::Taken | End::Other(_) => self.outbox.decide(),
                _ => self.outbox.keep(task),
            }
        }
        if let Some(Session { mta, .. }) = session {
            mta.quit().await.ok();
        }
    }

    /// One mail over a connection of its own, to this milter, until it is decided. Says how it was.
    pub async fn probe(&self, milter: usize, mail: u32) -> End {
        let mut session = None;
        let end = self.exchange(&mut session, milter, mail, false).await;
        if let Some(Session { mta, .. }) = session {
            mta.quit().await.ok();
        }
        end
    }

    async fn send(&self, session: &mut Option<Session>, task: Task) -> End {
        if session.as_ref().is_some_and(|session| session.left == 0)
            && let Some(Session { mta, .. }) = session.take()
        {
            mta.quit().await.ok();
        }
        let milter =
            session.as_ref().map_or_else(|| fastrand::usize(..self.addresses.len()), |one| one.milter);
        let abort = self.aborts && fastrand::u32(..100) < 2;
        self.exchange(session, milter, task.mail, abort).await
    }

    async fn connect(&self, milter: usize) -> Result<Session, End> {
        match timeout(self.patience, Mta::connect(&self.addresses[milter])).await {
            Ok(Ok(mta)) => Ok(Session { mta, milter, left: fastrand::u32(1..8) }),
            Ok(Err(error)) => Err(End::Broken(error.to_string())),
            Err(_) => Err(End::Hung),
        }
    }

    /// One attempt; a connection that is not good for another message is dropped.
    async fn exchange(&self, session: &mut Option<Session>, milter: usize, mail: u32, abort: bool) -> End {
        let letter = self.corpus.letter(mail);
        let envelope = Mail { sender: address_of(mail), ..Mail::of(letter.message.to_vec()) };
        self.journal.record().contents.entry(mail).or_insert(letter.items);
        let (queue_id, began) = (envelope.queue_id.clone(), self.journal.now());
        let end = match self.converse(session, milter, &envelope, abort).await {
            Ok(end) | Err(end) => end,
        };
        match (&end, &mut *session) {
            (End::Hung | End::Broken(_) | End::Aborted, session) => *session = None,
            (_, Some(session)) => session.left -= 1,
            (_, None) => (),
        }
        let ended = self.journal.now();
        let attempt = Attempt { mail, milter: Some(milter), queue_id, began, ended, end: end.clone() };
        self.journal.attempted(attempt);
        end
    }

    async fn converse(
        &self,
        session: &mut Option<Session>,
        milter: usize,
        mail: &Mail,
        abort: bool,
    ) -> Result<End, End> {
        let session = match session {
            Some(session) => session,
            none => none.insert(self.connect(milter).await?),
        };
        if abort {
            return timeout(self.patience, give_up(&mut session.mta, mail)).await.map_err(|_| End::Hung);
        }
        match timeout(self.patience, session.mta.send(mail)).await {
            Err(_) => Err(End::Hung),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(End::Hung),
            Ok(Err(error)) => Err(End::Broken(error.to_string())),
            Ok(Ok(reply)) => Ok(end_of(&reply)),
        }
    }

    async fn submit(&self, postfix: &Postfix, task: Task) -> End {
        let letter = self.corpus.letter(task.mail);
        self.journal.record().contents.entry(task.mail).or_insert_with(|| letter.items.clone());
        let (sender, began) = (address_of(task.mail), self.journal.now());
        let submitted = postfix.submit(&sender, &["recipient@example.net"], &letter.message);
        let end = match timeout(POSTFIX_PATIENCE, submitted).await {
            Err(_) => End::Hung,
            Ok(Err(error)) => End::Broken(error.to_string()),
            Ok(Ok(reply)) if reply.code == 250 => End::Taken,
            Ok(Ok(reply)) if reply.code / 100 == 4 => End::Tempfailed(reply.text),
            Ok(Ok(reply)) => End::Other(format!("{} {}", reply.code, reply.text)),
        };
        let attempt = Attempt {
            mail: task.mail,
            milter: None,
            queue_id: String::new(),
            began,
            ended: self.journal.now(),
            end: end.clone(),
        };
        self.journal.attempted(attempt);
        end
    }
}

/// A client that hangs up, or an MTA that dies: before the end of the message, or while it waits for the reply.
async fn give_up(mta: &mut Mta, mail: &Mail) -> End {
    if fastrand::bool() {
        mta.send_without_end(mail).await.ok();
        mta.abort().await.ok();
    } else {
        mta.send_without_waiting(mail).await.ok();
    }
    End::Aborted
}

fn end_of(reply: &Reply) -> End {
    match &reply.action {
        Action::Tempfail => End::Tempfailed("the MTA's own text".to_owned()),
        Action::ReplyCode(text) if text.starts_with('4') => End::Tempfailed(text.clone()),
        Action::Accept | Action::Continue if reply.quarantine.is_some() => End::Held,
        Action::Accept | Action::Continue => match reply.header("X-Thundergate") {
            Some(tag) => End::Other(format!("tagged {tag}")),
            None => End::Accepted,
        },
        other => End::Other(format!("{other:?}")),
    }
}
