//! Wirings of known machines, as the node agent reports them.

use muster_placement::inventory::Wiring;

fn wiring(gpus: usize, points: impl Fn(usize, usize) -> u32, gbps: impl Fn(usize, usize) -> u32) -> Wiring {
    let square = |of: &dyn Fn(usize, usize) -> u32| {
        (0..gpus * gpus).map(|i| if i / gpus == i % gpus { 0 } else { of(i / gpus, i % gpus) }).collect()
    };
    let numa = (0..gpus).map(|gpu| Some(u8::from(gpu >= gpus / 2))).collect();
    Wiring { points: square(&points), gbps: square(&gbps), numa }
}

/// Points of the PCIe tree of most machines: pairs, halves, all.
fn tree(gpus: usize, a: usize, b: usize) -> u32 {
    match (a / 2 == b / 2, a / (gpus / 2) == b / (gpus / 2)) {
        (true, _) => 40,
        (false, true) => 20,
        (false, false) => 10,
    }
}

/// Hybrid cube mesh: two links, one, or PCIe.
pub fn dgx_1v() -> Wiring {
    const TWO: [(usize, usize); 8] = [(0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (4, 7), (5, 6), (6, 7)];
    const ONE: [(usize, usize); 8] = [(0, 1), (0, 2), (1, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7)];
    let links = |a: usize, b: usize| {
        let pair = (a.min(b), a.max(b));
        if TWO.contains(&pair) { 2 } else { u32::from(ONE.contains(&pair)) }
    };
    let level = |a, b| match tree(8, a, b) {
        40 => 50,
        20 => 30,
        far => far,
    };
    wiring(
        8,
        |a, b| level(a, b) + 100 * links(a, b),
        |a, b| if links(a, b) == 0 { 48 } else { 200 * links(a, b) },
    )
}

/// All pairs alike; the plugin sees the PCIe tree only.
pub fn nvswitch(gpus: usize) -> Wiring {
    wiring(gpus, |a, b| tree(gpus, a, b), |_, _| 3_600)
}

/// NVLink bridges on pairs.
pub fn bridged(gpus: usize) -> Wiring {
    let near = |a, b| tree(gpus, a, b) == 20;
    let pair = |a: usize, b: usize| a / 2 == b / 2;
    let points = |a, b| {
        if pair(a, b) {
            1_220
        } else if near(a, b) {
            20
        } else {
            10
        }
    };
    wiring(gpus, points, |a, b| {
        if pair(a, b) {
            2_400
        } else if near(a, b) {
            128
        } else {
            80
        }
    })
}

/// No NVLink, two sockets.
pub fn pcie(gpus: usize) -> Wiring {
    wiring(
        gpus,
        |a, b| tree(gpus, a, b),
        |a, b| match tree(gpus, a, b) {
            40 => 192,
            20 => 128,
            _ => 80,
        },
    )
}

/// All alike, and no bandwidth known.
pub fn lone_switch(gpus: usize) -> Wiring {
    wiring(gpus, |_, _| 10, |_, _| 0)
}
