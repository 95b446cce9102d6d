//! Whom to send away: against every possible set, in clusters that are counted by hand.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test"
)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use muster_placement::ids::{NodeName, PodUid};
use muster_placement::planner::Placement;
use muster_placement::preempt::victims::{Choice, Victim, choose};
use muster_placement::time::CreatedAt;
use proptest::prelude::*;

const GPUS: u64 = 4;

/// Pods by UID: node and GPUs.
type Cluster = BTreeMap<PodUid, (usize, u64)>;

/// Places for `members` pods of `each` GPUs, filling the fullest node first.
fn fits(
    cluster: &Cluster,
    nodes: usize,
    gone: &BTreeSet<PodUid>,
    members: u64,
    each: u64,
) -> Option<Vec<Placement>> {
    let used = |node| {
        let there = cluster.iter().filter(|(uid, (at, _))| *at == node && !gone.contains(*uid));
        there.map(|(_, (_, gpus))| gpus).sum::<u64>()
    };
    let mut free: Vec<(u64, usize)> = (0..nodes).map(|n| (GPUS - used(n), n)).collect();
    free.sort_unstable();
    let places = free.iter().flat_map(|(free, n)| (0..free / each).map(move |_| *n));
    let placed: Vec<Placement> = places.take(members as usize).map(placement).collect();
    (placed.len() as u64 == members).then_some(placed)
}

fn placement(node: usize) -> Placement {
    Placement { pod: PodUid::from("member"), node: name(node), gpus: Vec::new() }
}

fn name(node: usize) -> NodeName {
    NodeName::from(format!("n{node}").as_str())
}

/// Parties of one to three pods each, priorities 0..3, wherever there is room.
fn world(seeds: &[(u8, u8, u8, u8)], nodes: usize) -> (Cluster, Vec<Victim>) {
    let mut cluster = Cluster::new();
    let mut victims = Vec::new();
    for (number, (pods, gpus, priority, start)) in seeds.iter().enumerate() {
        let mut mine = BTreeMap::new();
        for i in 0..=(pods % 3) {
            let gpus = u64::from(gpus % 4) + 1;
            let node = (0..nodes).map(|n| (n + *start as usize + i as usize) % nodes).find(|n| {
                cluster.values().filter(|(at, _)| at == n).map(|(_, g)| g).sum::<u64>() + gpus <= GPUS
            });
            if let Some(node) = node {
                let uid = PodUid::from(format!("p{number}-{i}").as_str());
                cluster.insert(uid.clone(), (node, gpus));
                mine.insert(uid, name(node));
            }
        }
        if !mine.is_empty() {
            victims.push(Victim {
                lent: false,
                priority: i32::from(priority % 3),
                created: CreatedAt(u64::from(*start)),
                gpu_pods: mine.len() as u64,
                pods: mine,
                gang: number,
                turn: 0,
                core: false,
            });
        }
    }
    (cluster, victims)
}

/// Highest priority hit, pods evicted: of the best of all sets.
fn by_trying_all(victims: &[Victim], fit: impl Fn(&BTreeSet<PodUid>) -> bool) -> Option<(i32, usize)> {
    let sets = 0u32..1 << victims.len();
    let chosen =
        |set: u32| victims.iter().enumerate().filter(move |(i, _)| set & (1 << i) != 0).map(|(_, v)| v);
    let good = sets.filter(|set| fit(&chosen(*set).flat_map(|v| v.pods.keys().cloned()).collect()));
    let cost = |set| {
        let top = chosen(set).map(|v| v.priority).max().unwrap_or(i32::MIN);
        (top, chosen(set).map(|v| v.pods.len()).sum())
    };
    good.map(cost).min()
}

fn cost(victims: &[Victim], choice: &Choice) -> (i32, usize) {
    let hit = |v: &&Victim| v.pods.keys().any(|p| choice.pods.contains_key(p));
    (victims.iter().filter(hit).map(|v| v.priority).max().unwrap_or(i32::MIN), choice.pods.len())
}

thread_local! {
    /// Cases, cases at the optimum, pods chosen, pods of the optimum.
    static FOUND: Cell<(u64, u64, u64, u64)> = const { Cell::new((0, 0, 0, 0)) };
}

fn one(seeds: &[(u8, u8, u8, u8)], nodes: usize, members: u64, each: u64) -> Result<(), TestCaseError> {
    let (cluster, victims) = world(seeds, nodes);
    let fit = |gone: &BTreeSet<PodUid>| fits(&cluster, nodes, gone, members, each);
    let best = by_trying_all(&victims, |gone| fit(gone).is_some());
    let found = choose(victims.clone(), nodes, fit);
    prop_assert_eq!(best.is_some(), found.is_some());
    let (Some(best), Some(found)) = (best, found) else { return Ok(()) };
    let (level, pods) = cost(&victims, &found);
    prop_assert_eq!(level, best.0, "the lowest priority that suffices");
    // No party can be spared, and each goes whole.
    for victim in victims.iter().filter(|v| v.pods.keys().any(|p| found.pods.contains_key(p))) {
        prop_assert!(victim.pods.keys().all(|p| found.pods.contains_key(p)));
        let rest = found.pods.keys().filter(|p| !victim.pods.contains_key(*p)).cloned().collect();
        prop_assert!(fit(&rest).is_none(), "{:?} need not go", victim.pods);
    }
    let (cases, exact, ours, least) = FOUND.get();
    FOUND.set((cases + 1, exact + u64::from(pods == best.1), ours + pods as u64, least + best.1 as u64));
    Ok(())
}

#[test]
fn the_choice_against_every_set() {
    let seeds = prop::collection::vec(any::<(u8, u8, u8, u8)>(), 1..9);
    let strategy = (seeds, 1usize..5, 1u64..4, 1u64..5);
    let config = ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&strategy, |(seeds, nodes, members, each)| one(&seeds, nodes, members, each))
        .unwrap_or_else(|e| panic!("{e}"));
    let (cases, exact, ours, least) = FOUND.get();
    println!("{cases} choices, {exact} of them the best; {ours} pods evicted where {least} are the least");
    assert!(exact * 100 >= cases * 97, "{exact} of {cases} choices are the best");
    assert!(ours * 100 <= least * 101, "{ours} pods evicted where {least} would do");
}
