//! The best set of so many of the free GPUs: a table over all free sets on machines of up to 8 GPUs, a search of all
//! subsets on larger ones.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::class::TopologyClass;
use super::set::GpuSet;

/// Machines of at most so many GPUs have a table: 256 × 9 sets, 4.5 KiB.
const TABLE_MAX: usize = 8;
/// Sizes in a row of the table, 0 to 8.
const ROW: usize = TABLE_MAX + 1;

/// The table; empty on larger machines.
#[derive(Clone, Debug, Default)]
pub(super) struct Best(Vec<GpuSet>);

impl Best {
    pub(super) fn new(class: &TopologyClass, gpus: usize) -> Best {
        if gpus > TABLE_MAX {
            return Best::default();
        }
        let best = |free, size| search(class, free, size).unwrap_or_default();
        Best(
            GpuSet::all(gpus)
                .flat_map(|free| (0..ROW).map(move |size| (free, size)))
                .map(|(f, s)| best(f, s))
                .collect(),
        )
    }

    pub(super) fn get(&self, class: &TopologyClass, free: GpuSet, size: usize) -> Option<GpuSet> {
        if free.len() < size {
            return None;
        }
        let at = free.index().wrapping_mul(ROW).wrapping_add(size);
        self.0.get(at).copied().or_else(|| search(class, free, size))
    }
}

fn search(class: &TopologyClass, free: GpuSet, size: usize) -> Option<GpuSet> {
    let mut best = None;
    free.each_subset(size, &mut |set| {
        let rank = (class.rings().gbps(set), class.worth(free.minus(set)), Reverse(set));
        best = best.max(Some(rank));
    });
    best.map(|(.., Reverse(set))| set)
}
