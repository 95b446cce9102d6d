//! Looks at one gang after something about it changed: who is there, and in which phase that puts it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Cluster;
use crate::effect::{Effect, News};
use crate::gang::{Census, Gang, Phase};
use crate::ids::{GangId, PodUid};
use crate::refusal::Refusal;
use crate::time::Time;

impl Cluster {
    /// Brings a gang's phase up to date. A released plan is checked, and ended if it cannot be kept.
    pub(super) fn look_at(&mut self, id: &GangId, now: Time, effects: &mut Vec<Effect>) {
        let Some(gang) = self.gangs.get(id) else { return };
        if matches!(gang.phase, Phase::Released(_)) {
            self.look_at_plan(id, now, effects);
        }
        let Some(gang) = self.gangs.get(id) else { return };
        if matches!(gang.phase, Phase::Released(_)) {
            return;
        }
        let (phase, refusal) = self.standing(gang, now);
        if phase == Phase::Waiting {
            self.waiting.insert(id.clone());
        }
        let gang = self.gang_mut(id);
        if let Some(gang) = gang {
            if phase == Phase::Waiting && gang.phase != Phase::Waiting {
                gang.failed_at = None;
            }
            // A gang that still waits keeps the planner's reason until it is planned again.
            let phase_waits = phase == Phase::Waiting;
            let keep = phase == Phase::Waiting && gang.phase == Phase::Waiting && gang.failed_at.is_some();
            if phase == Phase::Placed {
                gang.setback = None;
            }
            gang.phase = phase;
            // Why the last plan failed says more than that the gang is queued again.
            let failed =
                matches!(gang.refusal, Some(Refusal::SchedulerRefused { .. } | Refusal::BindFailed(_)));
            if !(keep || failed && phase_waits) {
                gang.refusal = refusal;
            }
        }
        self.tell(id, now, effects);
    }

    /// Phase of a gang without a plan, and why it is not further.
    fn standing(&self, gang: &Gang, now: Time) -> (Phase, Option<Refusal>) {
        let census = self.census(gang);
        if census.pending.is_empty() && census.gated == 0 {
            let phase = if census.settled > 0 { Phase::Placed } else { Phase::Gathering };
            return (phase, None);
        }
        let grace_over = now.since(gang.since) >= self.settings.owner_grace;
        let (_, min) = match gang.size(&census, grace_over) {
            Ok(size) => size,
            Err(refusal) => return (Phase::Gathering, Some(refusal)),
        };
        let have = census.settled.saturating_add(census.pending.len() as u64);
        let missing = self.missing_of_roles(gang, &census, &census.pending);
        if have >= min && missing == 0 && !census.pending.is_empty() {
            return (Phase::Waiting, Some(Refusal::Queued));
        }
        let need = min.max(have.saturating_add(missing));
        let gated = census.live() >= need;
        let refusal = if gated { Refusal::GatedBy } else { Refusal::WaitingForMembers { have, need } };
        (Phase::Gathering, Some(refusal))
    }

    /// Counts a gang's members.
    pub(super) fn census(&self, gang: &Gang) -> Census {
        Census::of(gang, &self.pods)
    }

    /// Checks a released plan: settled members leave it, and what cannot be kept ends it.
    fn look_at_plan(&mut self, id: &GangId, now: Time, effects: &mut Vec<Effect>) {
        let Some((places, open)) =
            self.gangs.get(id).and_then(|g| g.plan()).map(|p| (p.places.clone(), p.open))
        else {
            return;
        };
        let mut void = None;
        for (uid, node) in &places {
            match self.pods.get(uid) {
                Some(state) if state.pod.node.is_some() || !state.pod.alive() => self.drop_place(id, uid),
                Some(state) if state.pod.awaits_node() => {
                    let usable = state.binding || self.still_usable(&state.pod, node);
                    if !usable && open {
                        self.withdraw_member(id, uid, effects);
                    } else if !usable {
                        void = Some(Refusal::NodeUnusable);
                    }
                }
                _ if open => self.withdraw_member(id, uid, effects),
                _ => void = Some(Refusal::WaitingForMembers { have: 0, need: 0 }),
            }
        }
        if !open && void.is_none() {
            void = self.beyond_reach(id);
        }
        if let Some(why) = void {
            self.void_plan(id, &why, now, effects);
        } else {
            self.open_barrier(id, effects);
        }
        if let Some(gang) = self.gang_mut(id)
            && gang.plan().is_some_and(|p| p.places.is_empty())
        {
            gang.phase = Phase::Gathering;
        }
    }

    /// A plan whose members, with those already settled, no longer make up the minimum can never be bound: a
    /// settled member was lost while the rest were on their way.
    fn beyond_reach(&self, id: &GangId) -> Option<Refusal> {
        let gang = self.gangs.get(id)?;
        let plan = gang.plan()?;
        let census = self.census(gang);
        let have = census.settled.saturating_add(plan.places.len() as u64);
        match gang.size(&census, true) {
            Ok((_, min)) => {
                let missing = self.missing_of_roles(gang, &census, plan.places.keys());
                let need = min.max(have.saturating_add(missing));
                (have < need).then_some(Refusal::WaitingForMembers { have, need })
            }
            Err(refusal) => Some(refusal),
        }
    }

    /// Whether a planned node can still take the pod whose hold is on it.
    fn still_usable(&self, pod: &crate::pod::Pod, node: &crate::ids::NodeName) -> bool {
        let Some(state) = self.nodes.get(node) else { return false };
        let gpus_healthy = self.ledger.claim(&pod.uid).is_none_or(|claim| {
            claim.gpus.iter().all(|uuid| {
                // After a restart plans are taken up again before the agents have reported: counts must do until then.
                state.inventory.as_deref().is_none_or(|i| {
                    i.index_of(uuid).and_then(|at| i.gpus.get(at)).is_some_and(|g| g.health.usable())
                })
            })
        });
        gpus_healthy
            && crate::pvc::out_of_reach(&self.pvcs, pod, &state.node).is_none()
            && !state.excludes(pod)
            && !state.overdrawn(&pod.request, &pod.extras)
    }

    /// A member that settled is no longer part of the plan.
    pub(super) fn drop_place(&mut self, id: &GangId, uid: &PodUid) {
        if let Some(gang) = self.gang_mut(id)
            && let Phase::Released(plan) = &mut gang.phase
        {
            plan.places.remove(uid);
        }
    }

    /// Tells people of a gang's state, once per change of its reason. That members or their owner are missing is
    /// no news while they may still be on their way.
    pub(super) fn tell(&mut self, id: &GangId, now: Time, effects: &mut Vec<Effect>) {
        let grace = self.settings.owner_grace;
        let Some(gang) = self.gang_mut(id) else { return };
        let Some(refusal) = gang.refusal.clone() else { return };
        // `Queued` lasts until the planner has had its turn, and is no news.
        if refusal == Refusal::Queued || gang.told == Some(refusal.label()) {
            return;
        }
        let coming = matches!(refusal, Refusal::WaitingForMembers { .. } | Refusal::OwnerUnreadable(_));
        if coming && now.since(gang.since) < grace {
            return;
        }
        if let Some(pod) = gang.members.first().cloned() {
            gang.told = Some(refusal.label());
            effects.push(Effect::Tell { gang: id.clone(), pod, news: News::Refused(refusal) });
        }
    }

    pub(super) fn gang_mut(&mut self, id: &GangId) -> Option<&mut Gang> {
        self.gangs.get_mut(id).map(Arc::make_mut)
    }
}
