//! What the stock device plugin may hand out: the set of **all** possible answers of its best-effort policy for a
//! set of free GPUs, since the kubelet names the free devices in random order and the policy keeps the first best.
//! On top of it the kubelet's topology manager ([`kubelet`]).
//!
//! The rule (NVIDIA/go-gpuallocator v0.6.0, `besteffort_policy.go`; the device plugin v0.18.0 calls nothing else):
//! over all partitions of the free GPUs into sets of the size asked for, plus one smaller set where they do not
//! divide, take those of the greatest sum of pair points; of the sets of such a partition that have all required GPUs
//! one with the most points of its own is the answer. A single GPU is any free one. Links to an `NVSwitch` are no
//! points. Checked against what the plugin's own code answers, vector by vector (`tests/gpuallocator`).
//!
//! Does not know devices other than whole GPUs, nor shared ones (time slicing, MPS), nor MIG.

pub mod kubelet;
mod partition;
mod symmetry;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::devices::{GpuSet, Pairs};
use partition::Partitions;

/// Machines of at most so many GPUs have every answer written down.
const WRITTEN_MAX: usize = 8;

/// The answers of the device plugin of one kind of machine.
#[derive(Clone, Debug)]
pub struct Oracle {
    partitions: Partitions,
    written: Written,
}

/// The answers without required GPUs, by size and free set.
#[derive(Clone, Debug, Default)]
struct Written {
    answers: Vec<GpuSet>,
    /// Begin and end in `answers`.
    ranges: Vec<(u16, u16)>,
    gpus: usize,
}

impl Oracle {
    /// From the points of pairs, as go-gpuallocator counts them: 10 to 60 for the PCIe level and 100 for each NVLink
    /// that ends at the other GPU. `None` for machines with so many GPUs and so little symmetry (more than 12 with
    /// none at all) that their answers would take too long to find.
    pub fn new(points: &Pairs) -> Option<Oracle> {
        let mut oracle = Oracle { partitions: Partitions::new(points)?, written: Written::default() };
        let gpus = points.gpus();
        if gpus <= WRITTEN_MAX {
            let mut written = Written { gpus, ..Written::default() };
            for free in GpuSet::all(gpus) {
                for size in 0..=gpus {
                    let begin = written.answers.len();
                    written.answers.extend(oracle.find(free, GpuSet::EMPTY, size));
                    let range =
                        [begin, written.answers.len()].map(|at| u16::try_from(at).unwrap_or(u16::MAX));
                    written.ranges.push(range.into());
                }
            }
            oracle.written = written;
        }
        Some(oracle)
    }

    /// Every set that may be the answer for `size` of the `free` GPUs, the `required` ones among them, ascending. None
    /// if there are too few. A set is smaller than asked for only where the leftover of a partition has more points
    /// than its full sets; the kubelet then fills up as it likes.
    pub fn possible(&self, free: GpuSet, required: GpuSet, size: usize) -> Cow<'_, [GpuSet]> {
        if required == GpuSet::EMPTY
            && let Some(answers) = self.written.get(free, size)
        {
            return Cow::Borrowed(answers);
        }
        Cow::Owned(self.find(free, required, size))
    }

    fn find(&self, free: GpuSet, required: GpuSet, size: usize) -> Vec<GpuSet> {
        if size == 0 || free.len() < size || required.len() > size || !required.is_within(free) {
            return Vec::new();
        }
        if size == 1 {
            return if required == GpuSet::EMPTY { free } else { required }.singles().collect();
        }
        let from = free.minus(required);
        let mut found = Vec::new();
        for pick in self.best_picks(free, required, size) {
            let symmetry = self.partitions.symmetry();
            symmetry.each_like(pick, from, &mut |set| found.push(set.or(required)));
        }
        found.sort_unstable();
        found
    }

    /// The answers, one for all that are alike, without the required GPUs.
    fn best_picks(&self, free: GpuSet, required: GpuSet, size: usize) -> Vec<GpuSet> {
        let from = free.minus(required);
        let leftover = free.len().checked_rem(size).filter(|rest| *rest > 0 && required == GpuSet::EMPTY);
        let (mut most, mut found) = (0, Vec::new());
        for part in [Some(size), leftover].into_iter().flatten() {
            self.partitions.symmetry().each_pick(from, part.saturating_sub(required.len()), &mut |pick| {
                let set = pick.or(required);
                let own = self.partitions.points(set);
                let rest = self.partitions.cut(free.minus(set), size);
                let total = own.saturating_add(rest.points);
                if total > most {
                    most = total;
                    found.clear();
                }
                // Only one part has the required GPUs; without any, the part with the most points is taken.
                if total == most && (required != GpuSet::EMPTY || rest.best_part <= own) {
                    found.push(pick);
                }
            });
        }
        found
    }
}

impl Written {
    fn get(&self, free: GpuSet, size: usize) -> Option<&[GpuSet]> {
        let row = free.index().saturating_mul(self.gpus.saturating_add(1));
        let (begin, end) = self.ranges.get(row.saturating_add(size))?;
        self.answers.get(usize::from(*begin)..usize::from(*end)).filter(|_| size <= self.gpus)
    }
}
