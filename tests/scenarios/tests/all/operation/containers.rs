// SPDX-License-Identifier: GPL-3.0-or-later
//! What is under deploy/ for containers and Kubernetes agrees with the programs, and with itself. No engine is needed;
//! `tests/containers` builds and runs it all where there is one.
#![allow(clippy::unwrap_used, reason = "a scenario fails where it stands")]

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};
use tempfile::TempDir;
use thundergate_common::digest::Digest;
use thundergate_harness::{
    free_port,
    process::{Program, binary},
    thunderstorm::{Settings, Standin},
};

/// A program's configuration in containers: which program, whose file, where its secrets are mounted.
const CONFIGURATIONS: [(&str, &str, &str); 6] = [
    ("milter", "compose/milter.toml", "/run/secrets"),
    ("worker", "compose/worker.toml", "/run/secrets"),
    ("milter", "kubernetes/base/milter.toml", "/run/secrets/thundergate"),
    ("worker", "kubernetes/base/worker.toml", "/run/secrets/thundergate"),
    ("milter", "kubernetes/example/milter.toml", "/run/secrets/thundergate"),
    ("worker", "kubernetes/example/worker.toml", "/run/secrets/thundergate"),
];

/// What a process may take beside limits.memory_bytes, as deploy/milter.toml has it.
const BESIDE: u64 = 384 << 20;

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn documents(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn ask(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A folder with what make-secrets needs, after it has run. Links, not copies: while a program is written, whatever
/// another test starts has it open for a moment, and it cannot be run (ETXTBSY).
fn secrets() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for file in ["compose/make-secrets", "redis/users.acl"] {
        fs::create_dir(place.path().join(file).parent().unwrap()).unwrap();
        symlink(deploy(file).canonicalize().unwrap(), place.path().join(file)).unwrap();
    }
    ask(&mut Command::new(place.path().join("compose/make-secrets")));
    place
}

/// The whole configuration, as `check` prints it.
fn effective(program: &str, file: &str, mounted: &str, secrets: &TempDir) -> Value {
    let here = secrets.path().join("compose/secrets");
    let text = read(file);
    assert!(!text.contains('@'), "{file} has a password in a URL");
    let moved = secrets.path().join("moved.toml");
    fs::write(&moved, text.replace(mounted, here.to_str().unwrap())).unwrap();
    let program = binary(&format!("thundergate-{program}")).unwrap();
    let output = ask(Command::new(program).arg("check").arg("--config").arg(moved));
    toml::from_str(std::str::from_utf8(&output.stdout).unwrap()).unwrap()
}

fn duration(value: &Value) -> Duration {
    match value {
        Value::String(text) => text.parse::<humantime_serde::re::humantime::Duration>().unwrap().into(),
        seconds => Duration::from_secs(seconds.as_u64().unwrap()),
    }
}

/// Of "1GiB", "1536Mi", "1g" and the like.
fn bytes(value: &Value) -> u64 {
    let text = value.as_str().unwrap();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap();
    let unit = match text[digits..].trim().to_lowercase().trim_end_matches("ib").trim_end_matches('i') {
        "m" => 20,
        "g" => 30,
        other => panic!("{text}: what is {other}?"),
    };
    text[..digits].parse::<u64>().unwrap() << unit
}

fn port(address: &Value) -> u64 {
    address.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

/// Where a configuration listens; everywhere, or nobody outside the container could come.
fn ports(config: &Value) -> BTreeSet<u64> {
    let listen = config.get("listen").and_then(Value::as_array).cloned().unwrap_or_default();
    let all = listen.iter().chain([&config["admin"]["listen"]]);
    all.inspect(|address| assert!(address.as_str().unwrap().contains("0.0.0.0:"), "{address}"))
        .map(port)
        .collect()
}

#[test]
fn secrets_are_made_once_and_redis_learns_only_their_digests() {
    let made = secrets();
    let at = |name: &str| fs::read_to_string(made.path().join("compose/secrets").join(name)).unwrap();
    let (before, users) = (at("milter-password"), at("users.acl"));
    for program in ["milter", "worker"] {
        let digest = Digest::of(at(&format!("{program}-password")).as_bytes());
        assert!(
            users.contains(&format!("user thundergate-{program} on resetpass #{digest} resetkeys ")),
            "{users}"
        );
    }
    let delivered = read("redis/users.acl");
    assert_eq!(users.lines().count(), delivered.lines().count());
    assert_eq!(users.lines().next(), delivered.lines().next(), "Redis' own user gets no password");
    assert!(at("seal").len() >= 32 && at("seal") != before);
    ask(&mut Command::new(made.path().join("compose/make-secrets")));
    assert_eq!((at("milter-password"), at("users.acl")), (before, users));
}

#[test]
fn compose_agrees_with_the_configuration_of_its_programs() {
    let secrets = secrets();
    let compose = documents("compose.yaml").remove(0);
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        assert!(service["mem_limit"].is_string() && service["cpus"].is_number(), "{name}");
    }
    for (program, file, mounted) in
        CONFIGURATIONS.into_iter().filter(|(_, file, _)| file.starts_with("compose"))
    {
        let config = effective(program, file, mounted, &secrets);
        let image = format!("thundergate-{program}");
        let ours: Vec<_> = services.values().filter(|service| service["image"] == image).collect();
        assert_eq!(ours.len(), 2, "{program}");
        for service in ours {
            assert!(duration(&service["stop_grace_period"]) > duration(&config["grace"]), "{program}");
            assert!(
                bytes(&service["mem_limit"]) >= bytes(&config["limits"]["memory_bytes"]) + BESIDE,
                "{program}"
            );
            let published: BTreeSet<u64> = service["ports"].as_array().unwrap().iter().map(port).collect();
            assert_eq!(published, ports(&config), "{program}");
            let given: BTreeSet<_> =
                service["secrets"].as_array().unwrap().iter().map(Value::as_str).collect();
            assert_eq!(
                given,
                BTreeSet::from([Some(&*format!("{program}-password")), Some("seal"), Some("admin-token")])
            );
        }
    }
    let members = |network: &str| -> BTreeSet<&str> {
        let joined = |networks: &Value| match networks {
            Value::Array(names) => names.iter().any(|name| name == network),
            by_name => by_name.get(network).is_some(),
        };
        services.iter().filter(|(_, service)| joined(&service["networks"])).map(|(name, _)| &**name).collect()
    };
    assert_eq!(members("hub"), BTreeSet::from(["redis", "milter1", "milter2", "worker1", "worker2"]));
    assert_eq!(members("farm"), BTreeSet::from(["storm1", "storm2", "worker1", "worker2"]));
    assert_eq!(members("mail"), BTreeSet::from(["postfix", "milter1", "milter2"]));
    assert_eq!(compose["networks"]["hub"]["internal"], true);
}

#[test]
fn kubernetes_agrees_with_the_configuration_of_its_programs() {
    let secrets = secrets();
    for (program, file, mounted) in CONFIGURATIONS.into_iter().filter(|(_, file, _)| file.starts_with("kube"))
    {
        let config = effective(program, file, mounted, &secrets);
        let manifests = documents(&format!("kubernetes/base/{program}.yaml"));
        let deployment = manifests.iter().find(|manifest| manifest["kind"] == "Deployment").unwrap();
        let (pod, container) = (&deployment["spec"]["template"]["spec"], "/spec/template/spec/containers/0");
        let container = deployment.pointer(container).unwrap();

        let release = format!("thundergate-{program}:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(container["image"], release);
        // Else the Service's variables are unknown keys of the configuration.
        assert_eq!(pod["enableServiceLinks"], false, "{program}");
        let pause = container.pointer("/lifecycle/preStop/sleep/seconds").map_or(Duration::ZERO, duration);
        let patience = duration(&pod["terminationGracePeriodSeconds"]);
        assert!(patience > pause + duration(&config["grace"]), "{program}: {patience:?}");
        assert!(
            bytes(&container["resources"]["limits"]["memory"])
                >= bytes(&config["limits"]["memory_bytes"]) + BESIDE
        );

        let named = container["ports"].as_array().unwrap();
        let listening: BTreeSet<u64> =
            named.iter().map(|port| port["containerPort"].as_u64().unwrap()).collect();
        assert_eq!(listening, ports(&config), "{file}");
        let admin = named.iter().find(|port| port["name"] == "admin").unwrap();
        assert_eq!(admin["containerPort"].as_u64().unwrap(), port(&config["admin"]["listen"]));
        for (probe, path) in [("livenessProbe", "/live"), ("readinessProbe", "/ready")] {
            assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "admin" }), "{program}");
        }
        if let Some(service) = manifests.iter().find(|manifest| manifest["kind"] == "Service") {
            assert_eq!(service["spec"]["ports"][0]["port"].as_u64().unwrap(), port(&config["listen"][0]));
        }
        let secret =
            pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "secrets").unwrap();
        let items = secret["secret"]["items"].as_array().unwrap();
        let given: BTreeSet<_> = items.iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            given,
            BTreeSet::from([format!("{program}-password"), "seal".to_owned(), "admin-token".to_owned()])
        );
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| mount["name"] == "secrets" && mount["mountPath"] == mounted));
    }
}

#[test]
fn the_image_has_the_user_and_the_ports_of_its_orchestrators() {
    let dockerfile = read("Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").collect();
    let stage = |name: &str| {
        let is =
            |stage: &&&str| stage.lines().next().is_some_and(|line| line.ends_with(&format!(" AS {name}")));
        *stages.iter().find(is).unwrap_or_else(|| panic!("no stage {name}"))
    };
    assert!(
        stage("thundergate").starts_with("scratch AS")
            && stage("thundergate").contains("\nUSER 10001:10001\n")
    );
    for (program, expose) in [("milter", "EXPOSE 11337 9101"), ("worker", "EXPOSE 9102")] {
        let (stage, name) = (stage(program), format!("thundergate-{program}"));
        assert!(stage.starts_with("thundergate AS") && stage.contains(expose), "{stage}");
        assert!(stage.contains(&format!("CMD [\"{name}\", \"health\"]")), "{stage}");
        assert!(stage.contains(&format!("ENTRYPOINT [\"{name}\"]\nCMD [\"serve\"]")), "{stage}");
        let manifests = documents(&format!("kubernetes/base/{program}.yaml"));
        let deployment = manifests.iter().find(|manifest| manifest["kind"] == "Deployment").unwrap();
        let security = &deployment["spec"]["template"]["spec"]["securityContext"];
        assert_eq!((&security["runAsUser"], &security["runAsGroup"]), (&json!(10001), &json!(10001)));
    }
}

#[test]
fn the_build_has_every_member_of_the_workspace() {
    let ignored = read("Dockerfile.dockerignore");
    let workspace: toml::Table = toml::from_str(&read("../Cargo.toml")).unwrap();
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let member = Path::new(member.as_str().unwrap());
        let is_copied = |path: &Path| ignored.lines().any(|line| line == format!("!{}", path.display()));
        assert!(member.ancestors().any(is_copied), "Dockerfile.dockerignore has no {}", member.display());
    }
}

#[test]
fn kustomize_builds_the_manifests() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        return eprintln!("skipped: no kubectl here");
    }
    for (name, replicas) in [("base", 2), ("example", 1)] {
        let output = ask(Command::new("kubectl").arg("kustomize").arg(deploy("kubernetes").join(name)));
        let text = String::from_utf8(output.stdout).unwrap();
        let built: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let kinds = |kind: &str| built.iter().filter(|manifest| manifest["kind"] == kind).count();
        assert_eq!((kinds("Deployment"), kinds("ConfigMap"), kinds("NetworkPolicy")), (2, 2, 2), "{text}");
        // Where KEDA counts the workers the Deployment does not.
        let counted = built.iter().filter(|manifest| manifest["spec"]["replicas"].is_u64()).count();
        assert_eq!(counted, replicas, "{name}");
    }
}

#[tokio::test]
async fn health_asks_the_program_that_runs_here() {
    let standin = Standin::start(Settings::default()).await;
    let config = format!(
        "listen = [\"inet:127.0.0.1:0\"]\n[farm]\ninstances = [{{ url = \"{}\" }}]\n[admin]\nlisten = \"127.0.0.1:{}\"\n",
        standin.url(),
        free_port()
    );
    let mut milter = Program::start("thundergate-milter", &config).await.unwrap();
    let file = milter.dir().unwrap().join("config.toml");
    let health = |arguments: &[&str]| {
        let mut command = Command::new(binary("thundergate-milter").unwrap());
        let output = command.arg("health").arg("--config").arg(&file).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(health(&[]), (Some(0), "live\n".to_owned()));
    milter.kill9().await.unwrap();
    assert_eq!(health(&[]).0, Some(1));
    assert_eq!(health(&["--ready"]).0, Some(1));
}
