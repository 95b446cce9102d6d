//! The ways in which the same pods are scheduled: by kube-scheduler alone, with an extender that decides nothing, and
//! with Muster, gated or not. Each has a control plane of its own.

use std::path::Path;

use anyhow::{Context, Result};

use super::floor::Floor;
use super::trivial;
use crate::cluster::repository;
use crate::nodes::gpu_node;
use crate::process::Process;
use crate::{ADMIN, Cluster, Gather, Lab, Operator, Options, Setup, http};

/// Nodes of every control plane.
pub(super) const NODES: usize = 1_000;
/// GPUs of every node.
const GPUS: u32 = 8;

/// How pods are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// kube-scheduler with its defaults: no extender, no policy, gangs are just pods.
    Plain,
    /// kube-scheduler as Muster has it set up, with an extender that decides nothing.
    Trivial,
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
            Way::Trivial => "trivial",
            Way::Gated => "gated",
            Way::Ungated => "ungated",
        }
    }
}

/// A running control plane. Fields end in their order.
pub(super) struct Running {
    muster: Option<(Process, String)>,
    trivial: Option<Floor>,
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
            Way::Plain | Way::Trivial => return Self::start_without(way).await,
            Way::Gated => Gather::Gated,
            Way::Ungated => Gather::Ungated,
        };
        let setup = Setup::new(gather, NODES, GPUS);
        let setup = Setup { operator: Operator::None, muster: program.to_owned(), ..setup };
        let Cluster { muster, reports, lab, url } = Cluster::start(setup).await?;
        drop(reports);
        Ok(Running { muster: Some((muster, url)), trivial: None, lab, way })
    }

    async fn start_without(way: Way) -> Result<Running> {
        let lab = Lab::start(Options::default()).await?;
        lab.create_nodes(node_names().into_iter().map(|name| gpu_node(name).gpus(GPUS))).await?;
        let trivial = match way {
            Way::Trivial => Some(trivial::start(&lab.kubeconfig_for(ADMIN)?)?),
            _ => None,
        };
        let running = Running { muster: None, trivial, lab, way };
        running.start_scheduler().await?;
        running.lab.wait_nodes_ready(NODES).await?;
        Ok(running)
    }

    /// Starts kube-scheduler anew, after it was stopped.
    pub(super) async fn start_scheduler(&self) -> Result<()> {
        let url = match (&self.muster, &self.trivial) {
            (Some((_, url)), _) => url.clone(),
            (None, Some(trivial)) => format!("http://127.0.0.1:{}", trivial.port),
            (None, None) => return self.lab.start_plain_scheduler().await,
        };
        self.lab.start_scheduler(&repository().join("deploy/scheduler-config.yaml"), url).await
    }

    /// Muster and its address; an error if this way has none.
    pub(super) fn muster(&self) -> Result<(&Process, &str)> {
        let (process, url) = self.muster.as_ref().context("no Muster runs")?;
        Ok((process, url))
    }

    /// The extender's process id.
    pub(super) fn extender_pid(&self) -> Option<u32> {
        let muster = self.muster.as_ref().map(|(process, _)| process.pid());
        muster.or_else(|| self.trivial.as_ref().map(Floor::pid))
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
