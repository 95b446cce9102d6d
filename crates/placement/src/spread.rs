//! Topology spread constraints with `whenUnsatisfiable: DoNotSchedule`, as in
//! `pkg/scheduler/framework/plugins/podtopologyspread`.

use crate::affinity::PodSelector;
use crate::ids::Name;
use crate::node_state::NodeState;
use crate::pod::Pod;
use crate::taint::untolerated;

/// Pods are to be spread evenly over the values of a node label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spread {
    /// The node label whose values are the domains.
    pub topology_key: Name,
    /// Pods counted, in the pod's own namespace; `matchLabelKeys` are merged in (KEP-3243).
    pub pods: PodSelector,
    /// By how many pods a domain may be ahead of the emptiest one; at least 1.
    pub max_skew: u64,
    /// With fewer domains than this the emptiest one counts as empty; 1 if not said.
    pub min_domains: u64,
    /// `nodeAffinityPolicy: Honor`, the default: only nodes that the pod's node selector and affinity admit count.
    pub honour_affinity: bool,
    /// `nodeTaintsPolicy: Honor`: only nodes whose taints the pod tolerates count. The default is to ignore taints.
    pub honour_taints: bool,
}

impl Spread {
    /// Whether another pod is counted for `pod`. One that is being deleted is not.
    pub fn counts(&self, pod: &Pod, other: &Pod) -> bool {
        !other.terminating && other.namespace == pod.namespace && self.pods.admits(&other.labels)
    }

    /// Whether pods on a node are counted for `pod`.
    pub fn includes(&self, pod: &Pod, state: &NodeState) -> bool {
        (!self.honour_affinity || state.admits(pod))
            && (!self.honour_taints
                || untolerated(&state.node.taints, &pod.constraints.tolerations).is_none())
    }

    /// Whether kube-scheduler may judge otherwise once the pod's node affinity names one node only: then it is the
    /// only node that counts, so that the skew is always 1 but the domains are always too few.
    pub fn changes_when_narrowed(&self) -> bool {
        self.honour_affinity && self.min_domains > 1
    }
}
