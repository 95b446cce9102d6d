//! Everything that can happen to us. The only input of [`crate::Cluster`].

use crate::gang::GangSpec;
use crate::ids::Name;
use crate::ids::{AskId, Epoch, GangId, NodeName, PodUid};
use crate::inventory::Inventory;
use crate::node::Node;
use crate::pod::Pod;
use crate::preempt::Eviction;
use crate::pvc::{Pvc, PvcName};
use crate::settings::Settings;
use alloc::boxed::Box;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A pod appeared or changed.
    PodSeen(Box<Pod>),
    /// A pod is gone from the API server.
    PodGone(PodUid),
    /// A node appeared or changed.
    NodeSeen(Box<Node>),
    /// A node is gone.
    NodeGone(NodeName),
    /// A gang's owner appeared or changed.
    GangSeen(GangSpec),
    /// A gang's owner is gone.
    GangGone(GangId),
    /// A PersistentVolumeClaim appeared, or what it means for pods changed.
    PvcSeen(PvcName, Pvc),
    /// A PersistentVolumeClaim is gone.
    PvcGone(PvcName),
    /// An agent's report was accepted.
    Reported(NodeName, Inventory),
    /// Every list of the API server has been read once: the ledger can be rebuilt, planning may begin.
    Synced,
    /// The configuration was read or changed.
    Configured(Settings),
    /// kube-scheduler asks us to bind a pod and waits for the reply.
    BindAsked {
        /// The parked reply.
        ask: AskId,
        /// The pod.
        pod: PodUid,
        /// The node that kube-scheduler chose.
        node: NodeName,
    },
    /// kube-scheduler hung up before we answered.
    BindWithdrawn(AskId),
    /// A Binding has a certain outcome. Nothing is said while it is not certain.
    BindOutcome(PodUid, NodeName, Outcome),
    /// The patch that releases a pod has a certain outcome.
    ReleaseOutcome(PodUid, Epoch, Outcome),
    /// The evictions for a gang, under the number of its promise, have a certain outcome.
    EvictOutcome(GangId, Epoch, Eviction),
    /// Time passed.
    Tick,
}

/// Certain outcome of a call to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is so: done now, or found done when read back.
    Done,
    /// The pod is gone, or is another pod of the same name.
    Gone,
    /// It is not so and will not become so by itself.
    Refused(Name),
}
