//! A lab with Muster installed as the README says: RBAC, policies, `muster serve`, and kube-scheduler with the
//! shipped configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::nodes::NodeBuilder;
use crate::process::Process;
use crate::reports::Reports;
use crate::{Lab, MusterOptions, Operator, Options, http, ports};

const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How members of a gang are kept waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// By the admission policy's scheduling gate.
    Gated,
    /// Refused in filter.
    Ungated,
}

/// What to install.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The job operator.
    pub operator: Operator,
    /// Whether the admission policy is installed.
    pub gather: Gather,
    /// Nodes, each with its number of GPUs.
    pub nodes: Vec<(NodeBuilder, u32)>,
    /// Whether the nodes report their GPUs.
    pub agents: bool,
    /// Lines added to Muster's configuration.
    pub config: String,
    /// The `muster` program; by default the one in the workspace's debug folder.
    pub muster: PathBuf,
}

impl Setup {
    /// Training-operator, agents, and so many nodes `gpu-0`… of so many GPUs.
    pub fn new(gather: Gather, nodes: usize, gpus: u32) -> Setup {
        let nodes =
            (0..nodes).map(|i| (crate::nodes::gpu_node(format!("gpu-{i}")).gpus(gpus), gpus)).collect();
        let muster = std::env::var_os("MUSTER_BINARY").map(PathBuf::from);
        let muster = muster.unwrap_or_else(|| repository().join("target/debug/muster"));
        Setup { operator: Operator::Training, gather, nodes, agents: true, config: String::new(), muster }
    }
}

/// The running thing. Fields end in their order.
pub struct Cluster {
    /// `muster serve`.
    pub muster: Process,
    /// What the nodes' agents say.
    pub reports: Reports,
    /// The control plane.
    pub lab: Lab,
    /// Where Muster listens: `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Cluster {
    /// Starts everything and returns when pods can be submitted.
    pub async fn start(setup: Setup) -> Result<Cluster> {
        ensure!(setup.muster.exists(), "{} is missing: run `cargo build` first", setup.muster.display());
        let lab = Lab::start(Options { operator: setup.operator, ..Options::default() }).await?;
        lab.apply_file(repository().join("deploy/rbac.yaml")).await?;
        lab.apply_file(repository().join("deploy/guard-policy.yaml")).await?;
        if setup.gather == Gather::Gated {
            lab.apply_file(repository().join("deploy/admission-policy.yaml")).await?;
        }
        let count = setup.nodes.len();
        let sizes: Vec<(String, u32)> =
            setup.nodes.iter().map(|(n, gpus)| (n.name().to_owned(), *gpus)).collect();
        lab.create_nodes(setup.nodes.into_iter().map(|(node, _)| node)).await?;
        let [port] = ports::free()?;
        let url = format!("http://127.0.0.1:{port}");
        let config = lab.dir().join("muster.yaml");
        std::fs::write(&config, format!("listen: 127.0.0.1:{port}\n{}\n", setup.config))
            .context("write muster.yaml")?;
        let muster = lab.start_muster(MusterOptions::new(setup.muster, config))?;
        muster.wait_ready(&format!("{url}/readyz"), READY_TIMEOUT).await?;
        lab.start_scheduler(&repository().join("deploy/scheduler-config.yaml"), url.as_str()).await?;
        lab.wait_nodes_ready(count).await?;
        let reports = Reports::start(&url, if setup.agents { sizes } else { Vec::new() });
        reports.send_all().await?;
        let cluster = Cluster { muster, reports, lab, url };
        if setup.gather == Gather::Gated {
            cluster.wait_policy_active().await?;
        }
        Ok(cluster)
    }

    /// Applies a manifest of the repository as it is.
    pub async fn submit(&self, file: &str) -> Result<()> {
        self.lab.apply_file(repository().join(file)).await.map(drop)
    }

    /// JSON of `/api/v1/PATH`.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let text = http::get_text(&format!("{}/api/v1/{path}", self.url)).await?;
        serde_json::from_str(&text).with_context(|| format!("/api/v1/{path}: {text}"))
    }

    /// Waits until Muster serves again, after it was killed and started.
    pub async fn wait_muster(&self) -> Result<()> {
        self.muster.wait_ready(&format!("{}/readyz", self.url), READY_TIMEOUT).await
    }

    /// A policy takes effect up to a second after it was applied; until then pods would come ungated.
    async fn wait_policy_active(&self) -> Result<()> {
        use k8s_openapi::api::core::v1::Pod;
        use kube::api::{Api, PostParams};
        let probe: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "policy-probe"},
            "spec": {"containers": [{"name": "c", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
        }))?;
        let pods: Api<Pod> = Api::namespaced(self.lab.client(), "default");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        self.lab
            .wait("the admission policy to gate pods", READY_TIMEOUT, async || {
                let made = pods.create(&dry, &probe).await?;
                let gates = made.spec.and_then(|s| s.scheduling_gates).unwrap_or_default();
                Ok((!gates.is_empty()).then_some(()))
            })
            .await
    }
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
