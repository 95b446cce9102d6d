//! Required and preferred levels of a gang or a role: in which domains it is tried, and in which order.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::making::{Class, Making, Stop, domains};
use super::search::Group;
use super::standing::Standing;
use super::{Placement, Site, diagnose};
use crate::fleet::{Domain, Terrain};
use crate::ids::{Name, NodeName};
use crate::level::Nearness;
use crate::pod::Pod;
use crate::refusal::Refusal;

/// The levels wished, by depth.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    pub(super) required: Option<usize>,
    pub(super) required_name: Option<Name>,
    preferred: Option<usize>,
}

impl Reach {
    /// The levels that words mean; a preferred level that the cluster does not have is no wish.
    pub(super) fn of(wish: &Nearness, terrain: &Terrain) -> Result<Reach, Refusal> {
        let known =
            |word: &Name| terrain.depth(word).ok_or_else(|| Refusal::UnknownLevel { level: word.clone() });
        let required = wish.required.as_ref().map(known).transpose()?;
        let preferred = wish.preferred.as_ref().and_then(|word| terrain.depth(word));
        Ok(Reach { required, required_name: wish.required.clone(), preferred })
    }

    /// The narrowest levels that a member wishes for the gang.
    fn of_gang(members: &[Arc<Pod>], terrain: &Terrain) -> Result<Reach, Refusal> {
        let mut gang = Reach::default();
        for member in members.iter().filter(|pod| pod.topology.gang.is_some()) {
            let own = Reach::of(&member.topology.gang, terrain)?;
            if own.required > gang.required {
                (gang.required, gang.required_name) = (own.required, own.required_name);
            }
            gang.preferred = gang.preferred.max(own.preferred);
        }
        Ok(gang)
    }
}

/// Depths at which one domain is to take all, in the order in which they are tried, from `outer` inwards.
pub(super) fn depths(reach: &Reach, outer: usize) -> impl Iterator<Item = usize> {
    let widest = reach.required.unwrap_or(outer).max(outer);
    (widest..=reach.preferred.unwrap_or(widest).max(widest)).rev()
}

/// Places classes, largest first, in the first domain that takes all of them.
pub(super) fn place_all(
    site: Site<'_>,
    terrain: &Terrain,
    members: &[Arc<Pod>],
    classes: &[Class<'_>],
) -> Result<Vec<Placement>, Refusal> {
    let reach = Reach::of_gang(members, terrain)?;
    let bound = bound(site, terrain);
    let attempt = |within: Domain| {
        let mut making = Making::new(site, terrain, &bound);
        for class in classes {
            if let Err(stop) = making.place(class, within) {
                return Err(Box::new((making, class, stop)));
            }
        }
        Ok(making.placements)
    };
    let there: Vec<usize> = bound.iter().map(|(_, place)| *place).collect();
    for depth in depths(&reach, 0).filter(|depth| *depth > 0) {
        let found = candidates(site, terrain, classes, &bound, domains(terrain, WHOLE, depth, &there));
        if let Some(placements) = found.into_iter().find_map(|domain| attempt(domain).ok()) {
            return Ok(placements);
        }
    }
    let anywhere = attempt(WHOLE).map_err(|stopped| match *stopped {
        (making, class, Stop::Placed(placed)) => {
            diagnose::refusal(site, &making.draft, members, class.members, placed)
        }
        (_, _, Stop::Refused(refusal)) => refusal,
    })?;
    let (Some(depth), Some(level)) = (reach.required.filter(|depth| *depth > 0), reach.required_name) else {
        return Ok(anywhere);
    };
    let fits = domains(terrain, WHOLE, depth, &there).into_iter().map(|domain| {
        let fits = |class: &Class<'_>| class.standing.sum(domain).min(class.members.len() as u64);
        (classes.iter().map(fits).fold(0, u64::saturating_add), domain)
    });
    let pods = members.len() as u64;
    let fits = fits.max_by_key(|(fits, domain)| (*fits, core::cmp::Reverse(*domain)));
    let fits = fits.map_or(0, |(fits, domain)| match attempt(domain) {
        // Each class would fit, but not all together.
        Err(stopped) if fits == pods => stopped.0.placements.len() as u64,
        Ok(_) | Err(_) => fits,
    });
    Err(Refusal::NoDomain { level, fits, pods })
}

/// For each domain in which a search may place the gang, the nodes to leave out: one for all if it requires no level.
pub(super) fn inside(site: Site<'_>, terrain: &Terrain, members: &[Arc<Pod>]) -> Vec<BTreeSet<NodeName>> {
    let reach = Reach::of_gang(members, terrain).unwrap_or_default();
    let Some(depth) = reach.required.filter(|depth| *depth > 0) else {
        return [site.excluded.clone()].into();
    };
    let there: Vec<usize> = bound(site, terrain).iter().map(|(_, place)| *place).collect();
    let outside = |domain: Domain| {
        let range = terrain.range(domain);
        let out = site.nodes.iter().enumerate().filter(|(at, _)| !range.contains(&terrain.place(*at)));
        out.map(|(_, state)| state.node.name.clone()).chain(site.excluded.iter().cloned()).collect()
    };
    domains(terrain, WHOLE, depth, &there).into_iter().map(outside).collect()
}

/// Whether the members of each role that requires a level are in one domain of it.
pub(super) fn keeps_roles(terrain: &Terrain, found: &[Group<'_>]) -> bool {
    let mut homes: BTreeMap<(Name, usize), usize> = BTreeMap::new();
    found.iter().flat_map(|(at, pods)| pods.iter().map(move |pod| (*at, pod))).all(|(at, pod)| {
        let Ok(reach) = Reach::of(&pod.topology.role, terrain) else { return false };
        let Some(depth) = reach.required else { return true };
        let domain = terrain.index(depth, terrain.place(at));
        *homes.entry((super::rank(pod).0, depth)).or_insert(domain) == domain
    })
}

/// The whole cluster.
pub(super) const WHOLE: Domain = Domain { depth: 0, index: 0 };

/// Those of the domains in which each class fits by itself, the one that takes the largest class best first.
fn candidates(
    site: Site<'_>,
    terrain: &Terrain,
    classes: &[Class<'_>],
    bound: &[(Name, usize)],
    domains: Vec<Domain>,
) -> Vec<Domain> {
    let making = Making::new(site, terrain, bound);
    let takes = |class: &Class<'_>, domain| class.standing.sum(domain) >= class.members.len() as u64;
    let preview = |domain: Domain| {
        if !classes.iter().all(|class| takes(class, domain)) {
            return None;
        }
        let largest = classes.first()?;
        Some((making.preview(largest.standing, domain, largest.members.len() as u64)?, domain))
    };
    let mut found: Vec<_> = domains.into_iter().filter_map(preview).collect();
    found.sort();
    found.into_iter().map(|(_, domain)| domain).collect()
}

/// Role and place of the members that are bound.
fn bound(site: Site<'_>, terrain: &Terrain) -> Vec<(Name, usize)> {
    let place = |(role, node): &(Name, crate::ids::NodeName)| {
        let at = site.nodes.binary_search_by(|s| s.node.name.cmp(node)).ok()?;
        Some((role.clone(), terrain.place(at)))
    };
    site.bound.iter().filter_map(place).collect()
}

/// Room for each class.
pub(super) fn standings(site: Site<'_>, terrain: &Terrain, classes: &[Vec<&Arc<Pod>>]) -> Vec<Standing> {
    let standing = |class: &Vec<&Arc<Pod>>| {
        let draft = super::Draft::new(site.nodes);
        let first = class.first()?;
        Some(Standing::new(terrain, &super::eligible(site, first), |at| draft.copies(at, first)))
    };
    classes.iter().filter_map(standing).collect()
}
