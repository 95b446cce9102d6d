//! Why a gang does not fit: the first thing that stands in the way, with numbers.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Candidate, Draft, Site, alike, eligible};
use crate::pod::Pod;
use crate::pool::{Strength, rule_for};
use crate::refusal::Refusal;
use crate::resources::Resource;

/// The refusal for a class that could not be placed completely; `nodes` are those it may use.
pub(super) fn refusal(
    site: Site<'_>,
    draft: &Draft<'_>,
    members: &[Arc<Pod>],
    class: &[&Arc<Pod>],
    nodes: &[Candidate],
) -> Refusal {
    let Some(pod) = class.first() else { return Refusal::Queued };
    if nodes.is_empty() {
        return nothing_eligible(site, pod);
    }
    // Before the draft took anything: the need of the whole gang against what its nodes have.
    for resource in Resource::ALL {
        let need = members.iter().map(|m| m.request.get(resource)).fold(0, u64::saturating_add);
        let free = free_for_gang(site, members, resource);
        if need > free {
            return Refusal::Insufficient { resource, need, free };
        }
    }
    let resource = narrowest(draft, pod, nodes);
    let fits = nodes.iter().map(|c| draft.copies(c.at, &pod.request)).fold(0, u64::saturating_add);
    let placed = class.len() as u64;
    Refusal::Fragmented {
        resource,
        need: pod.request.get(resource),
        fits,
        pods: placed.max(fits.saturating_add(1)),
    }
}

fn nothing_eligible(site: Site<'_>, pod: &Pod) -> Refusal {
    let pool_only = rule_for(site.rules, pod).filter(|r| r.strength == Strength::Required);
    if let Some(rule) = pool_only
        && !site.nodes.iter().any(|s| s.purposes.contains(&rule.purpose) && !s.excludes(pod))
        && site.nodes.iter().any(|s| !s.excludes(pod))
    {
        return Refusal::PoolMismatch;
    }
    Refusal::NoEligibleNode { nodes: site.nodes.len() as u64 }
}

/// Free amount of a resource on all nodes that some member who asks for it may use.
fn free_for_gang(site: Site<'_>, members: &[Arc<Pod>], resource: Resource) -> u64 {
    let mut usable: Vec<usize> = Vec::new();
    let mut seen: Vec<&Arc<Pod>> = Vec::new();
    for member in members.iter().filter(|m| m.request.get(resource) > 0) {
        if seen.iter().any(|s| alike(site.rules, s, member)) {
            continue;
        }
        seen.push(member);
        usable.extend(eligible(site, member).iter().map(|c| c.at));
    }
    usable.sort_unstable();
    usable.dedup();
    let free = usable.iter().filter_map(|at| site.nodes.get(*at)).map(|s| s.free.get(resource));
    free.fold(0, u64::saturating_add)
}

/// The resource of which most nodes lack enough for one pod.
fn narrowest(draft: &Draft<'_>, pod: &Pod, nodes: &[Candidate]) -> Resource {
    let lacking = |r: Resource| nodes.iter().filter(|c| draft.free(c.at).get(r) < pod.request.get(r)).count();
    let most = Resource::ALL.into_iter().map(|r| (lacking(r), core::cmp::Reverse(r))).max();
    most.map_or(Resource::Gpu, |(_, core::cmp::Reverse(r))| r)
}
