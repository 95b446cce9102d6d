//! Preemption: whole gangs of lower priority make room for one that cannot start otherwise.
//!
//! The order of events: a gang that found no place is planned again as if others had gone, the damage as small as
//! possible (`victims`); their room is promised to it, the shell evicts them (all or, if a disruption budget
//! forbids one, none), and once they are gone the gang is planned like any other. Their pods own their GPUs until they
//! are gone, so a promise is no claim: nothing of it is in the ledger, it only keeps others out.
//!
//! Invariants: a victim is promised to one preemptor only; a gang goes whole or loses only surplus members; pods that
//! leave anyway are waited for before anybody is sent away; a promise ends with its gang's start or after a time.

mod ask;
mod promise;
mod record;
pub mod victims;

pub use ask::{Candidate, helped};
pub use promise::Promise;
pub(crate) use record::Preemptions;

use alloc::vec::Vec;

use crate::ids::{Name, PodUid};
use crate::time::Span;

/// What the operator of the cluster allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The switch. Off, nobody is evicted and nothing is promised.
    pub enabled: bool,
    /// No preemption begins while so many pods were evicted within a minute; the last one may exceed it, since a gang
    /// goes whole.
    pub evictions_per_minute: u64,
    /// How long victims may overrun their grace period, and how long a gang whose preemption came to nothing, and pods
    /// whose eviction was refused, are left alone.
    pub patience: Span,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance { enabled: true, evictions_per_minute: 60, patience: Span(60_000) }
    }
}

/// What became of the evictions of one preemption. Nothing is said while it is not certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Every victim is gone or being deleted.
    Done,
    /// The API server will not have it. Nobody was evicted, unless a budget changed between the dry run and the
    /// evictions; `stay` names those that did not go.
    Refused {
        /// Pods that may not be evicted.
        stay: Vec<PodUid>,
        /// The API server's words.
        why: Name,
    },
}
