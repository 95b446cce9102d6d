//! What a waiting gang asks of the planner, from a view: the same question that the queue asks on its behalf.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::cluster::in_order_of_need;
use crate::gang::{Census, Gang};
use crate::ids::{Name, NodeName};
use crate::planner::Neighbourhood;
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
    /// Placed pods that rules among pods concern.
    pub(super) neighbours: Option<Neighbourhood>,
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
        let needed = in_order_of_need(gang, &census, min, &mut members);
        let pvcs_in_use = in_use(&view.pods, &view.pvcs, &members);
        // A gang that outranks the one with the reservation is not kept out; then less is said than could be.
        let kept = view.reservation.as_deref().filter(|r| r.gang != gang.id);
        let kept = kept.filter(|r| !members.iter().all(|pod| r.lets(pod, view.at, view.settings.barrier)));
        let kept = kept.into_iter().flat_map(|r| &r.nodes);
        let excluded = gang.excluded.keys().chain(kept).cloned().collect();
        let needed = needed.min(members.len());
        let placed = || {
            let claims = view.claims.iter();
            claims.filter_map(|(uid, claim)| Some((&claim.node, &view.pods.get(uid)?.pod)))
        };
        let neighbours = Neighbourhood::of(&members, placed().map(|(_, pod)| pod), placed());
        (!members.is_empty()).then_some(Request {
            members,
            needed,
            settled: census.settled,
            bound: gang.places(&view.pods),
            excluded,
            neighbours,
            pvcs_in_use,
        })
    }

    /// Just those without whom the gang does not start, if that is not all of them.
    pub(super) fn least(&self) -> Option<&[Arc<Pod>]> {
        self.members.get(..self.needed).filter(|least| least.len() < self.members.len())
    }
}
