//! The three ways in which the same pods are scheduled: by kube-scheduler alone, and by kube-scheduler with Muster,
//! gated or not. Each has a control plane of its own.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cluster::repository;
use crate::nodes::gpu_node;
use crate::process::Process;
use crate::{Cluster, Gather, Lab, Operator, Options, Setup, http};

/// Nodes of every control plane.
pub(super) const NODES: usize = 1_000;
/// GPUs of every node.
const GPUS: u32 = 8;

/// How pods are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// kube-scheduler with its defaults: no extender, no policy, gangs are just pods.
    Plain,
    /// Muster with the admission policy.
    Gated,
    /// Muster without the admission policy.
    Ungated,
}

impl Way {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain",
            Way::Gated => "gated",
            Way::Ungated => "ungated",
        }
    }
}

/// A running control plane. Fields end in their order.
pub(super) struct Running {
    muster: Option<(Process, String)>,
    /// The control plane.
    pub(super) lab: Lab,
    /// How it schedules.
    pub(super) way: Way,
}

impl Running {
    /// Starts one with 1,000 nodes. With Muster every node has reported once; reports do not go on, so that a figure
    /// does not pay for 1,000 agents that are played on the same machine.
    pub(super) async fn start(way: Way, program: &Path) -> Result<Running> {
        let gather = match way {
            Way::Plain => return Self::start_plain().await,
            Way::Gated => Gather::Gated,
            Way::Ungated => Gather::Ungated,
        };
        let setup = Setup::new(gather, NODES, GPUS);
        let setup = Setup { operator: Operator::None, muster: program.to_owned(), ..setup };
        let Cluster { muster, reports, lab, url } = Cluster::start(setup).await?;
        drop(reports);
        Ok(Running { muster: Some((muster, url)), lab, way })
    }

    async fn start_plain() -> Result<Running> {
        let lab = Lab::start(Options::default()).await?;
        lab.create_nodes(node_names().into_iter().map(|name| gpu_node(name).gpus(GPUS))).await?;
        lab.start_plain_scheduler().await?;
        lab.wait_nodes_ready(NODES).await?;
        Ok(Running { muster: None, lab, way: Way::Plain })
    }

    /// Starts kube-scheduler anew, after it was stopped.
    pub(super) async fn start_scheduler(&self) -> Result<()> {
        match &self.muster {
            None => self.lab.start_plain_scheduler().await,
            Some((_, url)) => {
                let config = repository().join("deploy/scheduler-config.yaml");
                self.lab.start_scheduler(&config, url.as_str()).await
            }
        }
    }

    /// Muster and its address; an error if this way has none.
    pub(super) fn muster(&self) -> Result<(&Process, &str)> {
        let (process, url) = self.muster.as_ref().context("no Muster runs")?;
        Ok((process, url))
    }

    /// Muster's process id.
    pub(super) fn muster_pid(&self) -> Option<u32> {
        self.muster.as_ref().map(|(process, _)| process.pid())
    }

    /// Filter and bind calls that Muster has answered so far.
    pub(super) async fn calls(&self) -> Result<[f64; 2]> {
        let Some((_, url)) = &self.muster else { return Ok([0.0; 2]) };
        let metrics = http::get_text(&format!("{url}/metrics")).await?;
        let sum = |name: &str| {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
        };
        Ok([sum("muster_filter_seconds_count"), sum("muster_bind_total{")])
    }
}

/// The names that the lab gives its nodes.
pub(super) fn node_names() -> Vec<String> {
    (0..NODES).map(|at| format!("gpu-{at}")).collect()
}
