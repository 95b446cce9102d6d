//! Pods without GPUs keep off GPU nodes while others have room; among the others kube-scheduler decides.

use super::SCORE_MAX;
use crate::node_state::NodeState;

/// Full marks without GPUs, none with; half outside the preferred pool.
pub(super) fn score(state: &NodeState, in_pool: bool) -> u8 {
    let full = if in_pool { SCORE_MAX } else { SCORE_MAX.saturating_div(2) };
    if state.has_gpus() { 0 } else { full }
}
