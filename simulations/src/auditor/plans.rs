//! A plan outlives its process: it is on its pods, so that one which starts keeps what the one before has promised.

use std::sync::Arc;

use muster_placement::ids::{Epoch, GangId};
use muster_placement::pod::{Gate, Membership, Pod};
use muster_placement::resources::Resources;

use super::Auditor;
use super::books::Books;

impl Auditor {
    /// A process that has just started plans a pod anew only if the plan on its gang cannot be kept.
    pub(super) fn remembers_plan(&mut self, pod: &Pod) {
        let Membership::Member(member) = &pod.membership else { return };
        if self.starting && self.books.plan_holds(&member.gang) {
            let found = format!("{} is planned anew, and its plan would have held", pod.name);
            self.breach("PlanForgotten", &found);
        }
    }
}

impl Books {
    /// Whether all members that wait have the same plan, make up the minimum, and have their places still.
    fn plan_holds(&self, gang: &GangId) -> bool {
        let waiting: Vec<&Arc<Pod>> = self.members(gang).filter(|pod| pod.awaits_node()).collect();
        let plan = |pod: &Arc<Pod>| -> Option<Epoch> {
            pod.stamp.as_ref().filter(|_| pod.gate == Gate::Open).map(|stamp| stamp.epoch)
        };
        let Some(first) = waiting.first().and_then(|pod| plan(pod)) else { return false };
        let whole = waiting.iter().all(|pod| plan(pod) == Some(first))
            && self.min_of(gang).is_some_and(|min| self.bound(gang) + waiting.len() as u64 >= min);
        whole && waiting.iter().all(|pod| self.place_holds(gang, pod, &waiting))
    }

    fn place_holds(&self, gang: &GangId, pod: &Pod, waiting: &[&Arc<Pod>]) -> bool {
        let Some(stamp) = &pod.stamp else { return false };
        let Some(node) = self.node(&stamp.node) else { return false };
        let on_it = |other: &&&Arc<Pod>| other.stamp.as_ref().is_some_and(|s| s.node == stamp.node);
        let here = waiting.iter().filter(on_it).map(|other| other.request);
        let wanted = here.fold(Resources::default(), Resources::plus);
        // Other plans on the lists may be kept first.
        let left = node.allocatable.minus(self.bound_or_planned(&stamp.node, gang));
        self.why_unsuitable(pod, &stamp.node).is_none() && wanted.short_of(&left).is_none()
    }
}
