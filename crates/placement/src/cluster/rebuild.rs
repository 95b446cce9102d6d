//! The ledger after a restart: bound pods have claimed their nodes while they were read; the newest plan of each gang
//! is taken up again if it still holds and, with the members already settled, makes up the minimum (an elastic gang may
//! have members that it does not name); others are void.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Cluster;
use super::release::unplan;
use crate::effect::Effect;
use crate::gang::{Phase, Plan};
use crate::ids::{Epoch, GangId, NodeName, PodUid};
use crate::pod::{Gate, Pod, Stamp};

impl Cluster {
    pub(super) fn rebuild(&mut self, effects: &mut Vec<Effect>) {
        self.synced = true;
        let mut plans: Vec<(Epoch, GangId, Vec<Arc<Pod>>)> = Vec::new();
        let mut stale: Vec<Arc<Pod>> = Vec::new();
        for gang in self.gangs.values() {
            let census = self.census(gang);
            let pending: Vec<Arc<Pod>> =
                census.pending.iter().filter_map(|u| self.pods.get(u)).map(|s| s.pod.clone()).collect();
            let epoch = pending.iter().filter_map(|p| released_with(p)).max();
            let (plan, rest): (Vec<_>, Vec<_>) =
                pending.into_iter().partition(|p| epoch.is_some() && released_with(p) == epoch);
            let whole = gang
                .size(&census, true)
                .is_ok_and(|(_, min)| census.settled.saturating_add(plan.len() as u64) >= min)
                && self.missing_of_roles(gang, &census, plan.iter().map(|p| &p.uid)) == 0;
            stale.extend(rest.into_iter().filter(|p| p.stamp.is_some()));
            match epoch {
                Some(epoch) if whole => plans.push((epoch, gang.id.clone(), plan)),
                _ => stale.extend(plan),
            }
        }
        // Plans that were kept do not overlap. A void one may still be on its pods, and then the newer one has its room.
        plans.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
        for (epoch, id, pending) in plans {
            if !self.adopt(epoch, &id, &pending) {
                stale.extend(pending);
            }
        }
        let stale = stale.iter().filter_map(|p| self.pods.get(&p.uid));
        effects.extend(stale.filter_map(|state| unplan(state)));
        self.dirty.extend(self.gangs.keys().cloned());
    }

    /// Takes a plan up again if every place still fits; else leaves no trace of it.
    fn adopt(&mut self, epoch: Epoch, id: &GangId, pending: &[Arc<Pod>]) -> bool {
        let mut held: Vec<PodUid> = Vec::new();
        for pod in pending {
            let fits = pod.stamp.as_ref().filter(|s| self.fits(pod, s)).cloned();
            let Some(mut stamp) = fits else {
                for uid in held {
                    self.unclaim(&uid);
                    if let Some(state) = self.pod_mut(&uid) {
                        state.stamp = None;
                    }
                }
                return false;
            };
            self.keep_known_gpus(&mut stamp);
            self.hold(&pod.uid, &stamp);
            held.push(pod.uid.clone());
        }
        let places = pending
            .iter()
            .filter_map(|p| Some((p.uid.clone(), p.stamp.as_ref()?.node.clone())))
            .collect::<alloc::collections::BTreeMap<PodUid, NodeName>>();
        if let Some(gang) = self.gang_mut(id) {
            gang.phase = Phase::Released(Plan { epoch, places, open: false });
        }
        true
    }

    fn fits(&self, pod: &Pod, stamp: &Stamp) -> bool {
        let state = self.nodes.get(&stamp.node);
        state.is_some_and(|s| !s.excludes(pod) && s.room_for(pod).is_ok())
    }

    /// An annotation may name only GPUs that the node's inventory has, once agents have reported.
    fn keep_known_gpus(&self, stamp: &mut Stamp) {
        if let Some(inventory) = self.nodes.get(&stamp.node).and_then(|s| s.inventory.as_deref()) {
            stamp.gpus.retain(|uuid| inventory.index_of(uuid).is_some());
        }
    }
}

/// The plan that a pod was released with. The patch that writes a plan takes our gate off: a plan on a pod that still
/// has it was written by somebody else, and so was one with a number that nobody counts up to.
fn released_with(pod: &Pod) -> Option<Epoch> {
    let epoch = pod.stamp.as_ref().filter(|_| pod.gate == Gate::Open)?.epoch;
    (epoch < Epoch::BEYOND).then_some(epoch)
}
