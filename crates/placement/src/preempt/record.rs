//! What is remembered of preemptions: promises that stand, and who is left alone for a while.
//!
//! All of it may be lost: after a restart pods that are leaving are found again by what the API server says of them.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use super::Promise;
use crate::ids::{Epoch, GangId, NodeName, PodUid};
use crate::ledger::Ledger;
use crate::resources::Resources;
use crate::time::{Span, Time};

/// The window of the budget.
const MINUTE: Span = Span(60_000);

/// Promises, and everything that keeps preemption from running wild.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preemptions {
    /// Promises by the gang that they are made to.
    pub(crate) promises: BTreeMap<GangId, Arc<Promise>>,
    /// Pods whose eviction was refused, and until when nobody asks again.
    pub(crate) spared: BTreeMap<PodUid, Time>,
    /// Gangs whose preemption came to nothing, and until when they do not try again.
    pub(crate) paused: BTreeMap<GangId, Time>,
    /// The state of the ledger in which a gang found nobody to send away.
    pub(crate) tried: BTreeMap<GangId, (u64, u64)>,
    /// Rises with every claim: somebody may be there who was not before.
    pub(crate) claims: u64,
    /// Gangs that are told once their evictions are certain, each with a pod to hang the news on: by then the promise, its
    /// victims and even their gangs may be gone.
    pub(crate) to_tell: BTreeMap<Epoch, BTreeMap<GangId, PodUid>>,
    /// Evictions within the last minute: when, for which promise, how many pods.
    evicted: VecDeque<(Time, Epoch, u64)>,
}

impl Preemptions {
    /// What everybody but those with a priority above `above` must leave free on a node; without one, everybody.
    pub(crate) fn kept_free(&self, node: &NodeName, ledger: &Ledger, above: Option<i32>) -> Resources {
        let standing = self.promises.values().filter(|p| above.is_none_or(|a| p.priority >= a));
        standing
            .map(|p| p.kept_free(node, ledger, &alloc::collections::BTreeSet::new()))
            .fold(Resources::default(), Resources::plus)
    }

    /// Whether a pod is already being evicted for somebody.
    pub(crate) fn is_victim(&self, pod: &PodUid) -> bool {
        self.promises.values().any(|p| p.victims.contains(pod))
    }

    /// Counts evictions asked for.
    pub(crate) fn count(&mut self, now: Time, number: Epoch, pods: u64) {
        self.evicted.push_back((now, number, pods));
    }

    /// Evictions that were refused do not count.
    pub(crate) fn uncount(&mut self, number: Epoch) {
        self.evicted.retain(|(_, n, _)| *n != number);
    }

    /// Pods evicted within the last minute.
    pub(crate) fn rate(&self) -> u64 {
        self.evicted.iter().fold(0, |sum, (.., pods)| sum.saturating_add(*pods))
    }

    /// Forgets what is over.
    pub(crate) fn expire(&mut self, now: Time) {
        let spared = self.spared.len();
        self.spared.retain(|_, until| *until > now);
        if self.spared.len() < spared {
            self.tried.clear();
        }
        self.paused.retain(|_, until| *until > now);
        while self.evicted.front().is_some_and(|(at, ..)| now.since(*at) >= MINUTE) {
            self.evicted.pop_front();
        }
    }
}
