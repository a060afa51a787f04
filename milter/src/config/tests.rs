// SPDX-License-Identifier: GPL-3.0-or-later

use super::*;
use bytesize::ByteSize;
use thundergate_policy::Action;

fn refusal(toml: &str) -> String {
    Config::from_toml(toml).unwrap_err().to_string()
}

#[test]
fn the_built_in_defaults_run() {
    let config = Config::from_toml("").unwrap();
    assert_eq!(config.listen[0].to_string(), "inet:127.0.0.1:11337");
    assert_eq!(config.mode, Mode::Active);
    assert!(config.redis.is_none());
    assert_eq!(config.farm.unwrap().instances[0].url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(config.limits.message_bytes, ByteSize::mib(50));
    assert_eq!(config.wait.deadline, Duration::from_secs(20));
}

#[test]
fn the_interface_in_the_operators_guide_parses() {
    let config = Config::from_toml(
        r#"
# milter.toml
listen = ["inet:127.0.0.1:11337"]      # Postfix's and libmilter's spelling; also "unix:/run/thundergate/milter.sock"
mode = "active"                        # or "passive"
[redis]                                # absent: one process, no Redis
url = "redis://127.0.0.1:6379/0"       # rediss://, unix://, redis+sentinel:// and a list of cluster nodes too
prefix = "tg"
[farm]                                 # the milter needs it for one-process and direct scanning only
instances = [{ name = "storm1", url = "http://127.0.0.1:8080", concurrency = 4 }]   # name and concurrency optional
[scan]
name_hint = "extension"                # "full", "none"
bodies = "html"                        # "all", "none"
[policy]
quarantine = "any(Matches, {.Subscore > 90}) or FullMatch.Score > 90"    # also: reject, tempfail, tag, discard
[policy.on]                            # the failure table
pending = "tempfail"
scan_failed = "tempfail"
unavailable = "tempfail"
overload = "tempfail"
oversize = "quarantine"
malformed = "quarantine"
ambiguous = "tag"
[wait]
deadline = "20s"
sessions = 50
[limits]
message_bytes = "50MiB"
sample_bytes = "30MiB"
[cache]
clean_ttl = "24h"
found_ttl = "7d"
[log]
format = "json"                        # or "text"
level = "info"
[admin]
listen = "127.0.0.1:9101"              # /live /ready /metrics; worker: 9102
"#,
    )
    .unwrap();
    let mut config = config;
    assert_eq!(config.redis.take().unwrap().prefix, "tg");
    config.farm = None;
    config.complete();
    assert_eq!(config.to_toml(), Config::from_toml("").unwrap().to_toml(), "all of it are the defaults");
}

/// `[redis]`, `[farm]` and `[traces]` of one of the two files.
#[derive(Deserialize)]
struct Sections {
    redis: Redis,
    farm: Farm,
    traces: Traces,
}

fn printed(section: &impl Serialize) -> String {
    toml::to_string(section).unwrap()
}

/// Whether a line without its mark of a comment is a section or a key with its value, and no sentence.
fn is_toml(line: &str) -> bool {
    let key = line.split(" = ").next().unwrap_or_default();
    (line.starts_with('[') && line.ends_with(']'))
        || (line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || "_.".contains(c)))
}

/// The sections with what stands behind these marks of a comment: "# " before what holds where nothing is said, "#"
/// before an example.
fn uncommented(file: &'static str, marks: &[&str]) -> Sections {
    let uncomment = |line: &'static str| {
        let rest = marks.iter().find_map(|mark| line.strip_prefix(mark));
        rest.filter(|rest| is_toml(rest)).unwrap_or(line)
    };
    // A farm in one line stands before the section and would be one of its own.
    let lines = file.lines().filter(|line| !line.starts_with("#farm.")).map(uncomment);
    toml::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

#[test]
fn the_sections_of_both_files_parse_uncommented_and_show_the_defaults() {
    for file in [DEFAULTS, thundergate_worker::config::DEFAULTS] {
        let told = uncommented(file, &["# "]);
        let redis = Redis::at(told.redis.url.clone());
        assert_eq!(printed(&told.redis), printed(&redis));
        let mut farm: Farm = toml::from_str("instances = []").unwrap();
        farm.instances = told.farm.instances.clone();
        assert_eq!(printed(&told.farm), printed(&farm));
        assert_eq!(printed(&told.traces), printed(&Traces::default()));

        let examples = uncommented(file, &["# ", "#"]);
        let all = [printed(&examples.redis), printed(&examples.farm), printed(&examples.traces)].concat();
        for key in ["secret_file", "quorum", "ca_file", "proxy", "endpoint", "sample_ratio", "headers_file"] {
            assert!(file.contains(&format!("{key} = ")), "{key}");
            assert!(key == "secret_file" || all.contains(&format!("{key} = ")), "{key} is an example: {all}");
        }
        for key in ["name", "concurrency", "async"] {
            assert!(file.contains(key), "{key}");
        }
    }
}

#[test]
fn what_is_printed_can_be_loaded_again() {
    let config = Config::from_toml(
        "listen = 'unix:/run/m.sock'\n[redis]\nurl = ['redis://a:1', 'redis://b:2']\n[limits]\nmessage_bytes = 50000001\n\
         [policy.trust]\nnetworks = ['192.0.2.0/24']\n[admin]\nlisten = ''",
    )
    .unwrap();
    let printed = config.to_toml();
    assert_eq!(Config::from_toml(&printed).unwrap().to_toml(), printed);
    assert!(printed.contains("message_bytes = \"50000001B\""), "{printed}");
}

#[test]
fn what_is_printed_holds_no_secrets() {
    let config = Config::from_toml(
        "[redis]\nurl = 'redis://user:s3cret@host'\n[farm]\ninstances = [{ url = 'http://u:s3cret@host' }]",
    )
    .unwrap();
    assert!(!config.to_toml().contains("s3cret"));
}

#[test]
fn what_contradicts_itself_is_refused_with_its_line() {
    for (toml, complaint) in [
        ("[wait]\nprogress = '30s'", "configuration:2: wait.progress: "),
        ("[wait]\npoll = '0s'", "configuration:2: wait.poll: "),
        ("[wait]\ndeadline = '10m'", "configuration:2: wait.deadline: "),
        ("[limits]\nconnections = 0", "configuration:2: limits.connections: "),
        ("\n[limits]\nmessage_bytes = '2GiB'", "configuration:3: limits.message_bytes: "),
        ("[farm]\ninstances = []", "configuration:2: farm.instances: "),
        ("[farm]\ninstances = [{ url = 'ftp://host' }]", "configuration:2: farm.instances: "),
        ("[farm]\ntimeout = '1s'\ninstances = [{ url = 'http://h' }]", "configuration:2: farm.timeout: "),
        ("[policy.on]\npending = 'discard'", "configuration:2: policy.on.pending: "),
        ("[policy.on]\npartial = 'discard'", "configuration:2: policy.on.partial: "),
        (
            "[policy]\nreject = 'FullMatch.Scoer > 1'",
            "configuration:2: policy.reject: unknown member `Scoer`",
        ),
        ("[queue]\nlease_ttl = '9s'", "configuration:2: queue.lease_ttl: "),
        ("[tag]\nheader = 'X: y'", "configuration:2: tag.header: "),
        ("[tag]\nheader = 'mime-ambiguity-results'", "configuration:2: tag.header: "),
        ("[tag]\nauthserv_id = 'mx; scan=clean'", "configuration:2: tag.authserv_id: "),
        ("[log]\nlevel = 'loud'", "configuration:2: log.level: "),
        ("[redis]\nurl = 'redis://h'\nprefix = 'a{b'", "configuration:3: redis.prefix: "),
        ("[redis]\nurl = 'http://h'", "configuration:2: redis.url: "),
        ("[redis]\nurl = ''", "configuration:2: redis.url: is no address of Redis"),
        ("[redis]\nurl = 'redis.example:6379'", "configuration:2: redis.url: is no address of Redis"),
        ("[redis]\nurl = ['redis://a', 'b:6379']", "configuration:2: redis.url: is no address of Redis"),
        ("[redis]\nurl = []", "configuration:2: redis.url: "),
        ("[redis]\nurl = 'redis+sentinel://h'", "configuration:2: redis.url: "),
        ("[queue]\nlease_ttl = '5s'", "configuration:2: queue.lease_ttl: "),
        ("listen = []", "configuration:1: listen: "),
        ("listen = ['tcp:1']", "configuration:1: listen: `tcp:1` is no address"),
        ("mode = 'pasive'", "configuration:1: mode: unknown variant `pasive`"),
        ("lisen = []", "configuration:1: lisen: unknown field `lisen`"),
    ] {
        let refusal = refusal(toml);
        assert!(refusal.starts_with(complaint), "{toml}: {refusal}");
    }
}

#[test]
fn zero_means_do_not_wait_and_small_messages_may_have_large_parts() {
    assert!(Config::from_toml("[wait]\ndeadline = '0s'\n[limits]\nmessage_bytes = '1MiB'").is_ok());
}

#[test]
fn the_environment_reaches_every_depth() {
    let environment = [
        ("THUNDERGATE_LISTEN", "inet:0.0.0.0:1"),
        ("THUNDERGATE_POLICY__ON__PENDING", "accept"),
        ("THUNDERGATE_POLICY__QUARANTINE", "FullMatch.Score > 70"),
        ("THUNDERGATE_WAIT__DEADLINE", "0s"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_source(None, environment).unwrap();
    assert_eq!(config.listen[0].to_string(), "inet:0.0.0.0:1");
    assert_eq!(config.policy.on.pending, Action::Accept);
    assert_eq!(config.policy.quarantine, "FullMatch.Score > 70");
    assert!(config.wait.deadline.is_zero());
}

#[test]
fn a_yaml_file_is_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p2t.config.yaml");
    std::fs::write(&path, "milter_port: 1234\n").unwrap();
    assert_eq!(Config::load(Some(&path)).unwrap().listen[0].to_string(), "inet:127.0.0.1:1234");
    std::fs::write(&path, "quarantine_expression: FullMatch.Scoer > 1\n").unwrap();
    let error = Config::load(Some(&path)).unwrap_err().to_string();
    assert!(error.contains("p2t.config.yaml, migrated") && error.contains("`Scoer`"), "{error}");
}

#[test]
fn shares_are_numbers_and_relays_are_networks() {
    let limits = Config::from_toml("").unwrap().limits;
    assert_eq!((limits.new_samples, limits.share), (16, 4));
    let relays: Vec<String> = limits.relays.iter().map(ToString::to_string).collect();
    assert_eq!(relays, ["127.0.0.0/8", "::1/128"]);
    let limits =
        Config::from_toml("limits.share = 0\nlimits.new_samples = 0\nlimits.relays = []").unwrap().limits;
    assert_eq!((limits.new_samples, limits.share, limits.relays.len()), (0, 0, 0));
    for wrong in
        ["limits.share = -1", "limits.relays = [\"192.0.2.1/24\"]", "limits.relays = [\"mx.example\"]"]
    {
        let error = Config::from_toml(wrong).unwrap_err().to_string();
        assert!(error.contains("limits."), "{error}");
    }
}
