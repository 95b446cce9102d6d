//! The room that a preemptor waits for, node by node, and what of it others must leave free meanwhile.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::{Epoch, GangId, NodeName, PodUid};
use crate::ledger::Ledger;
use crate::resources::Resources;
use crate::time::Time;

/// A promise to one gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The gang that it is made to.
    pub gang: GangId,
    /// Its number, from the same series as plans.
    pub number: Epoch,
    /// The gang's priority: only a higher one may take what is promised.
    pub priority: i32,
    /// What the gang will take, by node.
    pub room: BTreeMap<NodeName, Resources>,
    /// Pods whose leaving makes the room; they own theirs until they are gone.
    pub leaving: BTreeMap<NodeName, BTreeSet<PodUid>>,
    /// Those of them that are evicted for this gang.
    pub victims: BTreeSet<PodUid>,
    /// How many gangs and single pods they are.
    pub parties: u64,
    /// The evictions are done; before that they may yet be refused.
    pub evicted: bool,
    /// When it is given up.
    pub until: Time,
}

impl Promise {
    /// What others must leave free on a node: the room less what the leaving pods still own there. It grows as they
    /// go, so what is free on top of the promise stays the same.
    pub fn kept_free(&self, node: &NodeName, ledger: &Ledger, gone: &BTreeSet<PodUid>) -> Resources {
        let Some(room) = self.room.get(node) else { return Resources::default() };
        let leaving = self.leaving.get(node).into_iter().flatten().filter(|uid| !gone.contains(*uid));
        let owned = leaving.filter_map(|uid| ledger.claim(uid)).filter(|claim| claim.node == *node);
        room.minus(owned.fold(Resources::default(), |sum, claim| sum.plus(claim.amount)))
    }

    /// Whether anybody whose leaving it waits for is still there.
    pub fn anybody_left(&self, ledger: &Ledger) -> bool {
        self.leaving.values().flatten().any(|uid| ledger.claim(uid).is_some())
    }
}
