//! Everything we ask the shell to do. Effects about one pod must be carried out in the order given; effects
//! about different pods may run side by side.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{AskId, Epoch, GangId, PodUid};
use crate::pod::{Pod, Stamp};
use crate::refusal::Refusal;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// One patch: set the plan annotation, drop our gate if it is there, and narrow the pod to its node if asked.
    Release {
        /// The pod as last seen.
        pod: Arc<Pod>,
        /// The plan.
        stamp: Stamp,
        /// Whether to add required node affinity for the planned node (legal only while gated).
        narrow: bool,
    },
    /// Remove the plan annotation: the plan is void.
    Unplan(Arc<Pod>),
    /// Delete a pod that was narrowed to a node it cannot have, so that its controller makes a new one.
    Recreate(Arc<Pod>),
    /// Post the Binding, with the stamp as grant annotation if there is one. Report the outcome when it is certain.
    Bind {
        /// The pod as last seen.
        pod: Arc<Pod>,
        /// Node and GPUs.
        stamp: Stamp,
    },
    /// Evict pods through the Eviction API, all or none: first a dry run of each, and nobody goes if one may not.
    /// Report what became of it when that is certain.
    Evict {
        /// The gang that they make room for.
        gang: GangId,
        /// Number of the promise to it.
        number: Epoch,
        /// The pods as last seen.
        victims: Vec<Arc<Pod>>,
    },
    /// Answer a parked bind request.
    Answer(AskId, Result<(), Refusal>),
    /// Tell people: the state of a gang changed. `pod` is a member to hang the event on.
    Tell {
        /// The gang.
        gang: GangId,
        /// A member.
        pod: PodUid,
        /// What is new.
        news: News,
    },
}

/// A change of state worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The gang cannot start, and why.
    Refused(Refusal),
    /// The whole gang has a place: members and nodes.
    Planned {
        /// Pods released.
        pods: u64,
        /// Nodes used.
        nodes: u64,
    },
    /// Pods of the gang are evicted to make room for this one.
    Preempted(GangId),
}
