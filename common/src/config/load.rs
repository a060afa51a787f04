// SPDX-License-Identifier: GPL-3.0-or-later
//! Layers a configuration: compiled-in TOML, then a file, then the environment.
//!
//! Tables merge key by key, everything else replaces ([`super::layers`]).
//!
//! `THUNDERGATE_SECTION__KEY` is the key `section.key`, `THUNDERGATE_KEY` one at the top, `THUNDERGATE_A__B__KEY` one
//! further down. Its value is TOML, or else taken as the string it is. `THUNDERGATE_CONFIG` is no key: it names the
//! file; and neither are the variables of the command `thundergate`.

use super::{
    error::{ConfigError, Fault},
    layers::{Document, Layer, PREFIX, Place},
};
use serde::de::DeserializeOwned;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};
use toml::de::Deserializer;

/// The configuration from `defaults`, `file` and this process's environment.
///
/// # Errors
///
/// [`ConfigError`]; unknown keys are errors where `T` denies them.
pub fn load<T: DeserializeOwned>(defaults: &str, file: Option<&Path>) -> Result<T, ConfigError> {
    let environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    load_checked(defaults, file.map(Source::File), environment, |_| Ok(()))
}

/// What overlays the defaults.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A TOML file.
    File(&'a Path),
    /// TOML made from something else, under the name that errors call it by.
    Text(&'a str, &'a str),
}

/// As [`load`], from any environment, and with the program's own `check` of the whole.
///
/// # Errors
///
/// [`ConfigError`]; a [`Fault`] becomes one that says where the key was set.
pub fn load_checked<T: DeserializeOwned>(
    defaults: &str,
    source: Option<Source<'_>>,
    environment: impl IntoIterator<Item = (String, String)>,
    check: impl FnOnce(&T) -> Result<(), Fault>,
) -> Result<T, ConfigError> {
    let mut layers = vec![Layer::new(Place::Defaults, defaults, 0)];
    match source {
        Some(Source::File(path)) => push(&mut layers, Place::File(path.to_owned()), &read(path)?),
        Some(Source::Text(name, text)) => push(&mut layers, Place::File(name.into()), text),
        None => {}
    }
    let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| is_key(name)).collect();
    variables.sort();
    for (name, value) in variables {
        push(&mut layers, Place::Variable(name), &value);
    }
    let (document, config) = settle::<T>(&layers)?;
    check(&config).map_err(|fault| document.blame(&fault))?;
    Ok(config)
}

/// The file to read: the one that was named, else the `usual` one if there is such a file. What cannot be looked at may be
/// there: without that, a folder that the service's user cannot enter would mean the built-in defaults.
///
/// # Errors
///
/// [`ConfigError::Unreadable`]: whether the usual one exists cannot be told.
pub fn find(named: Option<&Path>, usual: &Path) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(named) = named {
        return Ok(Some(named.to_owned()));
    }
    // A link that leads nowhere is no absent file: reading it will say so.
    match usual.symlink_metadata() {
        Ok(_) => Ok(Some(usual.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path: usual.to_owned(), source }),
    }
}

/// Where a configuration comes from, for people: the path of the file, or that there is none.
pub fn origin(file: Option<&Path>) -> String {
    file.map_or_else(|| "built-in defaults".to_owned(), |file| file.display().to_string())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// Variables of the commands: where the file is, whom to ask, and with which token.
const NO_KEYS: [&str; 4] =
    ["THUNDERGATE_CONFIG", "THUNDERGATE_SOCKET", "THUNDERGATE_URL", "THUNDERGATE_TOKEN_FILE"];

fn is_key(name: &str) -> bool {
    name.starts_with(PREFIX) && !NO_KEYS.contains(&name)
}

fn push(layers: &mut Vec<Layer>, place: Place, text: &str) {
    let start = layers.last().map_or(0, |layer| layer.padded.len());
    layers.push(Layer::new(place, text, start));
}

/// Merges and deserialises. A variable that looks like a number where a string is asked for is tried as a string.
fn settle<T: DeserializeOwned>(layers: &[Layer]) -> Result<(Document<'_>, T), ConfigError> {
    let mut verbatim = vec![false; layers.len()];
    let mut first_error = None;
    loop {
        let document = Document::merge(layers, &verbatim)?;
        let error = match T::deserialize(Deserializer::from(document.table.clone())) {
            Ok(config) => return Ok((document, config)),
            Err(error) => error,
        };
        let culprit = document.layer_at(error.span().map_or(0, |span| span.start));
        let described = first_error.unwrap_or_else(|| document.describe(&error));
        if verbatim[culprit] || !matches!(layers[culprit].place, Place::Variable(_)) {
            return Err(described);
        }
        verbatim[culprit] = true;
        first_error = Some(described);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::time::Duration;

    const DEFAULTS: &str = "listen = [\"a\"]\n[wait]\ndeadline = \"20s\"\nsessions = 50\n";

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Program {
        listen: Vec<String>,
        wait: Wait,
        redis: Option<Redis>,
        farm: Option<crate::config::Farm>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Redis {
        #[serde(rename = "url")]
        _url: String,
        prefix: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wait {
        #[serde(with = "humantime_serde")]
        deadline: Duration,
        sessions: usize,
    }

    fn with(file: &str, environment: &[(&str, &str)]) -> Result<Program, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("milter.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let check = |program: &Program| {
            let fault = Fault::new(&["wait.sessions", "wait.deadline"], "too many sessions for the deadline");
            if program.wait.sessions > 100 && program.wait.deadline.is_zero() { Err(fault) } else { Ok(()) }
        };
        load_checked(DEFAULTS, Some(Source::File(&path)), environment, check)
            .map_err(|error| error.to_string().replace(directory.path().to_str().unwrap(), "DIR"))
    }

    #[test]
    fn a_file_overrides_defaults_and_the_environment_both() {
        let program = with(
            "listen = [\"b\", \"c\"]\n[wait]\nsessions = 7\n",
            &[("THUNDERGATE_WAIT__SESSIONS", "9"), ("THUNDERGATE_WAIT__DEADLINE", "30s"), ("HOME", "/root")],
        )
        .unwrap();
        assert_eq!(program.listen, ["b", "c"]);
        assert_eq!((program.wait.sessions, program.wait.deadline), (9, Duration::from_secs(30)));
    }

    #[test]
    fn a_section_can_come_from_the_environment_alone() {
        let program = with(
            "",
            &[
                ("THUNDERGATE_CONFIG", "/etc/x.toml"),
                ("THUNDERGATE_SOCKET", "/run/x.sock"),
                ("THUNDERGATE_URL", "https://x.example"),
                ("THUNDERGATE_TOKEN_FILE", "/etc/x.token"),
                ("THUNDERGATE_FARM__INSTANCES", r#"[{ url = "http://storm1:8080" }]"#),
                ("THUNDERGATE_FARM__TIMEOUT", "5s"),
                ("THUNDERGATE_LISTEN", r#"["d"]"#),
                ("THUNDERGATE_REDIS__PREFIX", "1"),
                ("THUNDERGATE_REDIS__URL", "redis://:p@host"),
            ],
        )
        .unwrap();
        assert_eq!(program.listen, ["d"]);
        assert_eq!(program.redis.unwrap().prefix, "1");
        assert_eq!(program.farm.unwrap().instances[0].name(), "storm1:8080");
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        let error = |file| with(file, &[]).unwrap_err();
        assert_eq!(
            error("\n[wait]\n\ndeadline = \"soon\"\n"),
            "DIR/milter.toml:4: wait.deadline: is no duration: write a number and a unit, such as 20s, 10min or 24h"
        );
        assert!(
            error("[wait]\nsesions = 1\n")
                .starts_with("DIR/milter.toml:2: wait.sesions: unknown field `sesions`"),
        );
        assert!(error("wait = 1\n").starts_with("DIR/milter.toml:1: wait: "));
        assert!(error("[wait\n").starts_with("DIR/milter.toml:1: "));
        assert_eq!(error("\n[farm]\n"), "DIR/milter.toml:2: farm: missing field `instances`");
    }

    #[test]
    fn an_error_says_what_to_write_instead() {
        let error = |file| with(file, &[]).unwrap_err();
        let size = error("[farm]\ninstances = []\nmax_file_bytes = \"30 Megs\"\n");
        assert!(size.starts_with("DIR/milter.toml:3: farm.max_file_bytes: is no size: "), "{size}");
        let no_scheme = error("[farm]\ninstances = [{ url = \"10.0.0.1:8080\" }]\n");
        assert!(no_scheme.contains("farm.instances.url: is no URL: it begins with a scheme"), "{no_scheme}");
        let bare = error("[farm]\ninstances = [\"http://s:8080\"]\n");
        assert!(bare.contains("farm.instances: is no scanner: write each as { url ="), "{bare}");
        for open in
            ["[farm]\ninstances = [{ url = \"http://s\" ]\n", "[farm]\ninstances = [{ url = \"http://s\"\n"]
        {
            assert!(error(open).contains("is the } missing"), "{}", error(open));
        }
        let array = error("[farm]\ninstances = [{ url = \"http://s\" }\n[wait]\nsessions = 1\n");
        assert!(array.contains("is the ] missing"), "{array}");
        let below = error("[wait]\nsessions = 1\nfarm.instances = []\n");
        assert!(below.contains("begin another with [farm]"), "{below}");
        assert!(!error("[wait]\nsesions = 1\n").contains("begin another"));
    }

    #[test]
    fn an_error_names_the_variable() {
        let error = |name, value| with("", &[(name, value), ("THUNDERGATE_LISTEN", "[]")]).unwrap_err();
        let message = error("THUNDERGATE_WAIT__SESSIONS", "many");
        assert!(message.starts_with("THUNDERGATE_WAIT__SESSIONS: wait.sessions: invalid type"), "{message}");
        let message = error("THUNDERGATE_WIAT__SESSIONS", "1");
        assert!(message.starts_with("THUNDERGATE_WIAT__SESSIONS: wiat: unknown field"), "{message}");
        let message = error("THUNDERGATE_WAIT__SESSIONS", "1\n[redis]\nurl = 1");
        assert!(message.starts_with("THUNDERGATE_WAIT__SESSIONS: wait.sessions: "), "{message}");
    }

    #[test]
    fn values_that_contradict_each_other_are_found_where_they_were_set() {
        let zero = ("THUNDERGATE_WAIT__DEADLINE", "0s");
        let too_many = "wait.sessions: too many sessions for the deadline";
        assert_eq!(
            with("[wait]\nsessions = 101", &[zero]).unwrap_err(),
            format!("DIR/milter.toml:2: {too_many}")
        );
        assert_eq!(
            with("", &[("THUNDERGATE_WAIT__SESSIONS", "101"), zero]).unwrap_err(),
            format!("THUNDERGATE_WAIT__SESSIONS: {too_many}")
        );
    }

    #[test]
    fn an_error_never_shows_a_secret() {
        let file = "[farm]\ninstances = [{ url = \"https://user:secret@st orm\" }]\n";
        let message = with(file, &[]).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
        assert!(message.starts_with("DIR/milter.toml:2: farm.instances.url: "), "{message}");
        let message = with("[redis]\nurl = \"redis://:secret@host\n", &[]).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn the_defaults_hold_only_where_there_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let usual = directory.path().join("milter.toml");
        assert_eq!(find(None, &usual).unwrap(), None);
        assert_eq!(find(Some(Path::new("x")), &usual).unwrap().as_deref(), Some(Path::new("x")));
        std::os::unix::fs::symlink("nowhere", &usual).unwrap();
        assert_eq!(find(None, &usual).unwrap(), Some(usual.clone()), "a link that leads nowhere");
        let behind_a_file = usual.with_file_name("file");
        std::fs::write(&behind_a_file, "").unwrap();
        let error = find(None, &behind_a_file.join("milter.toml")).unwrap_err();
        assert!(error.to_string().ends_with("file/milter.toml: cannot be read"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Program>(DEFAULTS, Some(Path::new("/nowhere/milter.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/milter.toml: cannot be read");
    }
}
