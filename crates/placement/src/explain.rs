//! Why a gang does not start, node by node: how many nodes are left after each condition, what stands in the
//! way on each of the others, and who has the GPUs there.
//!
//! Asks for one place for the largest member that still needs one. That is what a person can check; whether the
//! whole gang fits is the planner's answer, which is the gang's refusal. `change` says what single step would make
//! that answer yes. Decides nothing.

mod change;
mod request;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::gang::Gang;
use crate::ids::{GangId, Name, NodeName};
use crate::node_state::NodeState;
use crate::pod::Pod;
use crate::pool::{PoolRule, Strength, rule_for};
use crate::pvc::{PvcName, out_of_reach};
use crate::refusal::Refusal;
use crate::taint::untolerated;
use crate::view::View;

pub use change::{Change, changes};

/// The answer for one gang.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The member that a place is sought for: of those without a node the one with the largest request, of all of
    /// them if none is without.
    pub member: Arc<Pod>,
    /// Nodes left after each condition, in order; the first row counts all nodes.
    pub funnel: Vec<(Condition, u64)>,
    /// Nodes that cannot take the member, by name.
    pub obstacles: Vec<(NodeName, Obstacle)>,
}

/// What is asked of a node. Each is asked only of nodes that met those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It is there.
    Known,
    /// Not cordoned, not left out for this gang, taints tolerated, labels and affinity as asked, volumes within reach, GPUs of a model that will do.
    Allowed,
    /// In a pool of the purpose that the workload requires.
    InPool,
    /// At least as many allocatable and healthy GPUs as the member asks for, taken or not.
    Healthy,
    /// Room for the member now.
    Room,
}

impl Condition {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Condition; 5] =
        [Condition::Known, Condition::Allowed, Condition::InPool, Condition::Healthy, Condition::Room];

    /// Stable name.
    pub fn label(self) -> &'static str {
        match self {
            Condition::Known => "nodes",
            Condition::Allowed => "allowed",
            Condition::InPool => "in_pool",
            Condition::Healthy => "healthy",
            Condition::Room => "room",
        }
    }
}

/// The first thing that keeps the member from a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The node is cordoned.
    Cordoned,
    /// kube-scheduler refused the node for this gang a short while ago.
    LeftOut,
    /// A taint that the member does not tolerate.
    Taint(Name),
    /// Node selector or required node affinity.
    Labels,
    /// The volume of this claim cannot be used from the node, or not at all.
    Volume(PvcName),
    /// The node's GPUs are of this model, which the member may not use.
    Model(Name),
    /// The node is in no pool of this purpose.
    Pool(Name),
    /// Too few healthy GPUs, whoever has them.
    FewGpus {
        /// GPUs that the member asks for.
        need: u64,
        /// Allocatable and healthy GPUs of the node.
        healthy: u64,
    },
    /// No room now.
    Full(Refusal),
}

impl Obstacle {
    /// The condition that is not met.
    pub fn condition(&self) -> Condition {
        match self {
            Obstacle::Cordoned
            | Obstacle::LeftOut
            | Obstacle::Taint(_)
            | Obstacle::Labels
            | Obstacle::Volume(_)
            | Obstacle::Model(_) => Condition::Allowed,
            Obstacle::Pool(_) => Condition::InPool,
            Obstacle::FewGpus { .. } => Condition::Healthy,
            Obstacle::Full(_) => Condition::Room,
        }
    }

    /// Stable name in `PascalCase`.
    pub fn label(&self) -> &'static str {
        match self {
            Obstacle::Cordoned => "Cordoned",
            Obstacle::LeftOut => "LeftOut",
            Obstacle::Taint(_) => "Taint",
            Obstacle::Labels => "LabelMismatch",
            Obstacle::Volume(_) => "VolumeUnreachable",
            Obstacle::Model(_) => "GpuModelMismatch",
            Obstacle::Pool(_) => "PoolMismatch",
            Obstacle::FewGpus { .. } => "FewGpus",
            Obstacle::Full(refusal) => refusal.label(),
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        match self {
            Obstacle::Cordoned => "The node is cordoned.".into(),
            Obstacle::LeftOut => {
                "kube-scheduler refused this node for the gang; it is left out for a while.".into()
            }
            Obstacle::Taint(key) => format!("The pod does not tolerate the node's taint {key}."),
            Obstacle::Labels => "The node's labels do not match the pod's node selector or affinity.".into(),
            Obstacle::Volume(claim) => format!("The volume of the claim {claim} cannot be used from here."),
            Obstacle::Model(model) if model.as_str().is_empty() => {
                "The model of the node's GPUs is not known, and the pod names models.".into()
            }
            Obstacle::Model(model) => format!("The pod may not use GPUs of the model {model}."),
            Obstacle::Pool(purpose) => format!("The node is in no pool for {purpose}."),
            Obstacle::FewGpus { need, healthy } => {
                format!("The pod needs {need} GPUs; the node has {healthy} healthy ones, taken or not.")
            }
            Obstacle::Full(Refusal::Insufficient { resource, need, free }) => {
                format!("The pod needs {need} of {}; {free} are free here.", resource.name())
            }
            Obstacle::Full(refusal) => refusal.sentence(),
        }
    }
}

/// Explains a gang; `None` while it has no pod.
pub fn explain(view: &View, gang: &Gang) -> Option<Explanation> {
    let member = largest(view, gang)?;
    let rule = rule_for(&view.settings.rules, &member).filter(|rule| rule.strength == Strength::Required);
    let far = |state: &NodeState| out_of_reach(&view.pvcs, &member, &state.node).cloned();
    let met = |state: &NodeState| obstacle(state, &member, gang, rule, far(state));
    let obstacles: Vec<(NodeName, Obstacle)> = view
        .nodes
        .iter()
        .filter_map(|state| met(state).map(|obstacle| (state.node.name.clone(), obstacle)))
        .collect();
    let left = |condition: Condition| {
        let out = obstacles.iter().filter(|(_, obstacle)| obstacle.condition() <= condition).count();
        (condition, view.nodes.len().saturating_sub(out) as u64)
    };
    let funnel = Condition::ALL.into_iter().map(left).collect();
    Some(Explanation { member, funnel, obstacles })
}

fn largest(view: &View, gang: &Gang) -> Option<Arc<Pod>> {
    let pods = gang.members.iter().filter_map(|uid| view.pods.get(uid));
    pods.map(|state| &state.pod)
        .min_by_key(|pod| (!pod.awaits_node(), Reverse(pod.request), &pod.uid))
        .cloned()
}

fn obstacle(
    state: &NodeState,
    pod: &Pod,
    gang: &Gang,
    rule: Option<&PoolRule>,
    far: Option<PvcName>,
) -> Option<Obstacle> {
    if state.node.cordoned {
        return Some(Obstacle::Cordoned);
    }
    if gang.excluded.contains_key(&state.node.name) {
        return Some(Obstacle::LeftOut);
    }
    if let Some(taint) = untolerated(&state.node.taints, &pod.constraints.tolerations) {
        return Some(Obstacle::Taint(taint.key.clone()));
    }
    if state.excludes(pod) {
        return Some(Obstacle::Labels);
    }
    if let Some(claim) = far {
        return Some(Obstacle::Volume(claim));
    }
    if !state.model_suits(pod) {
        return Some(Obstacle::Model(state.model.clone()));
    }
    if let Some(rule) = rule.filter(|rule| !state.purposes.contains(&rule.purpose)) {
        return Some(Obstacle::Pool(rule.purpose.clone()));
    }
    let (need, healthy) = (pod.request.gpus, state.usable_gpus());
    if need > healthy {
        return Some(Obstacle::FewGpus { need, healthy });
    }
    state.room_for(pod).err().map(Obstacle::Full)
}

/// Somebody who has GPUs: the gang of a pod, or the pod itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Namespace.
    pub namespace: Name,
    /// Kind of the gang, or `Pod`.
    pub kind: Name,
    /// Name of the gang or pod.
    pub name: Name,
}

impl From<&GangId> for Holder {
    fn from(id: &GangId) -> Holder {
        Holder { namespace: id.namespace.clone(), kind: id.kind.clone(), name: id.name.clone() }
    }
}

/// Who a pod's GPUs are counted for.
pub fn holder(view: &View, pod: &crate::ids::PodUid) -> Option<Holder> {
    let state = view.pods.get(pod)?;
    let pod = &state.pod;
    let alone = || Holder { namespace: pod.namespace.clone(), kind: "Pod".into(), name: pod.name.clone() };
    Some(state.gang.as_ref().map_or_else(alone, Holder::from))
}

/// How many GPUs each holder has on each node; nodes where nobody has any are absent.
pub fn holders(view: &View) -> BTreeMap<NodeName, BTreeMap<Holder, u64>> {
    let mut nodes: BTreeMap<NodeName, BTreeMap<Holder, u64>> = BTreeMap::new();
    for (uid, claim) in view.claims.iter().filter(|(_, claim)| claim.amount.gpus > 0) {
        let Some(holder) = holder(view, uid) else { continue };
        let gpus = nodes.entry(claim.node.clone()).or_default().entry(holder).or_default();
        *gpus = gpus.saturating_add(claim.amount.gpus);
    }
    nodes
}
