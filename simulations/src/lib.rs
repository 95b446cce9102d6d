//! The same placement in an invented world, in virtual time: nodes with GPUs, agents, users with jobs, an API
//! server, and a kube-scheduler that samples, breaks ties at random and backs off. One seed is one run.
//!
//! Reading order: [`Scenario`] (what there is and what will go wrong) → [`World`] (what happens) → the [`Muster`]
//! under test, which is either the core itself ([`Direct`]) or, in `muster demo`, the whole program.
//! The world knows the truth and judges: [`Tally`] counts what must never happen. Storms ([`Scenario::storm`]) are run
//! by [`weather_out`], with an auditor between world and core and, to show that it sees something, a planted [`Bug`].

#![forbid(unsafe_code)]

mod agenda;
mod auditor;
mod bug;
mod dice;
mod direct;
#[cfg(feature = "studies")]
pub mod hunt;
mod job;
mod journal;
mod machine;
mod plugin;
mod run;
mod scenario;
mod shrink;
mod storm;
#[cfg(feature = "studies")]
pub mod studies;
mod tally;
mod world;

pub use bug::{BUGS, Bug};
pub use dice::{Concern, Dice};
pub use job::{JobSpec, Role, gpu_toleration};
pub use machine::Kind;
pub use run::{Limits, Run, run, weather_out};
pub use scenario::{Pace, Scenario, Weather};
pub use shrink::shrink;
pub use storm::STORM;
pub use tally::Tally;
pub use world::{Fault, Muster, Shape, Users, WatchKind, World};
