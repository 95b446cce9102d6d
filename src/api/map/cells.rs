//! What is shown of each GPU of one node.
//!
//! Invariant: as many are shown free as new pods may take, or fewer where there are fewer. Claims are certain by
//! count only; a GPU that a claim counts and does not name is shown as one that nobody is assumed to have.

use muster_placement::ids::PodUid;
use muster_placement::inventory::{Gpu, Health};
use muster_placement::ledger::{Claim, ClaimKind};
use muster_placement::node_state::NodeState;

/// No machine has more; a kubelet that offers more does not make the frame grow without bound.
const GPUS_PER_NODE_MAX: usize = 64;

/// One GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell<'v> {
    /// `f` free, `h` held for a gang that is starting, `g` granted to a bound pod, `x` unhealthy, `n` neither with
    /// anybody nor to be had: the kubelet does not offer it, or the agent does not see it.
    pub(super) state: char,
    /// Percent; -1 where no agent reports.
    pub(super) utilisation: i8,
    /// Memory in use in percent; -1 where no agent reports.
    pub(super) memory: i8,
    /// The pod that is assumed to have it.
    pub(super) pod: Option<&'v PodUid>,
}

/// The GPUs of a node: those of its inventory in their order, then those that only the kubelet knows.
pub(super) fn cells<'v>(state: &NodeState, claims: &[(&'v PodUid, &'v Claim)]) -> Vec<Cell<'v>> {
    let gpus = state.inventory.as_ref().map_or(&[][..], |inventory| inventory.gpus.as_slice());
    let allocatable = usize::try_from(state.node.allocatable.gpus).unwrap_or(usize::MAX);
    let count = gpus.len().max(allocatable.min(GPUS_PER_NODE_MAX));
    let mut owners = vec![None; count];
    let unnamed = name(state, claims, &mut owners);
    let sick = |at: usize| gpus.get(at).is_some_and(|gpu| !gpu.health.usable());
    let mut nobodys: Vec<usize> = (0..count).filter(|at| matches!(owners.get(*at), Some(None))).collect();
    nobodys.sort_by_key(|at| sick(*at));
    for (at, owner) in nobodys.into_iter().zip(unnamed) {
        if let Some(place) = owners.get_mut(at) {
            *place = Some(owner);
        }
    }
    let mut free = usize::try_from(state.free.gpus).unwrap_or(usize::MAX);
    owners.into_iter().enumerate().map(|(at, owner)| cell(gpus.get(at), owner, &mut free)).collect()
}

type Owner<'v> = (&'v PodUid, ClaimKind);

/// Enters the GPUs that claims name; returns an owner for each that they do not.
fn name<'v>(
    state: &NodeState,
    claims: &[(&'v PodUid, &'v Claim)],
    owners: &mut [Option<Owner<'v>>],
) -> Vec<Owner<'v>> {
    let mut unnamed = Vec::new();
    for (pod, claim) in claims {
        let mut left = usize::try_from(claim.amount.gpus).unwrap_or(usize::MAX).min(GPUS_PER_NODE_MAX);
        for at in claim.gpus.iter().filter_map(|uuid| state.inventory.as_ref()?.index_of(uuid)) {
            if let Some(place) = owners.get_mut(at) {
                *place = Some((*pod, claim.kind));
                left = left.saturating_sub(1);
            }
        }
        unnamed.extend(std::iter::repeat_n((*pod, claim.kind), left));
    }
    unnamed
}

fn cell<'v>(gpu: Option<&Gpu>, owner: Option<Owner<'v>>, free: &mut usize) -> Cell<'v> {
    let state = match (gpu.map(|gpu| &gpu.health), owner) {
        (Some(Health::Unhealthy(_)), _) => 'x',
        (_, Some((_, ClaimKind::Hold))) => 'h',
        (_, Some((_, ClaimKind::Grant))) => 'g',
        (_, None) if *free == 0 => 'n',
        (_, None) => {
            *free -= 1;
            'f'
        }
    };
    let percent =
        |read: fn(&Gpu) -> u64| gpu.map_or(-1, |gpu| i8::try_from(read(gpu).min(100)).unwrap_or(100));
    Cell {
        state,
        utilisation: percent(|gpu| u64::from(gpu.load.utilisation_percent)),
        memory: percent(|gpu| {
            gpu.load.memory_used_mib.saturating_mul(100).checked_div(gpu.memory_mib).unwrap_or(0)
        }),
        pod: owner.map(|(pod, _)| pod),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use muster_placement::inventory::{Inventory, Load};
    use muster_placement::ledger::Account;
    use muster_placement::resources::Resources;
    use serde_json::json;

    use super::*;
    use crate::translate;

    fn gpu(uuid: &str, health: Health) -> Gpu {
        let load = Load { utilisation_percent: 130, memory_used_mib: 5, ..Load::default() };
        Gpu { uuid: uuid.into(), model: "H100".into(), memory_mib: 10, numa: None, health, load }
    }

    fn gpus(gpus: u64) -> Resources {
        Resources { gpus, ..Resources::default() }
    }

    fn states(allocatable: u64, sick: &[bool], claims: &[(&str, u64, &[&str], ClaimKind)]) -> String {
        let amounts = json!({"nvidia.com/gpu": allocatable.to_string()});
        let node = json!({"metadata": {"name": "n"}, "status": {"allocatable": amounts}});
        let node = translate::node(&serde_json::from_value(node).unwrap());
        let health = |sick: &bool| if *sick { Health::Unhealthy("XID".into()) } else { Health::Healthy };
        let seen = sick.iter().zip(["a", "b", "c", "d"]).map(|(sick, uuid)| gpu(uuid, health(sick)));
        let inventory = Inventory { gpus: seen.collect(), ..Inventory::default() };
        let inventory = (!sick.is_empty()).then(|| Arc::new(inventory));
        let claimed = gpus(claims.iter().map(|(_, amount, ..)| amount).sum());
        let account = Account { claimed, ..Account::default() };
        let state = NodeState::new(Arc::new(node), inventory, account, vec![]);
        let claims: Vec<(PodUid, Claim)> = claims
            .iter()
            .map(|(pod, amount, uuids, kind)| {
                let uuids = uuids.iter().map(|uuid| (*uuid).into()).collect();
                let extras = muster_placement::extras::Extras::default();
                let claim =
                    Claim { node: "n".into(), amount: gpus(*amount), extras, gpus: uuids, kind: *kind };
                ((*pod).into(), claim)
            })
            .collect();
        let claims: Vec<(&PodUid, &Claim)> = claims.iter().map(|(pod, claim)| (pod, claim)).collect();
        cells(&state, &claims).iter().map(|cell| cell.state).collect()
    }

    const OK: bool = false;
    const SICK: bool = true;

    #[test]
    fn named_gpus_are_where_the_claim_says() {
        let claims: [(&str, u64, &[&str], ClaimKind); 2] =
            [("p", 1, &["c"], ClaimKind::Grant), ("q", 1, &["a"], ClaimKind::Hold)];
        assert_eq!(states(4, &[OK; 4], &claims), "hfgf");
    }

    #[test]
    fn a_claim_by_count_takes_healthy_gpus_that_nobody_has() {
        assert_eq!(states(4, &[SICK, OK, OK, OK], &[("p", 2, &["b"], ClaimKind::Grant)]), "xggf");
    }

    #[test]
    fn no_more_are_free_than_can_be_had() {
        assert_eq!(states(2, &[OK; 4], &[]), "ffnn", "the kubelet offers two");
        assert_eq!(states(4, &[OK, OK, OK], &[]), "fffn", "the agent sees three");
        assert_eq!(states(4, &[], &[("p", 3, &[], ClaimKind::Grant)]), "gggf", "no agent");
    }

    #[test]
    fn readings_are_percent_and_never_more_than_all() {
        let sick = gpu("a", Health::Unhealthy("XID".into()));
        let read = cell(Some(&sick), None, &mut 1);
        assert_eq!((read.state, read.utilisation, read.memory), ('x', 100, 50));
        assert_eq!(cell(None, None, &mut 1).utilisation, -1);
    }
}
