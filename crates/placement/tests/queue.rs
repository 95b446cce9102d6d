//! The queue: setbacks, and a big gang that small ones must not delay.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod world;

use muster_placement::gang::GangSpec;
use muster_placement::ids::{GangId, Name, PodUid};
use muster_placement::level::{Nearness, Topology};
use muster_placement::pod::{Constraints, Gate, Pod, PodPhase};
use muster_placement::preempt::Allowance;
use muster_placement::selector::Labels;
use muster_placement::tenure::Tenure;
use muster_placement::time::{CreatedAt, Span, Time};
use muster_placement::{Event, FilterAnswer, Outcome, Refusal, Settings};
use proptest::prelude::*;
use world::{Op, World, amount, gang_id, member, node, pod};

fn settings() -> Settings {
    let preemption = Allowance { enabled: false, ..Allowance::default() };
    Settings { reserve_after: Some(Span(0)), preemption, barrier: Span(1_000), ..Settings::default() }
}

/// A gated pod that the kubelet ends after so many seconds.
fn timed(name: &str, gpus: u64, seconds: u64) -> Pod {
    let tenure = Tenure { deadline: Some(Span(seconds * 1_000)), grace: Span(0), ..Tenure::default() };
    Pod { gate: Gate::Ours, tenure, ..pod(name, amount(gpus, 100)) }
}

fn bound(world: &World, name: &str) -> bool {
    world.pods.values().any(|p| p.name.as_str() == name && p.node.is_some())
}

/// Lets a second pass, in which calls land, kube-scheduler tries everybody, and pods end at their deadline.
fn second(world: &mut World, ends: &mut std::collections::BTreeMap<PodUid, Time>) {
    let due: Vec<PodUid> =
        ends.iter().filter(|(_, at)| **at <= world.now).map(|(uid, _)| uid.clone()).collect();
    for uid in due {
        ends.remove(&uid);
        if let Some(pod) = world.pods.get(&uid).cloned() {
            world.put(Pod { phase: PodPhase::Succeeded, ..pod });
        }
    }
    for _ in 0..3 {
        while !world.calls.is_empty() {
            world.land(0, None);
        }
        world.cycle_all();
    }
    for pod in world.pods.values().filter(|p| p.node.is_some() && p.alive()) {
        if let Some(span) = pod.tenure.deadline {
            ends.entry(pod.uid.clone()).or_insert(world.now.after(span));
        }
    }
    world.run(&Op::Tick(1_000));
}

/// A gang of `members` whole nodes.
fn big(world: &mut World, members: u32) -> GangId {
    world.submit(members, 4, 0, true, 0)
}

#[test]
fn small_ones_pass_only_if_they_are_gone_in_time() {
    let mut world = World::new(2);
    let mut ends = std::collections::BTreeMap::new();
    world.tell(Event::Configured(settings()));
    world.put(timed("a", 2, 100));
    world.put(timed("b", 4, 300));
    second(&mut world, &mut ends);
    assert!(bound(&world, "a") && bound(&world, "b"));
    let id = big(&mut world, 1);
    second(&mut world, &mut ends);
    let reservation = world.cluster.view().reservation.clone().unwrap();
    assert_eq!((reservation.gang.clone(), reservation.nodes.len()), (id.clone(), 1));
    let late = Pod { created: CreatedAt(90), ..timed("late", 1, 200) };
    let early = Pod { created: CreatedAt(91), ..timed("early", 1, 30) };
    let endless = Pod { created: CreatedAt(92), gate: Gate::Open, ..pod("endless", amount(1, 100)) };
    let urgent = Pod { created: CreatedAt(93), priority: 1, ..timed("urgent", 1, 50) };
    for pod in [late, early, endless.clone(), urgent] {
        world.put(pod);
    }
    second(&mut world, &mut ends);
    assert!(bound(&world, "early") && bound(&world, "urgent"));
    assert!(!bound(&world, "late") && !bound(&world, "endless"));
    let answer = world.cluster.view().filter(&endless, &["gpu-0", "gpu-1"]);
    let FilterAnswer::Each(each) = answer else { panic!("{answer:?}") };
    assert!(each.contains(&Err(Refusal::ReservedForOther)), "{each:?}");
    assert_eq!(world.cluster.ledger().claims().len(), 4, "nothing is held for the one that waits");
    for _ in 0..110 {
        second(&mut world, &mut ends);
    }
    let members = world.cluster.view().gangs.get(&id).unwrap().members.clone();
    assert!(members.iter().all(|uid| world.pods.get(uid).is_some_and(|p| p.node.is_some())));
    let next = world.cluster.view().reservation.clone();
    assert!(next.is_none_or(|r| r.gang != id), "it ends with the start");
}

/// Nodes that are kept for somebody are left out; what is left is in the same racks as before.
#[test]
fn a_gang_that_must_share_a_rack_does_so_beside_a_reservation() {
    let mut world = World::new(0);
    world.tell(Event::Configured(settings()));
    for (name, rack) in [("n0", "a"), ("n1", "a"), ("n2", "b"), ("n3", "b")] {
        let mut node = node(name, 4);
        node.labels.insert("cloud.provider.com/topology-rack".into(), rack.into());
        world.nodes.insert(node.name.clone(), node.clone());
        world.tell(Event::NodeSeen(Box::new(node)));
    }
    let only_there: Labels = [(Name::from("kubernetes.io/hostname"), Name::from("n0"))].into();
    let there = |pod: Pod| {
        let constraints = Constraints { node_selector: only_there.clone(), ..Constraints::default() };
        Pod { constraints, ..pod }
    };
    let mut ends = std::collections::BTreeMap::new();
    world.put(there(timed("runs", 1, 100)));
    second(&mut world, &mut ends);
    world.put(there(Pod { gate: Gate::Ours, ..pod("waits", amount(4, 100)) }));
    second(&mut world, &mut ends);
    let nodes = world.cluster.view().reservation.clone().unwrap().nodes.clone();
    assert_eq!(nodes, ["n0".into()].into());
    let id = gang_id("pair");
    let required = Nearness { required: Some("rack".into()), preferred: None };
    let topology = Topology { gang: required, ..Topology::default() };
    world.tell(Event::GangSeen(GangSpec { id: id.clone(), roles: vec![], size: Ok(2), min: 2 }));
    for index in 0..2 {
        let created = CreatedAt(90);
        let worker = member(&id, "worker", index, amount(4, 100));
        world.put(Pod { gate: Gate::Ours, created, topology: topology.clone(), ..worker });
    }
    second(&mut world, &mut ends);
    let places: Vec<_> = world.pods.values().filter(|p| p.name.as_str().starts_with("pair")).collect();
    let places: Vec<_> = places.iter().map(|p| p.node.as_ref().map_or("none", |n| n.as_str())).collect();
    assert_eq!(places, ["n2", "n3"]);
}

/// Without deadlines nobody knows when, so the nodes are kept for a while only, and then given up for as long.
#[test]
fn a_reservation_without_a_time_lapses() {
    let mut world = World::new(1);
    world.tell(Event::Configured(Settings { reserve_after: Some(Span(60_000)), ..settings() }));
    world.put(Pod { gate: Gate::Ours, ..pod("service", amount(1, 100)) });
    world.quiesce();
    big(&mut world, 1);
    world.run(&Op::Tick(30_000));
    assert!(world.cluster.view().reservation.is_none(), "not aged yet");
    world.run(&Op::Tick(30_000));
    assert_eq!(world.cluster.view().reservation.clone().map(|r| r.latest), Some(None));
    world.put(Pod { created: CreatedAt(9), ..timed("small", 1, 1) });
    for _ in 0..5 {
        second(&mut world, &mut std::collections::BTreeMap::new());
    }
    assert!(!bound(&world, "small"));
    world.run(&Op::Tick(60_000));
    for _ in 0..5 {
        second(&mut world, &mut std::collections::BTreeMap::new());
    }
    assert!(bound(&world, "small"));
    world.run(&Op::Tick(60_000));
    world.run(&Op::Tick(250));
    assert!(world.cluster.view().reservation.is_some(), "and then tried again");
}

#[test]
fn a_gang_that_cannot_be_bound_goes_behind_the_others_for_a_while() {
    let mut world = World::new(1);
    let first = world.submit(1, 4, 0, true, 9);
    let uid = world.pods.keys().next().unwrap().clone();
    world.land(0, Some(Outcome::Refused(Name::from("no"))));
    let setback = |world: &World| world.cluster.view().gangs.get(&first).and_then(|g| g.setback);
    assert_eq!(setback(&world).map(|s| (s.count, s.until)), Some((1, Time(10_000))));
    // It is alone, so it is tried again at once; its next refusal lets another one go first.
    world.run(&Op::Cordon(0));
    world.calls.clear();
    let second = world.submit(1, 4, 0, true, 0);
    world.run(&Op::Uncordon(0));
    let planned = |world: &World, id: &GangId| world.cluster.view().gangs.get(id).unwrap().plan().is_some();
    assert!(planned(&world, &second) && !planned(&world, &first));
    world.quiesce();
    let done: Vec<Pod> = world.pods.values().filter(|p| p.node.is_some()).cloned().collect();
    assert!(done.iter().all(|p| p.uid != uid));
    for pod in done {
        world.put(Pod { phase: PodPhase::Succeeded, ..pod });
    }
    world.quiesce();
    assert_eq!(setback(&world), None, "forgotten once it runs");
}

/// When the big gang starts, given who was there before it and who comes after it.
fn start(nodes: u64, size: u32, before: &[(u8, u8)], after: &[(u8, u8, u8, bool)]) -> Option<u64> {
    let mut world = World::new(nodes);
    let mut ends = std::collections::BTreeMap::new();
    world.tell(Event::Configured(settings()));
    for (i, (gpus, seconds)) in before.iter().enumerate() {
        world.put(timed(&format!("before-{i}"), u64::from(gpus % 4) + 1, u64::from(seconds % 60) + 5));
    }
    second(&mut world, &mut ends);
    // What did not fit at once would be in front of the big gang, or pass it, in one world and not in the other.
    let waiting: Vec<PodUid> =
        world.pods.values().filter(|p| p.node.is_none()).map(|p| p.uid.clone()).collect();
    for uid in waiting {
        world.delete(&uid);
    }
    let id = big(&mut world, size);
    for at in 0..200u64 {
        for (i, (when, gpus, seconds, gang)) in after.iter().enumerate() {
            if u64::from(when % 60) + 1 == at {
                let seconds = u64::from(seconds % 80) + 1;
                let base = timed(&format!("after-{i}"), u64::from(gpus % 4) + 1, seconds);
                let late = Pod { created: CreatedAt(1_000 + i as u64), ..base };
                if *gang {
                    let id = world::gang_id(&format!("small-{i}"));
                    let size = Ok(2);
                    world.specs.insert(
                        id.clone(),
                        muster_placement::gang::GangSpec {
                            id: id.clone(),
                            roles: vec![],
                            size: size.clone(),
                            min: 2,
                        },
                    );
                    world.tell(Event::GangSeen(world.specs[&id].clone()));
                    for j in 0..2 {
                        let m = member(&id, "worker", j, late.request);
                        world.put(Pod { gate: Gate::Ours, created: late.created, tenure: late.tenure, ..m });
                    }
                } else {
                    world.put(late);
                }
            }
        }
        second(&mut world, &mut ends);
        let members = world.cluster.view().gangs.get(&id).unwrap().members.clone();
        if members.iter().all(|uid| world.pods.get(uid).is_some_and(|p| p.node.is_some())) {
            return Some(at);
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    /// Where every pod has a deadline and uses it up, whoever comes later does not delay a gang with a reservation by
    /// a single second.
    #[test]
    fn backfill_never_delays_the_big_gang(
        nodes in 2u64..4,
        size in 1u32..4,
        before in prop::collection::vec(any::<(u8, u8)>(), 1..10),
        after in prop::collection::vec(any::<(u8, u8, u8, bool)>(), 0..12),
    ) {
        let size = size.min(u32::try_from(nodes).unwrap());
        let alone = start(nodes, size, &before, &[]);
        prop_assert!(alone.is_some());
        let crowded = start(nodes, size, &before, &after);
        prop_assert!(crowded.is_some() && crowded <= alone, "alone {alone:?}, with others {crowded:?}");
    }
}
