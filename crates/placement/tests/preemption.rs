//! Preemption, one story each: who has to go, what is promised meanwhile, and how it ends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod world;

use muster_placement::explain::{Change, changes};
use muster_placement::gang::{GangSpec, Phase};
use muster_placement::ids::{GangId, Name, NodeName};
use muster_placement::pod::{Gate, Pod, PodPhase};
use muster_placement::preempt::{Allowance, Eviction};
use muster_placement::tenure::Tenure;
use muster_placement::time::Span;
use muster_placement::{Effect, Event, News, Refusal, Settings};
use world::{Op, World, amount, gang_id, member, pod};

fn phase(world: &World, id: &GangId) -> Phase {
    world.cluster.view().gangs.get(id).unwrap().phase.clone()
}

fn refusal(world: &World, id: &GangId) -> Option<&'static str> {
    world.cluster.view().gangs.get(id).and_then(|g| g.refusal.as_ref().map(Refusal::label))
}

/// Names of the pods that were asked to go, of each time.
fn evictions(world: &World) -> Vec<Vec<String>> {
    let evict = |e: &Effect| match e {
        Effect::Evict { victims, .. } => Some(victims.iter().map(|p| p.name.as_str().to_owned()).collect()),
        _ => None,
    };
    world.calls.values().flatten().filter_map(evict).collect()
}

/// Lets calls land and kube-scheduler try everybody, without anybody who leaves being gone.
fn settle(world: &mut World) {
    for _ in 0..6 {
        while !world.calls.is_empty() {
            world.land(0, None);
        }
        world.cycle_all();
    }
}

/// A bound, running pod of no gang.
fn running(world: &mut World, name: &str, node: &str, gpus: u64, priority: i32) {
    let base = pod(name, amount(gpus, 100));
    world.put(Pod { node: Some(NodeName::from(node)), phase: PodPhase::Running, priority, ..base });
}

fn tick(world: &mut World) {
    world.run(&Op::Tick(250));
}

#[test]
fn a_gang_of_lower_priority_goes_whole_and_its_room_is_kept() {
    let mut world = World::new(2);
    let low = world.submit(4, 2, 1, true, 0);
    settle(&mut world);
    assert_eq!(phase(&world, &low), Phase::Placed);
    let high = world.submit(2, 3, 0, true, 5);
    assert_eq!(refusal(&world, &high), Some("InsufficientGpus"), "first it is looked whether it has to be");
    tick(&mut world);
    assert_eq!(evictions(&world).concat().len(), 5, "the parameter server goes too");
    assert_eq!(refusal(&world, &high), Some("PreemptionPending"));
    settle(&mut world);
    assert_eq!(world.leaving().len(), 5);
    let told = |log: &String| log.contains("Preempted") && log.contains(low.name.as_str());
    assert!(world.log.iter().any(told), "the victim's owner hears for whom");
    // Half of them are gone. Somebody who would fit now must not take what is promised.
    for uid in world.leaving().into_iter().take(2) {
        world.reap(&uid);
    }
    let rival = world.submit(1, 2, 0, true, 5);
    tick(&mut world);
    settle(&mut world);
    assert_eq!(phase(&world, &rival), Phase::Waiting);
    let view = world.cluster.view();
    let told = changes(&view, view.gangs.get(&rival).unwrap());
    assert!(!told.iter().any(|change| matches!(change, Change::Ends { .. })), "promised room: {told:?}");
    let claims = world.cluster.ledger().claims().len();
    assert_eq!(claims, 3, "the promise is no claim: those who leave own theirs until they are gone");
    world.quiesce();
    assert_eq!(phase(&world, &high), Phase::Placed);
    assert!(world.cluster.view().promises.is_empty());
    assert_eq!(phase(&world, &low), Phase::Waiting, "made anew by its controller, it waits whole");
}

/// The answer to the last eviction may come after everybody has gone and the preemptor has its place.
#[test]
fn who_was_sent_away_hears_of_it_though_all_is_over() {
    let mut world = World::new(2);
    let low = world.submit(4, 2, 0, true, 0);
    settle(&mut world);
    let high = world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    let victims: Vec<_> = world.calls.values().flatten().cloned().collect();
    let evict = victims.into_iter().find_map(|e| match e {
        Effect::Evict { gang, number, victims } => Some((gang, number, victims)),
        _ => None,
    });
    let (gang, number, victims) = evict.unwrap();
    for victim in victims {
        world.pods.remove(&victim.uid);
        world.tell(Event::PodGone(victim.uid.clone()));
    }
    assert!(matches!(phase(&world, &high), Phase::Released(_)));
    let before = world.log.len();
    world.tell(Event::EvictOutcome(gang, number, Eviction::Done));
    let told = |log: &String| log.contains("Preempted") && log.contains(low.name.as_str());
    assert_eq!(world.log.iter().skip(before).filter(|log| told(log)).count(), 1);
}

#[test]
fn nobody_goes_for_a_gang_of_the_same_priority_or_one_that_never_preempts() {
    let mut world = World::new(1);
    running(&mut world, "low", "gpu-0", 4, 3);
    world.submit(1, 1, 0, true, 3);
    let polite = Pod {
        priority: 9,
        gate: Gate::Ours,
        tenure: Tenure { never_preempts: true, ..Tenure::default() },
        ..pod("polite", amount(1, 100))
    };
    world.put(polite);
    tick(&mut world);
    assert_eq!(evictions(&world), Vec::<Vec<String>>::new());
}

#[test]
fn the_lowest_priority_then_the_fewest_then_the_youngest() {
    let mut world = World::new(4);
    running(&mut world, "important", "gpu-0", 4, 2);
    running(&mut world, "two-a", "gpu-1", 2, 1);
    running(&mut world, "two-b", "gpu-1", 2, 1);
    running(&mut world, "old", "gpu-2", 4, 1);
    world.put(Pod {
        created: muster_placement::time::CreatedAt(7),
        node: Some(NodeName::from("gpu-3")),
        phase: PodPhase::Running,
        priority: 1,
        ..pod("young", amount(4, 100))
    });
    world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    assert_eq!(evictions(&world), [["young"]]);
}

#[test]
fn who_turns_out_unneeded_stays() {
    let mut world = World::new(1);
    for i in 0..4 {
        running(&mut world, &format!("one-{i}"), "gpu-0", 1, 0);
    }
    world.submit(1, 3, 0, true, 5);
    tick(&mut world);
    assert_eq!(evictions(&world).concat().len(), 3);
}

#[test]
fn those_who_leave_anyway_are_waited_for() {
    let mut world = World::new(2);
    running(&mut world, "leaving", "gpu-0", 4, 9);
    running(&mut world, "low", "gpu-1", 4, 0);
    let leaving = world.pods.values().find(|p| p.name.as_str() == "leaving").unwrap().clone();
    world.put(Pod { terminating: true, ..leaving });
    let high = world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    assert_eq!(evictions(&world), Vec::<Vec<String>>::new());
    assert_eq!(refusal(&world, &high), Some("PreemptionPending"));
    let rival = world.submit(1, 1, 0, true, 5);
    world.quiesce();
    assert_eq!((phase(&world, &high), phase(&world, &rival)), (Phase::Placed, Phase::Waiting));
    assert!(world.pods.values().any(|p| p.name.as_str() == "low"), "nobody was evicted");
}

#[test]
fn a_budget_that_forbids_it_is_respected_and_others_are_taken() {
    let mut world = World::new(2);
    world.protected.insert(Name::from("protected"));
    running(&mut world, "protected", "gpu-0", 4, 0);
    running(&mut world, "other", "gpu-1", 4, 1);
    let high = world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    assert_eq!(evictions(&world), [["protected"]], "the lowest priority first");
    world.land(0, None);
    assert!(world.log.iter().any(|l| l.contains("PreemptionRefused") && l.contains("disruption budget")));
    assert!(world.leaving().is_empty());
    tick(&mut world);
    assert_eq!(evictions(&world), [["other"]]);
    world.quiesce();
    assert_eq!(phase(&world, &high), Phase::Placed);
    assert!(world.pods.values().any(|p| p.name.as_str() == "protected" && p.node.is_some()));
}

#[test]
fn two_preemptors_do_not_share_a_victim() {
    let mut world = World::new(1);
    running(&mut world, "low", "gpu-0", 4, 0);
    let first = world.submit(1, 4, 0, true, 5);
    let second = world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    tick(&mut world);
    assert_eq!(evictions(&world), [["low"]]);
    assert_eq!(refusal(&world, &first), Some("PreemptionPending"));
    assert_eq!(refusal(&world, &second), Some("InsufficientGpus"));
    world.quiesce();
    assert_eq!((phase(&world, &first), phase(&world, &second)), (Phase::Placed, Phase::Waiting));
}

#[test]
fn a_higher_gang_may_take_what_is_promised_to_a_lower_one() {
    let mut world = World::new(1);
    running(&mut world, "low", "gpu-0", 4, 0);
    let first = world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    let urgent = world.submit(1, 4, 0, true, 7);
    tick(&mut world);
    assert_eq!(evictions(&world), [["low"]], "it waits for the same pod");
    world.quiesce();
    assert_eq!(phase(&world, &urgent), Phase::Placed);
    assert_ne!(phase(&world, &first), Phase::Placed);
}

/// Four pods of one GPU each on the only node, of which the gang needs two.
fn elastic() -> World {
    let mut world = World::new(1);
    let id = gang_id("elastic");
    world.tell(Event::GangSeen(GangSpec { id: id.clone(), roles: vec![], size: Ok(4), min: 2 }));
    for i in 0..4 {
        world.put(Pod { gate: Gate::Ours, ..member(&id, "worker", i, amount(1, 100)) });
    }
    settle(&mut world);
    world
}

#[test]
fn surplus_members_go_before_their_gang_does() {
    let mut world = elastic();
    world.submit(1, 1, 0, true, 5);
    tick(&mut world);
    assert_eq!(evictions(&world), [["elastic-worker-3"]]);
    let mut world = elastic();
    world.submit(1, 3, 0, true, 5);
    tick(&mut world);
    assert_eq!(evictions(&world).concat().len(), 4, "one of four is no gang: all go");
}

#[test]
fn a_victim_that_does_not_go_is_given_up() {
    let mut world = World::new(1);
    running(&mut world, "stuck", "gpu-0", 4, 0);
    let high = world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    while !world.calls.is_empty() {
        world.land(0, None);
    }
    for _ in 0..10 {
        world.run(&Op::Tick(10_000));
    }
    assert!(world.log.iter().any(|l| l.contains("PreemptionFailed")));
    assert!(world.cluster.view().promises.is_empty(), "nothing is kept free for ever");
    assert_eq!(refusal(&world, &high), Some("InsufficientGpus"));
    world.quiesce();
    assert_eq!(phase(&world, &high), Phase::Placed, "and if it goes after all, the gang starts");
}

#[test]
fn a_restart_waits_for_those_who_were_evicted() {
    let mut world = World::new(2);
    running(&mut world, "a", "gpu-0", 4, 0);
    running(&mut world, "b", "gpu-1", 4, 0);
    let high = world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    while !world.calls.is_empty() {
        world.land(0, None);
    }
    assert_eq!(world.leaving().len(), 1);
    world.restart();
    tick(&mut world);
    assert_eq!(evictions(&world), Vec::<Vec<String>>::new(), "no second victim");
    assert_eq!(refusal(&world, &high), Some("PreemptionPending"));
    world.quiesce();
    assert_eq!(phase(&world, &high), Phase::Placed);
    assert_eq!(world.pods.values().filter(|p| p.priority == 0 && p.node.is_some()).count(), 1);
}

#[test]
fn the_switch_and_the_budget() {
    let mut world = World::new(2);
    let settings = |enabled, evictions_per_minute| Settings {
        preemption: Allowance { enabled, evictions_per_minute, patience: Span(60_000) },
        ..Settings::default()
    };
    world.tell(Event::Configured(settings(false, 60)));
    running(&mut world, "a", "gpu-0", 4, 0);
    running(&mut world, "b", "gpu-1", 4, 0);
    world.submit(1, 4, 0, true, 5);
    world.submit(1, 4, 0, true, 5);
    tick(&mut world);
    assert_eq!(evictions(&world), Vec::<Vec<String>>::new());
    world.tell(Event::Configured(settings(true, 1)));
    tick(&mut world);
    assert_eq!(evictions(&world).len(), 1, "one within a minute");
    tick(&mut world);
    assert_eq!(evictions(&world).len(), 1);
    world.run(&Op::Tick(60_000));
    tick(&mut world);
    assert_eq!(evictions(&world).len(), 2);
}

#[test]
fn a_promise_ends_with_its_gang() {
    let mut world = World::new(1);
    running(&mut world, "low", "gpu-0", 4, 0);
    world.put(Pod { gate: Gate::Ours, priority: 5, ..pod("high", amount(4, 100)) });
    tick(&mut world);
    assert_eq!(world.cluster.view().promises.len(), 1);
    let high = world.pods.values().find(|p| p.name.as_str() == "high").unwrap().uid.clone();
    world.delete(&high);
    tick(&mut world);
    assert!(world.cluster.view().promises.is_empty());
    assert!(
        !world.log.iter().any(|l| l.contains(&format!("{:?}", News::Refused(Refusal::PreemptionFailed))))
    );
}
