//! The same placement in an invented world, in virtual time: nodes with GPUs, agents, users with jobs, an API
//! server, and a kube-scheduler that samples, breaks ties at random and backs off. One seed is one run.
//!
//! Reading order: [`Scenario`] (what there is and what will go wrong) → [`World`] (what happens) → the [`Muster`]
//! under test, which is either the core itself ([`Direct`]) or, in `muster demo`, the whole program.
//! The world knows the truth and judges: [`Tally`] counts what must never happen.

#![forbid(unsafe_code)]

mod agenda;
mod dice;
mod direct;
mod job;
mod machine;
mod scenario;
#[cfg(feature = "studies")]
pub mod studies;
mod tally;
mod world;

pub use dice::{Concern, Dice};
pub use direct::{Direct, Run, run};
pub use job::{JobSpec, Role, gpu_toleration};
pub use machine::Kind;
pub use scenario::{Pace, Scenario};
pub use tally::Tally;
pub use world::{Fault, Muster, Shape, Users, World};
