//! Sets of GPUs: ring bandwidth, best sets and what is left whole, against looking at everything.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[allow(dead_code, unreachable_pub, reason = "shared by tests, each of which uses a part")]
mod machines;

use machines::{bridged, dgx_1v, lone_switch, nvswitch, pcie};
use muster_placement::devices::{GpuSet, Pairs, QUALITY_MAX, Rings, TopologyClass};
use muster_placement::inventory::Wiring;
use muster_placement::oracle::kubelet::NumaNodes;
use proptest::prelude::*;

fn classes() -> Vec<(&'static str, Wiring)> {
    vec![
        ("DGX-1V", dgx_1v()),
        ("NVSwitch", nvswitch(8)),
        ("bridged pairs", bridged(8)),
        ("PCIe", pcie(8)),
        ("four on PCIe", pcie(4)),
        ("four direct", nvswitch(4)),
        ("no bandwidths", lone_switch(8)),
    ]
}

fn gbps(wiring: &Wiring) -> Pairs {
    let gpus = wiring.numa.len();
    Pairs::new(gpus, |a, b| wiring.gbps.get(a * gpus + b).copied().unwrap_or(0))
}

/// The slowest hop of the best cyclic order, by trying every order.
fn best_ring(gbps: &Pairs, set: GpuSet) -> u32 {
    fn go(gbps: &Pairs, first: usize, last: usize, left: GpuSet, slowest: u32) -> u32 {
        if left == GpuSet::EMPTY {
            return slowest.min(gbps.of(last, first));
        }
        let onward =
            |next| go(gbps, first, next, left.minus(GpuSet::single(next)), slowest.min(gbps.of(last, next)));
        left.slots().map(onward).max().unwrap()
    }
    match set.slots().next() {
        Some(first) if set.len() > 1 => go(gbps, first, first, set.minus(GpuSet::single(first)), u32::MAX),
        _ => 0,
    }
}

#[test]
fn rings_are_the_best_of_all_orders() {
    for (name, wiring) in classes() {
        let pairs = gbps(&wiring);
        let rings = Rings::new(&pairs);
        for mask in 0..=GpuSet::first(pairs.gpus()).0 {
            assert_eq!(rings.gbps(GpuSet(mask)), best_ring(&pairs, GpuSet(mask)), "{name} {mask:#b}");
        }
    }
}

/// `m4`: every free set and size of every class.
#[test]
fn the_best_set_is_the_best_of_all_sets() {
    for (name, wiring) in classes() {
        let class = TopologyClass::new(&wiring).unwrap();
        let (pairs, gpus) = (gbps(&wiring), wiring.numa.len());
        let ring: Vec<u32> = (0..=GpuSet::first(gpus).0).map(|m| best_ring(&pairs, GpuSet(m))).collect();
        for free in (0..=GpuSet::first(gpus).0).map(GpuSet) {
            for size in 0..=gpus {
                let mut expected = None;
                free.each_subset(size, &mut |set| {
                    let rest = free.minus(set);
                    let rank =
                        (ring[usize::from(set.0)], worth(&wiring, &ring, rest), std::cmp::Reverse(set));
                    expected = expected.max(Some(rank));
                });
                let expected = expected.map(|(.., set)| set.0);
                assert_eq!(class.best(free, size), expected, "{name} {free:?} {size}");
            }
        }
    }
}

/// Largest part as fast as any of its size, and most GPUs on one NUMA node, by looking at every part.
fn worth(wiring: &Wiring, ring: &[u32], rest: GpuSet) -> (usize, usize) {
    let idle = |size: u32| {
        (0u16..).zip(ring).filter(|(m, _)| m.count_ones() == size).map(|(_, r)| *r).max().unwrap()
    };
    let parts = (0..ring.len()).filter(|m| GpuSet(u16::try_from(*m).unwrap()).is_within(rest));
    let whole = parts.filter(|m| ring[*m] == idle(m.count_ones())).map(|m| m.count_ones() as usize).max();
    (whole.unwrap(), NumaNodes::new(&wiring.numa).most_on_one(rest))
}

#[test]
fn sixteen_gpus_are_searched_alike() {
    for wiring in [nvswitch(16), bridged(16), pcie(16)] {
        let class = TopologyClass::new(&wiring).unwrap();
        let pairs = gbps(&wiring);
        for (free, size) in [(0xffffu16, 2), (0xffff, 8), (0x7bf3, 4), (0x0ff0, 3), (0x8421, 2)] {
            let free = GpuSet(free);
            let found = class.best(free, size).unwrap();
            let mut most = 0;
            free.each_subset(size, &mut |set| most = most.max(class.rings().gbps(set)));
            assert_eq!(class.rings().gbps(found), most, "{free:?} {size}");
            // The hierarchy of these machines: a ring is as slow as its slowest pair.
            assert_eq!(most, pairs.inside(found).min().unwrap(), "{free:?} {size}");
        }
    }
}

/// What the literature says of the DGX-1V: pairs with two links, one or none; quads that are boards are whole.
#[test]
fn a_cube_mesh_has_three_kinds_of_pairs() {
    let rings = Rings::new(&gbps(&dgx_1v()));
    let mut kinds = [0; 3];
    GpuSet::first(8).each_subset(2, &mut |pair| {
        kinds[match rings.quality(pair) {
            QUALITY_MAX => 0,
            500 => 1,
            _ => 2,
        }] += 1;
    });
    assert_eq!(kinds, [8, 8, 12]);
    assert_eq!(rings.quality(GpuSet(0b1111)), QUALITY_MAX);
}

proptest! {
    /// Any bandwidths, asymmetric ones and holes included.
    #[test]
    fn rings_of_any_matrix(cells in prop::collection::vec(prop::sample::select(vec![0u32, 48, 100, 200, 400]), 36)) {
        let pairs = Pairs::new(6, |a, b| cells[a * 6 + b]);
        let rings = Rings::new(&pairs);
        for mask in 0..64 {
            prop_assert_eq!(rings.gbps(GpuSet(mask)), best_ring(&pairs, GpuSet(mask)));
        }
    }
}
