//! Volumes of a gang: where they are, when they are not there yet, and who has them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "a test may fail"
)]

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_placement::ids::{Name, NodeName};
use muster_placement::node::Node;
use muster_placement::planner::{Placement, Site, plan};
use muster_placement::pod::{Gate, Pod};
use muster_placement::pvc::{Pvc, PvcName, Reach};
use muster_placement::selector::{Operator, Requirement, Term};
use muster_placement::shared_map::SharedMap;
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event, News};
use world::{amount, gang_id, member, node};

const ZONE: &str = "topology.kubernetes.io/zone";

fn data() -> PvcName {
    PvcName { namespace: Name::from("default"), name: Name::from("data") }
}

fn pvc(reach: Reach) -> Pvc {
    Pvc { reach, single_pod: false, counted: false }
}

fn in_zone(zone: &str) -> Option<Vec<Term>> {
    let values = vec![Name::from(zone)];
    let here = Requirement { key: Name::from(ZONE), operator: Operator::In, values };
    Some(vec![Term { expressions: vec![here], fields: Vec::new() }])
}

fn zoned(name: &str, zone: &str) -> Node {
    let mut node = node(name, 4);
    node.labels.insert(Name::from(ZONE), Name::from(zone));
    node
}

/// Two nodes in zone a, three in zone b.
fn nodes() -> Vec<Node> {
    [("n1", "a"), ("n2", "a"), ("n3", "b"), ("n4", "b"), ("n5", "b")].map(|(n, z)| zoned(n, z)).to_vec()
}

fn gang(size: u32, gpus: u64) -> Vec<Arc<Pod>> {
    let id = gang_id("job");
    let pod =
        |at| Pod { pvcs: vec![data()], gate: Gate::Ours, ..member(&id, "worker", at, amount(gpus, 100)) };
    (0..size).map(pod).map(Arc::new).collect()
}

/// A plan of the gang with this claim, on all nodes.
fn planned(claim: Option<Pvc>, members: &[Arc<Pod>]) -> Result<Vec<Placement>, String> {
    let states: Vec<_> = nodes()
        .into_iter()
        .map(|node| {
            let account = muster_placement::ledger::Account::default();
            Arc::new(muster_placement::node_state::NodeState::new(Arc::new(node), None, account, Vec::new()))
        })
        .collect();
    let pvcs: SharedMap<PvcName, Arc<Pvc>> = claim.into_iter().map(|pvc| (data(), Arc::new(pvc))).collect();
    plan(Site { pvcs: &pvcs, ..Site::new(&states) }, members).map_err(|refusal| refusal.label().to_owned())
}

fn zones(placements: &[Placement]) -> BTreeSet<String> {
    let zone_of =
        |name: &NodeName| nodes().into_iter().find(|n| n.name == *name).unwrap().labels[ZONE].to_string();
    placements.iter().map(|place| zone_of(&place.node)).collect()
}

#[test]
fn a_gang_goes_where_its_volume_is() {
    let placed = planned(Some(pvc(Reach::Bound(in_zone("b")))), &gang(3, 4)).unwrap();
    assert_eq!(zones(&placed), BTreeSet::from(["b".to_owned()]));
    assert_eq!(planned(Some(pvc(Reach::Bound(in_zone("b")))), &gang(4, 4)).unwrap_err(), "InsufficientGpus");
    assert!(planned(Some(pvc(Reach::Bound(None))), &gang(5, 4)).is_ok(), "a volume that is everywhere");
    assert_eq!(planned(Some(pvc(Reach::Bound(in_zone("c")))), &gang(1, 1)).unwrap_err(), "VolumeUnreachable");
}

#[test]
fn a_volume_that_is_not_made_yet_keeps_the_gang_in_one_zone() {
    let waits = || Some(pvc(Reach::FirstConsumer(None)));
    let placed = planned(waits(), &gang(3, 4)).unwrap();
    assert_eq!(zones(&placed), BTreeSet::from(["b".to_owned()]), "zone a has room for two only");
    assert_eq!(zones(&planned(waits(), &gang(2, 4)).unwrap()).len(), 1);
    assert_eq!(planned(waits(), &gang(4, 4)).unwrap_err(), "InsufficientGpus", "no zone holds four");
    let allowed = Some(pvc(Reach::FirstConsumer(in_zone("a"))));
    assert_eq!(zones(&planned(allowed, &gang(2, 4)).unwrap()), BTreeSet::from(["a".to_owned()]));
}

#[test]
fn a_claim_that_cannot_be_used_is_named() {
    for (claim, label) in [
        (None, "VolumeMissing"),
        (Some(pvc(Reach::Unbound)), "VolumeUnbound"),
        (Some(pvc(Reach::Lost)), "VolumeLost"),
        (Some(Pvc { single_pod: true, ..pvc(Reach::Bound(None)) }), "VolumeInUse"),
    ] {
        assert_eq!(planned(claim, &gang(2, 1)).unwrap_err(), label);
    }
    let alone = Some(Pvc { single_pod: true, ..pvc(Reach::Bound(None)) });
    assert!(planned(alone, &gang(1, 1)).is_ok(), "one pod may have it");
}

/// A cluster with the nodes and a gang of two, and what it does about each event.
struct Story {
    cluster: Cluster,
    effects: Vec<Effect>,
}

impl Story {
    fn begin() -> Story {
        let mut story = Story { cluster: Cluster::default(), effects: Vec::new() };
        for node in nodes() {
            story.tell(Event::NodeSeen(Box::new(node)));
        }
        let roles = vec![muster_placement::gang::Role::whole("worker", 2)];
        let spec = muster_placement::gang::GangSpec { id: gang_id("job"), roles, size: Ok(2), min: 2 };
        story.tell(Event::GangSeen(spec));
        for pod in gang(2, 4) {
            story.tell(Event::PodSeen(Box::new((*pod).clone())));
        }
        story.tell(Event::Synced);
        story
    }

    fn tell(&mut self, event: Event) {
        self.effects = self.cluster.apply(event, Time(0));
        assert_eq!(self.cluster.audit(), vec![]);
    }

    /// Whether each release of the last event narrows.
    fn releases(&self) -> Vec<bool> {
        let narrow = |effect: &Effect| match effect {
            Effect::Release { narrow, .. } => Some(*narrow),
            _ => None,
        };
        self.effects.iter().filter_map(narrow).collect()
    }

    fn told(&self) -> Option<&'static str> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Tell { news: News::Refused(refusal), .. } => Some(refusal.label()),
            _ => None,
        })
    }
}

#[test]
fn a_gang_waits_for_its_claim_and_is_planned_when_it_is_there() {
    let mut story = Story::begin();
    assert_eq!((story.releases(), story.told()), (vec![], Some("VolumeMissing")));
    story.tell(Event::PvcSeen(data(), pvc(Reach::Unbound)));
    assert_eq!((story.releases(), story.told()), (vec![], Some("VolumeUnbound")));
    story.tell(Event::PvcSeen(data(), pvc(Reach::Bound(None))));
    assert_eq!(story.releases(), [true, true]);
}

#[test]
fn pods_are_narrowed_only_if_all_about_their_volume_is_known() {
    for claim in [pvc(Reach::FirstConsumer(None)), Pvc { counted: true, ..pvc(Reach::Bound(None)) }] {
        let mut story = Story::begin();
        story.tell(Event::PvcSeen(data(), claim));
        assert_eq!(story.releases(), [false, false]);
    }
}

#[test]
fn a_plan_ends_when_the_volume_turns_out_to_be_elsewhere() {
    let mut story = Story::begin();
    story.tell(Event::PvcSeen(data(), pvc(Reach::FirstConsumer(in_zone("a")))));
    assert_eq!(story.releases(), [false, false]);
    story.tell(Event::PvcSeen(data(), pvc(Reach::Bound(in_zone("b")))));
    let nodes: BTreeSet<String> = story
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Release { stamp, .. } => Some(stamp.node.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(nodes.len(), 2, "planned again");
    assert!(nodes.iter().all(|node| ["n3", "n4", "n5"].contains(&node.as_str())), "{nodes:?}");
}

#[test]
fn a_claim_for_one_pod_that_another_one_has_is_waited_for() {
    let mut story = Story::begin();
    let other =
        Pod { pvcs: vec![data()], node: Some(NodeName::from("n5")), ..world::pod("other", amount(0, 1)) };
    story.tell(Event::PodSeen(Box::new(other.clone())));
    let single = gang(1, 1).remove(0);
    let single = Pod { membership: muster_placement::pod::Membership::Single, ..(*single).clone() };
    story.tell(Event::PvcSeen(data(), Pvc { single_pod: true, ..pvc(Reach::Bound(None)) }));
    story.tell(Event::PodSeen(Box::new(Pod { uid: "uid-single".into(), ..single })));
    assert_eq!((story.releases(), story.told()), (vec![], Some("VolumeInUse")));
    story.tell(Event::PodGone(other.uid));
    assert_eq!(story.releases(), [true]);
}
