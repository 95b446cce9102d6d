//! What a plan in the making has taken so far, on top of an unchanged set of nodes.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Placement;
use crate::devices::assumed_sets;
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
        let devices = self.nodes.get(at).and_then(|state| state.devices.as_ref());
        let taken: &[usize] = self.taken.get(&at).map_or(&[], |taken| &taken.gpus);
        let admitted = devices
            .filter(|_| !pod.split_gpus)
            .map_or(u64::MAX, |devices| devices.admits(taken, pod.request.gpus));
        self.counted(at, pod).min(admitted)
    }

    /// How many there is room for, whether or not the kubelet would admit them.
    pub(super) fn counted(&self, at: usize, pod: &Pod) -> u64 {
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
        let sets = assumed_sets(state, &taken.gpus, each, pods.len());
        taken.gpus.extend(sets.iter().flatten());
        let mut sets = sets.into_iter();
        for pod in pods {
            let gpus = sets.next().unwrap_or_default().into_iter().filter_map(|g| state.uuid(g)).collect();
            placements.push(Placement { pod: pod.uid.clone(), node: state.node.name.clone(), gpus });
        }
    }
}
