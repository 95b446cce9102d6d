//! Which placed pods the rules of a gang about other pods can mean, and when such a gang is to be tried again.
//!
//! A pod counts from the moment it holds its node, bound or planned. A plan taken up again after a restart is not
//! checked again: plans were made one after the other, each with those before it in view, and kube-scheduler checks
//! every member once more against what is bound by then.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Cluster;
use crate::ids::{GangId, PodUid};
use crate::planner::Neighbourhood;
use crate::pod::Pod;

impl Cluster {
    /// The placed pods that matter to a gang; `None` if no rule concerns it.
    pub(super) fn neighbourhood(&self, members: &[Arc<Pod>]) -> Option<Neighbourhood> {
        let placed = |uid: &PodUid| self.ledger.claim(uid).is_some();
        let apart = self.apart.iter().filter(|uid| placed(uid)).filter_map(|uid| self.pods.get(uid));
        let claims = self.ledger.claims().iter();
        let placed = claims.filter_map(|(uid, claim)| Some((&claim.node, &self.pods.get(uid)?.pod)));
        Neighbourhood::of(members, apart.map(|state| &state.pod), placed)
    }

    /// Whether a rule concerns a gang.
    pub(super) fn ruled(&self, id: &GangId) -> bool {
        let members = self.gangs.get(id).into_iter().flat_map(|gang| &gang.members);
        let pods = members.filter_map(|uid| self.pods.get(uid)).map(|state| state.pod.clone());
        self.neighbourhood(&pods.collect::<Vec<_>>()).is_some()
    }

    /// Follows a pod that appeared or changed, given with what it was before.
    pub(super) fn follow_neighbour(&mut self, pod: &Pod, before: Option<&Pod>) {
        if pod.neighbours.apart.is_empty() {
            self.apart.remove(&pod.uid);
        } else {
            self.apart.insert(pod.uid.clone());
        }
        if before.is_some_and(|old| old.labels != pod.labels || old.terminating != pod.terminating) {
            self.neighbour_changed();
        }
    }

    /// A pod got a place, or counts otherwise than before: that may help a gang that was refused for a rule.
    pub(super) fn neighbour_changed(&mut self) {
        if core::mem::take(&mut self.awaits_neighbours) {
            self.freed();
        }
    }

    /// Whether two single pods alike may still be treated differently by a rule about other pods.
    pub(super) fn may_differ(&self, pod: &Pod) -> bool {
        !self.apart.is_empty() || !pod.neighbours.is_empty()
    }
}
