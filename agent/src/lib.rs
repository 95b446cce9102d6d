//! The node agent: reads the GPUs of one node through NVML and reports them to Muster's extender.
//!
//! ```text
//!  sampler thread ── open · sweep ──┐
//!                                   ├─► Node (latest state) ─► reporter ─► extender
//!  XID thread ───── events ─────────┘          │
//!                                              └─► door: /metrics · /livez · /readyz
//! ```
//!
//! Invariants: NVML is called on threads of its own, never on the async runtime, because a call can block for
//! ever in the kernel; reports go on meanwhile and say so. Only the latest state is kept: there is no queue. What
//! the agent does not know it does not claim: a GPU that stops answering stays in the report, by UUID, as
//! unhealthy. Does not decide who gets a GPU, and reads nothing but NVML, sysfs and `/proc`.

pub mod clock;
pub mod flags;
pub mod run;

mod client;
mod door;
mod driver;
mod health;
mod metrics;
mod node;
mod pause;
mod reporter;
mod sampler;
mod xids;
