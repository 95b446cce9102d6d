//! Which gang a pod belongs to, and how large the gang is, with no change to what the user writes.
//!
//! One recogniser per file; the first that speaks decides: our own labels, the `PodGroup` label, a Kubeflow
//! job as controller, the walk along controllers (a launcher's Job that belongs to an `MPIJob`). Pods are matched
//! by labels and owner, gangs are keyed by the owner's UID, so that a job deleted and created again is another
//! gang. A plain Job, `ReplicaSet`, `StatefulSet` and the like are no gangs. Whatever is malformed becomes a stated
//! refusal; nothing here panics or reads the API server.

mod environment;
mod gang_kind;
mod kubeflow;
mod labels;
mod mpi_v2;
mod owners;
mod pod_group;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use muster_placement::gang::GangSpec;
use muster_placement::ids::{GangId, Name};
use muster_placement::pod::Membership;

pub use self::gang_kind::GangKind;
use self::owners::Walk;
pub use self::owners::{OwnerRef, Owners, controller};

/// What was recognised of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognition {
    /// The gang.
    pub membership: Membership,
    /// Kind of the workload that made the pod: its gang's owner, else its controller, else `Pod`.
    pub kind: Name,
    /// UID of an owner that must be seen before more can be said.
    pub awaits: Option<String>,
}

/// Recognises the gang of a pod.
pub fn recognise(pod: &Pod, owners: &Owners) -> Recognition {
    let walk = owners.walk(&pod.metadata);
    let direct = controller(&pod.metadata);
    let kind = match (&walk, &direct) {
        (Walk::Gang(kind, _), _) => kind.name(),
        (_, Some(owner)) => owner.kind.as_str(),
        (_, None) => "Pod",
    };
    let membership = labels::membership(pod)
        .or_else(|| pod_group::membership(pod))
        .or_else(|| kubeflow::membership(pod))
        .unwrap_or_else(|| mpi_v2::membership(pod, &walk));
    let awaits = match (&membership, walk) {
        (Membership::Unknown(_), Walk::Unseen(owner)) => Some(owner.uid),
        _ => None,
    };
    Recognition { membership, kind: Name::from(kind), awaits }
}

/// What an owner says of its gang.
pub fn gang_spec(kind: GangKind, owner: &DynamicObject) -> GangSpec {
    match kind {
        GangKind::PodGroup => pod_group::spec(owner),
        GangKind::MpiJob => mpi_v2::spec(owner),
        GangKind::TfJob
        | GangKind::PyTorchJob
        | GangKind::XgBoostJob
        | GangKind::PaddleJob
        | GangKind::JaxJob => kubeflow::spec(kind, owner),
    }
}

/// Identity of the gang that an owner describes.
pub fn gang_id(kind: GangKind, owner: &DynamicObject) -> GangId {
    let meta = &owner.metadata;
    let text = |field: &Option<String>| Name::from(field.as_deref().unwrap_or_default());
    let incarnation = if kind.known_by_name() { Name::from("") } else { text(&meta.uid) };
    GangId {
        namespace: text(&meta.namespace),
        kind: Name::from(kind.name()),
        name: text(&meta.name),
        incarnation,
    }
}

#[cfg(test)]
mod fixture;
