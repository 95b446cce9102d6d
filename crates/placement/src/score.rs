//! Advice among nodes that will do: 0 to 10, integers, and for a GPU pod one best node alone on top, since
//! kube-scheduler breaks ties at random.
//!
//! Terms, one file each: `packing` (leave large holes whole), `pool` preference, and for pods without GPUs
//! `cpu_only` (keep off GPU nodes). The order of nodes is total; the score is that order squeezed into 0..=10.

mod cpu_only;
mod packing;

use alloc::vec::Vec;

use crate::ids::NodeName;
use crate::node_state::NodeState;
use crate::pod::Pod;
use crate::pool::PoolRule;

/// Highest score of the extender protocol (`MaxExtenderPriority`).
pub const SCORE_MAX: u8 = 10;

/// Outside its pool, GPUs left over, name.
pub(crate) type Rank<'a> = (bool, u64, &'a NodeName);

/// Total order of the nodes that will do for a GPU pod; the smallest is best.
pub(crate) fn rank<'a>(state: &'a NodeState, pod: &Pod, rule: Option<&PoolRule>) -> Rank<'a> {
    (!in_pool(state, rule), packing::spare(state, &pod.request), &state.node.name)
}

fn in_pool(state: &NodeState, rule: Option<&PoolRule>) -> bool {
    rule.is_none_or(|r| state.purposes.contains(&r.purpose))
}

/// A score for each node; unknown nodes get 0.
pub(crate) fn scores(pod: &Pod, rule: Option<&PoolRule>, nodes: &[Option<&NodeState>]) -> Vec<u8> {
    let in_pool = |s: &NodeState| in_pool(s, rule);
    if !pod.wants_gpus() {
        return nodes.iter().map(|n| n.map_or(0, |s| cpu_only::score(s, in_pool(s)))).collect();
    }
    let mut scores: Vec<u8> =
        nodes.iter().map(|n| n.map_or(0, |s| packing::score(s, &pod.request, in_pool(s)))).collect();
    let known = nodes.iter().enumerate().filter_map(|(at, n)| n.map(|s| (at, s)));
    let best = known.map(|(at, s)| (rank(s, pod, rule), at)).min();
    if let Some(score) = best.and_then(|(_, at)| scores.get_mut(at)) {
        *score = SCORE_MAX;
    }
    scores
}
