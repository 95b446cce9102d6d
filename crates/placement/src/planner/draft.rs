//! What a plan in the making has taken so far, on top of an unchanged set of nodes.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Placement;
use crate::devices::best_set;
use crate::extras::ExtrasSum;
use crate::node_state::NodeState;
use crate::pod::Pod;
use crate::resources::Resources;

/// A draft of placements. Borrowing the nodes immutably is what makes dropping it free of traces.
pub(super) struct Draft<'a> {
    nodes: &'a [Arc<NodeState>],
    taken: BTreeMap<usize, Taken>,
}

#[derive(Default)]
struct Taken {
    amount: Resources,
    extras: ExtrasSum,
    gpus: Vec<usize>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(nodes: &'a [Arc<NodeState>]) -> Self {
        Self { nodes, taken: BTreeMap::new() }
    }

    /// Whether nothing is placed.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Positions of the nodes on which something is placed.
    pub(super) fn taken(&self) -> impl Iterator<Item = usize> {
        self.taken.keys().copied()
    }

    /// What is still free on a node.
    pub(super) fn free(&self, at: usize) -> Resources {
        let free = self.nodes.get(at).map(|s| s.free).unwrap_or_default();
        self.taken.get(&at).map_or(free, |t| free.minus(t.amount))
    }

    /// How many pods like this still fit on a node.
    pub(super) fn copies(&self, at: usize, pod: &Pod) -> u64 {
        let Some(state) = self.nodes.get(at) else { return 0 };
        match self.taken.get(&at) {
            None => state.copies(pod, &state.free, &ExtrasSum::default()),
            Some(taken) => state.copies(pod, &state.free.minus(taken.amount), &taken.extras),
        }
    }

    /// Takes room for pods that are alike and writes down their placements. The GPUs of all of them
    /// are chosen together, so that members on one node sit close to each other.
    pub(super) fn take(&mut self, at: usize, pods: &[&Arc<Pod>], placements: &mut Vec<Placement>) {
        let Some(state) = self.nodes.get(at) else { return };
        let Some(first) = pods.first() else { return };
        let request = &first.request;
        let taken = self.taken.entry(at).or_default();
        taken.extras.add(&first.extras, pods.len() as u64);
        taken.amount = taken.amount.plus(request.times(pods.len() as u64));
        let each = usize::try_from(request.gpus).unwrap_or(usize::MAX);
        let sets = device_sets(state, &taken.gpus, each, pods.len());
        taken.gpus.extend(sets.iter().flatten());
        let mut sets = sets.into_iter();
        for pod in pods {
            let gpus = sets.next().unwrap_or_default().into_iter().filter_map(|g| state.uuid(g)).collect();
            placements.push(Placement { pod: pod.uid.clone(), node: state.node.name.clone(), gpus });
        }
    }
}

/// For each of `pods` members a set of `each` GPUs, cut out of the best connected set for all of them.
/// Fewer or no sets where the inventory does not say which GPUs are free.
fn device_sets(state: &NodeState, taken: &[usize], each: usize, pods: usize) -> Vec<Vec<usize>> {
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
