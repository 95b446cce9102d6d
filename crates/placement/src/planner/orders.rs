//! Second thoughts about a mixed gang that did not fit class by class, largest first: before "no" is said, other orders
//! are tried, then a search.
//!
//! Placing the largest class first is right where everybody may use every node. It goes wrong where a class takes what
//! another one needs more: so each class in turn goes first. Both are bounded ([`TRIES`], and the search's looks), so a
//! large gang may be told "no" although there is a way; small ones are not (the tests compare with every possibility).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::draft::Draft;
use super::making::Class;
use super::scope;
use super::search::{Group, Search};
use super::{Placement, Site};
use crate::fleet::Terrain;
use crate::pod::Pod;
use crate::refusal::Refusal;

/// Orders tried.
const TRIES: usize = 16;

/// Another way for a gang that was refused, if one is found.
pub(super) fn another_way(
    site: Site<'_>,
    terrain: &Terrain,
    members: &[Arc<Pod>],
    groups: &[Vec<&Arc<Pod>>],
    classes: &[Class<'_>],
    refusal: &Refusal,
) -> Option<Vec<Placement>> {
    let may_be =
        matches!(refusal, Refusal::Fragmented { .. } | Refusal::PortTaken { .. } | Refusal::NoDomain { .. });
    // A class that does not fit by itself fits in no order.
    let alone = |class: &Class<'_>| class.standing.sum(scope::WHOLE) >= class.members.len() as u64;
    if !may_be || classes.len() < 2 || !classes.iter().all(alone) {
        return None;
    }
    let mut order: Vec<&Class<'_>> = classes.iter().collect();
    for first in 1..order.len().min(TRIES) {
        order.get_mut(..=first)?.rotate_right(1);
        let order: Vec<Class<'_>> = order.iter().copied().copied().collect();
        if let Ok(placements) = scope::place_all(site, terrain, members, &order) {
            return Some(placements);
        }
    }
    scope::inside(site, terrain, members).into_iter().find_map(|outside| {
        let site = Site { excluded: &outside, ..site };
        let found = Search::new(site, groups).run()?;
        scope::keeps_roles(terrain, &found).then(|| taken(site, &found))
    })
}

/// Placements for members on their nodes.
pub(super) fn taken(site: Site<'_>, found: &[Group<'_>]) -> Vec<Placement> {
    let (mut draft, mut placements) = (Draft::new(site.nodes), Vec::new());
    for (at, pods) in found {
        draft.take(*at, pods, &mut placements);
    }
    placements
}
