//! Gangs from first pod to last bind, one event at a time, and what can go wrong on the way.

mod world;

use muster_placement::gang::{GangSpec, Phase};
use muster_placement::ids::{AskId, Name, NodeName, PodUid};
use muster_placement::pod::{Gate, Member, Membership, OwnerFault, Pod, PodPhase, SizeHint};
use muster_placement::time::Time;
use muster_placement::{Effect, Event, FilterAnswer, Outcome, Refusal};
use world::{Op, World, amount, gang_id, member, pod};

/// Puts a pod and returns what the core wants done.
fn tell(world: &mut World, event: Event) -> Vec<Effect> {
    let effects = world.cluster.apply(event, world.now);
    assert_eq!(world.cluster.audit(), vec![]);
    effects
}

fn refusal_of(world: &World, id: &muster_placement::ids::GangId) -> Option<Refusal> {
    world.cluster.view().gangs.get(id).and_then(|g| g.refusal.clone())
}

fn land_all(world: &mut World) {
    while !world.calls.is_empty() {
        world.land(0, None);
    }
}

#[test]
fn the_guides_tfjob_starts_whole_behind_its_gate() {
    let mut world = World::new(2);
    let id = world.submit(3, 1, 2, true, 0);
    land_all(&mut world);
    let view = world.cluster.view();
    assert!(matches!(view.gangs.get(&id).unwrap().phase, Phase::Released(_)));
    assert!(world.pods.values().all(|p| p.node.is_none() && p.narrowed() && p.gate == Gate::Open));
    world.quiesce();
    assert!(world.pods.values().all(|p| p.node.is_some()), "all five are bound");
    assert_eq!(world.cluster.view().gangs.get(&id).unwrap().phase, Phase::Placed);
}

#[test]
fn nothing_happens_before_the_last_member_is_there() {
    let mut world = World::new(2);
    let id = gang_id("job");
    let spec = GangSpec { id: id.clone(), roles: vec![], size: Ok(3), min: 3 };
    world.tell(Event::GangSeen(spec));
    for i in 0..2 {
        world.put(Pod { gate: Gate::Ours, ..member(&id, "worker", i, amount(1, 100)) });
    }
    assert!(world.calls.is_empty());
    assert_eq!(refusal_of(&world, &id), Some(Refusal::WaitingForMembers { have: 2, need: 3 }));
    world.put(Pod { gate: Gate::Ours, ..member(&id, "worker", 2, amount(1, 100)) });
    assert_eq!(world.calls.len(), 3);
}

#[test]
fn two_gangs_that_do_not_fit_together_run_one_after_the_other() {
    let mut world = World::new(1);
    let first = world.submit(3, 1, 0, false, 0);
    let second = world.submit(3, 1, 0, false, 0);
    world.quiesce();
    assert_eq!(world.cluster.view().gangs.get(&first).unwrap().phase, Phase::Placed);
    let refusal = refusal_of(&world, &second).unwrap();
    assert_eq!(refusal.label(), "InsufficientGpus");
    let claims = world.cluster.ledger().claims().len();
    assert_eq!(claims, 3, "the second holds nothing");
    for uid in world.cluster.view().gangs.get(&first).unwrap().members.clone() {
        let done = Pod { phase: PodPhase::Succeeded, ..world.pods.get(&uid).unwrap().clone() };
        world.put(done);
    }
    world.quiesce();
    assert_eq!(world.cluster.view().gangs.get(&second).unwrap().phase, Phase::Placed);
}

#[test]
fn the_more_important_gang_goes_first() {
    let mut world = World::new(1);
    world.run(&Op::Cordon(0));
    let low = world.submit(3, 1, 0, true, 0);
    let high = world.submit(3, 1, 0, true, 5);
    world.run(&Op::Uncordon(0));
    assert!(world.cluster.view().gangs.get(&high).unwrap().plan().is_some());
    assert!(world.cluster.view().gangs.get(&low).unwrap().plan().is_none());
}

#[test]
fn a_cordon_between_plan_and_bind_makes_the_plan_void() {
    let mut world = World::new(2);
    let id = world.submit(3, 1, 0, true, 0);
    land_all(&mut world);
    let planned = world.pods.values().next().unwrap().stamp.clone().unwrap().node;
    let at: u8 = planned.as_str().trim_start_matches("gpu-").parse().unwrap();
    world.run(&Op::Cordon(at));
    // The members were narrowed to the cordoned node, so they are made anew, gated, and planned elsewhere.
    assert!(world.calls.values().flatten().all(|e| matches!(e, Effect::Recreate(_))));
    world.quiesce();
    let view = world.cluster.view();
    assert_eq!(view.gangs.get(&id).unwrap().phase, Phase::Placed);
    assert!(world.pods.values().all(|p| p.node.as_ref().is_some_and(|n| *n != planned)));
}

#[test]
fn a_dead_gpu_is_not_granted_and_comes_back_without_a_restart() {
    let mut world = World::new(2);
    world.run(&Op::Cordon(0));
    world.run(&Op::Kill(0, 0));
    let id = world.submit(4, 1, 0, true, 0);
    assert_eq!(refusal_of(&world, &id).unwrap().label(), "InsufficientGpus");
    world.run(&Op::Heal(0));
    world.quiesce();
    assert_eq!(world.cluster.view().gangs.get(&id).unwrap().phase, Phase::Placed);
}

#[test]
fn kube_schedulers_no_excludes_the_node_for_this_gang() {
    let mut world = World::new(2);
    let id = world.submit(1, 1, 0, false, 0);
    land_all(&mut world);
    let old = world.pods.values().next().unwrap().clone();
    let node = old.stamp.clone().unwrap().node;
    world.put(Pod {
        verdict: Some(Name::from("0/2 nodes are available: 2 volume zone conflict.")),
        ..old.clone()
    });
    assert!(world.calls.is_empty(), "one refusal may be a race");
    world.run(&Op::Tick(5_000));
    let view = world.cluster.view();
    let plan = view.gangs.get(&id).unwrap().plan().expect("planned again");
    assert!(plan.places.values().all(|n| *n != node));
    land_all(&mut world);
    let restamped = world.pods.values().next().unwrap().stamp.clone().unwrap();
    assert_ne!(restamped.node, node);
}

#[test]
fn at_the_barriers_end_every_member_is_told_no_and_nobody_was_bound() {
    let mut world = World::new(2);
    world.submit(3, 1, 0, false, 0);
    land_all(&mut world);
    let uids: Vec<PodUid> = world.pods.keys().cloned().collect();
    let node = world.pods[&uids[0]].stamp.clone().unwrap().node;
    for (i, pod) in uids.iter().take(2).enumerate() {
        let effects =
            tell(&mut world, Event::BindAsked { ask: AskId(i as u64), pod: pod.clone(), node: node.clone() });
        assert_eq!(effects, vec![], "a member alone waits");
    }
    world.now = Time(world.now.0 + 18_000);
    let effects = tell(&mut world, Event::Tick);
    let no = |i| Effect::Answer(AskId(i), Err(Refusal::BarrierTimeout));
    assert_eq!(effects, vec![no(0), no(1)]);
}

#[test]
fn a_member_that_hung_up_has_not_arrived() {
    let mut world = World::new(2);
    world.submit(2, 1, 0, false, 0);
    land_all(&mut world);
    let uids: Vec<PodUid> = world.pods.keys().cloned().collect();
    let node = world.pods[&uids[0]].stamp.clone().unwrap().node;
    let ask = |i: usize| Event::BindAsked { ask: AskId(i as u64), pod: uids[i].clone(), node: node.clone() };
    tell(&mut world, ask(0));
    tell(&mut world, Event::BindWithdrawn(AskId(0)));
    assert_eq!(tell(&mut world, ask(1)), vec![]);
    let effects =
        tell(&mut world, Event::BindAsked { ask: AskId(9), pod: uids[0].clone(), node: node.clone() });
    assert_eq!(effects.iter().filter(|e| matches!(e, Effect::Bind { .. })).count(), 2);
}

#[test]
fn binds_are_checked() {
    let mut world = World::new(2);
    let single = pod("single", amount(1, 100));
    world.put(single.clone());
    let ask = |pod: &Pod, node: &str| Event::BindAsked {
        ask: AskId(1),
        pod: pod.uid.clone(),
        node: NodeName::from(node),
    };
    let answers = tell(&mut world, ask(&single, "no-such-node"));
    assert_eq!(answers, vec![Effect::Answer(AskId(1), Err(Refusal::NodeUnknown))]);
    let effects = tell(&mut world, ask(&single, "gpu-1"));
    let [Effect::Bind { stamp, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(stamp.gpus.len(), 1);
    // Asked again while the Binding is on its way: both wait for its outcome, no second Binding.
    assert_eq!(tell(&mut world, ask(&single, "gpu-1")), vec![]);
    let outcome = Event::BindOutcome(single.uid.clone(), NodeName::from("gpu-1"), Outcome::Done);
    let effects = tell(&mut world, outcome);
    assert_eq!(effects, vec![Effect::Answer(AskId(1), Ok(())), Effect::Answer(AskId(1), Ok(()))]);
    // Bound already: the same node is a success, another is not.
    tell(&mut world, Event::PodSeen(Box::new(Pod { node: Some(NodeName::from("gpu-1")), ..single.clone() })));
    assert_eq!(tell(&mut world, ask(&single, "gpu-1")), vec![Effect::Answer(AskId(1), Ok(()))]);
    let elsewhere = tell(&mut world, ask(&single, "gpu-0"));
    assert_eq!(elsewhere, vec![Effect::Answer(AskId(1), Err(Refusal::BoundElsewhere))]);
}

#[test]
fn a_refused_binding_gives_the_gpu_back() {
    let mut world = World::new(2);
    let single = pod("single", amount(4, 100));
    world.put(single.clone());
    let node = NodeName::from("gpu-1");
    tell(&mut world, Event::BindAsked { ask: AskId(1), pod: single.uid.clone(), node: node.clone() });
    assert_eq!(world.cluster.view().node("gpu-1").unwrap().free.gpus, 0);
    let no = Outcome::Refused(Name::from("is being deleted"));
    tell(&mut world, Event::BindOutcome(single.uid.clone(), node, no));
    assert_eq!(world.cluster.view().node("gpu-1").unwrap().free.gpus, 4);
}

#[test]
fn sizes_that_cannot_be_are_said_so() {
    let mut world = World::new(1);
    let declared = |name: &str, index, size| Pod {
        membership: Membership::Member(Member {
            gang: gang_id(name),
            role: Name::from(""),
            index,
            size: SizeHint::Declared(size),
        }),
        ..pod(&format!("{name}-{index}"), amount(1, 100))
    };
    world.put(declared("zero", 0, 0));
    assert_eq!(refusal_of(&world, &gang_id("zero")), Some(Refusal::InvalidGangSize { declared: 0, seen: 1 }));
    world.run(&Op::Cordon(0));
    for i in 0..3 {
        world.put(declared("tight", i, 2));
    }
    let tight = refusal_of(&world, &gang_id("tight"));
    assert_eq!(tight, Some(Refusal::InvalidGangSize { declared: 2, seen: 3 }));
}

#[test]
fn an_owner_that_cannot_be_read_is_named_and_the_environment_counts_after_a_grace() {
    let mut world = World::new(1);
    let hinted = |i| Pod {
        membership: Membership::Member(Member {
            gang: gang_id("job"),
            role: Name::from("worker"),
            index: i,
            size: SizeHint::Environment(2),
        }),
        gate: Gate::Ours,
        ..member(&gang_id("job"), "worker", i, amount(1, 100))
    };
    world.put(hinted(0));
    world.put(hinted(1));
    let refusal = refusal_of(&world, &gang_id("job")).unwrap();
    assert!(
        matches!(&refusal, Refusal::OwnerUnreadable(OwnerFault::Unreadable(owner)) if owner.as_str().contains("TFJob"))
    );
    assert!(world.calls.is_empty());
    world.run(&Op::Tick(5_000));
    assert_eq!(world.calls.len(), 2, "released by the size in the environment");
}

#[test]
fn a_foreign_gate_is_waited_for_and_named() {
    let mut world = World::new(1);
    let id = gang_id("job");
    world.tell(Event::GangSeen(GangSpec { id: id.clone(), roles: vec![], size: Ok(2), min: 2 }));
    world.put(Pod { gate: Gate::Ours, ..member(&id, "worker", 0, amount(1, 100)) });
    world.put(Pod { gate: Gate::Foreign, ..member(&id, "worker", 1, amount(1, 100)) });
    assert_eq!(refusal_of(&world, &id), Some(Refusal::GatedBy));
    assert!(world.calls.is_empty());
}

#[test]
fn filter_answers_from_the_plan_and_prioritize_puts_one_node_on_top() {
    let mut world = World::new(3);
    let single = pod("single", amount(1, 100));
    let names = ["gpu-0", "gpu-1", "gpu-2"];
    let view = world.cluster.view();
    assert_eq!(view.filter(&single, &names), FilterAnswer::All);
    let scores = view.prioritize(&single, &names);
    assert_eq!(scores.iter().map(|s| u32::from(*s == 10)).sum::<u32>(), 1, "{scores:?}");

    world.submit(2, 4, 0, false, 0);
    land_all(&mut world);
    let planned = world.pods.values().next().unwrap().clone();
    let node = planned.stamp.clone().unwrap().node;
    let view = world.cluster.view();
    let at = names.iter().position(|n| *n == node.as_str()).unwrap();
    assert_eq!(view.filter(&planned, &names), FilterAnswer::These(vec![at]));
    let others: Vec<&str> = names.iter().copied().filter(|n| *n != node.as_str()).collect();
    assert!(matches!(
        view.filter(&planned, &others),
        FilterAnswer::None(Refusal::PlannedNodeNotOffered, Some(_))
    ));
    assert!(matches!(view.filter(&planned, &[]), FilterAnswer::None(..)));
    // What the gang holds is not offered to others, and unknown nodes are refused by name.
    let FilterAnswer::Each(each) = view.filter(&single, &["gpu-0", "gpu-1", "gpu-2", "gpu-9"]) else {
        panic!()
    };
    assert_eq!(each.iter().filter(|v| v.is_ok()).count(), 1);
    assert!(each.contains(&Err(Refusal::ReservedForOther)));
    assert_eq!(each[3], Err(Refusal::NodeUnknown));
}

#[test]
fn before_the_cluster_is_read_the_answer_is_not_yet() {
    let cluster = muster_placement::Cluster::default();
    let answer = cluster.view().filter(&pod("p", amount(1, 1)), &["n"]);
    assert_eq!(answer, FilterAnswer::None(Refusal::NotReady, None));
}

#[test]
fn pods_without_gpus_pass_and_keep_off_gpu_nodes() {
    let mut world = World::new(1);
    world.tell(Event::NodeSeen(Box::new(world::node("cpu-0", 0))));
    let web = pod("web", amount(0, 100));
    let view = world.cluster.view();
    assert_eq!(view.filter(&web, &["cpu-0", "gpu-0"]), FilterAnswer::All);
    assert_eq!(view.prioritize(&web, &["cpu-0", "gpu-0"]), vec![10, 0]);
}

#[test]
fn an_annotation_of_a_bound_pod_creates_no_capacity() {
    let mut world = World::new(2);
    let node = NodeName::from("gpu-1");
    let stamp = muster_placement::pod::Stamp {
        epoch: muster_placement::ids::Epoch(1),
        node: node.clone(),
        gpus: vec![muster_placement::ids::GpuUuid::from("GPU-invented")],
    };
    let liar =
        Pod { node: Some(node), stamp: Some(stamp), phase: PodPhase::Running, ..pod("liar", amount(3, 1)) };
    world.put(liar);
    assert_eq!(world.cluster.view().node("gpu-1").unwrap().free.gpus, 1);
}
