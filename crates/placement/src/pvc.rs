//! PersistentVolumeClaims, as far as they decide where pods may run.
//!
//! What kube-scheduler's `VolumeBinding`, `VolumeZone` and `VolumeRestrictions` would say of a claim. The shell joins
//! claim, volume and storage class into this. How many volumes a node can attach is not counted here: a claim whose
//! driver has such a limit is `counted`, and its pods are not narrowed to one node.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::ids::{Name, PodUid};
use crate::node::Node;
use crate::pod::Pod;
use crate::pod_state::PodState;
use crate::selector::Term;
use crate::shared_map::SharedMap;

/// Namespace and name of a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PvcName {
    /// Namespace, that of the pods which use it.
    pub namespace: Name,
    /// Name.
    pub name: Name,
}

impl fmt::Display for PvcName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pvc {
    /// From which nodes its volume can be used.
    pub reach: Reach,
    /// Access mode `ReadWriteOncePod`: one pod at a time (KEP-2485).
    pub single_pod: bool,
    /// A node can attach only so many volumes of its driver.
    pub counted: bool,
}

/// From where a claim's volume can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From the nodes that one of the terms admits; from all nodes if there are no terms.
    Bound(Option<Vec<Term>>),
    /// `WaitForFirstConsumer`: the volume is made where the first pod goes, on a node that the class allows.
    FirstConsumer(Option<Vec<Term>>),
    /// The volume is not there yet and does not wait for a pod: kube-scheduler waits for it.
    Unbound,
    /// Its volume is gone, or the claim is being deleted.
    Lost,
}

/// The first claim of a pod whose volume it could not use on a node; one that is not known counts.
pub(crate) fn out_of_reach<'p>(
    pvcs: &SharedMap<PvcName, Arc<Pvc>>,
    pod: &'p Pod,
    node: &Node,
) -> Option<&'p PvcName> {
    pod.pvcs.iter().find(|name| !pvcs.get(*name).is_some_and(|pvc| pvc.reaches(node)))
}

impl Pvc {
    /// Whether a pod on this node could use the volume.
    pub fn reaches(&self, node: &Node) -> bool {
        let (Reach::Bound(terms) | Reach::FirstConsumer(terms)) = &self.reach else { return false };
        terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.admits(&node.name, &node.labels)))
    }

    /// Whether its volume is there.
    pub fn bound(&self) -> bool {
        matches!(self.reach, Reach::Bound(_))
    }

    /// Whether all that kube-scheduler would check about it is known here, so that a pod may be narrowed to one node.
    pub fn settled(&self) -> bool {
        self.bound() && !self.counted
    }
}

/// Of the members' claims for one pod at a time, those that other pods have.
pub(crate) fn in_use(
    pods: &SharedMap<PodUid, Arc<PodState>>,
    pvcs: &SharedMap<PvcName, Arc<Pvc>>,
    members: &[Arc<Pod>],
) -> BTreeSet<PvcName> {
    let for_one = |name: &&PvcName| pvcs.get(*name).is_some_and(|pvc| pvc.single_pod);
    let wanted: BTreeSet<&PvcName> = members.iter().flat_map(|pod| &pod.pvcs).filter(for_one).collect();
    if wanted.is_empty() {
        return BTreeSet::new();
    }
    let has = |s: &&Arc<PodState>| s.pod.alive() && (s.pod.node.is_some() || s.stamp.is_some());
    let others = pods.values().filter(has).filter(|s| members.iter().all(|m| m.uid != s.pod.uid));
    others.flat_map(|s| &s.pod.pvcs).filter(|name| wanted.contains(name)).cloned().collect()
}
