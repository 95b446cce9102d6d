//! Packing: the fewer GPUs stay free on a node afterwards, the better, so that whole free nodes stay whole.

use crate::node_state::NodeState;
use crate::resources::Resources;

/// GPUs that stay free if the request goes here.
pub(super) fn spare(state: &NodeState, request: &Resources) -> u64 {
    state.free.gpus.saturating_sub(request.gpus)
}

/// 5 to 9 inside the preferred pool, 0 to 4 outside; one point less per spare GPU. 10 is kept for the best node.
pub(super) fn score(state: &NodeState, request: &Resources, in_pool: bool) -> u8 {
    let spare = u8::try_from(spare(state, request).min(4)).unwrap_or(4);
    let top: u8 = if in_pool { 9 } else { 4 };
    top.saturating_sub(spare)
}
