//! Why not. One enum serves the extender's reply, the metric label, the Kubernetes event, the API and the
//! command line.
//!
//! [`Refusal::label`] is stable and has no data in it: it is what kube-scheduler sees, since a message that
//! changes re-wakes its own pod without back-off (kube-scheduler 1.32 and later). [`Refusal::sentence`] has
//! the numbers and is for people.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use crate::extras::HostPort;
use crate::ids::{GangId, Name, NodeName};
use crate::pod::OwnerFault;
use crate::pvc::PvcName;
use crate::resources::Resource;

/// A reason for not placing a pod or a gang.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// Muster has not yet read the cluster.
    NotReady,
    /// Members are missing.
    WaitingForMembers {
        /// Members that exist or have ended well.
        have: u64,
        /// Members needed to start.
        need: u64,
    },
    /// A member has a scheduling gate of somebody else.
    GatedBy,
    /// The owner or its size cannot be read.
    OwnerUnreadable(OwnerFault),
    /// The declared size is zero, or smaller than the number of members seen.
    InvalidGangSize {
        /// Size declared.
        declared: u64,
        /// Members seen.
        seen: u64,
    },
    /// Ready, and next to be tried.
    Queued,
    /// Not enough of a resource on all eligible nodes together.
    Insufficient {
        /// The resource.
        resource: Resource,
        /// Asked by the gang as a whole.
        need: u64,
        /// Free on the nodes that its pods may use.
        free: u64,
    },
    /// Enough in sum, but not in the shape that a pod needs.
    Fragmented {
        /// The resource, by its Kubernetes name.
        resource: Name,
        /// Asked by one pod.
        need: u64,
        /// Pods of that size that fit now.
        fits: u64,
        /// Pods of that size to be placed.
        pods: u64,
    },
    /// Not enough of another extended resource on all eligible nodes together, or on this node.
    InsufficientExtended {
        /// The resource.
        name: Name,
        /// Asked.
        need: u64,
        /// Free.
        free: u64,
    },
    /// A host port is taken on too many nodes, or on this one.
    PortTaken {
        /// The port.
        port: HostPort,
    },
    /// A rule about other pods keeps a member from every node with room.
    Neighbours {
        /// The rule.
        rule: NeighbourRule,
        /// Its topology key.
        key: Name,
        /// Nodes with room from which it keeps the member.
        nodes: u64,
        /// Members that found a place.
        fits: u64,
        /// Members to be placed.
        pods: u64,
    },
    /// The gang fits on none of the GPU models that it may use.
    NoGpuModel {
        /// The models tried, in order; empty if the members do not agree on one.
        tried: Name,
        /// Why not on the first one.
        why: Option<Box<Refusal>>,
    },
    /// No node matches the pod's nodeSelector, node affinity or tolerations.
    NoEligibleNode {
        /// Nodes looked at.
        nodes: u64,
    },
    /// A level of the topology is required that no node of this cluster carries.
    UnknownLevel {
        /// The level, in the pod's words.
        level: Name,
    },
    /// All would fit in the cluster, but not in a single domain of the required level.
    NoDomain {
        /// The level, in the pod's words.
        level: Name,
        /// Pods that fit in the domain with the most room.
        fits: u64,
        /// Pods to be placed.
        pods: u64,
    },
    /// No node of the required pool, or this node is not in it.
    PoolMismatch,
    /// A volume keeps the pod or gang from starting.
    Volume {
        /// The claim.
        pvc: PvcName,
        /// What is the matter with it.
        fault: VolumeFault,
    },
    /// Enough GPUs are free, but so spread over NUMA nodes that the kubelet's topology manager would reject the pod.
    TopologyAffinity,
    /// Pods that are leaving make room for the gang.
    PreemptionPending {
        /// Pods still there, evicted for this gang or on their way out anyway.
        pods: u64,
        /// Gangs and single pods evicted for it.
        victims: u64,
    },
    /// The pods that would have to go may not be evicted.
    PreemptionRefused(Name),
    /// Room was made for the gang, and it could not be used.
    PreemptionFailed,
    /// The node is planned or held for somebody else.
    ReservedForOther,
    /// The pod's place is another node.
    PlannedElsewhere,
    /// kube-scheduler did not offer the planned node.
    PlannedNodeNotOffered,
    /// kube-scheduler refused the planned node for a rule that is not modelled here.
    SchedulerRefused {
        /// The node.
        node: NodeName,
        /// kube-scheduler's own words.
        message: Name,
    },
    /// Not all members arrived at their bind in time.
    BarrierTimeout,
    /// A bind was asked for a pod that has no plan (any more), or for another node than planned.
    NotPlanned,
    /// A bind was asked for a node that does not exist.
    NodeUnknown,
    /// The node cannot take the pod any more.
    NodeUnusable,
    /// A bind was asked for a pod that is not known.
    PodUnknown,
    /// The pod is already bound to another node.
    BoundElsewhere,
    /// The API server refused the Binding, or its answer is not known yet.
    BindFailed(Name),
}

/// A rule about other pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeighbourRule {
    /// Required pod affinity.
    Near,
    /// Required pod anti-affinity.
    Apart,
    /// Required anti-affinity of a pod that has a place already.
    Unwelcome,
    /// Topology spread, `DoNotSchedule`.
    Spread,
}

/// What is the matter with a PersistentVolumeClaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VolumeFault {
    /// It does not exist.
    Missing,
    /// It has no volume, and its class does not wait for a pod to make one.
    Unbound,
    /// Its volume is gone, or it is being deleted.
    Lost,
    /// It is for one pod at a time, and another one has it.
    InUse,
    /// No node that the pod may use reaches its volume.
    Unreachable,
}

impl Refusal {
    /// Stable name in `PascalCase`: metric label, event reason, first word of every message.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::NotReady => "NotReady",
            Refusal::WaitingForMembers { .. } => "WaitingForMembers",
            Refusal::GatedBy => "GatedBy",
            Refusal::OwnerUnreadable(_) => "OwnerUnreadable",
            Refusal::InvalidGangSize { .. } => "InvalidGangSize",
            Refusal::Queued => "Queued",
            Refusal::Insufficient { resource: Resource::Gpu, .. } => "InsufficientGpus",
            Refusal::Insufficient { resource: Resource::Cpu, .. } => "InsufficientCpu",
            Refusal::Insufficient { resource: Resource::Memory, .. } => "InsufficientMemory",
            Refusal::Insufficient { resource: Resource::EphemeralStorage, .. } => {
                "InsufficientEphemeralStorage"
            }
            Refusal::Insufficient { resource: Resource::Pods, .. } => "InsufficientPodSlots",
            Refusal::Fragmented { .. } => "Fragmented",
            Refusal::InsufficientExtended { .. } => "InsufficientExtendedResource",
            Refusal::PortTaken { .. } => "HostPortTaken",
            Refusal::Neighbours { rule, .. } => rule.label(),
            Refusal::NoGpuModel { .. } => "NoGpuModel",
            Refusal::NoEligibleNode { .. } => "NoEligibleNode",
            Refusal::UnknownLevel { .. } => "UnknownTopologyLevel",
            Refusal::NoDomain { .. } => "NoTopologyDomain",
            Refusal::PoolMismatch => "PoolMismatch",
            Refusal::Volume { fault, .. } => fault.label(),
            Refusal::TopologyAffinity => "TopologyAffinity",
            Refusal::PreemptionPending { .. } => "PreemptionPending",
            Refusal::PreemptionRefused(_) => "PreemptionRefused",
            Refusal::PreemptionFailed => "PreemptionFailed",
            Refusal::ReservedForOther => "ReservedForOther",
            Refusal::PlannedElsewhere => "PlannedElsewhere",
            Refusal::PlannedNodeNotOffered => "PlannedNodeNotOffered",
            Refusal::SchedulerRefused { .. } => "SchedulerRefused",
            Refusal::BarrierTimeout => "BarrierTimeout",
            Refusal::NotPlanned => "NotPlanned",
            Refusal::NodeUnknown => "NodeUnknown",
            Refusal::NodeUnusable => "NodeUnusable",
            Refusal::PodUnknown => "PodUnknown",
            Refusal::BoundElsewhere => "BoundElsewhere",
            Refusal::BindFailed(_) => "BindFailed",
        }
    }

    /// Whether others' leaving could help: the room is there, but taken.
    pub fn wants_room(&self) -> bool {
        matches!(
            self,
            Refusal::Insufficient { .. }
                | Refusal::Fragmented { .. }
                | Refusal::InsufficientExtended { .. }
                | Refusal::PortTaken { .. }
                | Refusal::PreemptionRefused(_)
                | Refusal::PreemptionFailed
        )
    }

    /// One sentence for a person, with the numbers.
    pub fn sentence(&self) -> String {
        match self {
            Refusal::NotReady => "Muster is still reading the cluster.".into(),
            Refusal::WaitingForMembers { have, need } => {
                format!("{have} of {need} members exist; the gang starts when all are there.")
            }
            Refusal::GatedBy => "A member is held back by a scheduling gate that is not Muster's.".into(),
            Refusal::OwnerUnreadable(fault) => owner_sentence(fault),
            Refusal::InvalidGangSize { declared, seen } => {
                format!("The declared size {declared} cannot be: {seen} members exist. Correct the size.")
            }
            Refusal::Queued => "Ready to be planned.".into(),
            Refusal::Insufficient { resource, need, free } => shortage(*resource, *need, *free),
            Refusal::Fragmented { resource, need, fits, pods } => format!(
                "Enough {resource} is free in sum, but not in shape: {pods} pods need {need} each on one node, and {fits} such places are free."
            ),
            Refusal::InsufficientExtended { name, need, free } => lacking(name, *need, *free),
            Refusal::PortTaken { port: HostPort { protocol, port } } => format!(
                "Each pod needs the host port {port}/{protocol} on a node of its own, and too few nodes with room have it free."
            ),
            Refusal::Neighbours { rule, key, nodes, fits, pods } => format!(
                "{fits} of {pods} pods have a place; {nodes} nodes with room for the next one are ruled out by {} by {key}.",
                rule.words()
            ),
            Refusal::NoGpuModel { tried, why } => no_model(tried, why.as_deref()),
            Refusal::NoEligibleNode { nodes } => format!(
                "None of {nodes} nodes matches the pod's node selector, node affinity and tolerations, or all are cordoned."
            ),
            Refusal::UnknownLevel { level } => format!(
                "The topology level {level:?} is required, and no node has its label. Correct the annotation, or label the nodes."
            ),
            Refusal::NoDomain { level, fits, pods } => format!(
                "The {pods} pods must be in one domain of the level {level:?}: the one with the most room takes {fits}."
            ),
            Refusal::PoolMismatch => "The node pool that this workload requires has no such node.".into(),
            Refusal::Volume { pvc, fault } => fault.sentence(pvc),
            Refusal::TopologyAffinity => {
                "Enough GPUs are free, but not on as few NUMA nodes as the kubelet's topology manager demands: it would reject the pod (TopologyAffinityError).".into()
            }
            Refusal::PreemptionPending { pods, victims } => leaving(*pods, *victims),
            Refusal::PreemptionRefused(why) => {
                format!("Those that would have to go may not be evicted: {why} Others are tried after a while.")
            }
            Refusal::PreemptionFailed => {
                "Room was made for the gang, but could not be used. It is tried again after a while.".into()
            }
            Refusal::ReservedForOther => "What is free here is held for a gang that is starting.".into(),
            Refusal::PlannedElsewhere => "The pod's place is on another node.".into(),
            Refusal::PlannedNodeNotOffered => "kube-scheduler did not offer the planned node.".into(),
            Refusal::SchedulerRefused { node, message } => {
                format!("kube-scheduler refused the planned node {node}: {message}")
            }
            Refusal::BarrierTimeout => "Not all members arrived in time; nobody was bound.".into(),
            Refusal::NotPlanned => "The pod has no plan for this node.".into(),
            Refusal::NodeUnknown => "The node does not exist.".into(),
            Refusal::NodeUnusable => "The node cannot take the pod any more.".into(),
            Refusal::PodUnknown => "The pod is not known.".into(),
            Refusal::BoundElsewhere => "The pod is bound to another node.".into(),
            Refusal::BindFailed(why) => format!("The Binding did not succeed: {why}"),
        }
    }

    /// What kube-scheduler is told: constant per state. `gang` names the gang that the pod belongs to.
    pub fn message(&self, gang: Option<&GangId>) -> String {
        gang.map_or_else(|| format!("{MARK}{}", self.label()), |g| format!("{MARK}{} ({g})", self.label()))
    }
}

impl NeighbourRule {
    fn label(self) -> &'static str {
        match self {
            NeighbourRule::Near => "PodAffinity",
            NeighbourRule::Apart => "PodAntiAffinity",
            NeighbourRule::Unwelcome => "PodAntiAffinityOfOthers",
            NeighbourRule::Spread => "TopologySpread",
        }
    }

    fn words(self) -> &'static str {
        match self {
            NeighbourRule::Near => "its pod affinity",
            NeighbourRule::Apart => "its pod anti-affinity",
            NeighbourRule::Unwelcome => "the anti-affinity of pods that are there or planned there",
            NeighbourRule::Spread => "its topology spread constraint",
        }
    }
}

impl VolumeFault {
    fn label(self) -> &'static str {
        match self {
            VolumeFault::Missing => "VolumeMissing",
            VolumeFault::Unbound => "VolumeUnbound",
            VolumeFault::Lost => "VolumeLost",
            VolumeFault::InUse => "VolumeInUse",
            VolumeFault::Unreachable => "VolumeUnreachable",
        }
    }

    fn sentence(self, pvc: &PvcName) -> String {
        let what = match self {
            VolumeFault::Missing => "does not exist. Create it.",
            VolumeFault::Unbound => {
                "has no volume yet. Is there one that fits, or a storage class that makes one?"
            }
            VolumeFault::Lost => "has lost its volume, or is being deleted.",
            VolumeFault::InUse => "is ReadWriteOncePod, and another pod uses it or will.",
            VolumeFault::Unreachable => {
                "has its volume where none of the nodes that the pod may use can reach it."
            }
        };
        format!("The PersistentVolumeClaim {pvc} {what}")
    }
}

/// Every message of ours to kube-scheduler begins so; it is how we know our own words when they come back.
pub const MARK: &str = "muster: ";

fn owner_sentence(fault: &OwnerFault) -> String {
    match fault {
        OwnerFault::Unreadable(owner) => {
            format!(
                "The owner {owner} cannot be read, so the gang's size is not known. Is its CRD served, and may Muster read it?"
            )
        }
        OwnerFault::Cycle(owner) => format!("The owners of the pod go in a circle at {owner}."),
        OwnerFault::Malformed(what) => format!("The gang's description is malformed: {what}"),
    }
}

fn no_model(tried: &Name, why: Option<&Refusal>) -> String {
    match why {
        Some(why) => {
            format!(
                "The gang fits on none of the GPU models it may use ({tried}). On the first: {}",
                why.sentence()
            )
        }
        None if tried.as_str().is_empty() => {
            "The members name GPU models, and none of them is named by all.".into()
        }
        None => format!("The node's GPUs are none of the models that the pod may use ({tried})."),
    }
}

fn leaving(pods: u64, victims: u64) -> String {
    if victims == 0 {
        return format!("{pods} pods are leaving; what they leave is kept for this gang.");
    }
    format!(
        "{victims} of lower priority are evicted for this gang; it starts when their {pods} pods are gone."
    )
}

fn lacking(name: &Name, need: u64, free: u64) -> String {
    format!("{need} of {name} are needed, {free} are free: {} missing.", need.saturating_sub(free))
}

fn shortage(resource: Resource, need: u64, free: u64) -> String {
    let unit = match resource {
        Resource::Gpu | Resource::Pods => "",
        Resource::Cpu => " thousandths of a core",
        Resource::Memory | Resource::EphemeralStorage => " bytes",
    };
    let missing = need.saturating_sub(free);
    format!(
        "The gang needs {need}{unit} of {}, {free} are free on the nodes it may use: {missing} missing.",
        resource.name()
    )
}
