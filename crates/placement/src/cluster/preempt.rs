//! Preemption's turn: at every tick, gangs that found no room may have others make it, in the order of the queue.
//!
//! Once a tick and not at once, so that what ends or arrives in the same moment is seen first.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Cluster;
use crate::effect::{Effect, News};
use crate::gang::Phase;
use crate::ids::{Epoch, GangId, NodeName, PodUid};
use crate::node_state::NodeState;
use crate::pod::Pod;
use crate::preempt::victims::{Choice, choose};
use crate::preempt::{Eviction, Promise};
use crate::queue::Turn;
use crate::refusal::Refusal;
use crate::resources::Resources;
use crate::time::{Span, Time};

impl Cluster {
    /// Ends promises that are over, and seeks victims for one gang: a search takes many plans, so the others have their
    /// turn at the next ticks.
    pub(super) fn preempt(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.preemptions.expire(now);
        self.review_promises(now, effects);
        let allowed = self.settings.preemption;
        if !allowed.enabled || self.preemptions.rate() >= allowed.evictions_per_minute {
            return;
        }
        let Some(turn) = self.preemptors().into_iter().next() else { return };
        if let Some(choice) = self.search(&turn, now) {
            self.promise(&turn, choice, now, effects);
        } else {
            let state = (self.capacity, self.preemptions.claims);
            self.preemptions.tried.insert(turn.gang, state);
        }
    }

    /// Gangs that could not be planned for want of room and may have others make it, in order.
    fn preemptors(&mut self) -> Vec<Turn> {
        let state = (self.capacity, self.preemptions.claims);
        let waiting = self.all_waiting();
        self.preemptions.tried.retain(|id, _| waiting.contains(id));
        let known = &self.preemptions;
        let idle = |id: &&GangId| {
            !known.promises.contains_key(*id)
                && !known.paused.contains_key(*id)
                && known.tried.get(*id) != Some(&state)
        };
        let room = |refusal: &Option<Refusal>| refusal.as_ref().is_some_and(Refusal::wants_room);
        let may = |uid: &PodUid| self.pods.get(uid).is_none_or(|s| !s.pod.tenure.never_preempts);
        let gangs = waiting.iter().filter(idle).filter_map(|id| self.gangs.get(id));
        let gangs = gangs.filter(|g| g.failed_at.is_some() && room(&g.refusal) && g.members.iter().all(may));
        let mut turns: Vec<Turn> = gangs.filter_map(|g| self.turn(g)).collect();
        turns.sort();
        turns
    }

    /// Who has to go for a gang; `None` if nobody's going would help.
    fn search(&self, turn: &Turn, now: Time) -> Option<Choice> {
        let leaving = self.leaving(now);
        let victims = self.victims_below(turn);
        if leaving.is_empty() && victims.is_empty() {
            return None;
        }
        choose(victims, self.nodes.len(), |pods| {
            let gone = leaving.union(pods).cloned().collect();
            let nodes = self.nodes_as_if(&turn.gang, &gone);
            self.attempt(&turn.gang, &nodes, &BTreeSet::new())?.ok()
        })
    }

    /// Makes a promise and has its victims evicted.
    fn promise(&mut self, turn: &Turn, choice: Choice, now: Time, effects: &mut Vec<Effect>) {
        self.epoch = Epoch(self.epoch.0.saturating_add(1));
        let number = self.epoch;
        let mut room: BTreeMap<NodeName, Resources> = BTreeMap::new();
        for place in &choice.placements {
            let asked = self.pods.get(&place.pod).map(|s| s.pod.request).unwrap_or_default();
            let sum = room.entry(place.node.clone()).or_default();
            *sum = sum.plus(asked);
        }
        let mut leaving: BTreeMap<NodeName, BTreeSet<PodUid>> = BTreeMap::new();
        let spoken_for =
            |uid: &PodUid| self.promises().any(|p| p.leaving.values().any(|uids| uids.contains(uid)));
        for uid in self.leaving(now).iter().chain(choice.pods.keys()).filter(|uid| !spoken_for(uid)) {
            if let Some(claim) = self.ledger.claim(uid).filter(|c| room.contains_key(&c.node)) {
                leaving.entry(claim.node.clone()).or_default().insert(uid.clone());
            }
        }
        let victims: BTreeSet<PodUid> = choice.pods.into_keys().collect();
        let pods: Vec<Arc<Pod>> =
            victims.iter().filter_map(|uid| self.pods.get(uid)).map(|s| s.pod.clone()).collect();
        let promise = Promise {
            gang: turn.gang.clone(),
            number,
            priority: turn.priority.0,
            room,
            evicted: victims.is_empty(),
            until: self.patience_with(leaving.values().flatten().chain(&victims), now),
            leaving,
            victims,
            parties: choice.parties,
        };
        let nodes: Vec<NodeName> = promise.room.keys().cloned().collect();
        self.preemptions.promises.insert(turn.gang.clone(), Arc::new(promise));
        for node in &nodes {
            self.touch(node);
        }
        if !pods.is_empty() {
            let gang = |pod: &Arc<Pod>| self.pods.get(&pod.uid)?.gang.clone();
            let to_tell = pods.iter().filter_map(|pod| Some((gang(pod)?, pod.uid.clone()))).collect();
            self.preemptions.to_tell.insert(number, to_tell);
            self.preemptions.count(now, number, pods.len() as u64);
            effects.push(Effect::Evict { gang: turn.gang.clone(), number, victims: pods });
        }
        let refusal = self.while_pending(&turn.gang);
        self.say(&turn.gang, refusal, now, effects);
    }

    /// Until when pods may take to leave.
    fn patience_with<'p>(&self, pods: impl Iterator<Item = &'p PodUid>, now: Time) -> Time {
        let grace = pods.filter_map(|uid| self.pods.get(uid)).map(|s| s.pod.tenure.grace).max();
        now.after(grace.unwrap_or(Span(0))).after(self.settings.preemption.patience)
    }

    /// Ends promises to gangs that need none any more, and gives up those that came to nothing.
    fn review_promises(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let enabled = self.settings.preemption.enabled;
        let promises: Vec<Arc<Promise>> = self.preemptions.promises.values().cloned().collect();
        for promise in promises {
            let gang = self.gangs.get(&promise.gang);
            let waits = gang.is_some_and(|g| matches!(g.phase, Phase::Waiting | Phase::Gathering));
            let in_vain = |g: &Arc<crate::gang::Gang>| {
                g.phase == Phase::Waiting && g.failed_at.is_some_and(|at| at >= self.capacity)
            };
            let spent = promise.evicted && !promise.anybody_left(&self.ledger) && gang.is_some_and(in_vain);
            if !waits || !enabled {
                self.keep_promise(&promise.gang);
            } else if spent || now >= promise.until {
                self.keep_promise(&promise.gang);
                self.preemptions
                    .paused
                    .insert(promise.gang.clone(), now.after(self.settings.preemption.patience));
                self.say(&promise.gang, Some(Refusal::PreemptionFailed), now, effects);
            }
        }
    }

    /// What became of evictions.
    pub(super) fn evict_outcome(
        &mut self,
        id: &GangId,
        number: Epoch,
        outcome: Eviction,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let promise = self.preemptions.promises.get(id).filter(|p| p.number == number).cloned();
        let to_tell = self.preemptions.to_tell.remove(&number).unwrap_or_default();
        match outcome {
            Eviction::Done => {
                let news = || News::Preempted(id.clone());
                effects.extend(to_tell.into_iter().map(|(gang, pod)| Effect::Tell {
                    gang,
                    pod,
                    news: news(),
                }));
                let Some(promise) = promise else { return };
                let until =
                    self.patience_with(promise.leaving.values().flatten().chain(&promise.victims), now);
                let promise = Promise { evicted: true, until, ..(*promise).clone() };
                self.preemptions.promises.insert(id.clone(), Arc::new(promise));
            }
            Eviction::Refused { stay, why } => {
                let until = now.after(self.settings.preemption.patience);
                self.preemptions.spared.extend(stay.into_iter().map(|uid| (uid, until)));
                self.preemptions.uncount(number);
                if promise.is_some() {
                    self.keep_promise(id);
                    self.say(id, Some(Refusal::PreemptionRefused(why)), now, effects);
                }
            }
        }
    }

    /// The promise to a gang ends: it starts, or needs or gets it no more.
    pub(super) fn keep_promise(&mut self, id: &GangId) {
        let Some(promise) = self.preemptions.promises.remove(id) else { return };
        for node in promise.room.keys() {
            self.touch(node);
        }
        self.freed();
    }

    /// Why a gang waits while others make room for it.
    pub(super) fn while_pending(&self, id: &GangId) -> Option<Refusal> {
        let promise = self.preemptions.promises.get(id)?;
        let pods: BTreeSet<&PodUid> = promise.leaving.values().flatten().chain(&promise.victims).collect();
        let left = pods.into_iter().filter(|uid| self.ledger.claim(uid).is_some()).count();
        Some(Refusal::PreemptionPending { pods: left as u64, victims: promise.parties })
    }

    /// Writes down why a gang waits, and tells it.
    fn say(&mut self, id: &GangId, refusal: Option<Refusal>, now: Time, effects: &mut Vec<Effect>) {
        if let Some(gang) = self.gang_mut(id) {
            gang.refusal = refusal;
        }
        self.tell(id, now, effects);
    }

    /// The nodes as a gang could use them if these pods were not there: what is promised to others that it does not
    /// outrank is not free.
    pub(super) fn nodes_as_if(&self, id: &GangId, gone: &BTreeSet<PodUid>) -> Vec<Arc<NodeState>> {
        let mut nodes: Vec<Arc<NodeState>> = self.nodes.values().cloned().collect();
        let claims = gone.iter().filter_map(|uid| self.ledger.claim(uid)).map(|claim| &claim.node);
        let changed: BTreeSet<&NodeName> =
            claims.chain(self.promises().flat_map(|p| p.room.keys())).collect();
        if changed.is_empty() {
            return nodes;
        }
        let priority = self.gangs.get(id).and_then(|g| self.turn(g)).map_or(i32::MIN, |t| t.priority.0);
        for name in changed {
            let place = nodes.binary_search_by(|s| s.node.name.cmp(name)).ok();
            if let Some(state) = place.and_then(|at| nodes.get_mut(at)) {
                let others = self.promises().filter(|p| p.gang != *id && p.priority >= priority);
                let kept = others.map(|p| p.kept_free(name, &self.ledger, gone));
                let kept = kept.fold(Resources::default(), Resources::plus);
                *state = Arc::new(state.without(gone.iter().filter_map(|uid| self.ledger.claim(uid)), kept));
            }
        }
        nodes
    }
}
