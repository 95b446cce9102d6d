//! Why a gang does not fit: the first thing that stands in the way, with numbers.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Candidate, Draft, Site, alike, eligible};
use crate::extras::Extras;
use crate::ids::Name;
use crate::pod::Pod;
use crate::pool::{Strength, rule_for};
use crate::refusal::Refusal;
use crate::resources::Resource;

/// The refusal for a class of which only so many could be placed.
pub(super) fn refusal(
    site: Site<'_>,
    draft: &Draft<'_>,
    members: &[Arc<Pod>],
    class: &[&Arc<Pod>],
    placed: u64,
) -> Refusal {
    let Some(pod) = class.first() else { return Refusal::Queued };
    let nodes = &eligible(site, pod);
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
    if let Some(refusal) = extended(site, members).or_else(|| shape_of_extras(draft, class, placed, nodes)) {
        return refusal;
    }
    if nodes.iter().any(|c| draft.counted(c.at, pod) > 0) {
        return Refusal::TopologyAffinity;
    }
    let resource = narrowest(draft, pod, nodes);
    let (need, pods) = (pod.request.get(resource), class.len() as u64);
    Refusal::Fragmented { resource: Name::from(resource.name()), need, fits: placed, pods }
}

fn nothing_eligible(site: Site<'_>, pod: &Pod) -> Refusal {
    let pool_only = rule_for(site.rules, pod).filter(|r| r.strength == Strength::Required);
    if let Some(rule) = pool_only
        && !site.nodes.iter().any(|s| s.purposes.contains(&rule.purpose) && !s.excludes(pod))
        && site.nodes.iter().any(|s| !s.excludes(pod))
    {
        return Refusal::PoolMismatch;
    }
    if site.nodes.iter().any(|s| !s.excludes(pod))
        && let Some(refusal) = super::volumes::unreached(site, pod)
    {
        return refusal;
    }
    Refusal::NoEligibleNode { nodes: site.nodes.len() as u64 }
}

/// The extended resource of which the gang needs more than its nodes have.
fn extended(site: Site<'_>, members: &[Arc<Pod>]) -> Option<Refusal> {
    let names: BTreeSet<&Name> = members.iter().flat_map(|m| m.extras.resources.keys()).collect();
    names.into_iter().find_map(|name| {
        let asks = |m: &&Arc<Pod>| m.extras.resources.contains_key(name);
        let need = members
            .iter()
            .filter_map(|m| m.extras.resources.get(name))
            .fold(0, |sum, n| n.saturating_add(sum));
        let nodes = usable_by(site, members.iter().filter(asks));
        let states = nodes.iter().filter_map(|at| site.nodes.get(*at));
        let free = states.map(|state| state.free_extended(name)).fold(0, u64::saturating_add);
        (need > free).then(|| Refusal::InsufficientExtended { name: name.clone(), need, free })
    })
}

/// The extended resource or host port without which more of the class would fit.
fn shape_of_extras(
    draft: &Draft<'_>,
    class: &[&Arc<Pod>],
    placed: u64,
    nodes: &[Candidate],
) -> Option<Refusal> {
    let pod = class.first()?;
    let fits = |extras: Extras| {
        let pod = Pod { extras, ..(***pod).clone() };
        nodes.iter().any(|c| draft.copies(c.at, &pod) > 0)
    };
    let fits_without = |name: &Name| {
        let mut extras = pod.extras.clone();
        extras.resources.remove(name);
        fits(extras)
    };
    if let Some((name, need)) = pod.extras.resources.iter().find(|(name, _)| fits_without(name)) {
        let pods = class.len() as u64;
        return Some(Refusal::Fragmented { resource: name.clone(), need: *need, fits: placed, pods });
    }
    let without_ports = || fits(Extras { ports: BTreeSet::new(), ..pod.extras.clone() });
    let port = pod.extras.ports.first().filter(|_| without_ports())?;
    Some(Refusal::PortTaken { port: port.clone() })
}

/// Free amount of a resource on all nodes that some member who asks for it may use.
fn free_for_gang(site: Site<'_>, members: &[Arc<Pod>], resource: Resource) -> u64 {
    let nodes = usable_by(site, members.iter().filter(|m| m.request.get(resource) > 0));
    let free = nodes.iter().filter_map(|at| site.nodes.get(*at)).map(|s| s.free.get(resource));
    free.fold(0, u64::saturating_add)
}

/// Positions of the nodes that one of the members may use.
fn usable_by<'p>(site: Site<'_>, members: impl Iterator<Item = &'p Arc<Pod>>) -> Vec<usize> {
    let mut usable: Vec<usize> = Vec::new();
    let mut seen: Vec<&Arc<Pod>> = Vec::new();
    for member in members {
        if seen.iter().any(|s| alike(site.rules, s, member)) {
            continue;
        }
        seen.push(member);
        usable.extend(eligible(site, member).iter().map(|c| c.at));
    }
    usable.sort_unstable();
    usable.dedup();
    usable
}

/// The resource of which most nodes lack enough for one pod.
fn narrowest(draft: &Draft<'_>, pod: &Pod, nodes: &[Candidate]) -> Resource {
    let lacking = |r: Resource| nodes.iter().filter(|c| draft.free(c.at).get(r) < pod.request.get(r)).count();
    let most = Resource::ALL.into_iter().map(|r| (lacking(r), core::cmp::Reverse(r))).max();
    most.map_or(Resource::Gpu, |(_, core::cmp::Reverse(r))| r)
}
