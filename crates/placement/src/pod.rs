//! A pod as placement sees it: what it asks for, what it tolerates, to which gang it belongs and what our
//! own annotations say of it.
//!
//! The shell translates `core/v1` into this and names every rule it could not translate in `unmodelled`;
//! such a pod is planned like any other but never narrowed to one node, so that kube-scheduler may still
//! say no without the pod being stuck.

use alloc::vec::Vec;

use crate::affinity::Neighbours;
use crate::extras::Extras;
use crate::ids::{Epoch, GangId, GpuUuid, Name, NodeName, PodUid};
use crate::level::Topology;
use crate::pvc::PvcName;
use crate::resources::Resources;
use crate::selector::{Labels, NAME_FIELD, Term};
use crate::taint::Toleration;
use crate::tenure::Tenure;
use crate::time::CreatedAt;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`.
    pub uid: PodUid,
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// Labels.
    pub labels: Labels,
    /// Creation time.
    pub created: CreatedAt,
    /// `spec.priority`.
    pub priority: i32,
    /// Kind of the workload that made it (`TFJob`, `Job`, `ReplicaSet`), or `Pod`.
    pub kind: Name,
    /// Whether a controller would make a new one if this one were deleted.
    pub controlled: bool,
    /// How long it may stay, and whether it may send others away.
    pub tenure: Tenure,
    /// Effective request (KEP-753 formula over containers, sidecars, init containers and overhead).
    pub request: Resources,
    /// Other extended resources and host ports that it takes.
    pub extras: Extras,
    /// Whether several of its containers ask for GPUs: the kubelet then gives each its own, and what it would reject is
    /// not foretold.
    pub split_gpus: bool,
    /// Which nodes it may use.
    pub constraints: Constraints,
    /// How near to each other it wishes its gang and its role.
    pub topology: Topology,
    /// What it requires of the pods around it.
    pub neighbours: Neighbours,
    /// GPU models that it may run on, the one wanted most first, as in the node label `nvidia.com/gpu.product`; empty
    /// if any will do.
    pub gpu_models: Vec<Name>,
    /// PersistentVolumeClaims that it mounts, those of its ephemeral volumes included; sorted, each once.
    pub pvcs: Vec<PvcName>,
    /// Rules of this pod that the planner does not model.
    pub unmodelled: Vec<&'static str>,
    /// Whether kube-scheduler asks us about it.
    pub scheduler: Scheduler,
    /// Its scheduling gates.
    pub gate: Gate,
    /// The gang it belongs to.
    pub membership: Membership,
    /// `spec.nodeName`.
    pub node: Option<NodeName>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Whether `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// Our annotation: a plan while unbound, a grant once bound.
    pub stamp: Option<Stamp>,
    /// Message of the condition `PodScheduled=False` with reason `Unschedulable`.
    pub verdict: Option<Name>,
}

/// Node constraints of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// `spec.nodeSelector`.
    pub node_selector: Labels,
    /// Required node affinity; `None` if there is none, otherwise one of the terms must match.
    pub required: Option<Vec<Term>>,
    /// Preferred node affinity with its weights (1..=100).
    pub preferred: Vec<(u8, Term)>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
}

/// Who schedules a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// A kube-scheduler that calls us.
    Ours,
    /// Another one; the pod only takes room.
    Foreign,
}

/// Scheduling gates of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// None: kube-scheduler tries it.
    Open,
    /// Only ours.
    Ours,
    /// At least one that is not ours: somebody else still holds it back.
    Foreign,
}

/// The gang that a pod belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// No gang.
    Single,
    /// A member of a gang.
    Member(Member),
    /// Its labels or owners name a gang that we cannot identify.
    Unknown(OwnerFault),
}

/// A pod's place in a gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The gang.
    pub gang: GangId,
    /// Role, such as `worker`, `ps`, `launcher`; empty if the source has none.
    pub role: Name,
    /// Index inside the role.
    pub index: u32,
    /// What the pod itself says of the gang's size.
    pub size: SizeHint,
}

/// What a pod says of the size of its gang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SizeHint {
    /// Nothing.
    Unsaid,
    /// An environment variable says so; used only if the owner cannot be read.
    Environment(u32),
    /// A label says so; it is the size.
    Declared(u32),
}

/// Why the gang of a pod cannot be identified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerFault {
    /// The owner has not been seen (yet), or may not be read.
    Unreadable(Name),
    /// Controllers own each other in a circle, or the chain is longer than five.
    Cycle(Name),
    /// A label or field of the gang is malformed.
    Malformed(Name),
}

/// Life of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    /// Not running yet.
    Pending,
    /// Running, or state unknown: it holds what it was given.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

/// What Muster wrote on a pod: where it goes and which GPUs it is assumed to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The plan.
    pub epoch: Epoch,
    /// The node.
    pub node: NodeName,
    /// The GPUs assumed; empty on nodes without an agent.
    pub gpus: Vec<GpuUuid>,
}

impl Pod {
    /// Whether it holds, or would hold, anything: neither ended nor without effect.
    pub fn alive(&self) -> bool {
        matches!(self.phase, PodPhase::Pending | PodPhase::Running)
    }

    /// Whether it waits for a node and nobody else keeps it from getting one.
    pub fn awaits_node(&self) -> bool {
        self.node.is_none()
            && self.phase == PodPhase::Pending
            && !self.terminating
            && self.scheduler == Scheduler::Ours
            && self.gate != Gate::Foreign
    }

    /// Its role; empty where it has none.
    pub fn role(&self) -> Name {
        match &self.membership {
            Membership::Member(member) => member.role.clone(),
            Membership::Single | Membership::Unknown(_) => Name::from(""),
        }
    }

    /// Whether it asks for at least one GPU.
    pub fn wants_gpus(&self) -> bool {
        self.request.gpus > 0
    }

    /// Whether its node affinity names a single node, as our release does to a narrowed pod.
    pub fn narrowed(&self) -> bool {
        let by_name = |t: &Term| t.fields.iter().any(|r| r.key.as_str() == NAME_FIELD);
        self.constraints.required.as_ref().is_some_and(|terms| !terms.is_empty() && terms.iter().all(by_name))
    }
}
