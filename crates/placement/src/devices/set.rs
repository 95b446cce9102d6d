//! A set of the GPUs of one node, as a bit mask: bit `i` is the GPU in slot `i`, slots being in the order of PCI
//! addresses, which is the order in which NVML and the device plugin count.

/// A set of GPUs of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuSet(pub u16);

impl GpuSet {
    /// No GPU.
    pub const EMPTY: GpuSet = GpuSet(0);
    /// Most GPUs of a node that are told apart. The largest machines have 16.
    pub const GPUS_MAX: usize = 16;

    /// The GPUs in the first `count` slots.
    pub fn first(count: usize) -> GpuSet {
        (0..count.min(GpuSet::GPUS_MAX)).collect()
    }

    /// The GPU in one slot; empty beyond the last one.
    pub fn single(slot: usize) -> GpuSet {
        GpuSet(u32::try_from(slot).ok().and_then(|slot| 1u16.checked_shl(slot)).unwrap_or(0))
    }

    /// Number of GPUs.
    #[allow(clippy::len_without_is_empty, reason = "`EMPTY` is there to compare with")]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// GPUs of both.
    #[must_use]
    pub fn and(self, other: GpuSet) -> GpuSet {
        GpuSet(self.0 & other.0)
    }

    /// GPUs of either.
    #[must_use]
    pub fn or(self, other: GpuSet) -> GpuSet {
        GpuSet(self.0 | other.0)
    }

    /// GPUs of this one that the other does not have.
    #[must_use]
    pub fn minus(self, other: GpuSet) -> GpuSet {
        GpuSet(self.0 & !other.0)
    }

    /// Whether the other one has all of these.
    pub fn is_within(self, other: GpuSet) -> bool {
        self.minus(other) == GpuSet::EMPTY
    }

    /// The first of them.
    #[must_use]
    pub fn lowest(self) -> GpuSet {
        GpuSet(self.0 & self.0.wrapping_neg())
    }

    /// Slots, ascending.
    pub fn slots(self) -> impl Iterator<Item = usize> {
        self.singles().map(|one| one.0.trailing_zeros() as usize)
    }

    /// Each GPU by itself, ascending.
    pub fn singles(self) -> impl Iterator<Item = GpuSet> {
        let mut left = self;
        core::iter::from_fn(move || {
            let one = left.lowest();
            left = left.minus(one);
            (one != GpuSet::EMPTY).then_some(one)
        })
    }

    /// Calls `found` with every subset of `size` GPUs.
    pub fn each_subset(self, size: usize, found: &mut impl FnMut(GpuSet)) {
        subsets(self, size, GpuSet::EMPTY, found);
    }

    /// Position in a table over all sets.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All sets of the first `count` slots, ascending; a table over them has as many entries.
    pub(crate) fn all(count: usize) -> impl Iterator<Item = GpuSet> {
        (0..=GpuSet::first(count).0).map(GpuSet)
    }
}

fn subsets(from: GpuSet, size: usize, taken: GpuSet, found: &mut impl FnMut(GpuSet)) {
    let Some(others) = size.checked_sub(1) else { return found(taken) };
    let mut left = from;
    while left.len() >= size {
        let one = left.lowest();
        left = left.minus(one);
        subsets(left, others, taken.or(one), found);
    }
}

impl FromIterator<usize> for GpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(slots: I) -> GpuSet {
        slots.into_iter().fold(GpuSet::EMPTY, |set, slot| set.or(GpuSet::single(slot)))
    }
}
