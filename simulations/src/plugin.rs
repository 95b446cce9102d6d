//! What the stock device plugin and the kubelet of a kind of machine may hand out: the core's oracle, which is held
//! against the plugin's own code. Which of the possible sets a pod gets is chance.

use std::sync::OnceLock;

use muster_placement::devices::{GpuSet, Pairs};
use muster_placement::oracle::Oracle;
use muster_placement::oracle::kubelet::{Kubelet, NumaNodes, Policy, handouts};

use crate::machine::Kind;

/// Points of go-gpuallocator for two GPUs on one CPU and on two; each NVLink that ends at the other GPU is 100 more.
const SAME_CPU: u32 = 20;
const CROSS_CPU: u32 = 10;
const NVLINK: u32 = 100;

static PLUGINS: [OnceLock<Option<(Oracle, NumaNodes)>>; Kind::COUNT] =
    [const { OnceLock::new() }; Kind::COUNT];

/// Every set of so many of the free GPUs that a pod may get; none if it is rejected.
pub(crate) fn possible(kind: Kind, restricted: bool, free: GpuSet, wanted: usize) -> Vec<GpuSet> {
    let plugin = PLUGINS.get(kind as usize).map(|cell| cell.get_or_init(|| of(kind)));
    let Some(Some((oracle, numa))) = plugin else { return Vec::new() };
    let policy = if restricted { Policy::Restricted } else { Policy::Indifferent };
    let kubelet = Kubelet { policy, ..Kubelet::default() };
    handouts(oracle, numa, kubelet, free, &[wanted]).unwrap_or_default()
}

fn of(kind: Kind) -> Option<(Oracle, NumaNodes)> {
    let gpus = kind.gpus();
    let side = |at: usize| u8::from(at >= gpus / 2);
    let points = Pairs::new(gpus, |a, b| {
        let path = if side(a) == side(b) { SAME_CPU } else { CROSS_CPU };
        path + NVLINK * kind.direct_links(a, b)
    });
    let numa: Vec<Option<u8>> = (0..gpus).map(|at| Some(side(at))).collect();
    Some((Oracle::new(&points)?, NumaNodes::new(&numa)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_an_idle_cube_mesh_have_a_double_link() {
        // The link reaches over two CPUs in some pairs, which costs points.
        let sets = possible(Kind::Dgx1V, false, GpuSet::first(8), 2);
        assert!(!sets.is_empty());
        let double = |set: &GpuSet| {
            let slots: Vec<usize> = set.slots().collect();
            matches!(slots.as_slice(), [a, b] if Kind::Dgx1V.direct_links(*a, *b) == 2)
        };
        assert!(sets.iter().all(double), "{sets:?}");
    }

    #[test]
    fn restricted_rejects_what_could_have_been_on_one_numa_node() {
        let free: GpuSet = [0, 7].into_iter().collect();
        assert_eq!(possible(Kind::Hgx8xH100, false, free, 2), [free]);
        assert_eq!(possible(Kind::Hgx8xH100, true, free, 2), []);
    }
}
