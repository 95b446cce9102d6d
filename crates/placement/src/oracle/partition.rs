//! The best ways to cut a set of free GPUs into sets of one size: the greatest sum of points, and how small the best
//! set of such a cut can be.
//!
//! Exact, by dynamic programming over the states that symmetry leaves; worked out once for a machine, for all sizes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::symmetry::{State, Symmetry};
use crate::devices::{GpuSet, Pairs};

/// Machines with more states than this are not worked out: 16 GPUs without any symmetry would take minutes. 12 such
/// GPUs, or 16 in pairs or quads, have fewer.
const STATES_MAX: usize = 4_096;

/// Up to so many GPUs the state of a set is found in a table over all sets.
const DENSE_MAX: usize = 10;

/// A best cut of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Points of all its parts.
    pub(super) points: u32,
    /// Points of its best part, where the cut of equal points with the smallest such one is meant.
    pub(super) best_part: u32,
}

/// The best cuts of every set of a machine's GPUs into parts of every size.
#[derive(Clone, Debug)]
pub(super) struct Partitions {
    symmetry: Symmetry,
    /// Number of each state, in ascending order of GPUs.
    numbers: BTreeMap<State, u16>,
    /// By set, on small machines: number of its state.
    dense: Vec<u16>,
    /// By state: points of all its pairs.
    own: Vec<u32>,
    /// By size and state.
    cuts: Vec<Vec<Cut>>,
}

impl Partitions {
    /// `None` if the machine has too many states.
    pub(super) fn new(points: &Pairs) -> Option<Partitions> {
        let gpus = points.gpus();
        let symmetry = Symmetry::of(points);
        let states = states(&symmetry, gpus)?;
        let numbers = states.iter().zip(0..).map(|(state, number)| (state.0, number)).collect();
        let own = states.iter().map(|(_, set)| points.sum(*set)).collect();
        let mut partitions = Partitions { symmetry, numbers, dense: Vec::new(), own, cuts: Vec::new() };
        if gpus <= DENSE_MAX {
            partitions.dense = GpuSet::all(gpus).map(|set| partitions.find(set)).collect();
        }
        for size in 0..=gpus {
            let mut cuts: Vec<Cut> = Vec::with_capacity(states.len());
            for (_, set) in &states {
                cuts.push(partitions.cut_further(*set, size, &cuts));
            }
            partitions.cuts.push(cuts);
        }
        Some(partitions)
    }

    /// The best cut of a set, from those of smaller ones.
    fn cut_further(&self, set: GpuSet, size: usize, smaller: &[Cut]) -> Cut {
        let Some(rest) = set.len().checked_rem(size) else { return Cut::default() };
        let first = set.lowest();
        let mut best: Option<Cut> = None;
        // Some part has the first GPU: a full one, or the smaller one where they do not divide.
        for others in [size, rest].into_iter().filter_map(|part| part.checked_sub(1)) {
            self.symmetry.each_pick(set.minus(first), others, &mut |some| {
                let part = some.or(first);
                let left = smaller.get(self.number(set.minus(part))).copied().unwrap_or_default();
                let own = self.points(part);
                let cut = Cut { points: left.points.saturating_add(own), best_part: left.best_part.max(own) };
                let better = |b: Cut| (cut.points, b.best_part) > (b.points, cut.best_part);
                if best.is_none_or(better) {
                    best = Some(cut);
                }
            });
        }
        best.unwrap_or_default()
    }

    /// The symmetries that the states are taken by.
    pub(super) fn symmetry(&self) -> &Symmetry {
        &self.symmetry
    }

    /// Points of all pairs of a set.
    pub(super) fn points(&self, set: GpuSet) -> u32 {
        self.own.get(self.number(set)).copied().unwrap_or(0)
    }

    /// The best cut of a set into parts of a size, and a smaller one where they do not divide.
    pub(super) fn cut(&self, set: GpuSet, size: usize) -> Cut {
        self.cuts.get(size).and_then(|cuts| cuts.get(self.number(set))).copied().unwrap_or_default()
    }

    fn number(&self, set: GpuSet) -> usize {
        usize::from(self.dense.get(set.index()).copied().unwrap_or_else(|| self.find(set)))
    }

    fn find(&self, set: GpuSet) -> u16 {
        self.numbers.get(&self.symmetry.state(set)).copied().unwrap_or(0)
    }
}

/// Every state with a set that has it, in ascending order of GPUs.
fn states(symmetry: &Symmetry, gpus: usize) -> Option<Vec<(State, GpuSet)>> {
    let mut found: Vec<(State, GpuSet)> = Vec::new();
    let mut layer = BTreeMap::from([(symmetry.state(GpuSet::EMPTY), GpuSet::EMPTY)]);
    while !layer.is_empty() {
        found.extend(layer.iter().map(|(state, set)| (*state, *set)));
        if found.len() > STATES_MAX {
            return None;
        }
        let all = GpuSet::first(gpus);
        let larger: BTreeSet<GpuSet> =
            layer.values().flat_map(|set| all.minus(*set).singles().map(|one| set.or(one))).collect();
        layer = larger.into_iter().map(|set| (symmetry.state(set), set)).collect();
    }
    Some(found)
}
