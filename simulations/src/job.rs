//! Jobs that users submit: what the operator of their kind makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_placement::affinity::Neighbours;
use muster_placement::extras::Extras;
use muster_placement::gang::{GangSpec, Role as GangRole};
use muster_placement::ids::{GangId, Name, PodUid};
use muster_placement::level::Topology;
use muster_placement::node_state::NodeState;
use muster_placement::planner::{Site, plan};
use muster_placement::pod::{Constraints, Gate, Member, Membership, Pod, PodPhase, Scheduler, SizeHint};
use muster_placement::resources::Resources;
use muster_placement::taint::Toleration;
use muster_placement::time::{CreatedAt, Span, Time};

/// A job as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Namespace.
    pub namespace: String,
    /// Kind of the owner, such as `TFJob`; a `ReplicaSet` is no gang: its pods are scheduled one by one.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Roles in the order in which their pods are made.
    pub roles: Vec<Role>,
    /// Members without which it does not start; `None`: all of them.
    pub min: Option<u32>,
    /// `spec.priority` of its pods.
    pub priority: i32,
    /// How long it runs once every member runs.
    pub duration: Span,
    /// Where its pods may go.
    pub constraints: Constraints,
    /// Whether the admission policy gives its pods Muster's gate.
    pub gated: bool,
}

/// One role of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Name in lower case, as the operator labels it.
    pub name: String,
    /// Number of pods.
    pub replicas: u32,
    /// What each asks for.
    pub request: Resources,
}

impl JobSpec {
    /// Number of pods.
    pub fn size(&self) -> u32 {
        self.roles.iter().map(|role| role.replicas).fold(0, u32::saturating_add)
    }

    /// Members that it needs to work.
    pub fn needed(&self) -> u32 {
        if self.is_gang() { self.min.unwrap_or(self.size()) } else { 1 }
    }

    /// GPUs of all pods together.
    pub fn gpus(&self) -> u64 {
        self.roles.iter().map(|role| role.request.gpus * u64::from(role.replicas)).sum()
    }

    /// Whether its pods must start together.
    pub fn is_gang(&self) -> bool {
        self.kind != "ReplicaSet"
    }
}

/// Tolerates the taint that GPU nodes carry.
pub fn gpu_toleration() -> Toleration {
    Toleration { key: Some(Name::from("nvidia.com/gpu")), exists: true, value: Name::from(""), effect: None }
}

/// A submitted job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) spec: JobSpec,
    pub(crate) id: GangId,
    pub(crate) submitted: Time,
    /// The pod of each place (role and index), while there is one.
    pub(crate) pods: BTreeMap<(usize, u32), PodUid>,
    /// Since when every member runs.
    pub(crate) running: Option<Time>,
    /// Rises when a run ends or is interrupted, so that the end of an earlier run is not taken for this one's.
    pub(crate) run: u64,
    /// When all members were bound for the first time.
    pub(crate) whole: Option<Time>,
    /// A member was lost, or refused for good, after the job began to be bound.
    pub(crate) lost: bool,
    pub(crate) ended: bool,
}

impl Job {
    pub(crate) fn new(spec: JobSpec, serial: u64, now: Time) -> Job {
        let id = GangId {
            namespace: Name::from(spec.namespace.as_str()),
            kind: Name::from(spec.kind.as_str()),
            name: Name::from(spec.name.as_str()),
            incarnation: Name::from(uid(serial).as_str()),
        };
        let pods = BTreeMap::new();
        Job { spec, id, submitted: now, pods, running: None, run: 0, whole: None, lost: false, ended: false }
    }

    /// What Muster reads of the owner.
    pub(crate) fn gang_spec(&self) -> GangSpec {
        let role = |role: &Role| {
            let whole = GangRole::whole(&role.name, role.replicas);
            // An elastic job can do without members of any role.
            if self.spec.min.is_some() { GangRole { min: 0, ..whole } } else { whole }
        };
        let roles = self.spec.roles.iter().map(role).collect();
        let size = self.spec.size();
        GangSpec { id: self.id.clone(), roles, size: Ok(size), min: self.spec.needed() }
    }

    /// Whether all its pods have a place on these nodes.
    pub(crate) fn fits(&self, nodes: &[Arc<NodeState>]) -> bool {
        let places =
            (0..).zip(&self.spec.roles).flat_map(|(at, role)| (0..role.replicas).map(move |i| (at, i)));
        let pods = places
            .zip(0..)
            .filter_map(|((role, index), serial)| self.pod(role, index, serial, self.submitted));
        let pods: Vec<Arc<Pod>> = pods.map(Arc::new).collect();
        plan(Site::new(nodes), &pods).is_ok()
    }

    /// A pod as the operator makes it and the admission policy leaves it.
    pub(crate) fn pod(&self, role: usize, index: u32, serial: u64, now: Time) -> Option<Pod> {
        let spec = &self.spec;
        let part = spec.roles.get(role)?;
        let member = Member {
            gang: self.id.clone(),
            role: Name::from(part.name.as_str()),
            index,
            size: SizeHint::Unsaid,
        };
        let gated = spec.gated && (spec.is_gang() || part.request.gpus > 0);
        Some(Pod {
            uid: PodUid::from(uid(serial).as_str()),
            namespace: self.id.namespace.clone(),
            name: Name::from(format!("{}-{}-{index}", spec.name, part.name).as_str()),
            labels: BTreeMap::new(),
            created: CreatedAt(now.0 / 1_000),
            priority: spec.priority,
            kind: self.id.kind.clone(),
            controlled: true,
            tenure: muster_placement::tenure::Tenure::default(),
            request: part.request,
            constraints: spec.constraints.clone(),
            extras: Extras::default(),
            split_gpus: false,
            neighbours: Neighbours::default(),
            gpu_models: Vec::new(),
            pvcs: Vec::new(),
            topology: Topology::default(),
            unmodelled: Vec::new(),
            scheduler: Scheduler::Ours,
            gate: if gated { Gate::Ours } else { Gate::Open },
            membership: if spec.is_gang() { Membership::Member(member) } else { Membership::Single },
            node: None,
            phase: PodPhase::Pending,
            terminating: false,
            stamp: None,
            verdict: None,
        })
    }
}

/// UIDs in the order in which objects were made.
pub(crate) fn uid(serial: u64) -> String {
    format!("{serial:08x}-0000-4000-8000-000000000000")
}
