//! What a waiting gang asks of the planner, from a view: the same question that the queue asks on its behalf.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::gang::{Census, Gang};
use crate::ids::{Name, NodeName};
use crate::pod::Pod;
use crate::pvc::{PvcName, in_use};
use crate::view::View;

/// Members that need a place, and under which circumstances.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Members without a node, those that must start first at the front.
    pub(super) members: Vec<Arc<Pod>>,
    /// So many of them are needed to start.
    pub(super) needed: usize,
    /// Members that are bound or have ended well.
    pub(super) settled: u64,
    /// Role and node of those that are bound.
    pub(super) bound: Vec<(Name, NodeName)>,
    /// Nodes left out for this gang.
    pub(super) excluded: BTreeSet<NodeName>,
    /// Claims for one pod at a time that others have.
    pub(super) pvcs_in_use: BTreeSet<PvcName>,
}

impl Request {
    /// `None` if the gang's size is not known or nobody waits.
    pub(super) fn of(view: &View, gang: &Gang) -> Option<Request> {
        let census = Census::of(gang, &view.pods);
        let (_, min) = gang.size(&census, true).ok()?;
        let pods = census.pending.iter().filter_map(|uid| view.pods.get(uid));
        let mut members: Vec<Arc<Pod>> = pods.map(|state| state.pod.clone()).collect();
        members.sort_by_key(|pod| (Reverse(pod.request), pod.created, pod.uid.clone()));
        let needed = usize::try_from(min.saturating_sub(census.settled)).unwrap_or(usize::MAX).max(1);
        let pvcs_in_use = in_use(&view.pods, &view.pvcs, &members);
        let excluded = gang.excluded.keys().cloned().collect();
        let needed = needed.min(members.len());
        (!members.is_empty()).then_some(Request {
            members,
            needed,
            settled: census.settled,
            bound: gang.places(&view.pods),
            excluded,
            pvcs_in_use,
        })
    }

    /// Just those without whom the gang does not start, if that is not all of them.
    pub(super) fn least(&self) -> Option<&[Arc<Pod>]> {
        self.members.get(..self.needed).filter(|least| least.len() < self.members.len())
    }
}
