//! What the operator of the cluster decides: spans, levels of the topology and node pools. Replaced as a whole when the
//! configuration changes.

use alloc::vec::Vec;

use crate::level::{Level, well_known};
use crate::pool::{Pool, PoolRule};
use crate::preempt::Allowance;
use crate::time::Span;

/// Settings of the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a bind request may wait for the rest of its gang. Below kube-scheduler's `httpTimeout`.
    pub barrier: Span,
    /// How long kube-scheduler may keep refusing a planned node before the gang is planned again elsewhere.
    pub refusal_grace: Span,
    /// How long a refused node is left out for that gang.
    pub exclusion: Span,
    /// How long a gang waits for its owner's description before the size in the pods' environment is used.
    pub owner_grace: Span,
    /// Levels of the topology, the widest first; those whose label no node carries are not there.
    pub levels: Vec<Level>,
    /// How long a gang waits for room until later ones must not delay it any more; `None`: they always may.
    pub reserve_after: Option<Span>,
    /// What preemption may do.
    pub preemption: Allowance,
    /// Node pools.
    pub pools: Vec<Pool>,
    /// Which workloads belong into which pools; the first rule that matches a workload counts.
    pub rules: Vec<PoolRule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // 0.6 of the 30 s httpTimeout in deploy/scheduler-config.yaml.
            barrier: Span(18_000),
            // kube-scheduler retries within its 1 s first back-off, so this is two more tries.
            refusal_grace: Span(4_000),
            exclusion: Span(60_000),
            owner_grace: Span(5_000),
            levels: well_known(),
            reserve_after: Some(Span(300_000)),
            preemption: Allowance::default(),
            pools: Vec::new(),
            rules: Vec::new(),
        }
    }
}
