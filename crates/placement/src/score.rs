//! Advice among nodes that will do: 0 to 10, integers, and for a GPU pod one best node alone on top, since
//! kube-scheduler breaks ties at random.
//!
//! Terms, one file each: `packing` (leave large holes whole), `pool` preference, and for pods without GPUs
//! `cpu_only` (keep off GPU nodes). The order of nodes is total; the score is that order squeezed into 0..=10.

mod cpu_only;
mod packing;

use alloc::vec::Vec;

use crate::node_state::NodeState;
use crate::pod::Pod;
use crate::pool::PoolRule;

/// Highest score of the extender protocol (`MaxExtenderPriority`).
pub const SCORE_MAX: u8 = 10;

/// A score for each node; unknown nodes get 0.
pub(crate) fn scores(pod: &Pod, rule: Option<&PoolRule>, nodes: &[Option<&NodeState>]) -> Vec<u8> {
    let in_pool = |s: &NodeState| rule.is_none_or(|r| s.purposes.contains(&r.purpose));
    if !pod.wants_gpus() {
        return nodes.iter().map(|n| n.map_or(0, |s| cpu_only::score(s, in_pool(s)))).collect();
    }
    let mut scores: Vec<u8> =
        nodes.iter().map(|n| n.map_or(0, |s| packing::score(s, &pod.request, in_pool(s)))).collect();
    let known = nodes.iter().enumerate().filter_map(|(at, n)| n.map(|s| (at, s)));
    let best = known.map(|(at, s)| (!in_pool(s), packing::spare(s, &pod.request), &s.node.name, at)).min();
    if let Some(score) = best.and_then(|(.., at)| scores.get_mut(at)) {
        *score = SCORE_MAX;
    }
    scores
}
