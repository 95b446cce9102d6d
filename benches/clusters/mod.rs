//! Clusters of any size as the extender sees them, for the benches: 8 GPUs to a node, each node with its report, and
//! one-GPU pods on two of five nodes.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each program uses a part; there is no one to hand an error to"
)]

use k8s_openapi::api::core::v1::Pod as KubePod;
use muster::recognise::Owners;
use muster::translate::{self, SchedulerNames};
use muster_placement::ids::{GpuUuid, Name, NodeName};
use muster_placement::inventory::{Gpu, Health, Inventory, Load};
use muster_placement::pod::Pod;
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event, View};
use serde_json::{Value, json};

/// Size of a pod's JSON with what training operators put into it.
const POD_BYTES: usize = 6_700;

/// 49 bytes, as clouds name their nodes.
pub(crate) fn node_name(at: usize) -> String {
    format!("gpu-pool-a100-{at:05}.eu-central-1.compute.internal")
}

/// The pods that are asked about. Only `single` belongs to no gang; of `refused`'s one member is missing.
pub(crate) fn pods() -> [(&'static str, Value); 3] {
    [
        ("planned", pod("planned-0", Some(("planned", 2)), 1)),
        ("refused", pod("refused-0", Some(("refused", 3)), 1)),
        ("single", pod("single", None, 1)),
    ]
}

/// A cluster of so many nodes without pods, which is not yet read to its end.
pub(crate) fn cluster(nodes: usize) -> Cluster {
    let mut cluster = Cluster::default();
    for at in 0..nodes {
        let name = node_name(at);
        let amounts = json!({"nvidia.com/gpu": "8", "cpu": "128", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "110"});
        let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "a"});
        let node = json!({"metadata": {"name": name, "labels": labels}, "status": {"allocatable": amounts}});
        let node = translate::node(&serde_json::from_value(node).unwrap());
        cluster.apply(Event::NodeSeen(Box::new(node)), Time(0));
        cluster.apply(Event::Reported(NodeName::from(name.as_str()), inventory(at)), Time(0));
    }
    cluster
}

/// A pod that runs on a node.
pub(crate) fn running(name: &str, node: usize, gpus: u32) -> Pod {
    let mut running = pod(name, None, gpus);
    running["spec"]["nodeName"] = json!(node_name(node));
    running["status"] = json!({"phase": "Running"});
    translated(running)
}

/// A member of a gang, or a pod alone, that waits behind the gate.
pub(crate) fn gated(name: &str, gang: Option<(&str, usize)>, gpus: u32) -> Pod {
    let mut gated = pod(name, gang, gpus);
    gated["spec"]["schedulingGates"] = json!([{"name": translate::GATE}]);
    translated(gated)
}

/// A cluster of so many nodes, read and at rest, which knows the pods of [`pods`].
pub(crate) fn view(nodes: usize) -> View {
    let mut cluster = cluster(nodes);
    for at in (0..nodes).filter(|at| at % 5 < 2) {
        cluster.apply(Event::PodSeen(Box::new(running(&format!("running-{at}"), at, 1))), Time(0));
    }
    cluster.apply(Event::Synced, Time(0));
    let members = [pod("planned-1", Some(("planned", 2)), 1), pod("refused-1", Some(("refused", 3)), 1)];
    let asked = pods().map(|(_, pod)| pod);
    let effects: Vec<Effect> = asked
        .into_iter()
        .chain(members)
        .flat_map(|pod| cluster.apply(Event::PodSeen(Box::new(translated(pod))), Time(0)))
        .collect();
    // The API server carries out what was decided, and the watch tells.
    for effect in effects {
        if let Effect::Release { pod, stamp, .. } = effect {
            let released = Pod { stamp: Some(stamp), ..Pod::clone(&pod) };
            cluster.apply(Event::PodSeen(Box::new(released)), Time(0));
        }
    }
    cluster.view()
}

/// The node that `planned` is to have.
pub(crate) fn planned_node(view: &View) -> String {
    let state = view.pods.get("uid-planned-0").unwrap();
    state.stamp.as_ref().unwrap().node.as_str().to_owned()
}

/// How names come.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// By name.
    Sorted,
    /// As kube-scheduler's sixteen workers leave them: every tenth pair changed.
    Near,
    /// Three zones in turn, as kube-scheduler lists nodes.
    Zones,
    /// By chance.
    Shuffled,
}

/// All names of so many nodes.
pub(crate) fn names(nodes: usize, order: Order) -> Vec<String> {
    let mut names: Vec<String> = (0..nodes).map(node_name).collect();
    match order {
        Order::Sorted => {}
        Order::Near => names.chunks_exact_mut(10).for_each(|ten| ten.swap(0, 1)),
        Order::Zones => {
            let third = nodes.div_ceil(3);
            names = (0..third)
                .flat_map(|at| [at, at + third, at + 2 * third])
                .filter(|at| *at < nodes)
                .map(node_name)
                .collect();
        }
        Order::Shuffled => {
            let mut state = 1_u64;
            for at in (1..names.len()).rev() {
                // Knuth's MMIX generator: any fixed order without order will do.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                names.swap(at, usize::try_from(state >> 33).unwrap_or(0) % (at + 1));
            }
        }
    }
    names
}

/// The body of filter and prioritize, as Go writes it.
pub(crate) fn body(pod: &Value, names: &[String]) -> String {
    format!(r#"{{"Pod":{pod},"Nodes":null,"NodeNames":{}}}"#, json!(names))
}

/// A pod as the watch would bring it.
pub(crate) fn translated(pod: Value) -> Pod {
    let pod: KubePod = serde_json::from_value(pod).unwrap();
    translate::pod(&pod, &Owners::default(), &SchedulerNames::from_iter(["default-scheduler", "muster"]))
}

fn pod(name: &str, gang: Option<(&str, usize)>, gpus: u32) -> Value {
    let labels = gang
        .map(|(gang, size)| json!({"muster.dev/gang-name": gang, "muster.dev/gang-size": size.to_string()}));
    let amounts = json!({"nvidia.com/gpu": gpus.to_string(), "cpu": "1", "memory": "1Gi"});
    json!({
        "metadata": {"uid": format!("uid-{name}"), "namespace": "default", "name": name, "labels": labels.unwrap_or_else(|| json!({}))},
        "spec": {"containers": [{
            "name": "train",
            "env": [{"name": "TF_CONFIG", "value": "x".repeat(POD_BYTES - 400)}],
            "resources": {"limits": amounts, "requests": amounts},
        }]},
        "status": {"phase": "Pending"},
    })
}

fn inventory(node: usize) -> Inventory {
    let gpu = |index: usize| Gpu {
        uuid: GpuUuid::from(format!("GPU-{node:05}-{index}").as_str()),
        model: Name::from("NVIDIA A100-SXM4-80GB"),
        memory_mib: 81_920,
        numa: None,
        health: Health::Healthy,
        load: Load::default(),
    };
    Inventory { gpus: (0..8).map(gpu).collect(), ..Inventory::default() }
}
