//! Which GPUs pods are assumed to get, until the node says. A guess, so that the map shows what is likely: nothing
//! that must be safe rests on it.

use alloc::vec::Vec;

use super::connected::best_set;
use crate::node_state::NodeState;

/// For each of `pods` members a set of `each` GPUs, as positions in the inventory; fewer or none where the inventory
/// does not say which GPUs are free.
pub(crate) fn assumed_sets(state: &NodeState, taken: &[usize], each: usize, pods: usize) -> Vec<Vec<usize>> {
    match &state.devices {
        Some(devices) => {
            let sets = devices.assumed(taken, each, pods).into_iter();
            sets.map(|set| devices.positions(set).collect()).collect()
        }
        None => connected(state, taken, each, pods),
    }
}

/// Cut out of the best connected set for all of them, so that members on one node sit close to each other.
fn connected(state: &NodeState, taken: &[usize], each: usize, pods: usize) -> Vec<Vec<usize>> {
    let Some(inventory) = state.inventory.as_deref().filter(|_| each > 0) else { return Vec::new() };
    let mut free: Vec<usize> = state.free_gpus.iter().copied().filter(|g| !taken.contains(g)).collect();
    let Some(mut common) = best_set(inventory, &free, each.saturating_mul(pods).min(free.len())) else {
        return Vec::new();
    };
    let mut sets = Vec::with_capacity(pods);
    while let Some(set) = best_set(inventory, &common, each) {
        common.retain(|g| !set.contains(g));
        free.retain(|g| !set.contains(g));
        sets.push(set);
        if sets.len() == pods {
            break;
        }
    }
    sets
}
