//! How fast a set of GPUs is: the bandwidth of the slowest hop of its best ring, which is what a ring all-reduce
//! over the set is limited by. Max over cyclic orders of the min over neighbours (bottleneck Hamiltonian cycle).
//!
//! Exact for every set, in a table over bit masks: for each rate that occurs, which sets have a ring without a slower
//! hop (path ends by dynamic programming). Capacity that hops share (a PCIe bridge, the link between sockets) and
//! rings side by side are not modelled, so between machines of different kinds the figures are ranks, not GB/s.

use alloc::vec;
use alloc::vec::Vec;

use super::pairs::Pairs;
use super::set::GpuSet;

/// Quality of a set that is as good as any on the idle node, in thousandths.
pub const QUALITY_MAX: u32 = 1_000;

/// Rates told apart; beyond, each is rounded down to one of so many, so that no report makes the table dear.
const RATES_MAX: usize = 16;

/// Ring bandwidth of every set of a node's GPUs.
#[derive(Clone, Debug)]
pub struct Rings {
    /// Rates in Gb/s that occur, ascending; the first is 0.
    rates: Vec<u32>,
    /// By set: position of its ring's rate.
    of_set: Vec<u8>,
    /// By size: rate of the best set of the idle node.
    best: Vec<u32>,
}

impl Rings {
    /// From the bandwidths of pairs in Gb/s.
    pub fn new(gbps: &Pairs) -> Rings {
        let gpus = gbps.gpus().min(GpuSet::GPUS_MAX);
        let rates = rates(gbps, gpus);
        let mut rings =
            Rings { of_set: vec![0; GpuSet::first(gpus).index().saturating_add(1)], rates, best: Vec::new() };
        for (at, rate) in (0u8..).zip(rings.rates.clone()).skip(1) {
            rings.mark(at, &neighbours(gbps, gpus, rate), gpus);
        }
        rings.best = vec![0; gpus.saturating_add(1)];
        for set in GpuSet::all(gpus) {
            let rate = rings.gbps(set);
            if let Some(best) = rings.best.get_mut(set.len()) {
                *best = rate.max(*best);
            }
        }
        rings
    }

    /// Notes the rate for every set that has a ring over these neighbours.
    fn mark(&mut self, rate: u8, neighbours: &[GpuSet], gpus: usize) {
        // By set: where a path can end that begins at the set's first GPU and visits all of it.
        let mut ends = vec![GpuSet::EMPTY; self.of_set.len()];
        for set in GpuSet::all(gpus) {
            let first = set.lowest();
            let near =
                |one: GpuSet| one.slots().next().and_then(|s| neighbours.get(s)).copied().unwrap_or_default();
            let reached = |last: &GpuSet| {
                let before = ends.get(set.minus(*last).index()).copied().unwrap_or_default();
                before.and(near(*last)) != GpuSet::EMPTY
            };
            let last = match set.len() {
                0 => continue,
                1 => set,
                _ => set.minus(first).singles().filter(reached).fold(GpuSet::EMPTY, GpuSet::or),
            };
            if let Some(of_set) = ends.get_mut(set.index()) {
                *of_set = last;
            }
            if last.and(near(first)) != GpuSet::EMPTY
                && let Some(of_set) = self.of_set.get_mut(set.index())
            {
                *of_set = rate;
            }
        }
    }

    /// Bandwidth of a set's best ring in Gb/s; 0 for fewer than two GPUs, or if it is unknown.
    pub fn gbps(&self, set: GpuSet) -> u32 {
        let at = self.of_set.get(set.index()).copied().unwrap_or(0);
        self.rates.get(usize::from(at)).copied().unwrap_or(0)
    }

    /// Bandwidth of the best set of so many on the idle node, in Gb/s.
    pub fn best_gbps(&self, size: usize) -> u32 {
        self.best.get(size).copied().unwrap_or(0)
    }

    /// A set's bandwidth over that of the best set of its size on the idle node, in thousandths. One GPU, and GPUs of
    /// which nothing is known, are as good as any.
    pub fn quality(&self, set: GpuSet) -> u32 {
        let own = self.gbps(set).saturating_mul(QUALITY_MAX);
        own.checked_div(self.best_gbps(set.len())).unwrap_or(QUALITY_MAX)
    }
}

fn rates(gbps: &Pairs, gpus: usize) -> Vec<u32> {
    let mut rates: Vec<u32> = gbps.inside(GpuSet::first(gpus)).collect();
    rates.push(0);
    rates.sort_unstable();
    rates.dedup();
    let step = rates.len().div_ceil(RATES_MAX).max(1);
    rates.into_iter().step_by(step).collect()
}

/// Of each GPU, those that it reaches at a rate or faster.
fn neighbours(gbps: &Pairs, gpus: usize, rate: u32) -> Vec<GpuSet> {
    (0..gpus).map(|a| (0..gpus).filter(|b| *b != a && gbps.of(a, *b) >= rate).collect()).collect()
}
