//! The kubelet between a pod and the device plugin: its topology manager chooses NUMA nodes first, then the device
//! manager asks the plugin about the free GPUs of those, or rejects the pod with `TopologyAffinityError`.
//!
//! After `pkg/kubelet/cm/topologymanager/policy*.go` and `pkg/kubelet/cm/devicemanager/{topology_hints,manager}.go` of
//! Kubernetes 1.35, with GPUs as the only devices that have hints: the CPU and memory managers' static policies, and
//! devices of other plugins, may narrow the choice further or reject more. NUMA nodes without GPUs never matter,
//! since of the node sets that have enough the kubelet wants the smallest, and of those the lowest numbered.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::Oracle;
use crate::devices::GpuSet;
use crate::selector::Labels;

/// Label of a node that says its kubelet's `topologyManagerPolicy`: no API of Kubernetes does.
pub const POLICY_LABEL: &str = "muster.dev/topology-manager-policy";
/// Label of a node that says its kubelet's `topologyManagerScope`.
pub const SCOPE_LABEL: &str = "muster.dev/topology-manager-scope";

/// More NUMA nodes than this the kubelet itself refuses to manage.
const NUMA_NODES_MAX: usize = 8;

/// What a kubelet does about NUMA nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kubelet {
    /// `topologyManagerPolicy`.
    pub policy: Policy,
    /// `topologyManagerScope`.
    pub scope: Scope,
}

/// `topologyManagerPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// `none`, the kubelet's default.
    #[default]
    Indifferent,
    /// `best-effort`.
    BestEffort,
    /// `restricted`.
    Restricted,
    /// `single-numa-node`.
    SingleNumaNode,
}

/// `topologyManagerScope`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// `container`, the kubelet's default.
    #[default]
    Container,
    /// `pod`.
    Pod,
}

/// The kubelet would reject the pod with `TopologyAffinityError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected;

impl Kubelet {
    /// What a node's labels say; the kubelet's defaults where they say nothing, or nothing that is known.
    pub fn of(labels: &Labels) -> Kubelet {
        let said = |label: &str| {
            labels.iter().find(|(key, _)| key.as_str() == label).map(|(_, value)| value.as_str())
        };
        let policy = match said(POLICY_LABEL) {
            Some("best-effort") => Policy::BestEffort,
            Some("restricted") => Policy::Restricted,
            Some("single-numa-node") => Policy::SingleNumaNode,
            Some(_) | None => Policy::Indifferent,
        };
        let scope = if said(SCOPE_LABEL) == Some("pod") { Scope::Pod } else { Scope::Container };
        Kubelet { policy, scope }
    }

    /// Whether it can reject a pod for which there are GPUs enough.
    pub fn rejects(self) -> bool {
        matches!(self.policy, Policy::Restricted | Policy::SingleNumaNode)
    }
}

/// The GPUs of each NUMA node, in order of the nodes' numbers. Those without a node are in none.
#[derive(Clone, Debug, Default)]
pub struct NumaNodes(Vec<GpuSet>);

/// The NUMA nodes chosen: their GPUs, free or not.
type Affinity = Option<GpuSet>;

impl NumaNodes {
    /// From the node of each slot.
    pub fn new(of_slot: &[Option<u8>]) -> NumaNodes {
        let numbers: BTreeSet<u8> = of_slot.iter().copied().flatten().collect();
        let on = |number: u8| {
            of_slot.iter().enumerate().filter(move |(_, n)| **n == Some(number)).map(|(slot, _)| slot)
        };
        NumaNodes(numbers.into_iter().map(|number| on(number).collect()).collect())
    }

    /// The largest number of these GPUs on one node.
    pub fn most_on_one(&self, set: GpuSet) -> usize {
        self.0.iter().map(|node| node.and(set).len()).max().unwrap_or(0)
    }

    /// Every set of nodes as their GPUs, with the number of nodes: small sets first, among equals in order of their
    /// masks, which is the kubelet's order of preference.
    fn choices(&self) -> Vec<(usize, GpuSet)> {
        let gpus = |chosen: GpuSet| {
            chosen.slots().filter_map(|at| self.0.get(at)).fold(GpuSet::EMPTY, |a, b| a.or(*b))
        };
        let mut chosen: Vec<GpuSet> = GpuSet::all(self.0.len()).filter(|set| *set != GpuSet::EMPTY).collect();

        chosen.sort_by_key(|set| (set.len(), *set));
        chosen.into_iter().map(|set| (set.len(), gpus(set))).collect()
    }

    /// The topology manager's choice for so many of the free GPUs.
    fn affinity(&self, policy: Policy, free: GpuSet, size: usize) -> Result<Affinity, Rejected> {
        if policy == Policy::Indifferent || self.0.is_empty() || self.0.len() > NUMA_NODES_MAX {
            return Ok(None);
        }
        let choices = self.choices();
        // Preferred is what would do on the idle node, sick GPUs included.
        let least = choices.iter().find(|(_, gpus)| gpus.len() >= size).map(|(count, _)| *count);
        let chosen = choices.iter().find(|(_, gpus)| gpus.and(free).len() >= size);
        let preferred = chosen.is_some_and(|(count, _)| Some(*count) == least);
        let admitted = match policy {
            Policy::Indifferent | Policy::BestEffort => true,
            Policy::Restricted => preferred,
            Policy::SingleNumaNode => preferred && least == Some(1),
        };
        if admitted { Ok(chosen.map(|(_, gpus)| *gpus)) } else { Err(Rejected) }
    }
}

/// Every set of GPUs that a pod may get of the free ones, whose containers ask for so many each, in order.
///
/// # Errors
/// The kubelet would reject the pod, in every case or, where earlier containers' GPUs are drawn by lot, in one.
pub fn handouts(
    oracle: &Oracle,
    numa: &NumaNodes,
    kubelet: Kubelet,
    free: GpuSet,
    containers: &[usize],
) -> Result<Vec<GpuSet>, Rejected> {
    let whole = containers.iter().copied().fold(0, usize::saturating_add);
    let for_pod = match kubelet.scope {
        Scope::Pod => Some(numa.affinity(kubelet.policy, free, whole)?),
        Scope::Container => None,
    };
    let mut given = [GpuSet::EMPTY].to_vec();
    for size in containers.iter().copied().filter(|size| *size > 0) {
        let mut next = Vec::new();
        for before in given {
            let left = free.minus(before);
            let affinity = match for_pod {
                Some(affinity) => affinity,
                None => numa.affinity(kubelet.policy, left, size)?,
            };
            next.extend(allocations(oracle, affinity, left, size).into_iter().map(|set| before.or(set)));
        }
        next.sort_unstable();
        next.dedup();
        given = next;
    }
    Ok(given.into_iter().filter(|set| set.len() == whole && whole > 0).collect())
}

/// The device manager's `devicesToAllocate` for one container: aligned GPUs first, and the plugin's wish among them.
fn allocations(oracle: &Oracle, affinity: Affinity, free: GpuSet, size: usize) -> Vec<GpuSet> {
    let aligned = affinity.map_or(GpuSet::EMPTY, |gpus| gpus.and(free));
    if size == aligned.len() {
        return [aligned].to_vec();
    }
    let (asked, required) = if size < aligned.len() { (aligned, GpuSet::EMPTY) } else { (free, aligned) };
    let mut sets = Vec::new();
    for wish in oracle.possible(asked, required, size).iter() {
        // What the plugin leaves open is filled up in random order.
        let missing = size.saturating_sub(wish.len());
        asked.minus(*wish).each_subset(missing, &mut |more| sets.push(wish.or(more)));
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Pairs;
    use alloc::string::String;
    use alloc::{format, vec};

    const HALVES: [Option<u8>; 8] = [Some(0), Some(0), Some(0), Some(0), Some(1), Some(1), Some(1), Some(1)];

    /// What pods of these containers get, as on the real kubelet with NVIDIA's plugin: a row of halves, or an error.
    fn outcome(policy: Policy, scope: Scope, free: u16, containers: &[usize]) -> String {
        let points = Pairs::new(8, |a, b| {
            if a / 2 == b / 2 {
                40
            } else if a / 4 == b / 4 {
                20
            } else {
                10
            }
        });
        let oracle = Oracle::new(&points).unwrap();
        match handouts(&oracle, &NumaNodes::new(&HALVES), Kubelet { policy, scope }, GpuSet(free), containers)
        {
            Err(Rejected) => "error".into(),
            Ok(sets) => {
                let halves: BTreeSet<_> = sets.iter().map(|s| (s.0 & 0xf).count_ones()).collect();
                format!("{halves:?} of {}", sets.first().map_or(0, |set| set.len()))
            }
        }
    }

    /// Measured on kubelet v1.35.4 with device plugin v0.18.0 and a fake NVML: GPUs 0-3 on NUMA node 0, 4-7 on 1.
    #[test]
    fn as_measured_on_a_real_kubelet() {
        use Policy::{BestEffort, Indifferent, Restricted, SingleNumaNode};
        let apart = 0b1000_0001;
        for (policy, scope, free, containers, expected) in [
            (BestEffort, Scope::Container, 0xff, vec![5], "{1, 4} of 5"),
            (BestEffort, Scope::Pod, apart, vec![2], "{1} of 2"),
            (Restricted, Scope::Container, 0xff, vec![8], "{4} of 8"),
            (Restricted, Scope::Container, apart, vec![2], "error"),
            (Restricted, Scope::Pod, apart, vec![2], "error"),
            (Restricted, Scope::Container, 0xff, vec![3, 3], "{3} of 6"),
            (SingleNumaNode, Scope::Container, 0xff, vec![5], "error"),
            (SingleNumaNode, Scope::Container, 0xff, vec![8], "error"),
            (SingleNumaNode, Scope::Container, apart, vec![2], "error"),
            (SingleNumaNode, Scope::Container, 0xff, vec![3, 3], "{3} of 6"),
            (SingleNumaNode, Scope::Container, 0xff, vec![1, 4], "{1} of 5"),
            (SingleNumaNode, Scope::Pod, 0xff, vec![3, 3], "error"),
            (SingleNumaNode, Scope::Pod, 0xff, vec![1, 4], "error"),
            // The lowest numbered node that fits, whatever is free elsewhere.
            (SingleNumaNode, Scope::Container, 0b1111_0011, vec![2], "{2} of 2"),
            (SingleNumaNode, Scope::Container, 0b1111_0001, vec![2], "{0} of 2"),
            (Indifferent, Scope::Container, apart, vec![2], "{1} of 2"),
            (Indifferent, Scope::Container, 0xff, vec![8], "{4} of 8"),
        ] {
            assert_eq!(
                outcome(policy, scope, free, &containers),
                expected,
                "{policy:?} {scope:?} {free:#b} {containers:?}"
            );
        }
    }

    /// Without a NUMA node in any device the kubelet has no hints, and rejects nothing.
    #[test]
    fn devices_without_numa_nodes_are_never_rejected() {
        let oracle = Oracle::new(&Pairs::new(4, |_, _| 10)).unwrap();
        let kubelet = Kubelet { policy: Policy::SingleNumaNode, scope: Scope::Container };
        assert_eq!(
            handouts(&oracle, &NumaNodes::new(&[None; 4]), kubelet, GpuSet(0xf), &[3]).unwrap().len(),
            4
        );
    }

    #[test]
    fn labels_that_say_nothing_known_are_the_defaults() {
        let labels = |policy: &str| Labels::from([(POLICY_LABEL.into(), policy.into())]);
        assert_eq!(Kubelet::of(&Labels::new()), Kubelet::default());
        assert_eq!(Kubelet::of(&labels("strict")), Kubelet::default());
        assert_eq!(Kubelet::of(&labels("restricted")).policy, Policy::Restricted);
    }
}
