//! What planning and publishing cost on 1,000 nodes of 8 GPUs (nearness: on 15,000), each beside a floor from the same run: medians.
//! Nothing here passes or fails.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench reads the clock, prints, and has no one to hand an error to"
)]

#[path = "../tests/world/mod.rs"]
mod world;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_placement::fleet::Terrain;
use muster_placement::ids::{AskId, Name, NodeName};
use muster_placement::ledger::Account;
use muster_placement::level::Level;
use muster_placement::node_state::NodeState;
use muster_placement::planner::{Site, plan};
use muster_placement::pod::{Gate, Pod, PodPhase};
use muster_placement::resources::Resources;
use muster_placement::selector::{Operator, Requirement, Term};
use muster_placement::taint::{Taint, TaintEffect, Toleration};
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event, Outcome};
use world::{amount, gang_id, inventory, member, node, pod};

const NODES: usize = 1_000;
const GPUS: u64 = 8;
const RUNS: usize = 31;

fn main() {
    println!("placement, {NODES} nodes of {GPUS} GPUs; microseconds, medians");
    plans();
    near();
    publication();
    life_of_a_pod();
    queue();
    filter();
}

/// Planning whole gangs on a draft. The floor is one look at every node.
fn plans() {
    let empty = nodes(0);
    let fragmented = nodes(1);
    let floor = |nodes: &[Arc<NodeState>], request: Resources| {
        median(|| nodes.iter().map(|state| request.copies_in(&state.free)).fold(0, u64::saturating_add))
    };
    for (name, nodes, each, fits) in [
        ("plan 100 members of 1 GPU", &empty, 1, true),
        ("plan 100 members of 8 GPUs", &empty, 8, true),
        ("refuse 100 members of 8 GPUs, with reason", &fragmented, 8, false),
    ] {
        let members = gang(100, each);
        let site = Site::new(nodes);
        assert_eq!(plan(site, &members).is_ok(), fits, "{name}");
        row(name, median(|| plan(site, &members)), "one look at every node", floor(nodes, amount(each, 500)));
    }
}

/// Planning on 15,000 nodes in racks of 16 and blocks of 256, for members that select nodes and tolerate a taint. The
/// floor is one pass over the nodes' free GPUs.
fn near() {
    let nodes: Vec<Arc<NodeState>> = (0..15_000).map(racked).collect();
    let levels = ["block", "rack"].map(|name| Level { name: name.into(), key: name.into() });
    let terrain = Terrain::new(&nodes, &levels);
    let floor = median(|| nodes.iter().map(|state| state.free.gpus / GPUS).sum::<u64>());
    let row = |name: &str, ours: Duration| row(name, ours, "one pass over free GPUs", floor);
    row("15,000 nodes: domains from labels", median(|| Terrain::new(&nodes, &levels)));
    let site = Site { terrain: Some(&terrain), ..Site::new(&nodes) };
    for (members, fits) in [(1, true), (16, true), (1_000, true), (15_001, false)] {
        let free = gang(members, GPUS);
        let constrained: Vec<Arc<Pod>> = free.iter().map(|pod| Arc::new(choosy(pod))).collect();
        for (what, gang) in [("", &free), (", constrained", &constrained)] {
            assert_eq!(plan(site, gang).is_ok(), fits, "{members}{what}");
            row(&format!("15,000 nodes: {members} x 8{what}"), median(|| plan(site, gang)));
        }
    }
}

/// A tainted node without an agent, of one of three models; one in five has one GPU less.
fn racked(at: usize) -> Arc<NodeState> {
    let mut node = node(&node_name(at), if at.is_multiple_of(5) { GPUS - 1 } else { GPUS });
    let labels = [("block", at / 256), ("rack", at / 16), ("model", at / 5_000)];
    node.labels.extend(labels.map(|(key, value)| (Name::from(key), Name::from(value.to_string().as_str()))));
    node.taints = vec![Taint { key: "gpu".into(), value: "".into(), effect: TaintEffect::PreferNoSchedule }];
    Arc::new(NodeState::new(Arc::new(node), None, Account::default(), Vec::new()))
}

/// The same pod, for two of the three models.
fn choosy(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    let values = vec!["0".into(), "1".into()];
    let model = Requirement { key: "model".into(), operator: Operator::In, values };
    pod.constraints.required = Some(vec![Term { expressions: vec![model], fields: Vec::new() }]);
    pod.constraints.tolerations =
        vec![Toleration { key: Some("gpu".into()), exists: true, value: "".into(), effect: None }];
    pod
}

/// A new view for readers, as it is made after every batch of events.
fn publication() {
    for pods in [0, 2_000, 8_000] {
        let cluster = filled(pods);
        let view = cluster.view();
        let floor = median(|| (view.nodes.clone(), view.pods.clone(), view.gangs.clone()));
        row(
            &format!("publish a view, {pods} bound pods"),
            median(|| cluster.view()),
            "its Arcs alone",
            floor,
        );
    }
}

/// All that happens to a gated pod until it runs: nine events, each with a publication, as on a quiet cluster.
fn life_of_a_pod() {
    for pods in [0, 2_000] {
        let mut cluster = filled(pods);
        let (mut applied, mut published) = (Vec::new(), Vec::new());
        for serial in 0..100 {
            let [apply, publish] = live(&mut cluster, serial);
            applied.push(apply);
            published.push(publish);
        }
        let name = format!("life of a gated pod beside {pods}, apply");
        row(&name, middle(applied), "publishing after each event", middle(published));
    }
}

/// 1,000 single pods wait on a full cluster, and one of the running ones ends.
fn queue() {
    let mut times = Vec::new();
    for run in 0..RUNS {
        let mut cluster = empty_cluster();
        let running: Vec<Pod> = (0..NODES).map(|at| bound(&format!("running-{at}"), at, GPUS)).collect();
        tell_all(&mut cluster, &running);
        cluster.apply(Event::Synced, Time(0));
        let waiting: Vec<Pod> = (0..1_000).map(|at| gated(&format!("waiting-{at}"), GPUS)).collect();
        tell_all(&mut cluster, &waiting);
        let ended = Pod { phase: PodPhase::Succeeded, ..running[run * 7 % NODES].clone() };
        let start = Instant::now();
        let effects = cluster.apply(Event::PodSeen(Box::new(ended)), Time(1));
        times.push(start.elapsed());
        let released = effects.iter().filter(|effect| matches!(effect, Effect::Release { .. })).count();
        assert_eq!(released, 1, "the room of one pod is for one pod");
    }
    let members = gang(1, GPUS);
    let full = nodes(GPUS);
    let site = Site::new(&full);
    let floor = median(|| plan(site, &members)) * 1_000;
    row("one of 1,000 ends, 1,000 single pods wait", middle(times), "1,000 plans that fail", floor);
}

/// What a single GPU pod may use, of all nodes, offered nearly in order.
fn filter() {
    let view = filled(2_000).view();
    let mut names: Vec<&str> = view.nodes.iter().map(|state| state.node.name.as_str()).collect();
    names.chunks_exact_mut(10).for_each(|ten| ten.swap(0, 1));
    let pod = pod("single", amount(1, 500));
    let floor = median(|| view.nodes.iter().zip(&names).filter(|(s, n)| s.node.name.as_str() == **n).count());
    row("filter a single GPU pod", median(|| view.filter(&pod, &names)), "one look at each name", floor);
}

/// Brings one pod from its creation to running; time in `apply` and in `view`.
fn live(cluster: &mut Cluster, serial: u64) -> [Duration; 2] {
    let fresh = gated(&format!("fresh-{serial}"), 1);
    let mut spent = [Duration::ZERO; 2];
    let mut tell = |event: Event| {
        let start = Instant::now();
        let effects = cluster.apply(event, Time(serial));
        let applied = Instant::now();
        black_box(cluster.view());
        spent[0] += applied - start;
        spent[1] += applied.elapsed();
        effects
    };
    let seen = |pod: &Pod| Event::PodSeen(Box::new(pod.clone()));
    let effects = tell(seen(&fresh));
    let stamp = effects.iter().find_map(|effect| match effect {
        Effect::Release { stamp, .. } => Some(stamp.clone()),
        _ => None,
    });
    let stamp = stamp.unwrap();
    let released = Pod { gate: Gate::Open, stamp: Some(stamp.clone()), ..fresh.clone() };
    tell(seen(&released));
    tell(Event::ReleaseOutcome(fresh.uid.clone(), stamp.epoch, Outcome::Done));
    tell(seen(&released)); // kube-scheduler's first words in the status
    tell(Event::BindAsked { ask: AskId(serial), pod: fresh.uid.clone(), node: stamp.node.clone() });
    let bound = Pod { node: Some(stamp.node.clone()), ..released };
    tell(seen(&bound));
    tell(Event::BindOutcome(fresh.uid.clone(), stamp.node, Outcome::Done));
    tell(seen(&Pod { phase: PodPhase::Running, ..bound.clone() }));
    tell(Event::Tick);
    spent
}

fn nodes(claimed_gpus: u64) -> Vec<Arc<NodeState>> {
    let state = |at: usize| {
        let node = node(&node_name(at), GPUS);
        let inventory = inventory(&node_name(at), GPUS);
        let claimed = Resources { gpus: claimed_gpus, ..Resources::default() };
        let account = Account { claimed, ..Account::default() };
        Arc::new(NodeState::new(Arc::new(node), Some(Arc::new(inventory)), account, Vec::new()))
    };
    (0..NODES).map(state).collect()
}

fn gang(members: u32, each: u64) -> Vec<Arc<Pod>> {
    let id = gang_id("job");
    (0..members).map(|at| Arc::new(member(&id, "worker", at, amount(each, 500)))).collect()
}

fn empty_cluster() -> Cluster {
    let mut cluster = Cluster::default();
    for at in 0..NODES {
        let name = node_name(at);
        cluster.apply(Event::NodeSeen(Box::new(node(&name, GPUS))), Time(0));
        cluster.apply(Event::Reported(NodeName::from(name.as_str()), inventory(&name, GPUS)), Time(0));
    }
    cluster
}

/// A cluster on which so many one-GPU pods run.
fn filled(pods: usize) -> Cluster {
    let mut cluster = empty_cluster();
    let running: Vec<Pod> = (0..pods).map(|at| bound(&format!("running-{at}"), at % NODES, 1)).collect();
    tell_all(&mut cluster, &running);
    cluster.apply(Event::Synced, Time(0));
    cluster
}

fn tell_all(cluster: &mut Cluster, pods: &[Pod]) {
    for pod in pods {
        cluster.apply(Event::PodSeen(Box::new(pod.clone())), Time(0));
    }
}

fn gated(name: &str, gpus: u64) -> Pod {
    Pod { gate: Gate::Ours, controlled: true, ..pod(name, amount(gpus, 500)) }
}

fn bound(name: &str, at: usize, gpus: u64) -> Pod {
    let node = Some(NodeName::from(node_name(at).as_str()));
    Pod { node, phase: PodPhase::Running, ..pod(name, amount(gpus, 500)) }
}

fn node_name(at: usize) -> String {
    format!("gpu-pool-a100-{at:05}.eu-central-1.compute.internal")
}

fn row(name: &str, ours: Duration, floor_name: &str, floor: Duration) {
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let ratio = us(ours) / us(floor);
    println!("{name:44} {:>10.1}   {floor_name:28} {:>10.1}   ratio {ratio:.1}", us(ours), us(floor));
}

/// The median time of a call, what it returns dropped.
fn median<T>(mut call: impl FnMut() -> T) -> Duration {
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        drop(black_box(call()));
        start.elapsed()
    });
    middle(times.collect())
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
