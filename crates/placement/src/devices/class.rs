//! What depends on the machine alone and not on what is free: how fast each set is, which set is best, what the plugin
//! answers. Worked out once and shared by all nodes with the same wiring.

use alloc::vec;
use alloc::vec::Vec;

use super::best::Best;
use super::pairs::Pairs;
use super::rings::{QUALITY_MAX, Rings};
use super::set::GpuSet;
use crate::inventory::Wiring;
use crate::oracle::Oracle;
use crate::oracle::kubelet::{Kubelet, NumaNodes, Rejected, handouts};

/// A kind of machine.
#[derive(Clone, Debug)]
pub struct TopologyClass {
    points: Pairs,
    oracle: Oracle,
    rings: Rings,
    numa: NumaNodes,
    /// By set: GPUs of its largest part that is as fast as any of that size.
    whole: Vec<u8>,
    best: Best,
}

impl TopologyClass {
    /// `None` if there are more GPUs than [`GpuSet::GPUS_MAX`], or too little symmetry among many
    /// ([`Oracle::new`]).
    pub fn new(wiring: &Wiring) -> Option<TopologyClass> {
        let gpus = wiring.numa.len();
        if gpus > GpuSet::GPUS_MAX {
            return None;
        }
        let cell =
            |cells: &[u32], a: usize, b: usize| cells.get(a.saturating_mul(gpus).saturating_add(b)).copied();
        let points = Pairs::new(gpus, |a, b| cell(&wiring.points, a, b).unwrap_or(0));
        let rings = Rings::new(&Pairs::new(gpus, |a, b| cell(&wiring.gbps, a, b).unwrap_or(0)));
        let numa = NumaNodes::new(&wiring.numa);
        let (oracle, whole) = (Oracle::new(&points)?, whole(&rings, gpus));
        let mut class = TopologyClass { points, oracle, rings, numa, whole, best: Best::default() };
        class.best = Best::new(&class, gpus);
        Some(class)
    }

    /// How fast sets are.
    pub fn rings(&self) -> &Rings {
        &self.rings
    }

    /// What the plugin answers.
    pub fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// Every set that a pod may get whose containers ask for so many GPUs each.
    ///
    /// # Errors
    /// The kubelet would reject it.
    pub fn handouts(
        &self,
        kubelet: Kubelet,
        free: GpuSet,
        containers: &[usize],
    ) -> Result<Vec<GpuSet>, Rejected> {
        handouts(&self.oracle, &self.numa, kubelet, free, containers)
    }

    /// The best set of `size` of the `free` GPUs: the fastest, of those the one that leaves most whole, then most on
    /// one NUMA node, then the first. `None` if there are fewer.
    pub fn best(&self, free: GpuSet, size: usize) -> Option<GpuSet> {
        self.best.get(self, free, size)
    }

    /// The largest number of these GPUs that are as fast together as any so many of the idle node.
    pub fn whole(&self, set: GpuSet) -> usize {
        self.whole.get(set.index()).copied().map_or(0, usize::from)
    }

    /// What a set is worth that is left free; larger is better.
    pub(super) fn worth(&self, rest: GpuSet) -> (usize, usize) {
        (self.whole(rest), self.numa.most_on_one(rest))
    }

    /// Whether the points of all these GPUs are known: a GPU that is lost has none.
    pub(super) fn knows(&self, set: GpuSet) -> bool {
        self.points.inside(set).all(|points| points > 0)
    }
}

fn whole(rings: &Rings, gpus: usize) -> Vec<u8> {
    let mut whole = vec![0u8; GpuSet::first(gpus).index().saturating_add(1)];
    for set in GpuSet::all(gpus) {
        let smaller = || set.singles().filter_map(|one| whole.get(set.minus(one).index()).copied()).max();
        let own = u8::try_from(set.len()).ok().filter(|_| rings.quality(set) == QUALITY_MAX);
        let most = own.or_else(smaller).unwrap_or(0);
        if let Some(of_set) = whole.get_mut(set.index()) {
            *of_set = most;
        }
    }
    whole
}
