//! `muster-lab up`: a control plane with GPU nodes that exist only on paper, until Ctrl-C.
#![allow(clippy::print_stdout, reason = "printing how to reach the cluster is what the program is for")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use muster_lab::nodes::gpu_node;
use muster_lab::{ADMIN, Lab, Operator, Options};
use tokio::signal::unix::{SignalKind, signal};

/// A real Kubernetes control plane on 127.0.0.1 with simulated nodes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start one and keep it until Ctrl-C.
    Up(Up),
    /// The guide's jobs on a control plane with Muster; prints what happens.
    Cluster {
        /// The `muster` program.
        #[arg(long)]
        muster: PathBuf,
        /// Keep everything running until Ctrl-C.
        #[arg(long)]
        stay: bool,
    },
    /// Figures, each beside its floor from the same run.
    Bench {
        /// The `muster` program, built for release.
        #[arg(long)]
        muster: PathBuf,
        /// Only these: filter, e2e, agent or restart.
        #[arg(long)]
        only: Option<String>,
    },
}

#[derive(clap::Args)]
struct Up {
    /// How many GPU nodes to create.
    #[arg(long, default_value_t = 4)]
    nodes: usize,
    /// GPUs on each node.
    #[arg(long, default_value_t = 8)]
    gpus: u32,
    /// The job operator.
    #[arg(long, value_enum, default_value = "training")]
    operator: OperatorName,
    /// Start kube-scheduler without any extender.
    #[arg(long)]
    plain_scheduler: bool,
    /// A folder for logs, keys and kubeconfigs, which is kept. Default: a temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum OperatorName {
    Training,
    Mpi,
    None,
}

impl From<OperatorName> for Operator {
    fn from(name: OperatorName) -> Self {
        match name {
            OperatorName::Training => Self::Training,
            OperatorName::Mpi => Self::Mpi,
            OperatorName::None => Self::None,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Up(up) => stay_up(&up).await,
        Command::Cluster { muster, stay } => {
            let cluster = muster_lab::story::tell(&muster).await?;
            if stay {
                println!("export KUBECONFIG={}", cluster.lab.kubeconfig_for(ADMIN)?.display());
                println!("kubectl: {}   until Ctrl-C", cluster.lab.program("kubectl").display());
                tokio::signal::ctrl_c().await.context("listen for Ctrl-C")?;
            }
            Ok(())
        }
        Command::Bench { muster, only } => muster_lab::bench::run(&muster, only).await,
    }
}

async fn stay_up(up: &Up) -> Result<()> {
    // Before anything starts, so that an early Ctrl-C ends the children too.
    let mut interrupted = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let lab = tokio::select! {
        lab = bring_up(up) => lab?,
        _ = interrupted.recv() => return Ok(()),
        _ = terminated.recv() => return Ok(()),
    };
    println!(
        "ready in {:.1} s with {} nodes of {} GPUs",
        lab.startup_time().as_secs_f64(),
        up.nodes,
        up.gpus
    );
    println!("logs     {}", lab.dir().display());
    println!("kubectl  {}", lab.program("kubectl").display());
    println!("export KUBECONFIG={}", lab.kubeconfig_for(ADMIN)?.display());
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    lab.stop().await
}

async fn bring_up(up: &Up) -> Result<Lab> {
    let options = Options {
        operator: up.operator.into(),
        plain_scheduler: up.plain_scheduler,
        dir: up.dir.clone(),
        ..Options::default()
    };
    let lab = Lab::start(options).await?;
    lab.create_nodes((0..up.nodes).map(|index| gpu_node(format!("gpu-{index}")).gpus(up.gpus))).await?;
    lab.wait_nodes_ready(up.nodes).await?;
    Ok(lab)
}
