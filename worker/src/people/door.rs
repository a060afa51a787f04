// SPDX-License-Identifier: GPL-3.0-or-later
//! Whom to ask: the program behind a socket or a URL that is named, or else those that run here.

use super::{client::Client, error::PeopleError};
use clap::Args;
use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time::timeout};
use url::Url;

/// Where programs listen under systemd, in the order in which they are asked.
const SOCKETS: [&str; 2] = ["/run/thundergate-admin/worker.sock", "/run/thundergate-admin/milter.sock"];
/// How long a socket may take to accept.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Clone, Debug, Default, Args)]
pub struct Door {
    /// Ask the program with this admin socket. Default: $THUNDERGATE_SOCKET, else the worker's here, else the milter's
    /// (/run/thundergate-admin/worker.sock, milter.sock).
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "url")]
    pub socket: Option<PathBuf>,
    /// Ask the program with this admin address, `https://mx1.example.net:9101`. Default: $THUNDERGATE_URL.
    #[arg(long, global = true, value_name = "URL", value_parser = address)]
    pub url: Option<Url>,
    /// The file that holds the token for --url. Default: $THUNDERGATE_TOKEN_FILE.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "socket")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that are believed for --url, instead of the system's.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "socket")]
    pub ca_file: Option<PathBuf>,
}

/// Who is to be asked.
#[derive(Debug, PartialEq)]
enum Whom {
    Socket(PathBuf),
    Url {
        url: Url,
        token_file: Option<PathBuf>,
    },
    /// Whoever listens at one of these.
    Here(Vec<PathBuf>),
}

impl Door {
    /// Whether the command line says whom.
    pub fn names_one(&self) -> bool {
        self.socket.is_some() || self.url.is_some()
    }

    /// The one that is named, or else the first that listens here. `own` is the socket that the loaded configuration has.
    ///
    /// # Errors
    ///
    /// Nobody does, or this user may not ask.
    pub async fn one(&self, own: Option<&Path>) -> Result<Client, PeopleError> {
        let mut all = self.open(own, 1).await?;
        Ok(all.swap_remove(0))
    }

    /// The one that is named, or else all that listen here; at least one.
    ///
    /// # Errors
    ///
    /// As [`Door::one`].
    pub async fn all(&self, own: Option<&Path>) -> Result<Vec<Client>, PeopleError> {
        self.open(own, usize::MAX).await
    }

    async fn open(&self, own: Option<&Path>, most: usize) -> Result<Vec<Client>, PeopleError> {
        match self.whom(|name| std::env::var_os(name), own)? {
            Whom::Url { url, token_file } => {
                Ok(vec![Client::at_url(&url, token_file.as_deref(), self.ca_file.as_deref())?])
            }
            Whom::Socket(path) => match knock(&path).await? {
                Behind::Somebody => Ok(vec![Client::at_socket(&path)?]),
                Behind::Nobody | Behind::NoSocket => Err(PeopleError::Deserted(path)),
            },
            Whom::Here(paths) => here(paths, most).await,
        }
    }

    fn whom(
        &self,
        variable: impl Fn(&str) -> Option<OsString>,
        own: Option<&Path>,
    ) -> Result<Whom, PeopleError> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let token_file =
            || self.token_file.clone().or_else(|| variable("THUNDERGATE_TOKEN_FILE").map(PathBuf::from));
        if let Some(url) = self.url.clone() {
            return Ok(Whom::Url { url, token_file: token_file() });
        }
        if let Some(socket) = self.socket.clone() {
            return Ok(Whom::Socket(socket));
        }
        match (variable("THUNDERGATE_SOCKET"), variable("THUNDERGATE_URL")) {
            (Some(_), Some(_)) => {
                Err(usage("THUNDERGATE_SOCKET and THUNDERGATE_URL are both set: unset one"))
            }
            (None, Some(url)) => {
                let url = address(&url.to_string_lossy());
                let url = url.map_err(|why| usage(&format!("THUNDERGATE_URL: {why}")))?;
                Ok(Whom::Url { url, token_file: token_file() })
            }
            _ if self.token_file.is_some() || self.ca_file.is_some() => {
                Err(usage("--token-file and --ca-file go with --url: over a socket nobody asks for a token"))
            }
            (Some(socket), None) => Ok(Whom::Socket(socket.into())),
            (None, None) => Ok(Whom::Here(
                own.map_or_else(|| SOCKETS.map(PathBuf::from).into(), |own| vec![own.to_owned()]),
            )),
        }
    }
}

/// Those of `paths` where somebody listens, at most `most`.
async fn here(paths: Vec<PathBuf>, most: usize) -> Result<Vec<Client>, PeopleError> {
    let mut clients = Vec::new();
    let mut deserted = None;
    for path in paths {
        match knock(&path).await? {
            Behind::Somebody => clients.push(Client::at_socket(&path)?),
            Behind::Nobody => deserted = Some(path),
            Behind::NoSocket => {}
        }
        if clients.len() == most {
            break;
        }
    }
    match (clients.is_empty(), deserted) {
        (false, _) => Ok(clients),
        (true, Some(path)) => Err(PeopleError::Deserted(path)),
        (true, None) => Err(PeopleError::Nobody),
    }
}

enum Behind {
    Somebody,
    Nobody,
    NoSocket,
}

/// Who is behind a socket.
async fn knock(path: &Path) -> Result<Behind, PeopleError> {
    let connected = timeout(PATIENCE, UnixStream::connect(path)).await;
    let connected = connected.unwrap_or_else(|late| Err(late.into()));
    match connected.map_err(|error| (error.kind(), error)) {
        Ok(_) => Ok(Behind::Somebody),
        Err((ErrorKind::NotFound, _)) => Ok(Behind::NoSocket),
        Err((ErrorKind::ConnectionRefused, _)) => Ok(Behind::Nobody),
        Err((ErrorKind::PermissionDenied, _)) => Err(PeopleError::Forbidden(path.to_owned())),
        Err((_, error)) => Err(PeopleError::Unreachable {
            whom: format!("the program at {}", path.display()),
            source: error.into(),
        }),
    }
}

/// An address as people write it.
fn address(text: &str) -> Result<Url, String> {
    let example = "https://mx1.example.net:9101";
    let url = Url::parse(text).map_err(|error| format!("{error}; it looks like {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("it begins with https:// or http:// and has a host, as {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no user and no password go into it: a token does, in --token-file".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("it ends with host, port or path, as {example}"));
    }
    Ok(url)
}

fn usage(text: &str) -> PeopleError {
    PeopleError::Usage(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(door: &Door, environment: &[(&str, &str)], own: Option<&str>) -> Result<Whom, PeopleError> {
        let variable = |name: &str| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        door.whom(variable, own.map(Path::new))
    }

    fn url(text: &str) -> Url {
        address(text).unwrap()
    }

    #[test]
    fn what_is_named_goes_before_the_environment_and_that_before_the_usual_places() {
        let nothing = Door::default();
        let here = Whom::Here(SOCKETS.map(PathBuf::from).into());
        assert_eq!(whom(&nothing, &[], None).unwrap(), here);
        assert_eq!(whom(&nothing, &[("THUNDERGATE_SOCKET", "")], None).unwrap(), here);
        assert_eq!(whom(&nothing, &[], Some("/own")).unwrap(), Whom::Here(vec!["/own".into()]));
        let environment = [("THUNDERGATE_SOCKET", "/s")];
        assert_eq!(whom(&nothing, &environment, Some("/own")).unwrap(), Whom::Socket("/s".into()));
        let door = Door { socket: Some("/t".into()), ..Door::default() };
        assert_eq!(whom(&door, &environment, None).unwrap(), Whom::Socket("/t".into()));
        let door = Door { url: Some(url("https://a")), ..Door::default() };
        let token = ("THUNDERGATE_TOKEN_FILE", "/token");
        let expected = Whom::Url { url: url("https://a"), token_file: Some("/token".into()) };
        assert_eq!(whom(&door, &[environment[0], token], None).unwrap(), expected);
        let expected = Whom::Url { url: url("https://b"), token_file: None };
        assert_eq!(whom(&nothing, &[("THUNDERGATE_URL", "https://b")], None).unwrap(), expected);
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let token = Door { token_file: Some("/token".into()), ..Door::default() };
        let both = [("THUNDERGATE_SOCKET", "/s"), ("THUNDERGATE_URL", "https://b")];
        for (door, environment) in [
            (&token, &[][..]),
            (&token, &both[..1]),
            (&Door::default(), &both),
            (&token, &[("THUNDERGATE_URL", "b")]),
        ] {
            let error = whom(door, environment, None).unwrap_err();
            assert_eq!(error.status(), 64, "{error}");
        }
        for wrong in ["mx1:9101", "mx1", "unix:/x", "https://a:b@c", "https://a/?b", "https://a/#b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
