//! The queue's turn: plans waiting gangs in their total order, holds what a plan takes, releases its members.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Cluster;
use super::elastic::{in_order_of_need, plan_most};
use crate::effect::{Effect, News};
use crate::event::Outcome;
use crate::fleet::Terrain;
use crate::gang::{Gang, Phase, Plan};
use crate::ids::{Epoch, GangId, NodeName, PodUid};
use crate::ledger::{Claim, ClaimKind};
use crate::node_state::NodeState;
use crate::planner::{Placement, Site, alike};
use crate::pod::{Gate, Pod, Stamp};
use crate::pod_state::PodState;
use crate::pvc;
use crate::queue::{Setback, Turn};
use crate::refusal::Refusal;
use crate::spread::Spread;
use crate::time::Time;

impl Cluster {
    /// All gangs that wait.
    pub(super) fn all_waiting(&mut self) -> BTreeSet<GangId> {
        let gangs = &self.gangs;
        self.waiting.retain(|id| gangs.get(id).is_some_and(|g| g.phase == Phase::Waiting));
        self.waiting.clone()
    }

    /// Tries those of the gangs that wait and for which something may have changed since they failed, in order.
    /// Single pods that ask for what another one has just been refused are refused with it.
    pub(super) fn plan_queue(&mut self, of: &BTreeSet<GangId>, now: Time, effects: &mut Vec<Effect>) {
        let untried = |g: &Gang| g.failed_at.is_none_or(|at| at < self.capacity);
        let waits = |g: &&Arc<Gang>| g.phase == Phase::Waiting && untried(g);
        let waiting = of.iter().filter_map(|id| self.gangs.get(id)).filter(waits);
        let mut turns: Vec<Turn> = waiting.filter_map(|g| self.turn(g)).collect();
        turns.sort();
        let mut failed: Vec<(Arc<Pod>, Refusal)> = Vec::new();
        for turn in turns {
            let single = self.single_of(&turn.gang);
            let certain = |pod: &&Arc<Pod>| !self.may_differ(pod);
            // A reservation lets those pass that end in time.
            let alike = |f: &Pod, pod: &Pod| f.tenure == pod.tenure && alike(&self.settings.rules, f, pod);
            let like = |pod: &Arc<Pod>| failed.iter().find(|(f, _)| alike(f, pod));
            if let Some((_, refusal)) = single.as_ref().filter(certain).and_then(like) {
                let refusal = refusal.clone();
                self.fail(&turn.gang, refusal, now, effects);
                continue;
            }
            let refusal = self.plan_gang(&turn.gang, now, effects);
            failed.extend(single.zip(refusal));
        }
    }

    /// The pod of a gang of one for which no node is left out.
    fn single_of(&self, id: &GangId) -> Option<Arc<Pod>> {
        let gang = self.gangs.get(id).filter(|g| g.excluded.is_empty() && g.members.len() == 1)?;
        self.pods.get(gang.members.first()?).map(|s| s.pod.clone())
    }

    pub(super) fn turn(&self, gang: &Gang) -> Option<Turn> {
        let pods = || gang.members.iter().filter_map(|uid| self.pods.get(uid)).map(|s| &s.pod);
        let priority = pods().map(|p| p.priority).max()?;
        let created = pods().map(|p| p.created).min()?;
        let behind = gang.setback.is_some_and(|setback| self.now < setback.until);
        Some(Turn { behind, priority: Reverse(priority), created, gang: gang.id.clone() })
    }

    /// Plans one gang: all waiting members, else as many as fit if they make up its minima, else nothing. Returns why
    /// not.
    fn plan_gang(&mut self, id: &GangId, now: Time, effects: &mut Vec<Effect>) -> Option<Refusal> {
        let nodes = self.nodes_as_if(id, &BTreeSet::new());
        if self.terrain.is_none() {
            self.terrain = Some(Arc::new(Terrain::new(&nodes, &self.settings.levels)));
        }
        match self.attempt(id, &nodes, &self.reserved_from(id))? {
            Ok(placements) => {
                self.release(id, &placements, effects);
                None
            }
            Err(refusal) => {
                self.awaits_neighbours |= self.ruled(id);
                self.fail(id, refusal.clone(), now, effects);
                Some(refusal)
            }
        }
    }

    /// Plans one gang on the nodes of the cluster, as they are given, without those that are `kept` for others; nothing
    /// changes. `None` if it cannot be planned at all.
    pub(super) fn attempt(
        &self,
        id: &GangId,
        nodes: &[Arc<NodeState>],
        kept: &BTreeSet<NodeName>,
    ) -> Option<Result<Vec<Placement>, Refusal>> {
        let gang = self.gangs.get(id)?;
        let census = self.census(gang);
        let (_, min) = gang.size(&census, true).ok()?;
        let mut members: Vec<Arc<Pod>> =
            census.pending.iter().filter_map(|u| self.pods.get(u)).map(|s| s.pod.clone()).collect();
        let needed = in_order_of_need(gang, &census, min, &mut members);
        let excluded: BTreeSet<_> = gang.excluded.keys().chain(kept).cloned().collect();
        let flat;
        let terrain = if let Some(terrain) = self.terrain.as_deref() {
            terrain
        } else {
            flat = Terrain::new(nodes, &self.settings.levels);
            &flat
        };
        let in_use = pvc::in_use(&self.pods, &self.pvcs, &members);
        let bound = gang.places(&self.pods);
        let neighbours = self.neighbourhood(&members);
        let site = Site {
            nodes,
            rules: &self.settings.rules,
            excluded: &excluded,
            pvcs: &self.pvcs,
            pvcs_in_use: &in_use,
            terrain: Some(terrain),
            bound: &bound,
            neighbours: neighbours.as_ref(),
            models: None,
        };
        Some(plan_most(site, &members, needed))
    }

    /// Holds the plan and releases its members.
    fn release(&mut self, id: &GangId, placements: &[Placement], effects: &mut Vec<Effect>) {
        self.keep_promise(id);
        self.epoch = Epoch(self.epoch.0.saturating_add(1));
        let epoch = self.epoch;
        let mut nodes = BTreeSet::new();
        for place in placements {
            nodes.insert(place.node.clone());
            let stamp = Stamp { epoch, node: place.node.clone(), gpus: place.gpus.clone() };
            self.hold(&place.pod, &stamp);
            let volumes_settled = self.volumes_settled(&place.pod);
            let Some(state) = self.pod_mut(&place.pod) else { continue };
            state.verdict_at_release.clone_from(&state.pod.verdict);
            state.refused_since = None;
            let pod = state.pod.clone();
            let judged_alike = !pod.neighbours.spread.iter().any(Spread::changes_when_narrowed);
            let modelled = pod.unmodelled.is_empty() && volumes_settled && judged_alike;
            let narrow = pod.gate == Gate::Ours && pod.controlled && modelled;
            state.narrowed |= narrow;
            effects.push(Effect::Release { pod, stamp, narrow });
        }
        let places = placements.iter().map(|p| (p.pod.clone(), p.node.clone())).collect();
        let news = News::Planned { pods: placements.len() as u64, nodes: nodes.len() as u64 };
        if let Some(gang) = self.gang_mut(id) {
            gang.phase = Phase::Released(Plan { epoch, places, open: false });
            gang.refusal = None;
            gang.failed_at = None;
            gang.told = None;
        }
        if let Some(first) = placements.first() {
            effects.push(Effect::Tell { gang: id.clone(), pod: first.pod.clone(), news });
        }
        // Binds may have been asked before the plan was there, and a member may already be bound.
        self.mark(Some(id));
    }

    fn volumes_settled(&self, uid: &PodUid) -> bool {
        let pvcs = self.pods.get(uid).into_iter().flat_map(|state| &state.pod.pvcs);
        pvcs.into_iter().all(|name| self.pvcs.get(name).is_some_and(|pvc| pvc.settled()))
    }

    /// Holds a stamp's node and GPUs for a pod and remembers the stamp.
    pub(super) fn hold(&mut self, uid: &PodUid, stamp: &Stamp) {
        let Some(state) = self.pod_mut(uid) else { return };
        state.stamp = Some(stamp.clone());
        state.published = state.pod.stamp.as_ref() == Some(stamp);
        let claim = Claim {
            node: stamp.node.clone(),
            amount: state.pod.request,
            extras: state.pod.extras.clone(),
            gpus: stamp.gpus.clone(),
            kind: ClaimKind::Hold,
        };
        self.claim(uid, claim);
    }

    /// Writes down why a gang could not be planned. Members that an earlier release narrowed to a node they
    /// can no longer have are made anew: their gate cannot come back.
    fn fail(&mut self, id: &GangId, refusal: Refusal, now: Time, effects: &mut Vec<Effect>) {
        let capacity = self.capacity;
        let refusal = self.while_pending(id).unwrap_or(refusal);
        let Some(gang) = self.gang_mut(id) else { return };
        // The first words after an exclusion are kube-scheduler's own; they say more than "no node left".
        let keep =
            matches!(gang.refusal, Some(Refusal::SchedulerRefused { .. })) && !gang.excluded.is_empty();
        if !keep {
            gang.refusal = Some(refusal);
        }
        gang.failed_at = Some(capacity);
        let members = gang.members.clone();
        let stuck = members.iter().filter_map(|uid| self.pods.get(uid)).filter(|s| {
            s.pod.awaits_node()
                && s.pod.gate == Gate::Open
                && s.pod.controlled
                && s.pod.stamp.is_some()
                && s.pod.narrowed()
        });
        effects.extend(stuck.map(|s| Effect::Recreate(s.pod.clone())));
        self.tell(id, now, effects);
    }

    /// A release that is certain to have happened makes its member's plan durable. One that is certain not to happen makes the plan void: the gang is planned again without it.
    pub(super) fn release_outcome(
        &mut self,
        uid: &PodUid,
        epoch: Epoch,
        outcome: &Outcome,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.pod_mut(uid) else { return };
        let current = state.stamp.as_ref().is_some_and(|s| s.epoch == epoch);
        state.published |= current && *outcome == Outcome::Done;
        let Some(id) = state.gang.clone() else { return };
        self.mark(Some(&id));
        let Outcome::Refused(why) = outcome else { return };
        let current = self.gangs.get(&id).and_then(|g| g.plan()).is_some_and(|p| p.epoch == epoch && !p.open);
        if current {
            self.void_plan(&id, &Refusal::BindFailed(why.clone()), now, effects);
        }
    }

    /// Ends a plan of which nothing is bound: holds go, annotations go, parked binds are told no.
    pub(super) fn void_plan(&mut self, id: &GangId, why: &Refusal, now: Time, effects: &mut Vec<Effect>) {
        let Some(plan) = self.gangs.get(id).and_then(|g| g.plan()).cloned() else { return };
        for uid in plan.places.keys() {
            self.withdraw(uid, why, effects);
        }
        let until = now.after(self.settings.exclusion);
        if let Some(gang) = self.gang_mut(id) {
            gang.phase = Phase::Gathering;
            gang.refusal = Some(why.clone());
            gang.told = None;
            if matches!(why, Refusal::SchedulerRefused { .. } | Refusal::BindFailed(_)) {
                gang.setback = Some(Setback::after(gang.setback, now));
            }
            if let Refusal::SchedulerRefused { node, .. } = why {
                gang.excluded.insert(node.clone(), until);
            }
        }
        self.mark(Some(id));
    }

    /// Takes one member out of an open plan.
    pub(super) fn withdraw_member(&mut self, id: &GangId, uid: &PodUid, effects: &mut Vec<Effect>) {
        self.drop_place(id, uid);
        self.withdraw(uid, &Refusal::NodeUnusable, effects);
        self.mark(Some(id));
    }

    /// Gives back what an unbound pod holds. A Binding on its way keeps its hold until its outcome is certain.
    fn withdraw(&mut self, uid: &PodUid, why: &Refusal, effects: &mut Vec<Effect>) {
        self.answer_asks_of(uid, &Err(why.clone()), effects);
        let Some(state) = self.pod_mut(uid) else { return };
        if state.binding || state.pod.node.is_some() {
            return;
        }
        if state.stamp.take().is_some() {
            effects.extend(unplan(state));
        }
        self.unclaim(uid);
    }

    pub(super) fn pod_mut(&mut self, uid: &PodUid) -> Option<&mut PodState> {
        self.pods.get_mut(uid).map(Arc::make_mut)
    }
}

/// Takes the plan annotation off a pod, unless the pod was narrowed: such a pod is either planned for the same
/// node again or made anew, and its annotation is how we know that the narrowing was ours.
pub(super) fn unplan(state: &PodState) -> Option<Effect> {
    (!state.narrowed && !state.pod.narrowed()).then(|| Effect::Unplan(state.pod.clone()))
}
