//! Advice among nodes that will do: 0 to 10, integers, and for a GPU pod one best node alone on top, since
//! kube-scheduler breaks ties at random.
//!
//! Terms, one file each: `packing` (leave large holes whole), `pool` preference, and for pods without GPUs
//! `cpu_only` (keep off GPU nodes); between nodes that a pod fills alike, `load` and `condition` of their free GPUs and
//! `link_quality` (how fast they are together, at worst). The order of nodes is total; the score is that order squeezed
//! into 0..=10.

mod condition;
mod cpu_only;
pub mod fragmentation;
mod link_quality;
pub(crate) mod load;
pub mod order;
mod packing;

use alloc::vec::Vec;

use crate::node_state::NodeState;
use crate::pod::{Membership, Pod};
use crate::pool::PoolRule;

/// Highest score of the extender protocol (`MaxExtenderPriority`).
pub const SCORE_MAX: u8 = 10;

/// Outside its pool, place of the node's model in the pod's list, GPUs left over, what decides between equals.
pub(crate) type Rank = (bool, usize, u64, Tie);

/// What decides between nodes that a pod fills alike; the smaller is better. Field order is weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tie {
    /// GPUs that it may get and that are in use by nobody known.
    dirty: u64,
    /// How bad it is that it may get a degraded GPU.
    degraded: u64,
    /// What the node's links make of it.
    links: link_quality::Loss,
}

impl Tie {
    /// Nothing is better.
    pub(crate) const BEST: Tie = Tie { dirty: 0, degraded: 0, links: link_quality::Loss::NONE };
}

/// The terms that decide between equals, for a pod on a node.
pub(crate) fn tie(state: &NodeState, pod: &Pod) -> Tie {
    let k = pod.request.gpus;
    let of_gang = matches!(pod.membership, Membership::Member(_));
    Tie {
        dirty: load::worst(state.dirty_gpus, k),
        degraded: condition::worst(state.degraded_gpus, state.free.gpus, k, of_gang),
        links: link_quality::loss(state, &pod.request),
    }
}

/// Order of the nodes that will do for a GPU pod; the smallest is best. A node's place among all names decides
/// between equals.
pub(crate) fn rank(state: &NodeState, pod: &Pod, rule: Option<&PoolRule>) -> Rank {
    let model = pod.gpu_models.iter().position(|model| *model == state.model).unwrap_or(0);
    (!in_pool(state, rule), model, packing::spare(state, &pod.request), tie(state, pod))
}

fn in_pool(state: &NodeState, rule: Option<&PoolRule>) -> bool {
    rule.is_none_or(|r| state.purposes.contains(&r.purpose))
}

/// A score for each node, given with its place among all names; unknown nodes get 0.
pub(crate) fn scores(pod: &Pod, rule: Option<&PoolRule>, nodes: &[Option<(usize, &NodeState)>]) -> Vec<u8> {
    let in_pool = |s: &NodeState| in_pool(s, rule);
    let score = |s: &NodeState| {
        if pod.wants_gpus() {
            packing::score(s, &pod.request, in_pool(s))
        } else {
            cpu_only::score(s, in_pool(s))
        }
    };
    let mut scores: Vec<u8> = nodes.iter().map(|n| n.map_or(0, |(_, s)| score(s))).collect();
    if pod.wants_gpus() {
        let known = nodes.iter().enumerate().filter_map(|(at, n)| n.map(|(place, s)| (place, s, at)));
        let best = known.map(|(place, s, at)| (rank(s, pod, rule), place, at)).min();
        if let Some(score) = best.and_then(|(.., at)| scores.get_mut(at)) {
            *score = SCORE_MAX;
        }
    }
    scores
}
