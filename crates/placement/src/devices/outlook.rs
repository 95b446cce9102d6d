//! What a node's free GPUs hold for the next pod: for each size, how good the sets are that the plugin may hand out,
//! and what they leave. A node is judged by the worst of them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::class::TopologyClass;
use super::rings::QUALITY_MAX;
use super::set::GpuSet;
use crate::oracle::kubelet::{Kubelet, Rejected};

/// A node's devices, as far as its plugin's answers are known.
#[derive(Clone, Debug)]
pub struct Devices {
    /// The kind of machine.
    pub class: Arc<TopologyClass>,
    /// What its kubelet does about NUMA nodes.
    pub kubelet: Kubelet,
    /// The GPUs that are healthy and assumed to be with nobody.
    pub free: GpuSet,
    /// What these hold for the next pod.
    pub outlook: Arc<Outlook>,
    /// Position in the inventory of the GPU in each slot.
    pub slots: Vec<usize>,
}

/// What a pod of a size would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// How many sets are possible.
    pub sets: u32,
    /// Ring bandwidth of the worst of them in Gb/s; 0 for a single GPU, or if it is unknown.
    pub worst_gbps: u32,
    /// Ring bandwidth of the best of them in Gb/s.
    pub best_gbps: u32,
    /// By how many thousandths the worst falls short of the best set of that size on the idle node.
    pub loss: u32,
    /// GPUs that are left free outside the largest set that is as fast as any of its size, in the worst case.
    pub torn: u32,
}

impl Prospect {
    /// Bandwidth of the worst set over that of the best of the idle node, in thousandths.
    pub fn worst_quality(&self) -> u32 {
        QUALITY_MAX.saturating_sub(self.loss)
    }
}

/// What each size would get, from 1 up to the number of free GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook(Vec<Result<Prospect, Rejected>>);

impl Outlook {
    /// Works it out.
    pub fn new(class: &TopologyClass, kubelet: Kubelet, free: GpuSet) -> Outlook {
        let of_size = |size| class.handouts(kubelet, free, &[size]).map(|sets| prospect(class, free, &sets));
        Outlook((1..=free.len()).map(of_size).collect())
    }

    /// What a pod of this size would get; `None` if there are not so many GPUs.
    pub fn of(&self, size: u64) -> Option<&Result<Prospect, Rejected>> {
        self.0.get(usize::try_from(size.checked_sub(1)?).ok()?)
    }
}

fn prospect(class: &TopologyClass, free: GpuSet, sets: &[GpuSet]) -> Prospect {
    let rings = class.rings();
    let gbps = || sets.iter().map(|set| rings.gbps(*set));
    let torn = |set: &GpuSet| {
        let rest = free.minus(*set);
        rest.len().saturating_sub(class.whole(rest))
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Prospect {
        sets: count(sets.len()),
        worst_gbps: gbps().min().unwrap_or(0),
        best_gbps: gbps().max().unwrap_or(0),
        loss: sets.iter().map(|set| QUALITY_MAX.saturating_sub(rings.quality(*set))).max().unwrap_or(0),
        torn: count(sets.iter().map(torn).max().unwrap_or(0)),
    }
}

impl Devices {
    /// The sets that pods are assumed to get of those free and not taken, one pod after the other: the best set where
    /// the plugin may hand it out, else the first that it may. Ends early where no more fit, or the kubelet rejects.
    pub fn assumed(&self, taken: &[usize], each: usize, pods: usize) -> Vec<GpuSet> {
        let mut free = self.free.minus(self.set(taken));
        let mut sets = Vec::new();
        while sets.len() < pods && each > 0 {
            let Ok(possible) = self.class.handouts(self.kubelet, free, &[each]) else { break };
            let wished = self.class.best(free, each).filter(|set| possible.binary_search(set).is_ok());
            let Some(set) = wished.or_else(|| possible.first().copied()) else { break };
            free = free.minus(set);
            sets.push(set);
        }
        sets
    }

    /// How many pods of this size the kubelet admits one after the other, if they get what is assumed.
    pub fn admits(&self, taken: &[usize], each: u64) -> u64 {
        let each = usize::try_from(each).unwrap_or(usize::MAX);
        if each == 0 || !self.kubelet.rejects() {
            return u64::MAX;
        }
        self.assumed(taken, each, GpuSet::GPUS_MAX).len() as u64
    }

    /// Positions in the inventory of a set's GPUs.
    pub fn positions(&self, set: GpuSet) -> impl Iterator<Item = usize> {
        set.slots().filter_map(|slot| self.slots.get(slot).copied())
    }

    fn set(&self, positions: &[usize]) -> GpuSet {
        self.slots.iter().enumerate().filter(|(_, at)| positions.contains(at)).map(|(slot, _)| slot).collect()
    }
}

/// Of rows with the same inventory; all else follows from that and from these.
impl PartialEq for Devices {
    fn eq(&self, other: &Devices) -> bool {
        (self.kubelet, self.free) == (other.kubelet, other.free)
    }
}

impl Eq for Devices {}
