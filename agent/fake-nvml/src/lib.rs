//! A `libnvidia-ml.so.1` without a GPU: plays the node that a scenario file describes.
//!
//! The path of the file is in the environment variable [`SCENARIO_VARIABLE`]. The file is looked at before every
//! call and read again when it has changed, so that a running program sees a GPU die. Types and signatures come
//! from `nvml-wrapper-sys`, that is from NVIDIA's header, and so cannot drift from what clients expect.
//!
//! Invariant: no call unwinds into its caller, and a call that writes nothing says why with NVML's own code. A
//! scenario with a mistake is named on standard error and changes nothing: the last good one stays in force.
//! Does not pretend to be complete: functions of the header beyond those in `exports` say `NOT_SUPPORTED`, as a
//! driver does for hardware that cannot.
#![allow(unsafe_code, reason = "it is a C library: pointers come in and are written through")]
#![allow(non_snake_case, reason = "names are the header's")]

mod exports;
mod play;
mod profile;
mod scenario;
mod session;

pub use profile::Profile;
pub use scenario::{Driver, Gpu, Presence, Scenario, ScenarioError, State};
pub use session::SCENARIO_VARIABLE;
