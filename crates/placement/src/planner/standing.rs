//! The nodes that one class of members may use, tier by tier: nodes that are wished for alike are one tier, with the room
//! in each domain counted once.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::draft::Draft;
use super::{Candidate, Wish};
use crate::fleet::{Domain, Room, Terrain};
use crate::pod::Pod;
use crate::score::Tie;

/// Room for a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// By wish, the best first.
    pub(super) tiers: Vec<(Wish, Room)>,
    /// What decides between hosts that are alike, by place.
    pub(super) ties: Vec<Tie>,
}

impl Standing {
    /// Counts room on the nodes that the pod may use; `copies` says how many fit at a position.
    pub(super) fn new(terrain: &Terrain, nodes: &[Candidate], copies: impl Fn(usize) -> u64) -> Standing {
        let mut tiers: BTreeMap<Wish, Room> = BTreeMap::new();
        let mut ties = alloc::vec![Tie::BEST; terrain.len()];
        for candidate in nodes {
            let place = terrain.place(candidate.at);
            let room = tiers.entry(candidate.wish).or_insert_with(|| Room::none(terrain));
            room.set(terrain, place, copies(candidate.at));
            if let Some(tie) = ties.get_mut(place) {
                *tie = candidate.tie;
            }
        }
        Standing { tiers: tiers.into_iter().collect(), ties }
    }

    /// The same beside what a draft has taken.
    pub(super) fn beside<'a>(
        this: &'a Standing,
        terrain: &Terrain,
        draft: &Draft<'_>,
        pod: &Pod,
    ) -> Cow<'a, Standing> {
        if draft.is_empty() {
            return Cow::Borrowed(this);
        }
        let mut left = this.clone();
        for at in draft.taken() {
            let place = terrain.place(at);
            for (_, room) in left.tiers.iter_mut().filter(|(_, room)| room.at(place) > 0) {
                room.set(terrain, place, draft.copies(at, pod));
            }
        }
        Cow::Owned(left)
    }

    /// Members that fit in a domain.
    pub(super) fn sum(&self, domain: Domain) -> u64 {
        self.tiers.iter().map(|(_, room)| room.sum(domain)).fold(0, u64::saturating_add)
    }
}
