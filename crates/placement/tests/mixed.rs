//! Gangs of several classes against every possibility, and of several GPU models.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_placement::Refusal;
use muster_placement::ids::{Name, NodeName};
use muster_placement::inventory::Health;
use muster_placement::ledger::Account;
use muster_placement::node::Node;
use muster_placement::node_state::NodeState;
use muster_placement::planner::{Placement, Site, plan};
use muster_placement::pod::Pod;
use muster_placement::resources::Resources;
use muster_placement::selector::{Operator, Requirement, Term};
use proptest::prelude::*;
use world::{amount, gang_id, inventory, member, node};

fn state(node: Node) -> Arc<NodeState> {
    Arc::new(NodeState::new(Arc::new(node), None, Account::default(), vec![]))
}

fn with_model(name: &str, model: &str, gpus: u64) -> Arc<NodeState> {
    let mut node = node(name, gpus);
    node.labels.insert("nvidia.com/gpu.product".into(), model.into());
    state(node)
}

fn workers(count: u32, each: u64, models: &[&str]) -> Vec<Arc<Pod>> {
    let gpu_models: Vec<Name> = models.iter().map(|m| Name::from(*m)).collect();
    let pod =
        |i| Pod { gpu_models: gpu_models.clone(), ..member(&gang_id("job"), "worker", i, amount(each, 1)) };
    (0..count).map(|i| Arc::new(pod(i))).collect()
}

fn used(plan: &[Placement]) -> Vec<&str> {
    plan.iter().map(|p| p.node.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
}

// ---- classes ----

/// GPUs and thousandths of a core that one member asks for, members, and the nodes that they may use.
type Class = (u64, u64, u32, Vec<bool>);

fn gang(classes: &[Class], nodes: &[Arc<NodeState>]) -> Vec<Arc<Pod>> {
    let mut members = Vec::new();
    for (role, (gpus, cpu, count, usable)) in classes.iter().enumerate() {
        let values =
            nodes.iter().zip(usable).filter(|(_, usable)| **usable).map(|(s, _)| s.node.name.as_str());
        let key = Name::from("kubernetes.io/hostname");
        let only = Requirement { key, operator: Operator::In, values: values.map(Name::from).collect() };
        for i in 0..*count {
            let mut pod = member(&gang_id("job"), &format!("r{role}"), i, amount(*gpus, *cpu));
            pod.constraints.required = Some(vec![Term { expressions: vec![only.clone()], fields: vec![] }]);
            members.push(Arc::new(pod));
        }
    }
    members
}

fn at_all(nodes: &[Arc<NodeState>], members: &[Arc<Pod>], free: &[Resources]) -> bool {
    let Some((pod, rest)) = members.split_first() else { return true };
    (0..nodes.len()).any(|at| {
        let mut free = free.to_vec();
        if !nodes[at].admits(pod) || pod.request.short_of(&free[at]).is_some() {
            return false;
        }
        free[at] = free[at].minus(pod.request);
        at_all(nodes, rest, &free)
    })
}

fn any_nodes() -> impl Strategy<Value = Vec<Arc<NodeState>>> {
    prop::collection::vec((0u64..9, 1u64..9), 1..4).prop_map(|nodes| {
        let one = |(i, (gpus, cores)): (usize, &(u64, u64))| {
            let mut node = node(&format!("n{i}"), *gpus);
            node.allocatable.cpu_milli = cores * 1_000;
            state(node)
        };
        nodes.iter().enumerate().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]
    /// On three nodes and three classes "no" is said only where no placement exists, and a plan holds what it says.
    #[test]
    fn a_mixed_gang_is_placed_wherever_it_can_be(
        nodes in any_nodes(),
        classes in prop::collection::vec(
            (0u64..5, 1u64..5, 1u32..4, prop::collection::vec(prop::bool::weighted(0.75), 3)), 1..4),
    ) {
        let classes: Vec<Class> = classes.into_iter().map(|(g, c, n, u)| (g, c * 1_000, n, u)).collect();
        let members = gang(&classes, &nodes);
        let free: Vec<Resources> = nodes.iter().map(|s| s.free).collect();
        match plan(Site::new(&nodes), &members) {
            Ok(plan) => {
                prop_assert_eq!(plan.len(), members.len());
                let mut free = free;
                for place in &plan {
                    let at = nodes.iter().position(|s| s.node.name == place.node).unwrap();
                    let pod = members.iter().find(|m| m.uid == place.pod).unwrap();
                    prop_assert!(nodes[at].admits(pod) && pod.request.short_of(&free[at]).is_none());
                    free[at] = free[at].minus(pod.request);
                }
            }
            Err(refusal) => prop_assert!(!at_all(&nodes, &members, &free), "{refusal:?}"),
        }
    }
}

#[test]
fn a_large_class_leaves_room_that_only_a_smaller_one_needs() {
    // Two workers of 4 cores each and a launcher of 6: largest GPUs first would take the launcher's only node.
    let nodes: Vec<Arc<NodeState>> = [("n0", 8_000), ("n1", 9_000)]
        .into_iter()
        .map(|(name, cpu)| {
            let mut node = node(name, 2);
            node.allocatable.cpu_milli = cpu;
            state(node)
        })
        .collect();
    let classes = [(1, 4_000, 2, vec![true, true]), (0, 6_000, 1, vec![true, true])];
    let members = gang(&classes, &nodes);
    assert_eq!(plan(Site::new(&nodes), &members).unwrap().len(), 3);
}

#[test]
fn a_refusal_of_a_large_mixed_gang_is_bounded_work() {
    // 400 nodes on which everything fits but one member too many of the second class.
    let nodes: Vec<_> = (0..400).map(|i| state(node(&format!("n{i:03}"), 8))).collect();
    let all = vec![true; 400];
    let classes = [(5, 1, 200, all.clone()), (4, 2, 401, all)];
    let refusal = plan(Site::new(&nodes), &gang(&classes, &nodes)).unwrap_err();
    assert_eq!(refusal.label(), "Fragmented");
}

// ---- models ----

const H100: &str = "NVIDIA-H100-80GB-HBM3";
const A100: &str = "NVIDIA-A100-SXM4-80GB";

#[test]
fn a_gang_runs_on_one_model_if_one_will_do() {
    // Best fit alone would take the A100 node for two and an H100 node for the third.
    let nodes = [with_model("n0", A100, 8), with_model("n1", H100, 8), with_model("n2", H100, 16)];
    let plan_of = |members: &[Arc<Pod>]| plan(Site::new(&nodes), members).unwrap();
    assert_eq!(used(&plan_of(&workers(3, 8, &[]))), ["n1", "n2"]);
    assert_eq!(used(&plan_of(&workers(4, 8, &[]))), ["n0", "n1", "n2"], "all models rather than none");
}

#[test]
fn as_few_models_as_can_be() {
    let nodes: Vec<_> = [("n0", "A", 8), ("n1", "B", 8), ("n2", "C", 8), ("n3", "D", 16)]
        .map(|(name, model, gpus)| with_model(name, model, gpus))
        .to_vec();
    let plan = plan(Site::new(&nodes), &workers(3, 8, &[])).unwrap();
    assert_eq!(used(&plan).len(), 2, "{:?}", used(&plan));
}

#[test]
fn named_models_are_tried_in_order_and_no_other_is_used() {
    let nodes = [with_model("n0", A100, 8), with_model("n1", H100, 4), with_model("n2", "L40S", 64)];
    let on = |count, models: &[&str]| plan(Site::new(&nodes), &workers(count, 4, models));
    assert_eq!(used(&on(1, &[H100, A100]).unwrap()), ["n1"]);
    assert_eq!(used(&on(2, &[H100, A100]).unwrap()), ["n0"], "never mixed");
    let refusal = on(3, &[H100, A100]).unwrap_err();
    assert_eq!(refusal.label(), "NoGpuModel");
    assert!(refusal.sentence().contains(&format!("{H100}, {A100}")), "{}", refusal.sentence());
    assert!(refusal.sentence().contains("12"), "says what is missing on the first: {}", refusal.sentence());
    let mut torn = workers(1, 4, &[H100]);
    torn.extend(workers(1, 4, &[A100]));
    let refusal = plan(Site::new(&nodes), &torn).unwrap_err();
    assert!(matches!(&refusal, Refusal::NoGpuModel { why: None, .. }), "{refusal:?}");
}

#[test]
fn a_gang_grows_on_the_model_that_it_has() {
    let nodes = [with_model("n0", A100, 8), with_model("n1", H100, 8), with_model("n2", H100, 4)];
    let bound = [(Name::from("worker"), NodeName::from("n1"))];
    let grow = |count, models: &[&str]| {
        let site = Site { bound: &bound, ..Site::new(&nodes) };
        plan(site, &workers(count, 4, models)).map(|plan| used(&plan).join(" "))
    };
    assert_eq!(grow(3, &[]).unwrap(), "n1 n2");
    assert_eq!(grow(4, &[]).unwrap(), "n0 n1", "or on several, if it must");
    assert_eq!(grow(1, &[A100, H100]).unwrap(), "n1", "the model it runs on, though another is wanted more");
    assert_eq!(grow(4, &[A100, H100]).unwrap_err().label(), "NoGpuModel");
}

#[test]
fn companions_without_gpus_go_where_they_like() {
    let nodes = [with_model("n0", H100, 8), state(node("cpu", 0))];
    let mut members = workers(1, 8, &[H100]);
    members.push(Arc::new(member(&gang_id("job"), "ps", 0, amount(0, 1))));
    assert_eq!(used(&plan(Site::new(&nodes), &members).unwrap()), ["cpu", "n0"]);
}

#[test]
fn without_the_label_the_agent_says_the_model() {
    let with = |name: &str, model: &str| {
        let mut seen = inventory(name, 8);
        seen.gpus.iter_mut().for_each(|gpu| gpu.model = model.into());
        let node = Arc::new(node(name, 8));
        Arc::new(NodeState::new(node, Some(Arc::new(seen)), Account::default(), vec![]))
    };
    let nodes = [with("n0", "NVIDIA A100 SXM4 80GB"), with("n1", "NVIDIA H100 80GB HBM3")];
    let plan = plan(Site::new(&nodes), &workers(1, 8, &[H100])).unwrap();
    assert_eq!(plan[0].node, NodeName::from("n1"));
}

// ---- condition and load, between nodes that would be filled alike ----

fn seen(name: &str, change: impl Fn(&mut muster_placement::inventory::Gpu)) -> Arc<NodeState> {
    let mut inventory = inventory(name, 8);
    change(&mut inventory.gpus[0]);
    Arc::new(NodeState::new(Arc::new(node(name, 8)), Some(Arc::new(inventory)), Account::default(), vec![]))
}

#[test]
fn degraded_and_dirty_gpus_come_last_among_equals() {
    let slow = |gpu: &mut muster_placement::inventory::Gpu| gpu.health = Health::Degraded("hot".into());
    let busy = |gpu: &mut muster_placement::inventory::Gpu| gpu.load.utilisation_percent = 90;
    let nodes = [seen("n0", busy), seen("n1", slow), seen("n2", |_| ())];
    let first = |nodes: &[Arc<NodeState>], each| {
        plan(Site::new(nodes), &workers(1, each, &[])).unwrap()[0].node.as_str().to_owned()
    };
    assert_eq!(first(&nodes, 2), "n2");
    assert_eq!(first(&nodes[..2], 2), "n1", "dirty is worse than degraded");
    assert_eq!(nodes[1].usable_gpus(), 8, "a degraded GPU is capacity");
    // Eight GPUs take all there are, so a node with less room is still taken first for less.
    let tight = [seen("n0", |_| ()), {
        let mut small = inventory("n1", 4);
        small.gpus[0].health = Health::Degraded("hot".into());
        Arc::new(NodeState::new(Arc::new(node("n1", 4)), Some(Arc::new(small)), Account::default(), vec![]))
    }];
    assert_eq!(first(&tight, 4), "n1", "whole nodes stay whole, whatever the condition");
}

#[test]
fn busy_gpus_of_pods_whose_gpus_are_not_known_are_not_dirty() {
    let mut inventory = inventory("n0", 8);
    inventory.gpus.iter_mut().take(3).for_each(|gpu| gpu.load.memory_used_mib = 40_000);
    let claimed = Account { claimed: amount(2, 1), ..Account::default() };
    let state = NodeState::new(Arc::new(node("n0", 8)), Some(Arc::new(inventory)), claimed, vec![]);
    assert_eq!((state.dirty_gpus, state.free.gpus), (1, 6));
}
