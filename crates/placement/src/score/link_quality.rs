//! Link quality: among nodes that are filled alike, the one where the worst set that the device plugin may hand out is
//! fastest, and then the one that this leaves most whole. Never the set that we would like: nobody can choose it.

use crate::node_state::NodeState;
use crate::resources::Resources;

/// What a pod loses on a node; smaller is better. Field order is weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loss {
    /// Bandwidth of the worst possible set, in thousandths below the best of the idle node.
    bandwidth: u32,
    /// Free GPUs that it leaves outside the largest fast set.
    torn: u32,
}

impl Loss {
    /// Nothing is lost; also where nothing is known.
    pub(super) const NONE: Loss = Loss { bandwidth: 0, torn: 0 };
}

/// What the pod loses there. A look-up: the node's row has the figures for every size.
pub(super) fn loss(state: &NodeState, request: &Resources) -> Loss {
    let outlook = state.devices.as_ref().and_then(|devices| devices.outlook.of(request.gpus));
    match outlook {
        Some(Ok(prospect)) => Loss { bandwidth: prospect.loss, torn: prospect.torn },
        Some(Err(_)) | None => Loss::NONE,
    }
}
