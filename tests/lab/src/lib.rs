//! A real Kubernetes control plane on 127.0.0.1, as a value.
//!
//! [`Lab::start`] starts etcd, kube-apiserver, kube-controller-manager, kwok (which plays the kubelets) and, if
//! wanted, a job operator and kube-scheduler, each the unpatched program that `tests/control-plane/build.sh`
//! built. Dropping the [`Lab`] ends them all. Labs share nothing, so tests may run side by side.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use muster_lab::{Lab, Operator, Options, nodes::gpu_node};
//! let lab = Lab::start(Options { operator: Operator::Training, ..Options::default() }).await?;
//! lab.create_nodes((0..4).map(|i| gpu_node(format!("gpu-{i}")).gpus(8))).await?;
//! lab.wait_nodes_ready(4).await?;
//! lab.start_plain_scheduler().await?;
//! let history = lab.watch_pods().await?;
//! lab.apply_file("tests/workloads/tfjob-training.yaml").await?;
//! lab.wait_running("default", 5).await?;
//! history.catch_up().await?;
//! assert!(history.changes()?.iter().all(|change| change.namespace == "default"));
//! # Ok(()) }
//! ```
#![allow(clippy::disallowed_methods, reason = "the lab waits for real processes, in real time")]

mod account;
pub mod agents;
mod apply;
pub mod audit;
pub mod bench;
mod binaries;
pub mod cluster;
pub mod history;
pub mod http;
mod identity;
mod lab;
mod muster;
pub mod nodes;
mod pods;
mod ports;
pub mod process;
mod programs;
pub mod reports;
mod scheduler;
pub mod story;
mod volumes;
pub mod wait;

pub use binaries::Binaries;
pub use cluster::{Cluster, Gather, Setup};
pub use identity::{ADMIN, MUSTER, User};
pub use lab::{Lab, Operator, Options};
pub use muster::MusterOptions;
pub use pods::End;
pub use scheduler::{Extender, ExtenderTls};
