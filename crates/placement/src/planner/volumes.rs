//! Volumes of a gang: claims that must be there before it is planned, and the one zone of those that it shares and
//! that are not bound yet.
//!
//! The first member to be bound decides where such a volume is made, and then all others must go there: so a gang that
//! shares one is placed in one zone as a whole (`topology.kubernetes.io/zone`), the first by name in which it fits.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Site;
use crate::ids::{Name, NodeName};
use crate::node_state::NodeState;
use crate::pod::Pod;
use crate::pvc::{PvcName, Reach};
use crate::refusal::{Refusal, VolumeFault};

const ZONE: &str = "topology.kubernetes.io/zone";

/// Whether every claim of the members can be used by them.
pub(super) fn check(site: Site<'_>, members: &[Arc<Pod>]) -> Result<(), Refusal> {
    for (name, users) in users(members) {
        let fault = match site.pvcs.get(name) {
            None => VolumeFault::Missing,
            Some(pvc) => match pvc.reach {
                Reach::Unbound => VolumeFault::Unbound,
                Reach::Lost => VolumeFault::Lost,
                Reach::Bound(_) | Reach::FirstConsumer(_) => {
                    let taken = pvc.single_pod && (users > 1 || site.pvcs_in_use.contains(name));
                    if taken { VolumeFault::InUse } else { continue }
                }
            },
        };
        return Err(Refusal::Volume { pvc: name.clone(), fault });
    }
    Ok(())
}

/// The claim because of which no node will do, where there is one.
pub(super) fn unreached(site: Site<'_>, pod: &Pod) -> Option<Refusal> {
    let near = |name: &&PvcName| {
        let pvc = site.pvcs.get(*name);
        site.nodes.iter().any(|s| !s.excludes(pod) && pvc.is_some_and(|pvc| pvc.reaches(&s.node)))
    };
    let far = pod.pvcs.iter().find(|name| !near(name))?;
    Some(Refusal::Volume { pvc: far.clone(), fault: VolumeFault::Unreachable })
}

/// For each zone that the gang may be placed in, the nodes to leave out; nothing if zones do not matter.
pub(super) fn outside_each_zone(site: Site<'_>, members: &[Arc<Pod>]) -> Vec<BTreeSet<NodeName>> {
    let unmade =
        |name: &PvcName| site.pvcs.get(name).is_some_and(|p| matches!(p.reach, Reach::FirstConsumer(_)));
    if !users(members).into_iter().any(|(name, users)| users > 1 && unmade(name)) {
        return Vec::new();
    }
    let zone = |state: &NodeState| state.node.labels.get(ZONE).cloned();
    let zones: BTreeSet<Option<Name>> = site.nodes.iter().map(|state| zone(state)).collect();
    if zones.len() < 2 {
        return Vec::new();
    }
    let outside = |here: Option<Name>| {
        let others = site.nodes.iter().filter(|state| zone(state) != here);
        others.map(|state| state.node.name.clone()).chain(site.excluded.iter().cloned()).collect()
    };
    zones.into_iter().map(outside).collect()
}

/// How many of the members use each claim.
fn users(members: &[Arc<Pod>]) -> BTreeMap<&PvcName, usize> {
    let mut users = BTreeMap::new();
    for name in members.iter().flat_map(|pod| &pod.pvcs) {
        let count: &mut usize = users.entry(name).or_default();
        *count = count.saturating_add(1);
    }
    users
}
