//! A number for every pair of GPUs of a node: points or bandwidth. The same in both directions, none with itself.

use alloc::vec::Vec;

use super::set::GpuSet;

/// A symmetric matrix over slots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pairs {
    rows: Vec<u32>,
    gpus: usize,
}

impl Pairs {
    /// The number of two slots. Where the two directions differ the smaller counts.
    pub fn new(gpus: usize, of: impl Fn(usize, usize) -> u32) -> Pairs {
        let cell = |a, b| if a == b { 0 } else { of(a, b).min(of(b, a)) };
        Pairs {
            rows: (0..gpus).flat_map(|a| (0..gpus).map(move |b| (a, b))).map(|(a, b)| cell(a, b)).collect(),
            gpus,
        }
    }

    /// Number of GPUs.
    pub fn gpus(&self) -> usize {
        self.gpus
    }

    /// The number of two GPUs.
    pub fn of(&self, a: usize, b: usize) -> u32 {
        self.rows.get(a.saturating_mul(self.gpus).saturating_add(b)).copied().unwrap_or(0)
    }

    /// All pairs inside a set.
    pub fn inside(&self, set: GpuSet) -> impl Iterator<Item = u32> {
        let others = move |a| set.slots().filter(move |b| *b > a);
        set.slots().flat_map(move |a| others(a).map(move |b| (a, b))).map(|(a, b)| self.of(a, b))
    }

    /// Sum over all pairs inside a set.
    pub fn sum(&self, set: GpuSet) -> u32 {
        self.inside(set).fold(0, u32::saturating_add)
    }
}
