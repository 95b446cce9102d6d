//! The planner and the device choice, case by case.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_placement::Refusal;
use muster_placement::devices::best_set;
use muster_placement::extras::{Extras, ExtrasSum, HostPort};
use muster_placement::ids::{GpuUuid, Name, NodeName};
use muster_placement::inventory::Inventory;
use muster_placement::ledger::Account;
use muster_placement::node::Node;
use muster_placement::node_state::NodeState;
use muster_placement::planner::{Placement, Site, plan};
use muster_placement::pod::Pod;
use muster_placement::pool::{PoolRule, Strength};
use muster_placement::resources::{Resource, Resources};
use muster_placement::selector::{Operator, Requirement, Term};
use muster_placement::taint::{Taint, TaintEffect, Toleration};
use proptest::prelude::*;
use world::{amount, gang_id, inventory, member, node};

fn state(node: Node) -> Arc<NodeState> {
    let inventory = inventory(node.name.as_str(), node.allocatable.gpus);
    Arc::new(NodeState::new(Arc::new(node), Some(Arc::new(inventory)), Account::default(), vec![]))
}

fn gpu_nodes(gpus: &[u64]) -> Vec<Arc<NodeState>> {
    gpus.iter().enumerate().map(|(i, g)| state(node(&format!("n{i}"), *g))).collect()
}

/// Workers with `each` GPUs and companions without.
fn gang(workers: u32, each: u64, companions: u32) -> Vec<Arc<Pod>> {
    let id = gang_id("job");
    let workers = (0..workers).map(|i| member(&id, "worker", i, amount(each, 500)));
    let companions = (0..companions).map(|i| member(&id, "ps", i, amount(0, 1_000)));
    workers.chain(companions).map(Arc::new).collect()
}

fn place(nodes: &[Arc<NodeState>], members: &[Arc<Pod>]) -> Result<Vec<Placement>, Refusal> {
    plan(Site::new(nodes), members)
}

fn nodes_of(placements: &[Placement]) -> Vec<&str> {
    placements.iter().map(|p| p.node.as_str()).collect()
}

fn edit(pods: &[Arc<Pod>], change: impl Fn(&mut Pod)) -> Vec<Arc<Pod>> {
    pods.iter()
        .map(|p| {
            let mut pod = Pod::clone(p);
            change(&mut pod);
            Arc::new(pod)
        })
        .collect()
}

#[test]
fn a_gang_takes_the_tightest_node_that_holds_it_whole() {
    let placed = place(&gpu_nodes(&[8, 4, 3, 2]), &gang(3, 1, 0)).unwrap();
    assert_eq!(nodes_of(&placed), ["n2", "n2", "n2"]);
}

#[test]
fn a_gang_that_no_node_holds_uses_few_nodes() {
    let placed = place(&gpu_nodes(&[4, 8, 2, 8]), &gang(10, 1, 0)).unwrap();
    let used: BTreeSet<&str> = nodes_of(&placed).into_iter().collect();
    assert_eq!(used, BTreeSet::from(["n1", "n2"]));
}

#[test]
fn every_gpu_is_a_real_one_and_given_once() {
    let nodes = gpu_nodes(&[8, 8]);
    let placed = place(&nodes, &gang(8, 2, 2)).unwrap();
    let mut seen: BTreeSet<GpuUuid> = BTreeSet::new();
    for p in &placed {
        let state = nodes.iter().find(|n| n.node.name == p.node).unwrap();
        for uuid in &p.gpus {
            assert!(
                state.inventory.as_ref().unwrap().index_of(uuid).is_some(),
                "{uuid} is not on {}",
                p.node
            );
            assert!(seen.insert(uuid.clone()), "{uuid} twice");
        }
    }
    assert_eq!(seen.len(), 16);
}

#[test]
fn members_on_one_node_get_linked_gpus() {
    // Pairs {0,1} {2,3} … are linked at 400 Gb/s, all others at 100.
    let placed = place(&gpu_nodes(&[4]), &gang(1, 2, 0)).unwrap();
    assert_eq!(placed[0].gpus, [GpuUuid::from("GPU-n0-0"), GpuUuid::from("GPU-n0-1")]);
    let placed = place(&gpu_nodes(&[4]), &gang(2, 1, 0)).unwrap();
    let both: BTreeSet<&str> = placed.iter().flat_map(|p| p.gpus.iter().map(GpuUuid::as_str)).collect();
    assert_eq!(both, BTreeSet::from(["GPU-n0-0", "GPU-n0-1"]));
}

#[test]
fn companions_keep_off_gpu_nodes_while_others_have_room() {
    let nodes = gpu_nodes(&[8, 0]);
    let placed = place(&nodes, &gang(2, 1, 2)).unwrap();
    assert_eq!(nodes_of(&placed), ["n0", "n0", "n1", "n1"]);
    let placed = place(&gpu_nodes(&[8]), &gang(2, 1, 2)).unwrap();
    assert_eq!(nodes_of(&placed), ["n0"; 4]);
}

#[test]
fn a_companion_that_does_not_fit_stops_the_whole_gang() {
    let mut pods = gang(2, 1, 0);
    pods.push(Arc::new(member(&gang_id("job"), "ps", 0, amount(0, 1_000_000))));
    let refusal = place(&gpu_nodes(&[8]), &pods).unwrap_err();
    assert_eq!(refusal, Refusal::Insufficient { resource: Resource::Cpu, need: 1_001_000, free: 16_000 });
}

#[test]
fn a_refusal_says_what_is_missing_and_by_how_much() {
    let refusal = place(&gpu_nodes(&[4]), &gang(6, 1, 0)).unwrap_err();
    assert_eq!(refusal, Refusal::Insufficient { resource: Resource::Gpu, need: 6, free: 4 });
    assert!(refusal.sentence().contains("2 missing"), "{}", refusal.sentence());
    assert_eq!(refusal.label(), "InsufficientGpus");
}

#[test]
fn free_in_sum_but_not_in_shape_is_said_so() {
    let refusal = place(&gpu_nodes(&[3, 3]), &gang(1, 4, 0)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Fragmented { resource: Name::from("nvidia.com/gpu"), need: 4, fits: 0, pods: 1 }
    );
}

#[test]
fn a_pod_that_asks_for_a_billion_gpus_is_refused_in_words() {
    let refusal = place(&gpu_nodes(&[8]), &gang(1, 1_000_000_000, 0)).unwrap_err();
    assert_eq!(refusal, Refusal::Insufficient { resource: Resource::Gpu, need: 1_000_000_000, free: 8 });
}

#[test]
fn a_pod_that_asks_for_no_gpu_gets_none() {
    let placed = place(&gpu_nodes(&[8]), &gang(1, 0, 0)).unwrap();
    assert!(placed[0].gpus.is_empty());
}

#[test]
fn a_node_without_allocatable_has_no_room() {
    let bare = Node { allocatable: Resources::default(), ..node("n0", 8) };
    let refusal = place(&[state(bare)], &gang(1, 1, 0)).unwrap_err();
    assert_eq!(refusal, Refusal::Insufficient { resource: Resource::Gpu, need: 1, free: 0 });
}

#[test]
fn cordons_taints_selectors_and_affinity_rule_nodes_out() {
    let mut cordoned = node("n0", 8);
    cordoned.cordoned = true;
    let mut tainted = node("n1", 8);
    tainted.taints =
        vec![Taint { key: Name::from("gpu"), value: Name::from("x"), effect: TaintEffect::NoSchedule }];
    let nodes = [state(cordoned), state(tainted), state(node("n2", 8))];
    assert_eq!(nodes_of(&place(&nodes, &gang(1, 1, 0)).unwrap()), ["n2"]);

    let toleration =
        Toleration { key: Some(Name::from("gpu")), exists: true, value: Name::from(""), effect: None };
    let tolerant = edit(&gang(16, 1, 0), |p| p.constraints.tolerations = vec![toleration.clone()]);
    let used: BTreeSet<String> =
        nodes_of(&place(&nodes, &tolerant).unwrap()).into_iter().map(String::from).collect();
    assert_eq!(used, BTreeSet::from(["n1".to_string(), "n2".to_string()]));

    let selected = edit(&gang(1, 1, 0), |p| {
        p.constraints.node_selector.insert(Name::from("kubernetes.io/hostname"), Name::from("n9"));
    });
    assert_eq!(place(&nodes, &selected).unwrap_err(), Refusal::NoEligibleNode { nodes: 3 });
}

fn on(operator: Operator, value: &str) -> Term {
    let key = Name::from("kubernetes.io/hostname");
    Term { expressions: vec![Requirement { key, operator, values: vec![Name::from(value)] }], fields: vec![] }
}

#[test]
fn preferred_affinity_orders_and_required_affinity_rules() {
    let nodes = gpu_nodes(&[1, 8]);
    let preferring = edit(&gang(1, 1, 0), |p| p.constraints.preferred = vec![(10, on(Operator::In, "n1"))]);
    assert_eq!(nodes_of(&place(&nodes, &preferring).unwrap()), ["n1"]);
    let requiring = edit(&gang(1, 1, 0), |p| p.constraints.required = Some(vec![on(Operator::NotIn, "n0")]));
    assert_eq!(nodes_of(&place(&nodes, &requiring).unwrap()), ["n1"]);
}

#[test]
fn pools_require_or_prefer() {
    let purpose = |n: Node, p: &str| {
        Arc::new(NodeState::new(Arc::new(n), None, Account::default(), vec![Name::from(p)]))
    };
    let nodes = [purpose(node("n0", 2), "serving"), purpose(node("n1", 8), "training")];
    let rule = |strength| PoolRule {
        namespaces: vec![],
        kinds: vec![Name::from("TFJob")],
        labels: std::collections::BTreeMap::new(),
        purpose: Name::from("training"),
        strength,
    };
    let with = |strength, members: &[Arc<Pod>]| {
        plan(Site { rules: &[rule(strength)], ..Site::new(&nodes) }, members)
    };
    assert_eq!(nodes_of(&with(Strength::Preferred, &gang(2, 1, 0)).unwrap()), ["n1", "n1"]);
    assert_eq!(with(Strength::Preferred, &gang(10, 1, 0)).unwrap().len(), 10);
    let refusal = with(Strength::Required, &gang(10, 1, 0)).unwrap_err();
    assert_eq!(refusal, Refusal::Insufficient { resource: Resource::Gpu, need: 10, free: 8 });
    let only_serving = &nodes[..1];
    let site = Site { rules: &[rule(Strength::Required)], ..Site::new(only_serving) };
    assert_eq!(plan(site, &gang(1, 1, 0)).unwrap_err(), Refusal::PoolMismatch);
}

#[test]
fn excluded_nodes_are_left_out() {
    let nodes = gpu_nodes(&[1, 8]);
    let excluded = BTreeSet::from([NodeName::from("n0")]);
    let placed = plan(Site { excluded: &excluded, ..Site::new(&nodes) }, &gang(1, 1, 0)).unwrap();
    assert_eq!(nodes_of(&placed), ["n1"]);
}

#[test]
fn a_member_that_was_narrowed_keeps_its_node_for_itself() {
    let nodes = gpu_nodes(&[1, 1]);
    let mut pods = gang(2, 1, 0);
    let mut narrowed = Pod::clone(&pods[1]);
    let fields = vec![Requirement {
        key: Name::from("metadata.name"),
        operator: Operator::In,
        values: vec![Name::from("n0")],
    }];
    narrowed.constraints.required = Some(vec![Term { expressions: vec![], fields }]);
    pods[1] = Arc::new(narrowed);
    let placed = place(&nodes, &pods).unwrap();
    let of = |pod: &Pod| placed.iter().find(|p| p.pod == pod.uid).unwrap().node.clone();
    assert_eq!((of(&pods[0]).as_str(), of(&pods[1]).as_str()), ("n1", "n0"));
}

#[test]
fn unhealthy_and_unlocated_gpus_are_not_free() {
    let mut sick = inventory("n0", 4);
    sick.gpus[0].health = muster_placement::inventory::Health::Unhealthy(Name::from("XID 79"));
    // One pod was granted a GPU that the inventory does not have any more: it still counts.
    let account = Account {
        extras: ExtrasSum::default(),
        claimed: amount(1, 0),
        held: Resources::default(),
        gpus: [(GpuUuid::from("GPU-gone"), muster_placement::ids::PodUid::from("p"))].into(),
    };
    let state = NodeState::new(Arc::new(node("n0", 4)), Some(Arc::new(sick)), account, vec![]);
    assert_eq!((state.free.gpus, state.free_gpus.len()), (2, 3));
}

#[test]
fn extended_resources_and_host_ports_are_counted() {
    let rdma = || Name::from("rdma/hca");
    let with = |amount: u64| {
        let node = Node { extended: [(rdma(), amount)].into(), ..node(&format!("n{amount}"), 8) };
        Arc::new(NodeState::new(Arc::new(node), None, Account::default(), vec![]))
    };
    let nodes = [with(1), with(2), with(5)];
    let asking = |extras: &Extras| -> Vec<Arc<Pod>> {
        gang(4, 1, 0).iter().map(|pod| Arc::new(Pod { extras: extras.clone(), ..(**pod).clone() })).collect()
    };
    let devices = |amount| Extras { resources: [(rdma(), amount)].into(), ..Extras::default() };
    let placed = place(&nodes, &asking(&devices(1))).unwrap();
    assert!(placed.iter().all(|p| p.node.as_str() == "n5"), "one node has devices for all: {placed:?}");
    let refused = place(&nodes, &asking(&devices(2))).unwrap_err();
    assert_eq!(refused, Refusal::Fragmented { resource: rdma(), need: 2, fits: 3, pods: 4 });
    let refused = place(&nodes, &asking(&devices(3))).unwrap_err();
    assert_eq!(refused, Refusal::InsufficientExtended { name: rdma(), need: 12, free: 8 });

    let port = HostPort { protocol: Name::from("TCP"), port: 2222 };
    let ports = Extras { ports: [port.clone()].into(), ..Extras::default() };
    assert_eq!(place(&nodes, &asking(&ports)).unwrap_err(), Refusal::PortTaken { port });
    let placed = place(&nodes, &asking(&ports)[..3]).unwrap();
    let on: BTreeSet<&str> = placed.iter().map(|p| p.node.as_str()).collect();
    assert_eq!(on.len(), 3, "two pods with one port do not share a node");
}

#[test]
fn what_others_have_taken_is_not_free() {
    let port = HostPort { protocol: Name::from("TCP"), port: 2222 };
    let taken = Extras { ports: [port].into(), resources: [(Name::from("rdma/hca"), 1)].into() };
    let mut ledger = muster_placement::ledger::Ledger::default();
    let claim = muster_placement::ledger::Claim {
        node: NodeName::from("n0"),
        amount: amount(1, 0),
        extras: taken.clone(),
        gpus: vec![],
        kind: muster_placement::ledger::ClaimKind::Grant,
    };
    let pod = Pod { extras: taken, ..(*gang(1, 1, 0)[0]).clone() };
    let node = Arc::new(Node { extended: [(Name::from("rdma/hca"), 4)].into(), ..node("n0", 8) });
    let room = |ledger: &muster_placement::ledger::Ledger| {
        let account = ledger.account(&NodeName::from("n0"));
        NodeState::new(node.clone(), None, account, vec![]).room_for(&pod).map_err(|r| r.label())
    };
    assert_eq!(room(&ledger), Ok(()));
    ledger.set(&"other".into(), claim);
    assert_eq!(room(&ledger), Err("HostPortTaken"));
    ledger.remove(&"other".into());
    assert_eq!(room(&ledger), Ok(()));
}

/// The pod may have another GPU than the one guessed: then the sick one is among those that nobody has.
#[test]
fn a_sick_gpu_counts_once_whoever_is_guessed_to_have_it() {
    for sick_at in 0..4 {
        let mut sick = inventory("n0", 4);
        sick.gpus[sick_at].health = muster_placement::inventory::Health::Unhealthy(Name::from("XID 79"));
        let gpus = [(sick.gpus[0].uuid.clone(), muster_placement::ids::PodUid::from("p"))].into();
        let account = Account { claimed: amount(1, 0), gpus, ..Account::default() };
        let state = NodeState::new(Arc::new(node("n0", 4)), Some(Arc::new(sick)), account, vec![]);
        assert_eq!(state.free.gpus, 2, "GPU {sick_at} is sick");
        assert!(state.free_gpus.len() >= 2);
    }
}

fn quality(inventory: &Inventory, set: &[usize]) -> u64 {
    let pairs = set.iter().enumerate().flat_map(|(i, a)| set[i + 1..].iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| u64::from(inventory.link(a, b))).sum()
}

proptest! {
    /// The set chosen is as good as the best of all sets, found by looking at every bit mask.
    #[test]
    fn the_best_connected_set_is_best(
        links in prop::collection::vec(0u32..5, 36),
        free_mask in 1u32..64,
        k in 2usize..6,
    ) {
        let mut inventory = inventory("n", 6);
        for (i, l) in links.iter().enumerate() {
            let (a, b) = (i / 6, i % 6);
            inventory.link_gbps[i] = if a <= b { *l } else { links[b * 6 + a] };
        }
        let free: Vec<usize> = (0..6).filter(|i| free_mask & (1 << i) != 0).collect();
        let chosen = best_set(&inventory, &free, k);
        if free.len() < k {
            prop_assert!(chosen.is_none());
        } else {
            let chosen = chosen.unwrap();
            prop_assert_eq!(chosen.len(), k);
            prop_assert!(chosen.iter().all(|g| free.contains(g)));
            let sets = (0u32..64).filter(|m| m & !free_mask == 0 && m.count_ones() as usize == k);
            let best = sets.map(|m| quality(&inventory, &(0..6).filter(|i| m & (1 << i) != 0).collect::<Vec<_>>())).max();
            prop_assert_eq!(quality(&inventory, &chosen), best.unwrap());
        }
    }
}
