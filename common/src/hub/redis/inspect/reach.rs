// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether there is a way to Redis and a login, and if not, whose fault that is.

use super::{login_key, places};
use crate::{
    api::check::{Finding, Level},
    check::cause::{Cause, REDIS, with_causes},
    hub::redis::{
        connection,
        entrance::Entrance,
        settings::{Redis, RedisUrl},
        target::Wire,
    },
};
use futures_util::future::join_all;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(4);
/// How long a server may take for its first word.
const FIRST_WORD: Duration = Duration::from_millis(700);

/// What a server says to an inline `PING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstWord {
    Redis,
    Tls,
    Http,
    Other,
    None,
}

/// Where several servers are named, those that nobody can connect to.
pub(super) async fn others(redis: &Redis) -> Vec<Finding> {
    let places = places(&redis.url);
    if places.len() < 2 {
        return Vec::new();
    }
    let looked = join_all(
        places.iter().map(|place| async move { open(place).await.err().map(|error| (place, error)) }),
    );
    let finding = |(place, error): (&String, String)| {
        let cause = Cause::of(&error);
        Finding::new(cause.level(), format!("redis.url {place}"), error, cause.cure(REDIS))
    };
    looked.await.into_iter().flatten().map(finding).collect()
}

/// A connection that is logged in.
pub(super) async fn connect(entrance: &Entrance, redis: &Redis) -> Result<Wire, Finding> {
    let late = |_| Err((ErrorKind::Io, "no answer in time").into());
    let patience = entrance.connect_timeout().min(CONNECTING);
    let opened = timeout(patience, connection::open(entrance, super::LONGEST)).await.unwrap_or_else(late);
    match opened {
        Ok(wire) => Ok(wire),
        Err(error) => Err(why(&error, redis).await),
    }
}

/// Whether somebody takes connections there.
///
/// # Errors
///
/// Why not, in words.
pub(super) async fn open(place: &str) -> Result<TcpStream, String> {
    match timeout(CONNECTING / 2, TcpStream::connect(place)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("{place} cannot be reached: {error}")),
        Err(_) => Err(format!("{place} cannot be reached: no answer in time")),
    }
}

async fn why(error: &RedisError, redis: &Redis) -> Finding {
    let text = with_causes(error);
    let wrong = |text: String, cure: &str| Finding::new(Level::Wrong, "redis.url", text, cure);
    match error.kind() {
        ErrorKind::AuthenticationFailed => return refused(error, redis),
        ErrorKind::MasterNameNotFoundBySentinel => {
            let cure = "correct the service's name in redis.url: it is the one that the Sentinels' \
                        `sentinel monitor` has";
            return wrong(format!("the Sentinels know no master of this name: {text}"), cure);
        }
        ErrorKind::Server(ServerErrorKind::BusyLoading) => {
            let cure = "wait until it has read its append-only file";
            return Finding::new(Level::Unavailable, "redis.url", "Redis is starting (LOADING)", cure);
        }
        _ => {}
    }
    let places = places(&redis.url);
    let place = places.join(", ");
    let cause = Cause::of(&text);
    // A plain client of a TLS server only sees a connection that ends, or an answer of nonsense.
    let first = match (&redis.url, cause, places.first()) {
        (RedisUrl::One(_), Cause::Other | Cause::Late | Cause::NotTls, Some(place)) => {
            first_word(place).await
        }
        _ => FirstWord::None,
    };
    match (first, cause) {
        (FirstWord::Http, _) => {
            wrong(format!("{place} is a web server, not Redis"), "name host and port of Redis in redis.url")
        }
        (FirstWord::Tls, Cause::Other | Cause::Late) => wrong(
            format!("{place} speaks TLS alone: {text}"),
            "begin redis.url with rediss:// instead of redis://",
        ),
        (FirstWord::Redis, Cause::Late | Cause::NotTls) => {
            wrong(format!("{place} speaks no TLS: {text}"), &Cause::NotTls.cure(REDIS))
        }
        (FirstWord::Other, Cause::Other | Cause::NotTls) => {
            wrong(format!("{place} is no Redis: {text}"), "name host and port of Redis in redis.url")
        }
        _ => {
            let place = if place.is_empty() { redis.url.redacted().join(", ") } else { place };
            let text = format!("{place} cannot be used: {text}");
            Finding::new(cause.level(), "redis.url", text, cause.cure(REDIS))
        }
    }
}

/// Redis does not let the process in.
fn refused(error: &RedisError, redis: &Redis) -> Finding {
    let text = error.detail().map_or_else(|| error.to_string(), ToString::to_string);
    let place = match &redis.password_file {
        Some(file) => format!("{}", file.display()),
        None => "redis.url (or the file that redis.password_file names)".to_owned(),
    };
    let cure = format!(
        "have the same password in {place} and for this user in Redis's users.acl; `ACL LIST` shows who is \
         there"
    );
    Finding::new(Level::Wrong, login_key(redis), format!("Redis lets nobody in: {text}"), cure)
}

/// What kind of server is at `place`.
async fn first_word(place: &str) -> FirstWord {
    let Ok(mut stream) = open(place).await else { return FirstWord::None };
    let mut word = [0; 8];
    let talk = async {
        stream.write_all(b"PING\r\n").await?;
        stream.read(&mut word).await
    };
    match timeout(FIRST_WORD, talk).await {
        Ok(Ok(length)) => kind_of(&word[..length]),
        // A TLS server may end the connection without a word.
        Ok(Err(_)) => FirstWord::Tls,
        Err(_) => FirstWord::None,
    }
}

fn kind_of(word: &[u8]) -> FirstWord {
    match word {
        // An alert; or nothing, which is how servers end a connection that is none of theirs.
        [] | [0x15, 3, ..] => FirstWord::Tls,
        [b'+' | b'-', ..] => FirstWord::Redis,
        _ if word.starts_with(b"HTTP/") || word.starts_with(b"<") => FirstWord::Http,
        _ => FirstWord::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_word_tells_a_server() {
        for (word, kind) in [
            (b"+PONG\r\n".as_slice(), FirstWord::Redis),
            (b"-NOAUTH A", FirstWord::Redis),
            (b"\x15\x03\x01\x00\x02", FirstWord::Tls),
            (b"HTTP/1.1", FirstWord::Http),
            (b"220 mail", FirstWord::Other),
        ] {
            assert_eq!(kind_of(word), kind, "{word:?}");
        }
    }
}
