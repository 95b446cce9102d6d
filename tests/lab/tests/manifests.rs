//! Facts that the files in deploy/ must repeat are the same everywhere. No control plane is needed; what the manifests
//! do on one is shown by install.rs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use muster_lab::cluster::repository;
use serde_json::{Value, json};

fn read(file: &str) -> Result<String> {
    fs::read_to_string(repository().join(file)).with_context(|| file.to_owned())
}

/// The object of that kind in a manifest.
fn object(file: &str, kind: &str) -> Result<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&read(file)?).with_context(|| file.to_owned())?;
    objects.into_iter().find(|object| object["kind"] == kind).with_context(|| format!("{file} has no {kind}"))
}

fn container(file: &str, kind: &str) -> Result<Value> {
    Ok(object(file, kind)?["spec"]["template"]["spec"]["containers"][0].clone())
}

/// deploy/scheduler.yaml holds deploy/scheduler-config.yaml with the differences that its comment names, and no others.
#[test]
fn the_second_scheduler_has_the_shipped_configuration() -> Result<()> {
    let mut expected: Value = serde_saphyr::from_str(&read("deploy/scheduler-config.yaml")?)?;
    expected["clientConnection"].as_object_mut().context("clientConnection")?.remove("kubeconfig");
    expected["leaderElection"]["resourceNamespace"] = json!("muster-system");
    expected["leaderElection"]["resourceName"] = json!("muster-scheduler");
    expected["profiles"].as_array_mut().context("profiles")?.retain(|p| p["schedulerName"] == "muster");
    for entry in expected["extenders"].as_array_mut().context("extenders")? {
        entry["urlPrefix"] = json!("http://muster.muster-system.svc:7070/v1/extender");
    }
    let map = object("deploy/scheduler.yaml", "ConfigMap")?;
    let text = map["data"]["scheduler-config.yaml"].as_str().context("scheduler-config.yaml")?;
    assert_eq!(serde_saphyr::from_str::<Value>(text)?, expected);
    Ok(())
}

/// The one entry of deploy/own-scheduler-config.yaml answers what the two of deploy/scheduler-config.yaml do.
#[test]
fn the_clusters_own_scheduler_is_asked_the_same() -> Result<()> {
    let entries = |file: &str| -> Result<Vec<Value>> {
        let config: Value = serde_saphyr::from_str(&read(file)?)?;
        Ok(config["extenders"].as_array().context("extenders")?.clone())
    };
    let mut merged = json!({});
    for entry in entries("deploy/scheduler-config.yaml")? {
        for (key, value) in entry.as_object().context("an extender")? {
            merged[key] = value.clone();
        }
    }
    merged["managedResources"] = json!([{"name": "nvidia.com/gpu", "ignoredByScheduler": false}]);
    assert_eq!(entries("deploy/own-scheduler-config.yaml")?, [merged]);
    Ok(())
}

#[test]
fn versions_are_those_of_the_workspace_and_of_the_tested_control_plane() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let image = |file: &str, kind: &str| Ok::<_, anyhow::Error>(container(file, kind)?["image"].clone());
    assert_eq!(image("deploy/extender.yaml", "Deployment")?, format!("ghcr.io/muster-dev/muster:{version}"));
    assert_eq!(
        image("deploy/agent.yaml", "DaemonSet")?,
        format!("ghcr.io/muster-dev/muster-agent:{version}")
    );
    let go = read("tests/control-plane/kubernetes/go.mod")?;
    let line =
        go.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes ")).context("go.mod")?;
    assert_eq!(
        image("deploy/scheduler.yaml", "Deployment")?,
        format!("registry.k8s.io/kube-scheduler:{line}")
    );
    for file in ["deploy/docker/muster.Dockerfile", "deploy/docker/muster-agent.Dockerfile"] {
        assert!(read(file)?.contains(&format!("VERSION={version} ")), "{file}");
    }
    Ok(())
}

#[test]
fn agents_report_where_muster_listens() -> Result<()> {
    let service = object("deploy/extender.yaml", "Service")?;
    let port = &service["spec"]["ports"][0]["port"];
    let address = format!(
        "http://{}.{}.svc:{port}",
        service["metadata"]["name"].as_str().context("name")?,
        service["metadata"]["namespace"].as_str().context("namespace")?
    );
    let agent = container("deploy/agent.yaml", "DaemonSet")?;
    assert_eq!(agent["args"][1], address);
    let muster = container("deploy/extender.yaml", "Deployment")?;
    assert_eq!(&muster["ports"][0]["containerPort"], port);
    Ok(())
}

/// No registry is asked here, so an image is not built; but all that its build names exists.
#[test]
fn images_are_built_of_what_exists() -> Result<()> {
    let toolchain = read("rust-toolchain.toml")?;
    for (file, program, manifest) in [
        ("deploy/docker/muster.Dockerfile", "muster", "Cargo.toml"),
        ("deploy/docker/muster-agent.Dockerfile", "muster-agent", "agent/Cargo.toml"),
    ] {
        let text = read(file)?;
        for source in copied(&text) {
            ensure!(repository().join(source).exists(), "{file} copies {source}, which does not exist");
        }
        assert!(text.contains(&format!("-p {program} --bin {program} ")), "{file} builds {program}");
        assert!(read(manifest)?.contains(&format!("name = \"{program}\"\n")), "{manifest}");
        let rust =
            text.lines().find_map(|line| line.strip_prefix("FROM rust:")).context("a stage of rust")?;
        let (version, release) = rust.split_once(['-', ' ']).context("rust:VERSION-RELEASE")?;
        assert!(toolchain.contains(&format!("\"{version}\"")), "{file}: Rust {version}");
        assert!(text.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")), "{file}");
        // Debian 12 in both stages: a C library newer than the last stage's would not load there.
        assert!(
            release.starts_with("bookworm ") && text.contains("FROM gcr.io/distroless/cc-debian12:"),
            "{file}"
        );
    }
    Ok(())
}

/// Paths that a Dockerfile copies from the repository.
fn copied(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    let lines = lines.filter(|line| !line.starts_with("--from="));
    lines.flat_map(|line| line.split(' ').collect::<Vec<_>>().into_iter().rev().skip(1)).collect()
}

/// The agent takes the DaemonSet's arguments and environment, here on a machine without GPUs.
#[test]
fn the_agent_understands_its_manifest() -> Result<()> {
    let container = container("deploy/agent.yaml", "DaemonSet")?;
    let args = container["args"].as_array().context("args")?.iter().filter_map(Value::as_str);
    let names = container["env"].as_array().context("env")?.iter().filter_map(|entry| entry["name"].as_str());
    let mut command = Command::new(agent()?);
    command.args(args).arg("--once").env_clear().envs(names.map(|name| (name, "gpu-0")));
    let output = command.output().context("start the agent")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(report["node"], "gpu-0");
    Ok(())
}

fn agent() -> Result<PathBuf> {
    let agent = repository().join("target/debug/muster-agent");
    ensure!(agent.exists(), "{} is missing: run `cargo build` first", agent.display());
    Ok(agent)
}

/// A statically linked agent could not load the driver's library.
#[test]
fn the_agent_is_linked_dynamically() -> Result<()> {
    let agent = agent()?;
    ensure!(asks_for_a_loader(&agent)?, "{} has no program interpreter", agent.display());
    Ok(())
}

/// Whether an ELF file (64 bit, little endian) has a segment `PT_INTERP`.
fn asks_for_a_loader(file: &Path) -> Result<bool> {
    let bytes = fs::read(file)?;
    let number = |at: usize, size: usize| -> Result<usize> {
        let field = bytes.get(at..at + size).context("the file is too short")?;
        Ok(field.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    ensure!(bytes.starts_with(b"\x7fELF\x02\x01"), "not such a file");
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for segment in 0..count {
        if number(table + segment * size, 4)? == 3 {
            return Ok(true);
        }
    }
    Ok(false)
}
