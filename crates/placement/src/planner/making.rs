//! A plan in the making: classes are placed one after the other, each near to what the gang has already.
//!
//! Nodes that are wished for most are used first, all of them if they do not suffice; among those that are wished for alike
//! nearness decides. Members are handed out in order of rank along the order of domains, so ranks that follow each other
//! are side by side.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::draft::Draft;
use super::near::{Fit, Ground, Share};
use super::scope::{Reach, depths};
use super::standing::Standing;
use super::{Placement, Site};
use crate::fleet::{Domain, Terrain};
use crate::ids::Name;
use crate::pod::Pod;
use crate::refusal::Refusal;
use core::cmp::Reverse;

/// Members that are alike, in order of rank, and the room for them.
#[derive(Clone, Copy)]
pub(super) struct Class<'p> {
    pub(super) members: &'p [&'p Arc<Pod>],
    pub(super) standing: &'p Standing,
}

/// How well members fit a domain, smaller is better: members per tier, then nearness.
pub(super) type Preview = (Vec<Reverse<u64>>, Fit);

/// Why a class has no place.
pub(super) enum Stop {
    /// So many have one.
    Placed(u64),
    /// Another reason.
    Refused(Refusal),
}

/// What is placed so far.
pub(super) struct Making<'a> {
    terrain: &'a Terrain,
    pub(super) draft: Draft<'a>,
    /// Places that the gang uses, ascending.
    used: Vec<usize>,
    /// Role and place of each member.
    roles: Vec<(Name, usize)>,
    pub(super) placements: Vec<Placement>,
}

impl<'a> Making<'a> {
    /// Nothing but members that are bound, by role and place.
    pub(super) fn new(site: Site<'a>, terrain: &'a Terrain, bound: &[(Name, usize)]) -> Making<'a> {
        let mut making = Making {
            terrain,
            draft: Draft::new(site.nodes),
            used: Vec::new(),
            roles: bound.to_vec(),
            placements: Vec::new(),
        };
        making.use_places(bound.iter().map(|(_, place)| *place));
        making
    }

    fn use_places(&mut self, places: impl Iterator<Item = usize>) {
        self.used.extend(places);
        self.used.sort_unstable();
        self.used.dedup();
    }

    /// Places a class inside a domain, members that have a role's wish as near to each other as that asks.
    pub(super) fn place(&mut self, class: &Class<'_>, within: Domain) -> Result<(), Stop> {
        let Some(first) = class.members.first() else { return Ok(()) };
        let standing = Standing::beside(class.standing, self.terrain, &self.draft, first);
        let reach = Reach::of(&first.topology.role, self.terrain).map_err(Stop::Refused)?;
        let role = super::rank(first).0;
        let there: Vec<usize> =
            self.roles.iter().filter(|(name, _)| *name == role).map(|(_, p)| *p).collect();
        let wanted = class.members.len() as u64;
        let scope = depths(&reach, within.depth).find_map(|depth| {
            if depth <= within.depth {
                return Some(within);
            }
            let domains = domains(self.terrain, within, depth, &there).into_iter();
            domains
                .filter_map(|d| self.preview(&standing, d, wanted).map(|fit| (fit, d)))
                .min()
                .map(|(_, d)| d)
        });
        let Some(scope) = scope else {
            let level = reach.required_name.clone().unwrap_or_else(|| Name::from(""));
            let depth = reach.required.unwrap_or(within.depth);
            let fits =
                domains(self.terrain, within, depth, &there).into_iter().map(|d| standing.sum(d)).max();
            return Err(Stop::Refused(Refusal::NoDomain { level, fits: fits.unwrap_or(0), pods: wanted }));
        };
        self.place_in(&standing, class.members, scope)
    }

    /// Places as many as there is room for inside a domain.
    fn place_in(&mut self, standing: &Standing, members: &[&Arc<Pod>], within: Domain) -> Result<(), Stop> {
        let mut rest = members.len() as u64;
        let mut shares: Vec<Share> = Vec::new();
        for at in 0..standing.tiers.len() {
            let Some(ground) = self.ground(standing, at) else { break };
            let found = match ground.best_in(within, rest) {
                Some(fit) => ground.shares(fit.domain, rest),
                None => ground.all(within),
            };
            rest = rest.saturating_sub(found.iter().map(|(_, share)| *share).fold(0, u64::saturating_add));
            self.use_places(found.iter().map(|(place, _)| *place));
            shares.extend(found);
            if rest == 0 {
                break;
            }
        }
        shares.sort_unstable();
        self.hand_out(members, &shares);
        if rest == 0 { Ok(()) } else { Err(Stop::Placed((members.len() as u64).saturating_sub(rest))) }
    }

    /// Hands places out in order of rank.
    fn hand_out(&mut self, members: &[&Arc<Pod>], shares: &[Share]) {
        let mut rest = members;
        let role = members.first().filter(|pod| pod.topology.role.is_some()).map(|pod| super::rank(pod).0);
        for (place, share) in shares {
            let here = usize::try_from(*share).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at(here);
            self.draft.take(self.terrain.at(*place), now, &mut self.placements);
            self.roles.extend(role.clone().map(|role| (role, *place)));
            rest = later;
        }
    }

    /// How well so many would fit a domain, if they do.
    pub(super) fn preview(&self, standing: &Standing, domain: Domain, wanted: u64) -> Option<Preview> {
        let mut rest = wanted;
        let mut tiers = Vec::new();
        for at in 0..standing.tiers.len() {
            let ground = self.ground(standing, at)?;
            if let Some(fit) = ground.best_in(domain, rest) {
                tiers.push(Reverse(rest));
                return Some((tiers, fit));
            }
            let all = ground.room.sum(domain);
            tiers.push(Reverse(all));
            rest = rest.saturating_sub(all);
        }
        None
    }

    fn ground<'g>(&'g self, standing: &'g Standing, tier: usize) -> Option<Ground<'g>> {
        let (_, room) = standing.tiers.get(tier)?;
        Some(Ground { terrain: self.terrain, room, ties: &standing.ties, used: &self.used })
    }
}

/// The domains of a depth that may be chosen: those that members have already, or else all.
pub(super) fn domains(terrain: &Terrain, within: Domain, depth: usize, there: &[usize]) -> Vec<Domain> {
    let inside = terrain.inside(within, depth);
    let mut indexes: Vec<usize> = there.iter().map(|place| terrain.index(depth, *place)).collect();
    indexes.retain(|index| inside.contains(index));
    indexes.sort_unstable();
    indexes.dedup();
    let chosen = if indexes.is_empty() { inside.collect() } else { indexes };
    chosen.into_iter().map(|index| Domain { depth, index }).collect()
}
