//! Decides which pod goes where, and why not. Pure: no clock, file, socket, thread or hash order is within
//! reach, since the crate is `no_std`; the same events at the same times give the same effects. The extender,
//! the simulator and the tests link this crate.
//!
//! Reading order: [`Event`] → [`Cluster::apply`] → [`Effect`], and [`View`] for readers. Inside: facts
//! (`pod`, `node`, `inventory`), what follows from them (`ledger`, `node_state`), gangs (`gang`, `queue`), places (`level`, `fleet`),
//! the decision (`planner`, `devices`, `oracle`, `pool`, `score`) and its check (`audit`).

#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod affinity;
pub mod audit;
mod cluster;
pub mod devices;
mod effect;
mod event;
pub mod explain;
pub mod extras;
pub mod fleet;
pub mod gang;
pub mod ids;
pub mod inventory;
pub mod ledger;
pub mod level;
pub mod node;
pub mod node_state;
pub mod offer;
pub mod oracle;
pub mod planner;
pub mod pod;
pub mod pod_state;
pub mod pool;
pub mod preempt;
pub mod pvc;
pub mod queue;
mod refusal;
pub mod resources;
pub mod score;
pub mod selector;
mod settings;
pub mod shared_map;
pub mod spread;
pub mod taint;
pub mod tenure;
pub mod time;
mod view;

pub use cluster::Cluster;
pub use effect::{Effect, News};
pub use event::{Event, Outcome};
pub use refusal::{MARK, Refusal};
pub use settings::Settings;
pub use view::{FilterAnswer, View};

/// The domain of our labels, annotations, scheduling gate, taints and Lease.
pub const DOMAIN: &str = "muster.dev";
