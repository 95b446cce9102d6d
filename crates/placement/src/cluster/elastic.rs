//! Gangs that may start with fewer members than they have: which members go first, how many of them fit, and whether
//! every role has its minimum.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Cluster;
use crate::gang::{Census, Gang};
use crate::ids::{Name, PodUid};
use crate::planner::{Placement, Site, plan};
use crate::pod::{Membership, Pod};
use crate::refusal::Refusal;

impl Cluster {
    /// How many members are missing of roles that have fewer than their minimum, if the settled ones and these pods
    /// are there.
    pub(super) fn missing_of_roles<'p>(
        &self,
        gang: &Gang,
        census: &Census,
        pods: impl IntoIterator<Item = &'p PodUid>,
    ) -> u64 {
        let mut there = census.settled_by_role.clone();
        for pod in pods.into_iter().filter_map(|uid| self.pods.get(uid)) {
            let count = there.entry(pod.pod.role()).or_default();
            *count = count.saturating_add(1);
        }
        let have = |name: &Name| there.get(name).copied().unwrap_or(0);
        gang.role_minima().map(|(name, min)| min.saturating_sub(have(name))).fold(0, u64::saturating_add)
    }
}

/// Sorts waiting members: first those that the roles' minima need, then the rest, the largest first; by index within.
/// Returns how many at least must be placed so that the gang and every role have their minimum.
pub(crate) fn in_order_of_need(gang: &Gang, census: &Census, min: u64, members: &mut [Arc<Pod>]) -> usize {
    let index = |pod: &Pod| match &pod.membership {
        Membership::Member(member) => member.index,
        Membership::Single | Membership::Unknown(_) => 0,
    };
    members.sort_by_cached_key(|p| (Reverse(p.request), index(p), p.created, p.uid.clone()));
    let settled = |name: &Name| census.settled_by_role.get(name).copied().unwrap_or(0);
    let mut short: BTreeMap<&Name, u64> =
        gang.role_minima().map(|(name, min)| (name, min.saturating_sub(settled(name)))).collect();
    let mut needed: BTreeSet<PodUid> = BTreeSet::new();
    for pod in members.iter() {
        if let Some(left) = short.get_mut(&pod.role()).filter(|left| **left > 0) {
            *left = left.saturating_sub(1);
            needed.insert(pod.uid.clone());
        }
    }
    members.sort_by_key(|pod| !needed.contains(&pod.uid));
    let by_count = usize::try_from(min.saturating_sub(census.settled)).unwrap_or(usize::MAX);
    by_count.max(needed.len()).max(1)
}

/// Places all members, else as many of the first ones as fit, and no fewer than `needed`. The number is found by
/// halving: some dozen plans at most, and exact where whatever fits also fits with fewer.
///
/// # Errors
/// Why not all of them fit, if not even the first `needed` do.
pub(super) fn plan_most(
    site: Site<'_>,
    members: &[Arc<Pod>],
    needed: usize,
) -> Result<Vec<Placement>, Refusal> {
    let refusal = match plan(site, members) {
        Ok(placements) => return Ok(placements),
        Err(refusal) => refusal,
    };
    let fewer = |count: usize| members.get(..count).filter(|_| count < members.len());
    let Some(mut best) = fewer(needed).and_then(|first| plan(site, first).ok()) else { return Err(refusal) };
    let (mut fits, mut too_many) = (needed, members.len());
    while too_many.saturating_sub(fits) > 1 {
        let middle = fits.midpoint(too_many);
        match fewer(middle).map(|first| plan(site, first)) {
            Some(Ok(placements)) => (fits, best) = (middle, placements),
            Some(Err(_)) | None => too_many = middle,
        }
    }
    Ok(best)
}
