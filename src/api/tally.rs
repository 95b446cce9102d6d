//! Counts over a whole View, shared by the API and the metrics so that both say the same.

use muster_placement::View;
use muster_placement::gang::{Gang, Phase};
use serde::Serialize;

/// All values of [`phase_of`].
pub(crate) const PHASES: [&str; 5] = ["gathering", "waiting", "released", "binding", "placed"];

/// Stable name of a gang's phase.
pub(crate) fn phase_of(gang: &Gang) -> &'static str {
    match &gang.phase {
        Phase::Gathering => "gathering",
        Phase::Waiting => "waiting",
        Phase::Released(plan) if plan.open => "binding",
        Phase::Released(_) => "released",
        Phase::Placed => "placed",
    }
}

/// Whether a gang has pods and no place for them yet.
pub(crate) fn waits(gang: &Gang) -> bool {
    matches!(gang.phase, Phase::Gathering | Phase::Waiting) && !gang.members.is_empty()
}

/// How many members of a size fit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fit {
    gpus_per_member: u64,
    members: u64,
}

/// For members of 1, 2, 4 and 8 GPUs how many fit into what is free on nodes that are not cordoned, by GPUs alone.
pub(crate) fn largest_fit(view: &View) -> Vec<Fit> {
    let open = || view.nodes.iter().filter(|state| !state.node.cordoned);
    let fits = |size: u64| open().map(|state| state.free.gpus / size).fold(0, u64::saturating_add);
    [1, 2, 4, 8].map(|size| Fit { gpus_per_member: size, members: fits(size) }).to_vec()
}

/// GPUs of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Gpus {
    /// Allocatable by the kubelets' word.
    pub(crate) capacity: u64,
    /// What new pods may take.
    pub(crate) free: u64,
    /// Held or granted.
    pub(crate) claimed: u64,
    /// Reported unhealthy, claimed or not.
    pub(crate) unhealthy: u64,
}

impl Gpus {
    /// Counts the GPUs of a View.
    pub(crate) fn of(view: &View) -> Gpus {
        view.nodes.iter().fold(Gpus::default(), |sum, state| Gpus {
            capacity: sum.capacity.saturating_add(state.node.allocatable.gpus),
            free: sum.free.saturating_add(state.free.gpus),
            claimed: sum.claimed.saturating_add(state.account.claimed.gpus),
            unhealthy: sum.unhealthy + unhealthy(state),
        })
    }

    /// The counts under their names.
    pub(crate) fn by_state(self) -> [(&'static str, u64); 4] {
        [
            ("capacity", self.capacity),
            ("free", self.free),
            ("claimed", self.claimed),
            ("unhealthy", self.unhealthy),
        ]
    }
}

fn unhealthy(state: &muster_placement::node_state::NodeState) -> u64 {
    let gpus = state.inventory.iter().flat_map(|inventory| &inventory.gpus);
    gpus.filter(|gpu| !gpu.health.usable()).count() as u64
}
