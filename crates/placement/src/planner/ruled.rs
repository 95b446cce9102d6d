//! Places a gang that rules among pods concern, and says which rule stands in the way.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::neighbours::Rule;
use super::orders::taken;
use super::scope;
use super::search::{Search, Stuck};
use super::{Placement, Site, plan_freely};
use crate::fleet::Terrain;
use crate::pod::Pod;
use crate::refusal::{NeighbourRule, Refusal};

/// Places classes of members where no rule forbids it.
pub(super) fn plan_ruled(
    site: Site<'_>,
    terrain: &Terrain,
    members: &[Arc<Pod>],
    classes: &[Vec<&Arc<Pod>>],
) -> Result<Vec<Placement>, Refusal> {
    // What a rule forbids everywhere is said of the first domain.
    let mut stuck = None;
    for outside in scope::inside(site, terrain, members) {
        let site = Site { excluded: &outside, ..site };
        let mut search = Search::new(site, classes);
        match search.run() {
            Some(found) if scope::keeps_roles(terrain, &found) => return Ok(taken(site, &found)),
            Some(_) => {}
            None => stuck = stuck.or_else(|| search.stuck.map(|stuck| refusal(&stuck, members.len()))),
        }
    }
    // What is missing without any rule is said first.
    plan_freely(Site { neighbours: None, ..site }, terrain, members, classes)?;
    Err(stuck.unwrap_or(Refusal::Queued))
}

/// The rule that keeps the member from most nodes with room; where none does, the others left it no room.
fn refusal(stuck: &Stuck<'_>, members: usize) -> Refusal {
    let (fits, pods) = (stuck.placed as u64, members as u64);
    let most = stuck.rules.iter().max_by_key(|(rule, nodes)| (**nodes, Reverse(*rule)));
    let Some((rule, nodes)) = most else {
        let resource = crate::resources::Resource::ALL.into_iter().find(|r| stuck.pod.request.get(*r) > 0);
        let resource = resource.unwrap_or(crate::resources::Resource::Pods);
        let need = stuck.pod.request.get(resource);
        return Refusal::Fragmented { resource: resource.name().into(), need, fits, pods };
    };
    let (rule, key) = match rule {
        Rule::Near(key) => (NeighbourRule::Near, key),
        Rule::Apart(key) => (NeighbourRule::Apart, key),
        Rule::Unwelcome(key) => (NeighbourRule::Unwelcome, key),
        Rule::Spread(key) => (NeighbourRule::Spread, key),
    };
    Refusal::Neighbours { rule, key: key.clone(), nodes: *nodes, fits, pods }
}
