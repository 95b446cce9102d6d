//! Where the members of one class go so that they are near to each other and to what their gang has already: the
//! narrowest domain that takes all of them, and in it as few domains of each level as can be.
//!
//! Among domains that take all, the one in which they use the fewest smaller domains counts, then the one with least
//! left over, then name. A gang that has places already is only looked for where those are. Sees copies only: who the
//! members are and what they wish is not its concern.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::split::{Part, exact, largest_first};
use crate::fleet::{Domain, Room, Terrain};
use crate::score::Tie;

/// Domain looks times members squared that an exact split may cost; beyond, the largest domains are filled first.
const EXACT_MAX: usize = 1 << 18;

/// Room for one class, and what its gang uses already.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) terrain: &'a Terrain,
    pub(super) room: &'a Room,
    /// What decides between hosts that are alike, by place.
    pub(super) ties: &'a [Tie],
    /// Places that the gang uses already, ascending.
    pub(super) used: &'a [usize],
}

/// So many members at a place.
pub(super) type Share = (usize, u64);

/// How well a domain takes members; smaller is better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fit {
    /// The narrowest domain in it that takes all.
    narrowest: Reverse<usize>,
    /// Domains used that were not before, by depth, the hosts last.
    new: Vec<u64>,
    /// First used place that it has.
    near: usize,
    /// Room left over.
    spare: u64,
    tie: Tie,
    pub(super) domain: Domain,
}

impl Ground<'_> {
    /// The best place inside a domain for so many, if it takes all.
    pub(super) fn best_in(&self, within: Domain, wanted: u64) -> Option<Fit> {
        if self.room.sum(within) < wanted {
            return None;
        }
        (within.depth..=self.terrain.hosts()).rev().find_map(|depth| self.best_at(within, depth, wanted))
    }

    /// The best domain of a depth.
    fn best_at(&self, within: Domain, depth: usize, wanted: u64) -> Option<Fit> {
        let fits = self.fitting(within, depth, wanted);
        let least = self.least(depth, wanted);
        let exact = self.exact(within, fits.len(), wanted);
        let mut best: Option<Fit> = None;
        for (_, _, index) in fits {
            let fit = self.fit(Domain { depth, index }, wanted, exact);
            let ideal = fit.new == least;
            if best.as_ref().is_none_or(|best| fit < *best) {
                best = Some(fit);
            }
            // The others leave more over, or come later.
            if ideal {
                break;
            }
        }
        best
    }

    /// Domains of a depth that take all: nearest to what is used first, then those with least left over.
    fn fitting(&self, within: Domain, depth: usize, wanted: u64) -> Vec<(usize, u64, usize)> {
        let fits = |index: usize| {
            let sum = self.room.sum(Domain { depth, index });
            (sum >= wanted).then(|| sum.saturating_sub(wanted))
        };
        let used = self.used_in(within);
        if !used.is_empty() {
            let mut domains: Vec<usize> =
                used.iter().map(|place| self.terrain.index(depth, *place)).collect();
            domains.dedup();
            let near = |index: usize| self.near(Domain { depth, index });
            return domains.into_iter().filter_map(|i| Some((near(i), fits(i)?, i))).collect();
        }
        let inside = self.terrain.inside(within, depth);
        if depth == self.terrain.hosts() {
            return self.tightest_host(inside, wanted).into_iter().collect();
        }
        let mut found: Vec<_> = inside.filter_map(|i| Some((usize::MAX, fits(i)?, i))).collect();
        found.sort_unstable();
        found
    }

    /// The host that takes all with least left over.
    fn tightest_host(&self, places: core::ops::Range<usize>, wanted: u64) -> Option<(usize, u64, usize)> {
        let copies = self.room.copies().get(places.clone())?;
        let wanted = u16::try_from(wanted).ok()?;
        if !copies.iter().any(|copies| *copies >= wanted) {
            return None;
        }
        let fitting = places.zip(copies).filter(|(_, copies)| **copies >= wanted);
        let (copies, _, place) = fitting.map(|(place, copies)| (*copies, self.tie(place), place)).min()?;
        Some((usize::MAX, u64::from(copies.saturating_sub(wanted)), place))
    }

    /// How well a domain that takes all does so.
    fn fit(&self, domain: Domain, wanted: u64, exact: bool) -> Fit {
        let host = domain.depth == self.terrain.hosts();
        let new = if host {
            Vec::new()
        } else {
            self.new_domains(domain.depth, &self.spread(domain, wanted, exact))
        };
        Fit {
            narrowest: Reverse(domain.depth),
            new,
            near: self.near(domain),
            spare: self.room.sum(domain).saturating_sub(wanted),
            tie: if host { self.tie(domain.index) } else { Tie::BEST },
            domain,
        }
    }

    /// Members by place, ascending, in a domain that takes all of them.
    pub(super) fn shares(&self, domain: Domain, wanted: u64) -> Vec<Share> {
        self.spread(domain, wanted, self.exact(domain, 1, wanted))
    }

    /// All the room in a domain.
    pub(super) fn all(&self, domain: Domain) -> Vec<Share> {
        let share = |place| Some((place, self.room.at(place))).filter(|(_, copies)| *copies > 0);
        self.terrain.range(domain).filter_map(share).collect()
    }

    /// Whether an exact answer for so many domains costs little.
    fn exact(&self, within: Domain, domains: usize, wanted: u64) -> bool {
        let deepest = self.terrain.hosts().saturating_sub(1).max(within.depth);
        let looks = self.terrain.inside(within, deepest).len().saturating_mul(domains);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        looks.saturating_mul(wanted).saturating_mul(wanted) <= EXACT_MAX
    }

    fn spread(&self, domain: Domain, wanted: u64, exact_split: bool) -> Vec<Share> {
        let hosts = self.terrain.hosts();
        if domain.depth >= hosts {
            return [(domain.index, wanted)].to_vec();
        }
        let parts = self.parts(domain);
        let below = domain.depth.saturating_add(1);
        let split = if exact_split && below < hosts {
            exact(&parts, wanted, |part, most| self.costs(Domain { depth: below, index: part.index }, most))
        } else {
            largest_first(parts, wanted)
        };
        let child = |(index, share)| self.spread(Domain { depth: below, index }, share, exact_split);
        split.into_iter().flat_map(child).collect()
    }

    /// The domains with room that a domain consists of.
    fn parts(&self, domain: Domain) -> Vec<Part> {
        let depth = domain.depth.saturating_add(1);
        let part = |index: usize| {
            let copies = self.room.sum(Domain { depth, index });
            let tie = if depth == self.terrain.hosts() { self.tie(index) } else { Tie::BEST };
            let new = self.used_in(Domain { depth, index }).is_empty();
            (copies > 0).then_some(Part { new, copies, tie, index })
        };
        self.terrain.inside(domain, depth).filter_map(part).collect()
    }

    /// What it costs to have 0, 1, … `most` members in a domain.
    fn costs(&self, domain: Domain, most: u64) -> Vec<super::split::Cost> {
        let below = domain.depth.saturating_add(1);
        let parts = self.parts(domain);
        let own = super::split::Cost::of(domain.depth, self.part(domain));
        if below == self.terrain.hosts() {
            return super::split::leaf_costs(&parts, most, below, own);
        }
        let inner = |part: &Part, most| self.costs(Domain { depth: below, index: part.index }, most);
        super::split::merged(&parts, most, inner).last_row(own)
    }

    fn part(&self, domain: Domain) -> Part {
        let new = self.used_in(domain).is_empty();
        Part { new, copies: self.room.sum(domain), tie: Tie::BEST, index: domain.index }
    }

    /// Domains that shares use and the gang did not, by depth below one.
    fn new_domains(&self, above: usize, shares: &[Share]) -> Vec<u64> {
        let count = |depth: usize| {
            let mut domains: Vec<usize> = shares.iter().map(|(p, _)| self.terrain.index(depth, *p)).collect();
            domains.dedup();
            domains.retain(|index| self.used_in(Domain { depth, index: *index }).is_empty());
            domains.len() as u64
        };
        (above.saturating_add(1)..=self.terrain.hosts()).map(count).collect()
    }

    /// No domain of a depth can do with fewer smaller domains than this.
    fn least(&self, above: usize, wanted: u64) -> Vec<u64> {
        if !self.used.is_empty() {
            return Vec::new();
        }
        let roomiest = |depth: usize| {
            (0..self.terrain.count(depth))
                .map(|index| self.room.sum(Domain { depth, index }))
                .max()
                .unwrap_or(0)
        };
        let least = |depth: usize| wanted.div_ceil(roomiest(depth).max(1));
        (above.saturating_add(1)..=self.terrain.hosts()).map(least).collect()
    }

    /// The first used place in a domain.
    fn near(&self, domain: Domain) -> usize {
        self.used_in(domain).first().copied().unwrap_or(usize::MAX)
    }

    fn used_in(&self, domain: Domain) -> &[usize] {
        if self.used.is_empty() {
            return &[];
        }
        let range = self.terrain.range(domain);
        let (from, to) =
            (self.used.partition_point(|p| *p < range.start), self.used.partition_point(|p| *p < range.end));
        self.used.get(from..to).unwrap_or_default()
    }

    fn tie(&self, place: usize) -> Tie {
        self.ties.get(place).copied().unwrap_or(Tie::BEST)
    }
}
