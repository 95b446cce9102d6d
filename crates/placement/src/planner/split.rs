//! How many members go to each part of a domain: as few parts as can be, largest first and the last one tightest; or,
//! where it costs little, exactly the fewest parts at every level below, by dynamic programming over the parts.

use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::score::Tie;

/// A part of a domain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The gang does not use it yet.
    pub(super) new: bool,
    /// Members that fit.
    pub(super) copies: u64,
    pub(super) tie: Tie,
    pub(super) index: usize,
}

/// Parts used, each with its members, in order of parts.
pub(super) type Split = Vec<(usize, u64)>;

/// Fills parts that are in use first, then the largest; the one that takes the rest is the tightest that can.
pub(super) fn largest_first(mut parts: Vec<Part>, wanted: u64) -> Split {
    let mut split = Vec::new();
    let mut rest = wanted;
    parts = enough(parts, wanted);
    parts.sort_by_key(|part| (part.new, Reverse(part.copies), part.tie, part.index));
    let mut parts = parts.as_slice();
    while let Some((first, later)) = parts.split_first().filter(|_| rest > 0) {
        // From the first on, copies only fall while parts are equally new.
        let like = parts.iter().take_while(|part| part.new == first.new && part.copies >= rest);
        let Some(tightest) = like.min_by_key(|part| (part.copies, part.tie, part.index)) else {
            split.push((first.index, first.copies));
            rest = rest.saturating_sub(first.copies);
            parts = later;
            continue;
        };
        split.push((tightest.index, rest));
        rest = 0;
    }
    split.sort_unstable();
    split
}

/// Without the parts that are too small to be looked at: the larger ones alone take all.
fn enough(mut parts: Vec<Part>, wanted: u64) -> Vec<Part> {
    const MANY: usize = 256;
    if parts.len() > MANY && parts.iter().all(|part| part.new) {
        let largest = parts.iter().map(|part| part.copies).max().unwrap_or(0);
        let of_largest = parts.iter().filter(|part| part.copies == largest).count() as u64;
        if largest.saturating_mul(of_largest) >= wanted.saturating_add(largest) {
            let full = wanted.checked_div(largest).unwrap_or(0);
            let rest = wanted.saturating_sub(full.saturating_mul(largest));
            parts.retain(|part| part.copies == largest || (rest > 0 && part.copies >= rest));
        }
    }
    parts
}

/// Depths that are told apart; deeper ones count together.
const DEPTHS: usize = 8;

/// What a split costs: domains used, from the widest level to the hosts, then the room that those have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cost {
    domains: [u32; DEPTHS],
    room: [u32; DEPTHS],
}

impl Cost {
    /// The cost of using one part at a depth.
    pub(super) fn of(depth: usize, part: Part) -> Cost {
        let mut cost = Cost::default();
        let depth = depth.min(DEPTHS.saturating_sub(1));
        if let Some(domains) = cost.domains.get_mut(depth) {
            *domains = u32::from(part.new);
        }
        if let Some(room) = cost.room.get_mut(depth) {
            *room = u32::try_from(part.copies).unwrap_or(u32::MAX);
        }
        cost
    }

    fn plus(mut self, other: Cost) -> Cost {
        let ours = self.domains.iter_mut().chain(&mut self.room);
        for (sum, more) in ours.zip(other.domains.iter().chain(&other.room)) {
            *sum = sum.saturating_add(*more);
        }
        self
    }
}

/// Costs of 0, 1, … members in a domain of hosts.
pub(super) fn leaf_costs(hosts: &[Part], most: u64, depth: usize, own: Cost) -> Vec<Cost> {
    let copies = hosts.iter().map(|host| host.copies).fold(0, u64::saturating_add);
    let cost = |members: u64| {
        let used = largest_first(hosts.to_vec(), members);
        let parts = used.iter().filter_map(|(index, _)| hosts.iter().find(|host| host.index == *index));
        parts.fold(own, |sum, host| sum.plus(Cost::of(depth, *host)))
    };
    core::iter::once(Cost::default()).chain((1..=most.min(copies)).map(cost)).collect()
}

/// The cheapest ways to have 0, 1, … members in the first part, in the first two, and so on.
pub(super) struct Merged {
    /// By parts taken into account, then members: cost, and members in the last of the parts.
    rows: Vec<Vec<Option<(Cost, u64)>>>,
}

/// Merges parts one by one; `costs` says what so many members in a part cost at most.
pub(super) fn merged(parts: &[Part], most: u64, costs: impl Fn(&Part, u64) -> Vec<Cost>) -> Merged {
    let size = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1);
    let mut row: Vec<Option<(Cost, u64)>> = alloc::vec![None; size];
    if let Some(none) = row.first_mut() {
        *none = Some((Cost::default(), 0));
    }
    let mut rows = Vec::with_capacity(parts.len());
    for part in parts {
        let costs = costs(part, most.min(part.copies));
        let cheapest = |members: usize| {
            let way = |(here, cost): (usize, &Cost)| {
                let (before, _) = (*row.get(members.checked_sub(here)?)?)?;
                Some((before.plus(*cost), here as u64))
            };
            costs.iter().enumerate().filter_map(way).min()
        };
        row = (0..size).map(cheapest).collect();
        rows.push(row.clone());
    }
    Merged { rows }
}

impl Merged {
    /// Costs of 0, 1, … members in all parts together, as far as they take them; `own` is added for any.
    pub(super) fn last_row(&self, own: Cost) -> Vec<Cost> {
        let row = self.rows.last().map(Vec::as_slice).unwrap_or_default();
        let cost = |(members, cost): (usize, &Option<(Cost, u64)>)| {
            cost.map(|(cost, _)| if members == 0 { cost } else { cost.plus(own) })
        };
        row.iter().enumerate().map_while(cost).collect()
    }
}

/// The cheapest split.
pub(super) fn exact(parts: &[Part], wanted: u64, costs: impl Fn(&Part, u64) -> Vec<Cost>) -> Split {
    let merged = merged(parts, wanted, costs);
    let mut rest = wanted;
    let mut split = Vec::new();
    for (part, row) in parts.iter().zip(&merged.rows).rev() {
        let way = usize::try_from(rest).ok().and_then(|rest| *row.get(rest)?);
        let here = way.map_or(0, |(_, here)| here);
        if here > 0 {
            split.push((part.index, here));
            rest = rest.saturating_sub(here);
        }
    }
    split.reverse();
    split
}
