//! What a process that starts again takes over from the one before, with nothing but the lists of the API server.

mod world;

use muster_placement::gang::{GangSpec, Role};
use muster_placement::ids::{Epoch, NodeName};
use muster_placement::ledger::ClaimKind;
use muster_placement::pod::{Gate, Pod, Stamp};
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event};
use world::{amount, gang_id, inventory, member, node, pod};

/// Reads the lists; agents have not reported yet.
fn start(owner: &GangSpec, pods: &[Pod]) -> (Cluster, Vec<Effect>) {
    let mut cluster = Cluster::default();
    let mut events: Vec<Event> =
        ["n0", "n1"].iter().map(|name| Event::NodeSeen(Box::new(node(name, 4)))).collect();
    events.push(Event::GangSeen(owner.clone()));
    events.extend(pods.iter().map(|pod| Event::PodSeen(Box::new(pod.clone()))));
    events.push(Event::Synced);
    let effects = events.into_iter().flat_map(|event| cluster.apply(event, Time(0))).collect();
    assert_eq!(cluster.audit(), vec![]);
    (cluster, effects)
}

#[allow(clippy::unnecessary_wraps, reason = "as a pod has it")]
fn stamp(epoch: u64, node: &str, gpus: &[u32]) -> Option<Stamp> {
    let gpus = gpus.iter().map(|at| format!("GPU-{node}-{at}").as_str().into()).collect();
    Some(Stamp { epoch: Epoch(epoch), node: NodeName::from(node), gpus })
}

fn spec(size: u32, min: u32) -> GangSpec {
    let workers = Role { min, ..Role::whole("worker", size) };
    GangSpec { id: gang_id("job"), roles: vec![workers], size: Ok(size), min }
}

fn worker(index: u32, stamp: Option<Stamp>) -> Pod {
    Pod { stamp, ..member(&gang_id("job"), "worker", index, amount(2, 100)) }
}

/// Found by storms in which Muster is killed between two of a gang's Bindings: the plan was taken up, and given up
/// at once since the GPUs that it names were in no report yet.
#[test]
fn a_plan_is_kept_until_agents_have_reported() {
    let bound = Pod { node: Some(NodeName::from("n0")), ..worker(0, stamp(3, "n0", &[0, 1])) };
    let waits = worker(1, stamp(3, "n0", &[2, 3]));
    let (mut cluster, effects) = start(&spec(2, 2), &[bound, waits.clone()]);
    assert_eq!(effects, []);
    let held = |cluster: &Cluster| cluster.ledger().claim(&waits.uid).map(|c| (c.node.clone(), c.kind));
    assert_eq!(held(&cluster), Some((NodeName::from("n0"), ClaimKind::Hold)));
    let effects = cluster.apply(Event::Reported(NodeName::from("n0"), inventory("n0", 4)), Time(0));
    assert_eq!(effects, []);
    assert_eq!(held(&cluster), Some((NodeName::from("n0"), ClaimKind::Hold)));
}

/// Found by comparing ledgers: two of three members were planned when the third came.
#[test]
fn the_plan_of_an_elastic_gang_is_kept_beside_members_that_it_does_not_name() {
    let planned = [worker(0, stamp(3, "n0", &[])), worker(1, stamp(3, "n1", &[]))];
    let later = worker(2, None);
    let (cluster, effects) = start(&spec(3, 2), &[planned[0].clone(), planned[1].clone(), later]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Unplan(_))), "{effects:?}");
    let node = |at: usize| cluster.ledger().claim(&planned[at].uid).map(|c| c.node.clone());
    assert_eq!([node(0), node(1)], [Some(NodeName::from("n0")), Some(NodeName::from("n1"))]);
}

#[test]
fn an_older_plan_and_half_a_plan_are_void() {
    let mixed = [worker(0, stamp(2, "n0", &[])), worker(1, stamp(3, "n1", &[])), worker(2, None)];
    let (_, effects) = start(&spec(3, 3), &mixed);
    let void = effects.iter().filter(|effect| matches!(effect, Effect::Unplan(_))).count();
    assert_eq!(void, 2);
}

/// Found by tenants who write plans: the patch that writes ours takes the gate off.
#[test]
fn a_plan_on_a_pod_that_still_has_our_gate_is_not_ours() {
    let forged = Pod { gate: Gate::Ours, stamp: stamp(7, "n1", &[0]), ..pod("forged", amount(1, 100)) };
    let (cluster, effects) = start(&spec(1, 1), std::slice::from_ref(&forged));
    assert!(effects.contains(&Effect::Unplan(forged.clone().into())), "{effects:?}");
    // It is planned like any other, where the order of nodes puts it.
    let release = effects.iter().find_map(|effect| match effect {
        Effect::Release { stamp, .. } => Some(stamp.node.as_str()),
        _ => None,
    });
    assert_eq!(release, Some("n0"));
    assert!(cluster.ledger().claim(&forged.uid).is_some());
}

/// Found by tenants who write plans: after the highest number there is no next one, and all plans had the same.
#[test]
fn a_forged_number_does_not_use_up_the_numbers() {
    let forged = Pod { stamp: stamp(u64::MAX, "n1", &[]), ..pod("forged", amount(1, 100)) };
    let (mut cluster, _) = start(&spec(1, 1), &[forged]);
    let mut number = |name: &str| {
        let pod = Pod { gate: Gate::Ours, ..pod(name, amount(1, 100)) };
        let effects = cluster.apply(Event::PodSeen(Box::new(pod)), Time(0));
        effects.into_iter().find_map(|effect| match effect {
            Effect::Release { stamp, .. } => Some(stamp.epoch),
            _ => None,
        })
    };
    let (one, next) = (number("a"), number("b"));
    assert!(one.is_some() && one < next, "{one:?} {next:?}");
}

/// Found by comparing ledgers: the plan of a narrowed pod stays on it when it is void, until the pod is made anew.
#[test]
fn the_newer_of_two_plans_for_one_place_is_kept() {
    let both = |epoch, name: &str| {
        let gang = gang_id(name);
        let owner = GangSpec { id: gang.clone(), ..spec(1, 1) };
        (owner, Pod { stamp: stamp(epoch, "n0", &[]), ..member(&gang, "worker", 0, amount(4, 100)) })
    };
    let (void, void_pod) = both(2, "a");
    let (kept, kept_pod) = both(3, "b");
    let mut cluster = Cluster::default();
    let seen = |pod: &Pod| Event::PodSeen(Box::new(pod.clone()));
    let events = [
        Event::NodeSeen(Box::new(node("n0", 4))),
        Event::GangSeen(void),
        Event::GangSeen(kept),
        seen(&void_pod),
        seen(&kept_pod),
        Event::Synced,
    ];
    for event in events {
        cluster.apply(event, Time(0));
    }
    assert!(cluster.ledger().claim(&void_pod.uid).is_none());
    assert!(cluster.ledger().claim(&kept_pod.uid).is_some());
}
