//! A control plane with Muster at rest: its nodes are there, but nobody plays their kubelets.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cluster::repository;
use crate::nodes::gpu_node;
use crate::process::Process;
use crate::{Lab, MusterOptions, Options, ports};

/// Starts one with these nodes; Muster is ready and listens at the port.
pub(super) async fn start(
    program: &Path,
    nodes: impl Iterator<Item = String>,
) -> Result<(Lab, Process, u16)> {
    let lab = Lab::start(Options::default()).await?;
    lab.apply_file(repository().join("deploy/rbac.yaml")).await?;
    for name in ["kwok", "kube-controller-manager"] {
        lab.process(name).context("a program is missing")?.pause()?;
    }
    lab.create_nodes(nodes.map(gpu_node)).await?;
    let [port] = ports::free()?;
    let config = lab.dir().join("muster.yaml");
    std::fs::write(&config, format!("listen: 127.0.0.1:{port}\n")).context("write muster.yaml")?;
    let muster = lab.start_muster(MusterOptions::new(program, config))?;
    muster.wait_ready(&format!("http://127.0.0.1:{port}/readyz"), Duration::from_secs(30)).await?;
    Ok((lab, muster, port))
}
