//! How time and memory of the pure core grow with nodes, with the size of a gang and with the length of the queue:
//! a table on stdout, and a picture each in `docs/`. Nothing here passes or fails.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a bench prints, and has no one to hand an error to"
)]

mod clusters;
mod measure;
mod picture;

use std::sync::Arc;

use measure::{Cost, live_bytes, repeat};
use muster_placement::planner::{Site, plan};
use muster_placement::pod::{Pod, PodPhase};
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event};
use picture::{Line, Panel, write};

const TURNS: usize = 9;
const NODES: [usize; 7] = [1_000, 2_000, 4_000, 6_000, 8_000, 11_000, 15_000];
const MEMBERS: [usize; 8] = [1, 4, 16, 64, 256, 1_000, 2_000, 4_000];
const WAITING: [usize; 7] = [1, 10, 50, 200, 500, 1_000, 2_000];
/// Nodes where gangs grow, and where the queue does.
const NODES_FOR_GANGS: usize = 15_000;
const NODES_FOR_QUEUES: usize = 500;

fn main() {
    nodes();
    gangs();
    queues();
}

/// Time in microseconds and memory in kilobytes of one line, point by point.
#[derive(Default)]
struct Curve {
    name: &'static str,
    us: Vec<(f64, f64)>,
    kb: Vec<(f64, f64)>,
}

impl Curve {
    fn new(name: &'static str) -> Curve {
        Curve { name, ..Curve::default() }
    }

    fn add(&mut self, at: usize, cost: Cost) {
        let x = at as f64;
        self.us.push((x, cost.us));
        self.kb.push((x, cost.bytes / 1e3));
        println!("{:44} {at:>6} {:>11.1} us {:>11.1} KB", self.name, cost.us, cost.bytes / 1e3);
    }
}

fn nodes() {
    let mut single = Curve::new("plan one pod of 8 GPUs");
    let mut gang = Curve::new("plan 64 members of 8 GPUs");
    let mut refused = Curve::new("refuse 64 members of 9 GPUs, with reason");
    let mut event = Curve::new("apply a node event");
    let mut view = Curve::new("publish a view");
    let mut state = Curve::new("state, whole (KB only)");
    for nodes in NODES {
        let before = live_bytes();
        let mut cluster = clusters::cluster(nodes);
        let whole = live_bytes().saturating_sub(before) as f64;
        cluster.apply(Event::Synced, Time(0));
        let now = cluster.view();
        let site = Site::new(&now.nodes);
        single.add(nodes, repeat(TURNS, || plan(site, &members(1, 8)).unwrap().len()));
        let members = [members(64, 8), members(64, 9)];
        gang.add(nodes, repeat(TURNS, || plan(site, &members[0]).unwrap().len()));
        refused.add(nodes, repeat(TURNS, || plan(site, &members[1]).unwrap_err()));
        let mut node = now.nodes[nodes / 2].node.as_ref().clone();
        event.add(
            nodes,
            repeat(TURNS, || {
                node.cordoned = !node.cordoned;
                cluster.apply(Event::NodeSeen(Box::new(node.clone())), Time(1)).len()
            }),
        );
        view.add(nodes, repeat(TURNS, || cluster.view()));
        state.add(nodes, Cost { bytes: whole, ..Cost::default() });
    }
    let curves = [single, gang, refused, event, view, state];
    draw("nodes", "nodes of 8 GPUs, empty", &curves);
}

fn gangs() {
    let mut cluster = clusters::cluster(NODES_FOR_GANGS);
    cluster.apply(Event::Synced, Time(0));
    let view = cluster.view();
    let site = Site::new(&view.nodes);
    let mut large = Curve::new("plan members of 8 GPUs");
    let mut small = Curve::new("plan members of 1 GPU");
    let mut floor = Curve::new("copy as many names (floor)");
    for size in MEMBERS {
        for (curve, gpus) in [(&mut large, 8), (&mut small, 1)] {
            let members = members(size, gpus);
            curve.add(size, repeat(TURNS, || plan(site, &members).unwrap().len()));
        }
        let names = || -> Vec<_> {
            view.nodes.iter().take(size).map(|s| (s.node.name.clone(), vec![0_u128; 8])).collect()
        };
        floor.add(size, repeat(TURNS, names));
    }
    draw("gang", "members of the gang, on 15,000 nodes", &[large, small, floor]);
}

fn queues() {
    let mut ends = Curve::new("a pod ends, one of the waiting is planned");
    let mut other = Curve::new("a report that changes nothing");
    let mut state = Curve::new("a waiting gang, whole queue (KB only)");
    for waiting in WAITING {
        let mut cluster = full();
        let before = live_bytes();
        for at in 0..waiting {
            see(&mut cluster, clusters::gated(&format!("waiting-{at}"), None, 8));
        }
        let queued = live_bytes().saturating_sub(before) as f64;
        // Each end makes room for one, which is planned; the queue is one shorter then, which does not matter here.
        let mut at = 0;
        let turns = TURNS.min(waiting);
        let ended =
            |at| Pod { phase: PodPhase::Succeeded, ..clusters::running(&format!("running-{at}"), at, 8) };
        let done: Vec<Pod> = (0..turns).map(ended).collect();
        ends.add(
            waiting,
            repeat(turns, || {
                let effects = see(&mut cluster, done[at].clone());
                at += 1;
                assert!(effects.iter().any(|effect| matches!(effect, Effect::Release { .. })));
            }),
        );
        let view = cluster.view();
        let state_of = &view.nodes[NODES_FOR_QUEUES - 1];
        let (name, inventory) = (&state_of.node.name, state_of.inventory.as_deref().unwrap());
        let report = || Event::Reported(name.clone(), inventory.clone());
        other.add(waiting, repeat(TURNS, || cluster.apply(report(), Time(2)).len()));
        state.add(waiting, Cost { bytes: queued, ..Cost::default() });
    }
    draw("queue", "gangs of one pod that wait, on 500 full nodes", &[ends, other, state]);
}

/// A cluster without a free GPU.
fn full() -> Cluster {
    let mut cluster = clusters::cluster(NODES_FOR_QUEUES);
    for at in 0..NODES_FOR_QUEUES {
        see(&mut cluster, clusters::running(&format!("running-{at}"), at, 8));
    }
    cluster.apply(Event::Synced, Time(0));
    cluster
}

fn see(cluster: &mut Cluster, pod: Pod) -> Vec<Effect> {
    cluster.apply(Event::PodSeen(Box::new(pod)), Time(1))
}

fn members(size: usize, gpus: u32) -> Vec<Arc<Pod>> {
    let member = clusters::gated("job-0", Some(("job", size)), gpus);
    let named = |at: usize| Pod { uid: format!("uid-{at:05}").as_str().into(), ..member.clone() };
    (0..size).map(|at| Arc::new(named(at))).collect()
}

fn draw<const N: usize>(name: &str, across: &str, curves: &[Curve; N]) {
    let lines = |of: fn(&Curve) -> &Vec<(f64, f64)>| -> Vec<Line> {
        let drawn = |curve: &Curve| of(curve).iter().copied().filter(|(_, y)| *y > 0.0).collect::<Vec<_>>();
        let curves = curves.iter().zip(0..);
        curves.map(|(curve, colour)| Line { name: curve.name, colour, points: drawn(curve) }).collect()
    };
    let panels = [
        Panel { up: "microseconds", lines: lines(|curve| &curve.us) },
        Panel { up: "kilobytes allocated", lines: lines(|curve| &curve.kb) },
    ];
    write(name, across, &panels);
}
