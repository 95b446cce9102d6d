//! Nodes are judged by the worst set that their device plugin may hand out, and a kubelet's refusal is foretold.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[allow(dead_code, unreachable_pub, reason = "shared by tests, each of which uses a part")]
mod machines;
mod world;

use machines::{dgx_1v, nvswitch};
use muster_placement::devices::GpuSet;
use muster_placement::extras::Extras;
use muster_placement::ids::{AskId, GpuUuid, NodeName};
use muster_placement::inventory::{Inventory, Seen, Wiring};
use muster_placement::oracle::kubelet::POLICY_LABEL;
use muster_placement::pod::{Gate, Pod, PodPhase, Stamp};
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event, FilterAnswer, Refusal, View};
use world::{amount, inventory, node, pod};

/// A cluster of one kind of machine, of which each node has these GPUs free.
fn cluster(wiring: &Wiring, policy: &str, free: &[(&str, u16)]) -> Cluster {
    let mut cluster = Cluster::default();
    for (name, free) in free {
        let gpus = wiring.numa.len();
        let mut node = node(name, gpus as u64);
        node.labels.insert(POLICY_LABEL.into(), policy.into());
        cluster.apply(Event::NodeSeen(Box::new(node)), Time(0));
        let seen = Some(Seen { slots: (0..gpus).collect(), wiring: wiring.clone() });
        let inventory = Inventory { seen, ..inventory(name, gpus as u64) };
        cluster.apply(Event::Reported((*name).into(), inventory), Time(0));
        let taken = GpuSet::first(gpus).minus(GpuSet(*free));
        if taken != GpuSet::EMPTY {
            cluster.apply(Event::PodSeen(Box::new(holder(name, taken))), Time(0));
        }
    }
    cluster.apply(Event::Synced, Time(0));
    cluster
}

/// A running pod that is assumed to have these GPUs.
fn holder(node: &str, taken: GpuSet) -> Pod {
    let gpus = taken.slots().map(|slot| GpuUuid::from(format!("GPU-{node}-{slot}").as_str())).collect();
    let stamp = Some(Stamp { epoch: muster_placement::ids::Epoch(1), node: node.into(), gpus });
    let name = format!("old-on-{node}");
    let node = Some(NodeName::from(node));
    let request = amount(taken.len() as u64, 100);
    Pod { node, stamp, phase: PodPhase::Running, extras: Extras::default(), ..pod(&name, request) }
}

fn scores(view: &View, gpus: u64, nodes: &[&str]) -> Vec<u8> {
    view.prioritize(&pod("new", amount(gpus, 100)), nodes)
}

#[test]
fn of_nodes_filled_alike_the_one_whose_worst_set_is_fastest_wins() {
    // Four free GPUs each: a board, two and two, and a set without any ring of NVLinks.
    let free = [("a", 0b1000_0111), ("b", 0b1100_0011), ("c", 0b1111_0000)];
    let view = cluster(&dgx_1v(), "none", &free).view();
    assert_eq!(scores(&view, 4, &["a", "b", "c"])[2], 10);
    let loss = |name| view.node(name).unwrap().devices.as_ref().unwrap().outlook.of(4).unwrap().unwrap().loss;
    assert_eq!((loss("c"), loss("a") > 0), (0, true));
}

/// One of two possible sets is slow: the node counts as slow, although the other one is wished for.
#[test]
fn the_worst_set_counts_not_the_wished_one() {
    let view = cluster(&dgx_1v(), "none", &[("a", 0b1111_1110), ("b", 0b0111_1111)]).view();
    for node in &view.nodes {
        let devices = node.devices.as_ref().unwrap();
        for size in 1..=7 {
            let prospect = devices.outlook.of(size as u64).unwrap().unwrap();
            let sets = devices.class.oracle().possible(devices.free, GpuSet::EMPTY, size);
            let worst = sets.iter().map(|set| devices.class.rings().quality(*set)).min().unwrap();
            assert_eq!(1_000 - prospect.loss, worst, "{size} of {:?}", devices.free);
            assert_eq!(prospect.sets as usize, sets.len());
        }
    }
}

#[test]
fn a_pod_that_the_kubelet_would_reject_is_refused_with_a_reason_of_its_own() {
    let free = [("a", 0b0001_0001), ("b", 0b0000_0011)];
    let view = cluster(&nvswitch(8), "restricted", &free).view();
    let new = pod("new", amount(2, 100));
    let answer = view.filter(&new, &["a", "b"]);
    assert_eq!(answer, FilterAnswer::Each(vec![Err(Refusal::TopologyAffinity), Ok(())]));
    // Several containers with GPUs are looked at one by one: nothing is foretold.
    let split = Pod { split_gpus: true, ..new.clone() };
    assert_eq!(view.filter(&split, &["a", "b"]), FilterAnswer::All);
    let indifferent = cluster(&nvswitch(8), "none", &free).view();
    assert_eq!(indifferent.filter(&new, &["a", "b"]), FilterAnswer::All);
}

#[test]
fn a_gang_that_the_kubelets_would_reject_says_so_and_starts_where_they_would_not() {
    let gated = Pod { gate: Gate::Ours, ..pod("new", amount(2, 100)) };
    let mut apart = cluster(&nvswitch(8), "single-numa-node", &[("a", 0b0001_0001)]);
    apart.apply(Event::PodSeen(Box::new(gated.clone())), Time(1));
    let gang = apart.view().gangs.values().next().unwrap().clone();
    assert_eq!(gang.refusal, Some(Refusal::TopologyAffinity));

    let mut together = cluster(&nvswitch(8), "single-numa-node", &[("a", 0b0001_0001), ("b", 0b0101_0001)]);
    let effects = together.apply(Event::PodSeen(Box::new(gated)), Time(1));
    let stamp = effects.iter().find_map(|effect| match effect {
        Effect::Release { stamp, .. } => Some(stamp.clone()),
        _ => None,
    });
    let stamp = stamp.unwrap();
    assert_eq!((stamp.node.as_str(), stamp.gpus.len()), ("b", 2));
    assert_eq!(stamp.gpus, [GpuUuid::from("GPU-b-4"), GpuUuid::from("GPU-b-6")], "both on NUMA node 1");
    assert_eq!(together.audit(), []);
}

/// Pod after pod, what is assumed is what the plugin may hand out of what the others left.
#[test]
fn assumed_sets_are_possible_one_after_the_other() {
    for (wiring, size) in [(dgx_1v(), 2), (dgx_1v(), 1), (dgx_1v(), 4), (nvswitch(8), 3), (nvswitch(16), 2)] {
        let all = GpuSet::first(wiring.numa.len());
        let mut cluster = cluster(&wiring, "none", &[("a", all.0)]);
        let mut asked = 0;
        loop {
            let view = cluster.view();
            let devices = view.nodes[0].devices.clone().unwrap();
            let free = devices.free;
            if free.len() < size {
                break;
            }
            let name = format!("p{asked}");
            let lone = Pod { node: None, ..pod(&name, amount(size as u64, 100)) };
            cluster.apply(Event::PodSeen(Box::new(lone.clone())), Time(1));
            asked += 1;
            let bind = Event::BindAsked { ask: AskId(asked), pod: lone.uid.clone(), node: "a".into() };
            cluster.apply(bind, Time(1));
            let left = cluster.view().nodes[0].devices.clone().unwrap().free;
            let possible = devices.class.oracle().possible(free, GpuSet::EMPTY, size);
            assert!(possible.contains(&free.minus(left)), "{size}: {free:?} to {left:?}");
            let best = devices.class.best(free, size).unwrap();
            assert!(!possible.contains(&best) || free.minus(left) == best, "the wished set if it may be");
        }
        assert!(asked > 0);
    }
}

/// What is not known of the plugin changes nothing: without points, and with a GPU whose points are not known.
#[test]
fn without_points_nothing_is_known() {
    let mut cluster = cluster(&dgx_1v(), "restricted", &[("a", 0xff)]);
    let mut wiring = dgx_1v();
    wiring.points = vec![0; 64];
    for seen in [None, Some(Seen { slots: (0..8).collect(), wiring })] {
        let inventory = Inventory { seen, ..inventory("a", 8) };
        cluster.apply(Event::Reported("a".into(), inventory), Time(1));
        assert!(cluster.view().nodes[0].devices.is_none());
    }
}
