//! Nodes that one class of members may use, in the order in which they are wanted, so that placing a member looks
//! at a handful of nodes and not at all of them.
//!
//! Nodes stand by wish, by whether the gang is already there, and by how many members fit. The node wanted is found
//! by how many members remain: if some node takes all of them the tightest such one, otherwise the roomiest.
//! Invariant: the tests find the same node by looking at every one.

use alloc::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::{Candidate, Wish};
use crate::pod::Pod;
use crate::score::Tie;

/// A node's place among those of one wish: members that fit, then what decides between equals, then position.
type Place = (u64, Tie, usize);

/// Nodes of one wish: those that the gang uses already, and new ones.
type Standing = [BTreeSet<Place>; 2];

/// The nodes with room for at least one member.
pub(super) struct Shelf(BTreeMap<Wish, Standing>);

impl Shelf {
    /// Puts up the candidates that have room.
    pub(super) fn new(draft: &Draft<'_>, candidates: &[Candidate], pod: &Pod) -> Shelf {
        let mut shelf = Shelf(BTreeMap::new());
        for candidate in candidates {
            shelf.put(draft, *candidate, pod);
        }
        shelf
    }

    /// Takes down the node that is wanted most while so many members remain.
    pub(super) fn take(&mut self, wanted: u64) -> Option<Candidate> {
        let found = self.0.iter().find_map(|(wish, standing)| Some((*wish, best(standing, wanted)?)));
        let (wish, (new, entry)) = found?;
        let standing = self.0.get_mut(&wish)?;
        standing.get_mut(usize::from(new))?.remove(&entry);
        let (_, tie, at) = entry;
        Some(Candidate { wish, tie, at })
    }

    /// Puts a node up again, if it still has room.
    pub(super) fn put(&mut self, draft: &Draft<'_>, candidate: Candidate, pod: &Pod) {
        let copies = draft.copies(candidate.at, pod);
        let new = usize::from(!draft.used(candidate.at));
        if copies > 0
            && let Some(side) = self.0.entry(candidate.wish).or_default().get_mut(new)
        {
            side.insert((copies, candidate.tie, candidate.at));
        }
    }
}

/// Whether it is new to the gang, and the entry.
fn best(standing: &Standing, wanted: u64) -> Option<(bool, Place)> {
    let sides = || [false, true].into_iter().zip(standing);
    let tightest = |side: &BTreeSet<Place>| side.range((wanted, Tie::BEST, 0)..).next().copied();
    let whole = sides().find_map(|(new, side)| Some((new, tightest(side)?)));
    whole.or_else(|| sides().find_map(|(new, side)| Some((new, roomiest(side)?))))
}

/// The entry with most room; of equals the first.
fn roomiest(side: &BTreeSet<Place>) -> Option<Place> {
    let (most, ..) = side.last()?;
    side.range((*most, Tie::BEST, 0)..).next().copied()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail")]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::cmp::Reverse;
    use proptest::prelude::*;

    fn wish(outside_pool: bool) -> Wish {
        Wish { outside_pool, gpus_unused: false, preference: Reverse(0) }
    }

    /// Wish, splits, new to the gang, spare room, position: the smallest is wanted.
    fn by_looking_at_all(nodes: &[(bool, bool, u64)], wanted: u64) -> Option<usize> {
        let order = |(at, (outside, new, copies)): (usize, &(bool, bool, u64))| {
            let splits = *copies < wanted;
            let spare = if splits { u64::MAX - copies } else { *copies };
            (*copies > 0).then_some((wish(*outside), splits, *new, spare, at))
        };
        nodes.iter().enumerate().filter_map(order).min().map(|(.., at)| at)
    }

    proptest! {
        #[test]
        fn the_node_wanted_is_found(
            nodes in prop::collection::vec((any::<bool>(), any::<bool>(), 0u64..9), 0..40),
            wanted in 1u64..10,
        ) {
            let mut shelf = Shelf(BTreeMap::new());
            for (at, (outside, new, copies)) in nodes.iter().enumerate() {
                if *copies > 0 {
                    shelf.0.entry(wish(*outside)).or_default()[usize::from(*new)].insert((*copies, Tie::BEST, at));
                }
            }
            let mut left: Vec<_> = nodes.clone();
            while let Some(expected) = by_looking_at_all(&left, wanted) {
                prop_assert_eq!(shelf.take(wanted).map(|c| c.at), Some(expected));
                left[expected].2 = 0;
            }
            prop_assert!(shelf.take(wanted).is_none());
        }
    }
}
