//! How fast the invented world goes: what happens in it per second, with the whole of placement under it, beside
//! the same number of entries that only pass through the agenda's kind of queue. Nothing here passes or fails.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a bench reads the clock and prints"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use muster_placement::time::{Span, Time};
use muster_simulations::{Kind, Pace, Scenario, Users, Weather, run};

fn main() {
    println!("the world, one hour of virtual time; events in 1,000 per second");
    for (name, nodes) in
        [("16 nodes of five kinds", Scenario::demo_nodes()), ("100 nodes of 8 H100", many(100))]
    {
        let users = Users::new(
            1,
            Scenario::shapes(),
            320_000 / nodes.len() as u64,
            (30_000, 300_000),
            Time(3_600_000),
        );
        let scenario = Scenario {
            seed: 1,
            pace: Pace::default(),
            weather: Weather::default(),
            nodes,
            jobs: Vec::new(),
            users: Some(users),
            faults: Vec::new(),
        };
        let start = Instant::now();
        let came = run(scenario, Span(3_600_000));
        let took = start.elapsed().as_secs_f64();
        let floor = queue(came.tally.happenings);
        let rate = |seconds: f64| came.tally.happenings as f64 / seconds / 1_000.0;
        println!(
            "{name:24} {:>8} events, {:>5} pods bound  {:>8.1}   an ordered queue alone {:>9.1}   ratio {:.0}",
            came.tally.happenings,
            came.tally.bound,
            rate(took),
            rate(floor),
            took / floor
        );
    }
}

fn many(count: u32) -> Vec<(String, Kind)> {
    (0..count).map(|at| (format!("gpu-{at:04}"), Kind::Hgx8xH100)).collect()
}

/// Seconds that so many entries need to go in and out in order, a thousand waiting.
fn queue(entries: u64) -> f64 {
    let start = Instant::now();
    let mut queue: BTreeMap<(u64, u64), u64> =
        (0..1_000).map(|serial| ((serial * 7 % 997, serial), serial)).collect();
    for serial in 1_000..entries.max(1_000) {
        if let Some(((at, _), what)) = queue.pop_first() {
            queue.insert((at + black_box(what) % 997, serial), serial);
        }
    }
    black_box(queue.len());
    start.elapsed().as_secs_f64()
}
