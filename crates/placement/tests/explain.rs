//! Why a gang waits, node by node: one node for each thing that can stand in the way.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod world;

use muster_placement::explain::{Condition, Explanation, Holder, Obstacle, explain, holders};
use muster_placement::gang::GangSpec;
use muster_placement::ids::{Name, NodeName};
use muster_placement::inventory::Health;
use muster_placement::node::Node;
use muster_placement::pod::{Pod, PodPhase};
use muster_placement::pool::{Pool, PoolRule, Strength};
use muster_placement::pvc::{Pvc, PvcName, Reach};
use muster_placement::resources::Resource;
use muster_placement::selector::{Operator, Requirement, Term};
use muster_placement::taint::{Taint, TaintEffect};
use muster_placement::time::Time;
use muster_placement::{Cluster, Event, Refusal, Settings, View};
use world::{amount, gang_id, inventory, member, node, pod};

const TRAINING: &str = "training";

fn labelled(name: &str, zone: &str, pool: &str) -> Node {
    let mut node = node(name, 4);
    node.labels.insert("zone".into(), zone.into());
    node.labels.insert("pool".into(), pool.into());
    node
}

fn settings() -> Settings {
    let labels = [(Name::from("pool"), Name::from(TRAINING))];
    let pool = Pool { name: "train".into(), selector: labels.into(), purposes: vec![TRAINING.into()] };
    let rule = PoolRule {
        namespaces: vec![],
        kinds: vec![],
        labels: [].into(),
        purpose: TRAINING.into(),
        strength: Strength::Required,
    };
    Settings { pools: vec![pool], rules: vec![rule], ..Settings::default() }
}

fn data() -> PvcName {
    PvcName { namespace: "default".into(), name: "data".into() }
}

/// A claim with a volume that the node `far` does not reach.
fn near() -> Pvc {
    let here = Requirement { key: "far".into(), operator: Operator::DoesNotExist, values: vec![] };
    let terms = vec![Term { expressions: vec![here], fields: vec![] }];
    Pvc { reach: Reach::Bound(Some(terms)), single_pod: false, counted: false }
}

/// Two workers of 3 GPUs in zone `a`, and what each node has against one of them.
fn view() -> View {
    let cordoned = Node { cordoned: true, ..labelled("cordoned", "a", TRAINING) };
    let taint = Taint { key: "maintenance".into(), value: "".into(), effect: TaintEffect::NoSchedule };
    let tainted = Node { taints: vec![taint], ..labelled("tainted", "a", TRAINING) };
    let mut far = labelled("far", "a", TRAINING);
    far.labels.insert("far".into(), "yes".into());
    let mut sick = inventory("sick", 4);
    for gpu in sick.gpus.iter_mut().take(2) {
        gpu.health = Health::Unhealthy("XID 79".into());
    }
    let nodes = [
        labelled("busy", "a", TRAINING),
        cordoned,
        labelled("elsewhere", "b", TRAINING),
        far,
        labelled("free", "a", TRAINING),
        labelled("serving", "a", "serving"),
        labelled("sick", "a", TRAINING),
        tainted,
    ];
    let running = Pod { node: Some("busy".into()), phase: PodPhase::Running, ..pod("old", amount(2, 100)) };
    let id = gang_id("job");
    let spec = GangSpec { id: id.clone(), roles: vec![], size: Ok(3), min: 3 };
    let in_zone = |mut pod: Pod| {
        pod.pvcs = vec![data()];
        pod.constraints.node_selector = [(Name::from("zone"), Name::from("a"))].into();
        Event::PodSeen(Box::new(pod))
    };
    let mut events = vec![Event::Configured(settings())];
    events.extend(nodes.map(|node| Event::NodeSeen(Box::new(node))));
    events.extend([
        Event::Reported("sick".into(), sick),
        Event::PodSeen(Box::new(running)),
        Event::GangSeen(spec),
        Event::PvcSeen(data(), near()),
        in_zone(member(&id, "worker", 0, amount(3, 100))),
        in_zone(member(&id, "worker", 1, amount(3, 100))),
        in_zone(member(&id, "ps", 0, amount(0, 100))),
        Event::Synced,
    ]);
    let mut cluster = Cluster::default();
    for event in events {
        cluster.apply(event, Time(7));
    }
    cluster.view()
}

fn explained(view: &View) -> Explanation {
    explain(view, view.gangs.get(&gang_id("job")).unwrap()).unwrap()
}

#[test]
fn every_node_but_the_free_one_has_its_own_obstacle() {
    let Explanation { member, obstacles, .. } = explained(&view());
    assert_eq!(member.request.gpus, 3, "the largest member that waits");
    let full = Obstacle::Full(Refusal::Insufficient { resource: Resource::Gpu, need: 3, free: 2 });
    let expected = [
        ("busy", full),
        ("cordoned", Obstacle::Cordoned),
        ("elsewhere", Obstacle::Labels),
        ("far", Obstacle::Volume(data())),
        ("serving", Obstacle::Pool(TRAINING.into())),
        ("sick", Obstacle::FewGpus { need: 3, healthy: 2 }),
        ("tainted", Obstacle::Taint("maintenance".into())),
    ];
    assert_eq!(obstacles, expected.map(|(node, obstacle)| (NodeName::from(node), obstacle)));
    assert!(obstacles.iter().all(|(_, obstacle)| obstacle.sentence().ends_with('.')));
}

#[test]
fn the_funnel_counts_what_is_left_after_each_condition() {
    let counts = [
        (Condition::Known, 8),
        (Condition::Allowed, 4),
        (Condition::InPool, 3),
        (Condition::Healthy, 2),
        (Condition::Room, 1),
    ];
    assert_eq!(explained(&view()).funnel, counts);
}

#[test]
fn a_node_says_who_has_its_gpus() {
    let old = Holder { namespace: "default".into(), kind: "Pod".into(), name: "old".into() };
    assert_eq!(holders(&view()), [(NodeName::from("busy"), [(old, 2)].into())].into());
}

#[test]
fn a_gang_without_pods_has_nothing_to_explain() {
    let view = view();
    let gang = muster_placement::gang::Gang::new(gang_id("declared"), Time(0));
    assert!(explain(&view, &gang).is_none());
    assert_eq!(view.at, Time(7));
}
