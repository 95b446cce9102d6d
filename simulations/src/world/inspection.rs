//! Rule 2 as the world sees it: of a gang nothing is bound, or what it needs, or a member was lost.
//!
//! Looked at some time after the first Binding of a gang, when everything that makes it whole should be done.

use muster_placement::ids::GangId;
use muster_placement::time::Span;

use super::{Happening, World};

/// Longer than the longest barrier with calls that have to be made again.
const INSPECTION: Span = Span(60_000);
/// Between two looks at a gang that something came in the way of.
const AGAIN: Span = Span(15_000);

impl World {
    /// A pod of a gang is bound: the gang is whole now, or must become so.
    pub(crate) fn begins(&mut self, id: &GangId) {
        let never_whole = self.jobs.get(id).is_some_and(|job| job.whole.is_none());
        if never_whole && self.beginning.insert(id.clone()) {
            self.after(INSPECTION, Happening::Inspect(id.clone()));
        }
    }

    /// A gang that began to be bound is whole by now, has lost a member, or was held up.
    pub(crate) fn inspect(&mut self, id: &GangId) {
        let explained = |job: &&crate::job::Job| job.ended || job.whole.is_some() || job.lost;
        let Some(job) = self.jobs.get(id).filter(|job| !explained(job)) else {
            self.beginning.remove(id);
            return;
        };
        if self.now.since(self.disturbed) < INSPECTION || self.calls.outage {
            return self.after(AGAIN, Happening::Inspect(id.clone()));
        }
        let bound = job.pods.values().filter(|uid| self.pods.get(*uid).is_some_and(|pod| pod.node.is_some()));
        let (bound, needed) = (bound.count(), job.spec.needed());
        self.tally.broken.push(format!("{} ms: {id} has {bound} of {needed} members bound", self.now.0));
        self.beginning.remove(id);
    }
}
