//! Which GPUs, and which groups of GPUs, may change places without anything being different, so that a machine of 16
//! alike ones has a few hundred different states and not 65,536.
//!
//! Twins: two GPUs that have the same points with every third one. Kin: two sets of twins that may be exchanged as a
//! whole. Both are equivalences, checked on the matrix itself; a machine without any symmetry is one of single GPUs.

use alloc::vec::Vec;

use crate::devices::{GpuSet, Pairs};

/// What is left of a set when everything that symmetry makes equal is equal: how many GPUs of each set of twins, in
/// descending order among kin.
pub(super) type State = [u8; GpuSet::GPUS_MAX];

/// The symmetries of a machine.
#[derive(Clone, Debug)]
pub(super) struct Symmetry {
    /// Sets of twins, kin side by side.
    twins: Vec<GpuSet>,
    /// Ranges of `twins` that are kin.
    kin: Vec<core::ops::Range<usize>>,
}

impl Symmetry {
    pub(super) fn of(points: &Pairs) -> Symmetry {
        let all = GpuSet::first(points.gpus());
        let mut classes: Vec<GpuSet> = Vec::new();
        for one in all.singles() {
            match classes.iter_mut().find(|class| is_automorphism(points, class.lowest(), one)) {
                Some(class) => *class = class.or(one),
                None => classes.push(one),
            }
        }
        let (mut twins, mut kin): (Vec<GpuSet>, _) = (Vec::new(), Vec::new());
        while let Some(first) = classes.first().copied() {
            let begin = twins.len();
            let is_kin = |other: &GpuSet| *other == first || is_automorphism(points, first, *other);
            twins.extend(classes.iter().copied().filter(is_kin));
            classes.retain(|class| !is_kin(class));
            kin.push(begin..twins.len());
        }
        Symmetry { twins, kin }
    }

    pub(super) fn state(&self, set: GpuSet) -> State {
        let mut state = [0; GpuSet::GPUS_MAX];
        for (count, twins) in state.iter_mut().zip(&self.twins) {
            *count = u8::try_from(set.and(*twins).len()).unwrap_or(u8::MAX);
        }
        for kin in self.kin.iter().filter(|kin| kin.len() > 1) {
            if let Some(counts) = state.get_mut(kin.clone()) {
                counts.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        state
    }

    /// Calls `found` with one subset of `size` GPUs for each way to take so many of each set of twins.
    pub(super) fn each_pick(&self, from: GpuSet, size: usize, found: &mut impl FnMut(GpuSet)) {
        pick(&self.twins, from, size, GpuSet::EMPTY, found);
    }

    /// Calls `found` with every subset that takes as many of each set of twins as the pick does.
    pub(super) fn each_like(&self, pick: GpuSet, from: GpuSet, found: &mut impl FnMut(GpuSet)) {
        like(&self.twins, pick, from, GpuSet::EMPTY, found);
    }
}

fn pick(twins: &[GpuSet], from: GpuSet, size: usize, taken: GpuSet, found: &mut impl FnMut(GpuSet)) {
    if size == 0 {
        return found(taken);
    }
    let Some((class, later)) = twins.split_first() else { return };
    if from.len() < size {
        return;
    }
    let (here, elsewhere) = (from.and(*class), from.minus(*class));
    pick(later, elsewhere, size, taken, found);
    let (mut taken, mut size) = (taken, size);
    for one in here.singles() {
        let Some(less) = size.checked_sub(1) else { return };
        (taken, size) = (taken.or(one), less);
        pick(later, elsewhere, size, taken, found);
    }
}

fn like(twins: &[GpuSet], wanted: GpuSet, from: GpuSet, taken: GpuSet, found: &mut impl FnMut(GpuSet)) {
    let Some((class, later)) = twins.split_first() else { return found(taken) };
    let count = wanted.and(*class).len();
    from.and(*class).each_subset(count, &mut |some| like(later, wanted, from, taken.or(some), found));
}

/// Whether exchanging two disjoint sets, first for first, leaves all points as they are.
fn is_automorphism(points: &Pairs, a: GpuSet, b: GpuSet) -> bool {
    let image = |slot: usize| {
        let there = a.slots().zip(b.slots()).find(|(x, y)| *x == slot || *y == slot);
        there.map_or(slot, |(x, y)| if x == slot { y } else { x })
    };
    let all = GpuSet::first(points.gpus());
    let same = |x: usize, y: usize| points.of(x, y) == points.of(image(x), image(y));
    a.len() == b.len() && all.slots().all(|x| all.slots().all(|y| same(x, y)))
}
