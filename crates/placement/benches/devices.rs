//! What it costs to know which GPUs a pod gets: a look-up of the best set (m4), the oracle's answers on 8 and 16 GPUs,
//! and what is worked out once for a kind of machine. Nothing here passes or fails.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench reads the clock, prints, and has no one to hand an error to"
)]

#[allow(dead_code, unreachable_pub, reason = "shared with tests")]
#[path = "../tests/machines/mod.rs"]
mod machines;

use std::hint::black_box;
use std::time::Instant;

use machines::{bridged, dgx_1v, lone_switch, nvswitch};
use muster_placement::devices::{GpuSet, Outlook, TopologyClass};
use muster_placement::inventory::Wiring;
use muster_placement::oracle::kubelet::Kubelet;

fn main() {
    let kinds: [(&str, Wiring); 6] = [
        ("DGX-1V", dgx_1v()),
        ("8 behind switches", nvswitch(8)),
        ("8 in bridged pairs", bridged(8)),
        ("16 behind switches", nvswitch(16)),
        ("16 in bridged pairs", bridged(16)),
        ("16 all alike", lone_switch(16)),
    ];
    println!(
        "ns a call, medians: all free sets in turn where there are 8 GPUs, all GPUs free where there are 16"
    );
    for (name, wiring) in kinds {
        let once = Instant::now();
        let class = TopologyClass::new(&wiring).unwrap();
        println!("{name:20} worked out once                  {:>12.0}", nanos(once));
        let gpus = wiring.numa.len();
        let free: Vec<GpuSet> =
            if gpus == 8 { (0..256).map(GpuSet).collect() } else { vec![GpuSet::first(gpus)] };
        row(name, "best set of 4 (m4)", &free, |free| class.best(free, 4));
        let sizes: &[usize] = if gpus == 8 { &[2, 4] } else { &[2, 3, 4, 5, 8] };
        for size in sizes {
            row(name, &format!("possible sets of {size}"), &free, |free| {
                class.oracle().possible(free, GpuSet::EMPTY, *size).len()
            });
        }
        row(name, "all sizes, worst sets", &free, |free| Outlook::new(&class, Kubelet::default(), free));
    }
}

fn row<T>(kind: &str, what: &str, free: &[GpuSet], call: impl Fn(GpuSet) -> T) {
    let rounds = if free.len() > 1 { 50 } else { 1 };
    let mut times: Vec<f64> = (0..31)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..rounds {
                for free in free {
                    black_box(call(black_box(*free)));
                }
            }
            nanos(start) / f64::from(rounds) / f64::from(u32::try_from(free.len()).unwrap())
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    println!("{kind:20} {what:32} {:>12.1}", times[times.len() / 2]);
}

fn nanos(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9
}
