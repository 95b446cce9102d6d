//! What the API server holds of a replayed job: owner, pods and nodes, as a training operator, the admission policy
//! and the kubelets would write them.

use std::collections::BTreeMap;

use muster_placement::affinity::Neighbours;
use muster_placement::extras::Extras;
use muster_placement::gang::{GangSpec, Role};
use muster_placement::ids::{GangId, GpuUuid, Name, NodeName, PodUid};
use muster_placement::inventory::{Gpu, Health, Inventory, Load};
use muster_placement::level::Topology;
use muster_placement::node::Node;
use muster_placement::pod::{
    Constraints, Gate, Member, Membership, Pod, PodPhase, Scheduler, SizeHint, Stamp,
};
use muster_placement::resources::Resources;
use muster_placement::selector::{NAME_FIELD, Operator, Requirement, Term};
use muster_placement::tenure::Tenure;
use muster_placement::time::{CreatedAt, Time};

use super::Work;
use super::site::{Site, Spot, Unit};

/// Cores in thousandths and bytes that go with each GPU: what makes GPUs the scarce thing.
const CPU_MILLI_EACH: u64 = 10_000;
const MEMORY_EACH: u64 = 64 << 30;

fn gang_id(work: &Work, job: usize) -> GangId {
    GangId {
        namespace: Name::from(format!("tenant-{:02}", work.tenant).as_str()),
        kind: Name::from("PyTorchJob"),
        name: Name::from(format!("job-{job:06}").as_str()),
        incarnation: Name::from(""),
    }
}

/// The owner of a job's pods.
pub(super) fn owner(work: &Work, job: usize) -> GangSpec {
    let pods = u32::try_from(work.pods).unwrap_or(u32::MAX);
    GangSpec { id: gang_id(work, job), roles: vec![Role::whole("worker", pods)], size: Ok(pods), min: pods }
}

/// A pod as the operator makes it and the admission policy leaves it.
pub(super) fn pod(unit: Unit, work: &Work, job: usize, index: usize, now: Time) -> Pod {
    let gang = gang_id(work, job);
    let member = Member {
        gang: gang.clone(),
        role: Name::from("worker"),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        size: SizeHint::Unsaid,
    };
    Pod {
        uid: uid(job, index),
        namespace: gang.namespace,
        name: Name::from(format!("job-{job:06}-worker-{index}").as_str()),
        labels: BTreeMap::new(),
        created: CreatedAt(now.0 / 1_000),
        priority: 0,
        kind: gang.kind,
        controlled: true,
        request: Resources { pods: 1, ..amount(unit, work.each) },
        constraints: Constraints::default(),
        extras: Extras::default(),
        split_gpus: false,
        neighbours: Neighbours::default(),
        gpu_models: Vec::new(),
        tenure: Tenure::default(),
        pvcs: Vec::new(),
        topology: Topology::default(),
        unmodelled: Vec::new(),
        scheduler: Scheduler::Ours,
        gate: Gate::Ours,
        membership: Membership::Member(member),
        node: None,
        phase: PodPhase::Pending,
        terminating: false,
        stamp: None,
        verdict: None,
    }
}

/// What so many units are.
fn amount(unit: Unit, units: u64) -> Resources {
    match unit {
        Unit::Gpu => Resources {
            gpus: units,
            cpu_milli: CPU_MILLI_EACH * units,
            memory: MEMORY_EACH * units,
            ..Resources::default()
        },
        Unit::QuarterCore => Resources { cpu_milli: 250 * units, ..Resources::default() },
    }
}

/// UID of a job's pod.
pub(super) fn uid(job: usize, index: usize) -> PodUid {
    PodUid::from(format!("{job:08x}-{index:04x}-4000-8000-000000000000").as_str())
}

/// The pod after the patch that releases it.
pub(super) fn released(pod: Pod, stamp: &Stamp, narrow: bool) -> Pod {
    let mut pod = Pod { stamp: Some(stamp.clone()), gate: Gate::Open, ..pod };
    if narrow {
        let values = vec![Name::from(stamp.node.as_str())];
        let name = Requirement { key: Name::from(NAME_FIELD), operator: Operator::In, values };
        pod.constraints.required = Some(vec![Term { expressions: Vec::new(), fields: vec![name] }]);
    }
    pod
}

/// A node with the labels of the domains that it is in.
pub(super) fn node(site: &Site, spot: &Spot) -> Node {
    let label = |(key, value): (&&str, &String)| (Name::from(*key), Name::from(value.as_str()));
    let mut labels: BTreeMap<Name, Name> = site.levels.iter().zip(&spot.domains).map(label).collect();
    labels.insert(Name::from("kubernetes.io/hostname"), Name::from(spot.name.as_str()));
    Node {
        name: NodeName::from(spot.name.as_str()),
        labels,
        taints: Vec::new(),
        cordoned: false,
        allocatable: Resources { ephemeral: 1 << 40, pods: 250, ..amount(site.unit, spot.gpus) },
        extended: BTreeMap::new(),
    }
}

/// What the node's agent reports: GPUs that are healthy and all equally linked.
pub(super) fn inventory(spot: &Spot) -> Inventory {
    let gpu = |at: u64| Gpu {
        uuid: GpuUuid::from(format!("GPU-{}-{at:02}", spot.name).as_str()),
        model: Name::from("NVIDIA A100-SXM4-80GB"),
        memory_mib: 81_920,
        numa: None,
        health: Health::Healthy,
        load: Load::default(),
    };
    Inventory {
        gpus: (0..spot.gpus).map(gpu).collect(),
        link_gbps: Vec::new(),
        driver_fault: None,
        seen: None,
    }
}
