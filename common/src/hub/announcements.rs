// SPDX-License-Identifier: GPL-3.0-or-later
//! Who in this process waits for which sample. A hub calls [`Announcements::announce`] when an answer arrives; whoever
//! holds a [`Ticket`] for that sample sees it. Dropping the last ticket of a sample forgets it, so the memory is
//! bounded by the number of parts that wait.

use crate::{sample::SampleKey, verdict::Answer};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::watch;

type Board = HashMap<SampleKey, watch::Sender<Option<Answer>>>;

/// The answers that somebody in this process waits for.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    board: Arc<Mutex<Board>>,
}

/// One waiter's interest in one sample.
#[derive(Debug)]
pub struct Ticket {
    key: SampleKey,
    answer: watch::Receiver<Option<Answer>>,
    board: Announcements,
}

impl Announcements {
    /// Starts to wait for `key`; subscribe first, then reserve, or an answer in between is missed.
    pub fn subscribe(&self, key: &SampleKey) -> Ticket {
        let mut board = self.lock();
        let answer = match board.get(key) {
            Some(sender) => sender.subscribe(),
            None => {
                let (sender, answer) = watch::channel(None);
                board.insert(key.clone(), sender);
                answer
            }
        };
        Ticket { key: key.clone(), answer, board: self.clone() }
    }

    /// Gives `answer` to everybody in this process who waits for `key`.
    pub fn announce(&self, key: &SampleKey, answer: Answer) {
        // The entry goes with its answer: who subscribes later waits for a later one.
        if let Some(sender) = self.lock().remove(key) {
            sender.send_replace(Some(answer));
        }
    }

    /// Whether somebody in this process waits for `key`.
    pub fn is_awaited(&self, key: &SampleKey) -> bool {
        self.lock().contains_key(key)
    }

    /// How many samples somebody waits for.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().expect("nothing panics while it holds the board")
    }
}

impl Ticket {
    /// The sample it is for.
    pub fn key(&self) -> &SampleKey {
        &self.key
    }

    /// Waits for the answer. Can be dropped and called again.
    pub async fn answer(&mut self) -> Answer {
        let seen = self.answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        match seen {
            Some(answer) => answer,
            // The sender leaves the board only with an answer or with the last ticket.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut board = self.board.lock();
        if board
            .get(&self.key)
            .is_some_and(|sender| sender.receiver_count() == 1 && sender.same_channel_as(&self.answer))
        {
            board.remove(&self.key);
        }
    }
}

trait SameChannel {
    fn same_channel_as(&self, receiver: &watch::Receiver<Option<Answer>>) -> bool;
}

impl SameChannel for watch::Sender<Option<Answer>> {
    fn same_channel_as(&self, receiver: &watch::Receiver<Option<Answer>>) -> bool {
        self.subscribe().same_channel(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, sample::NameHint};

    fn key() -> SampleKey {
        SampleKey { digest: Digest::of(b"x"), hint: NameHint::None }
    }

    #[tokio::test]
    async fn every_ticket_sees_the_answer() {
        let board = Announcements::default();
        let (mut first, mut second) = (board.subscribe(&key()), board.subscribe(&key()));
        board.announce(&key(), Answer::Failed("x".into()));
        assert_eq!(first.answer().await, Answer::Failed("x".into()));
        assert_eq!(second.answer().await, Answer::Failed("x".into()));
    }

    #[tokio::test]
    async fn an_old_ticket_does_not_remove_a_newer_entry() {
        let board = Announcements::default();
        let first = board.subscribe(&key());
        board.announce(&key(), Answer::Failed("x".into()));
        let second = board.subscribe(&key());
        drop(first);
        assert_eq!(board.waiting(), 1);
        drop(second);
        assert_eq!(board.waiting(), 0);
    }
}
