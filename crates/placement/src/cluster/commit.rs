//! Bind: the moment of commitment. A gang's binds wait at a barrier until its minimum has arrived; then all
//! of them are posted. Until then nobody is bound, and a time-out tells every member no.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::release::unplan;
use super::{Ask, Cluster};
use crate::effect::Effect;
use crate::event::Outcome;
use crate::gang::{Gang, Phase};
use crate::ids::{AskId, Epoch, GangId, NodeName, PodUid};
use crate::pod::{Membership, Stamp};
use crate::queue::Setback;
use crate::refusal::Refusal;
use crate::time::Time;

impl Cluster {
    pub(super) fn bind_asked(
        &mut self,
        ask: AskId,
        pod: &PodUid,
        node: NodeName,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        if !self.synced {
            effects.push(Effect::Answer(ask, Err(Refusal::NotReady)));
            return;
        }
        self.asks.entry(pod.clone()).or_default().push(Ask { id: ask, node, since: now });
        self.review_asks_of(pod, effects);
    }

    /// kube-scheduler hung up: the member has not arrived. A Binding on its way is not called back.
    pub(super) fn bind_withdrawn(&mut self, ask: AskId) {
        self.asks.retain(|_, asks| {
            asks.retain(|a| a.id != ask);
            !asks.is_empty()
        });
    }

    /// Looks at the parked binds of a pod again: some can be answered or carried out, some must wait.
    pub(super) fn review_asks_of(&mut self, uid: &PodUid, effects: &mut Vec<Effect>) {
        let mut waiting = Vec::new();
        for ask in self.asks.remove(uid).unwrap_or_default() {
            match self.review(uid, &ask.node, effects) {
                Some(answer) => effects.push(Effect::Answer(ask.id, answer)),
                None => waiting.push(ask),
            }
        }
        if !waiting.is_empty() {
            self.asks.insert(uid.clone(), waiting);
        }
    }

    /// The answer to a bind, or `None` while it must wait: for the pod to be seen, for the rest of the gang,
    /// or for the outcome of the Binding.
    fn review(
        &mut self,
        uid: &PodUid,
        node: &NodeName,
        effects: &mut Vec<Effect>,
    ) -> Option<Result<(), Refusal>> {
        let state = self.pods.get(uid)?.clone();
        if let Some(bound) = &state.pod.node {
            return Some(if bound == node { Ok(()) } else { Err(Refusal::BoundElsewhere) });
        }
        if !self.nodes.contains_key(node) {
            return Some(Err(Refusal::NodeUnknown));
        }
        if let Some(stamp) = &state.stamp {
            // A lone pod has no plan to keep to once its own bind is under way.
            let here = stamp.node == *node;
            self.mark(state.gang.as_ref());
            return (!here).then_some(Err(Refusal::NotPlanned));
        }
        match (&state.gang, &state.pod.membership) {
            (Some(_), _) => Some(Err(Refusal::NotPlanned)),
            (None, Membership::Unknown(fault)) => Some(Err(Refusal::OwnerUnreadable(fault.clone()))),
            (None, Membership::Member(_) | Membership::Single) => {
                self.commit_single(uid, node, effects).err().map(Err)
            }
        }
    }

    /// A pod of no gang: its node is checked again, now that it counts, and the Binding goes out.
    fn commit_single(
        &mut self,
        uid: &PodUid,
        node: &NodeName,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let Some(state) = self.pods.get(uid).cloned() else { return Err(Refusal::PodUnknown) };
        let Some(row) = self.nodes.get(node).cloned() else { return Err(Refusal::NodeUnknown) };
        let mut stamp = Stamp { epoch: Epoch(0), node: node.clone(), gpus: Vec::new() };
        if state.pod.wants_gpus() {
            row.room_for(&state.pod)?;
            self.epoch = Epoch(self.epoch.0.saturating_add(1));
            stamp.epoch = self.epoch;
            let k = usize::try_from(state.pod.request.gpus).unwrap_or(usize::MAX);
            let set = crate::devices::assumed_sets(&row, &[], k, 1).into_iter().flatten();
            stamp.gpus = set.filter_map(|at| row.uuid(at)).collect();
        }
        self.hold(uid, &stamp);
        self.post(uid, effects);
        Ok(())
    }

    /// Posts the Binding of a pod that holds its place.
    fn post(&mut self, uid: &PodUid, effects: &mut Vec<Effect>) {
        let Some(state) = self.pod_mut(uid) else { return };
        let Some(stamp) = state.stamp.clone() else { return };
        if !state.binding {
            state.binding = true;
            effects.push(Effect::Bind { pod: state.pod.clone(), stamp });
        }
    }

    /// Opens the barrier of a gang when its minimum is bound or has arrived and its plan is durable, and posts
    /// what has arrived.
    pub(super) fn open_barrier(&mut self, id: &GangId, effects: &mut Vec<Effect>) {
        let Some(gang) = self.gangs.get(id) else { return };
        let Some(plan) = gang.plan() else { return };
        let arrived: Vec<PodUid> = plan
            .places
            .iter()
            .filter(|(uid, node)| self.has_arrived(uid, node))
            .map(|(u, _)| u.clone())
            .collect();
        if arrived.is_empty() {
            return;
        }
        let census = self.census(gang);
        let waiting = arrived.iter().filter(|u| self.pods.get(*u).is_some_and(|s| !s.binding)).count() as u64;
        let min = gang.size(&census, true).map_or(u64::MAX, |(_, min)| min);
        let enough = census.settled.saturating_add(waiting) >= min
            && self.missing_of_roles(gang, &census, &arrived) == 0;
        if !plan.open && !enough {
            return;
        }
        let published = |uid| self.pods.get(uid).is_some_and(|s| s.published);
        if !plan.open && !plan.places.keys().all(published) {
            return;
        }
        if let Some(gang) = self.gang_mut(id)
            && let Phase::Released(plan) = &mut gang.phase
        {
            plan.open = true;
        }
        for uid in arrived {
            self.post(&uid, effects);
        }
    }

    fn has_arrived(&self, uid: &PodUid, node: &NodeName) -> bool {
        self.asks.get(uid).is_some_and(|asks| asks.iter().any(|a| a.node == *node))
    }

    pub(super) fn bind_outcome(
        &mut self,
        uid: &PodUid,
        node: &NodeName,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.pod_mut(uid) else { return };
        let gang = state.gang.clone();
        match outcome {
            Outcome::Done => {
                // Bound for certain; the watch will say so too. Until then `binding` keeps it settled.
                self.grant(uid, node);
                self.answer_asks_of(uid, &Ok(()), effects);
            }
            Outcome::Gone => self.unbind(uid, &Refusal::PodUnknown, effects),
            Outcome::Refused(why) => {
                self.unbind(uid, &Refusal::BindFailed(why), effects);
                let now = self.now;
                if let Some(gang) = gang.as_ref().and_then(|id| self.gang_mut(id)) {
                    gang.setback = Some(Setback::after(gang.setback, now));
                }
            }
        }
        if let Some(id) = gang {
            self.drop_place(&id, uid);
            self.mark(Some(&id));
        }
    }

    fn grant(&mut self, uid: &PodUid, node: &NodeName) {
        if let Some(claim) = self.ledger.claim(uid).filter(|c| c.node == *node).cloned() {
            self.claim(uid, crate::ledger::Claim { kind: crate::ledger::ClaimKind::Grant, ..claim });
        }
    }

    /// The Binding is certain not to be. Unless the watch has meanwhile shown the pod bound, its hold ends.
    fn unbind(&mut self, uid: &PodUid, why: &Refusal, effects: &mut Vec<Effect>) {
        self.answer_asks_of(uid, &Err(why.clone()), effects);
        let Some(state) = self.pod_mut(uid) else { return };
        state.binding = false;
        if state.pod.node.is_none() {
            if state.stamp.take().is_some() && state.gang.is_some() {
                effects.extend(unplan(state));
            }
            self.unclaim(uid);
        }
    }

    pub(super) fn answer_asks_of(
        &mut self,
        uid: &PodUid,
        answer: &Result<(), Refusal>,
        effects: &mut Vec<Effect>,
    ) {
        let asks = self.asks.remove(uid).unwrap_or_default();
        effects.extend(asks.into_iter().map(|ask| Effect::Answer(ask.id, answer.clone())));
    }

    /// What only time brings: barriers that close, refusals that last, exclusions that end, grace that is over.
    pub(super) fn tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let barrier = self.settings.barrier;
        let late: Vec<PodUid> = self
            .asks
            .iter()
            .filter(|(_, asks)| asks.iter().any(|a| now.since(a.since) >= barrier))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in late {
            self.barrier_closed(&uid, effects);
        }
        let grace = self.settings.refusal_grace;
        let refused: Vec<PodUid> = self
            .pods
            .values()
            .filter(|s| s.refused_since.is_some_and(|t| now.since(t) >= grace))
            // While a volume is being made for the first of them, the others are refused as a matter of course.
            .filter(|s| s.pod.pvcs.iter().all(|name| self.pvcs.get(name).is_some_and(|pvc| pvc.bound())))
            .map(|s| s.pod.uid.clone())
            .collect();
        for uid in refused {
            self.scheduler_refused(&uid, now, effects);
        }
        let over = |gang: &Gang| gang.excluded.values().any(|until| *until <= now);
        let due =
            |gang: &&Arc<Gang>| over(gang) || (gang.phase == Phase::Gathering && gang.refusal.is_some());
        let due: Vec<(GangId, bool)> =
            self.gangs.values().filter(due).map(|gang| (gang.id.clone(), over(gang))).collect();
        for (id, over) in due {
            if over && let Some(gang) = self.gang_mut(&id) {
                gang.excluded.retain(|_, until| *until > now);
                gang.failed_at = None;
            }
            self.dirty.insert(id);
        }
        self.preempt(now, effects);
        self.reserve(now);
    }

    /// A bind waited too long: every parked member of its gang is told no; a Binding on its way keeps its
    /// hold, and its caller is told that the outcome is not known.
    fn barrier_closed(&mut self, uid: &PodUid, effects: &mut Vec<Effect>) {
        let gang = self.pods.get(uid).and_then(|s| s.gang.clone());
        let members = gang.and_then(|id| self.gangs.get(&id)).map(|g| g.members.clone());
        for member in members.unwrap_or_default() {
            self.answer_asks_of(&member, &Err(Refusal::BarrierTimeout), effects);
        }
        let known = self.pods.contains_key(uid);
        let why = if known { Refusal::BarrierTimeout } else { Refusal::PodUnknown };
        self.answer_asks_of(uid, &Err(why), effects);
    }

    /// kube-scheduler keeps refusing the planned node for a rule that is not modelled here: the plan is void
    /// and the node left out for this gang for a while.
    fn scheduler_refused(&mut self, uid: &PodUid, now: Time, effects: &mut Vec<Effect>) {
        let Some(state) = self.pod_mut(uid) else { return };
        state.refused_since = None;
        let (Some(id), Some(stamp), Some(message)) =
            (state.gang.clone(), state.stamp.clone(), state.pod.verdict.clone())
        else {
            return;
        };
        if state.binding || self.has_arrived(uid, &stamp.node) {
            return;
        }
        let why = Refusal::SchedulerRefused { node: stamp.node, message };
        match self.gangs.get(&id).and_then(|g| g.plan()).map(|p| p.open) {
            Some(false) => self.void_plan(&id, &why, now, effects),
            Some(true) => self.withdraw_member(&id, uid, effects),
            None => {}
        }
    }
}
