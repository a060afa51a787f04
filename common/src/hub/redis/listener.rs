// SPDX-License-Identifier: GPL-3.0-or-later
//! The connection on which the answers for this process arrive. It subscribes again by itself whenever it breaks; what
//! is announced meanwhile is missed, and waiters find it by reserving again. A ping every few seconds finds a
//! connection that died without a word.

use super::{connection::Pause, entrance::Entrance, seal::Purpose, vault::Vault, wire::Announcement};
use crate::{freshness::Cache, hub::Announcements, verdict::Answer, wire::Versioned};
use futures_util::StreamExt;
use redis::{Msg, RedisResult, Value, aio::PubSub};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

/// How long the connection may be silent before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(5);

/// What the listener needs.
pub(super) struct Listener {
    pub entrance: Arc<Entrance>,
    pub channel: String,
    pub patience: Duration,
    pub vault: Arc<Vault>,
    pub cache: Cache,
    pub announcements: Announcements,
    /// Whether it is subscribed.
    pub listening: watch::Sender<bool>,
}

impl Listener {
    /// Listens until it is dropped.
    pub(super) async fn run(self) {
        let mut pause = Pause::default();
        let mut told = false;
        loop {
            match timeout(self.entrance.connect_timeout(), self.subscribe()).await {
                Ok(Ok(connection)) => {
                    if told {
                        info!(event = "announcements_resumed", "announcements arrive again");
                    }
                    (told, pause) = (false, Pause::default());
                    self.hear(connection).await;
                }
                Ok(Err(error)) if !told => {
                    warn!(event = "announcements_interrupted", %error, "no announcements arrive; trying again");
                    told = true;
                }
                Err(_) if !told => {
                    warn!(event = "announcements_interrupted", "no announcements arrive; trying again");
                    told = true;
                }
                _ => {}
            }
            sleep(pause.next()).await;
        }
    }

    async fn subscribe(&self) -> RedisResult<PubSub> {
        let mut connection = self.entrance.listen().await?;
        connection.subscribe(&self.channel).await?;
        Ok(connection)
    }

    /// Passes announcements on until the connection breaks.
    async fn hear(&self, connection: PubSub) {
        let (mut questions, mut messages) = connection.split();
        self.listening.send_replace(true);
        loop {
            match timeout(SILENCE, messages.next()).await {
                Ok(Some(message)) => self.pass_on(&message),
                Ok(None) => break,
                Err(_) => {
                    let alive = timeout(self.patience, questions.ping::<Value>()).await;
                    if !matches!(alive, Ok(Ok(_))) {
                        break;
                    }
                }
            }
        }
        self.listening.send_replace(false);
    }

    fn pass_on(&self, message: &Msg) {
        // None that does not open: the vault has said so.
        let opened = self.vault.open(Purpose::Announcement, "", message.get_payload_bytes());
        let Some(plain) = opened else { return };
        match Versioned::decode(&plain)
            .filter(|announcement: &Announcement| self.is_news(&announcement.answer))
        {
            Some(announcement) => self.announcements.announce(&announcement.key, announcement.answer),
            None => {
                debug!(event = "announcement_ignored", "an announcement of another version, or an old one")
            }
        }
    }

    /// Not an old one that somebody repeats. Without a secret they could write a new one as well.
    fn is_news(&self, answer: &Answer) -> bool {
        match answer {
            Answer::Verdict(verdict) => !self.vault.is_closed() || verdict.is_fresh(&self.cache),
            Answer::Skipped(_) | Answer::Failed(_) => true,
        }
    }
}
