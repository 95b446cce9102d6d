//! The API server: objects, watches that keep their order, and the calls that Muster's effects are.
//!
//! Calls about one pod land in order, each after a while of its own. A call of unknown outcome is one that takes
//! long: the real program reads back until it knows.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_placement::ids::{Name, NodeName, PodUid};
use muster_placement::pod::{Gate, Pod, PodPhase};
use muster_placement::preempt::Eviction;
use muster_placement::selector::{NAME_FIELD, Operator, Requirement, Term};
use muster_placement::{Effect, Event, Outcome};

use super::{Happening, Muster, World};

impl World {
    /// Everything that there is, as a client that starts lists it.
    pub(crate) fn relist(&mut self, muster: &mut dyn Muster) {
        // What is still on its way is older than the lists.
        self.agenda.retain(|what| !matches!(what, Happening::Watch(_)));
        self.watched_until = self.now;
        for machine in self.machines.values() {
            muster.tell(Event::NodeSeen(Box::new(machine.node.clone())));
        }
        for owner in self.owners.values() {
            muster.tell(Event::GangSeen(owner.clone()));
        }
        for pod in self.pods.values() {
            muster.tell(Event::PodSeen(Box::new(pod.clone())));
        }
        muster.tell(Event::Synced);
    }

    /// Stores a pod; both watches hear of it.
    pub(crate) fn put(&mut self, pod: Pod) {
        let uid = pod.uid.clone();
        self.pods.insert(uid.clone(), pod.clone());
        self.watch(Event::PodSeen(Box::new(pod)));
        let delay = self.network.span(1, 8);
        self.after(delay, Happening::SchedulerSees(uid));
    }

    /// Removes a pod.
    pub(crate) fn remove(&mut self, uid: &PodUid) -> Option<Pod> {
        let pod = self.pods.remove(uid)?;
        self.watch(Event::PodGone(uid.clone()));
        let delay = self.network.span(1, 8);
        self.after(delay, Happening::SchedulerSees(uid.clone()));
        Some(pod)
    }

    /// A node changed.
    pub(crate) fn node_changed(&mut self, name: &NodeName) {
        let Some(machine) = self.machines.get(name) else { return };
        self.watch(Event::NodeSeen(Box::new(machine.node.clone())));
        self.wake_all();
    }

    /// Sends news to Muster's watch, behind all news before.
    pub(crate) fn watch(&mut self, event: Event) {
        let delay = self.network.span(1, 12);
        let at = self.now.after(delay).max(self.watched_until);
        self.watched_until = at;
        self.agenda.add(at, Happening::Watch(Box::new(event)));
    }

    /// The reply to a call, which races with the watch.
    fn reply(&mut self, event: Event) {
        let delay = self.network.span(1, 12);
        self.after(delay, Happening::Watch(Box::new(event)));
    }

    /// Puts a call on its way.
    pub(crate) fn send(&mut self, effect: Effect) {
        let uid = match &effect {
            Effect::Answer(..) | Effect::Tell { .. } => return,
            Effect::Evict { victims, .. } => {
                let Some(first) = victims.first() else { return };
                first.uid.clone()
            }
            Effect::Release { pod, .. } | Effect::Unplan(pod) | Effect::Recreate(pod) => pod.uid.clone(),
            Effect::Bind { pod, .. } => {
                self.binding_begins(&pod.uid);
                pod.uid.clone()
            }
        };
        let slow = self.network.chance(self.pace.slow_calls_per_mille);
        let delay = if slow { self.network.span(500, 4_000) } else { self.network.span(2, 15) };
        self.calls.entry(uid.clone()).or_default().push_back(effect);
        self.after(delay, Happening::Land(uid));
    }

    /// Carries out the oldest call about a pod.
    pub(crate) fn land(&mut self, uid: &PodUid) {
        let Some(effect) = self.calls.get_mut(uid).and_then(VecDeque::pop_front) else { return };
        self.calls.retain(|_, queue| !queue.is_empty());
        if let Effect::Evict { gang, number, victims } = effect {
            self.evict(&victims);
            self.reply(Event::EvictOutcome(gang, number, Eviction::Done));
            return;
        }
        let pod = self.pods.get(uid).cloned();
        let outcome = match pod {
            None => Outcome::Gone,
            Some(pod) => self.perform(&effect, pod),
        };
        match effect {
            Effect::Bind { pod, stamp } => {
                self.reply(Event::BindOutcome(pod.uid.clone(), stamp.node, outcome));
            }
            Effect::Release { pod, stamp, .. } => {
                self.reply(Event::ReleaseOutcome(pod.uid.clone(), stamp.epoch, outcome));
            }
            Effect::Unplan(_)
            | Effect::Recreate(_)
            | Effect::Answer(..)
            | Effect::Tell { .. }
            | Effect::Evict { .. } => {}
        }
    }

    fn perform(&mut self, effect: &Effect, pod: Pod) -> Outcome {
        match effect {
            Effect::Release { stamp, narrow, .. } => {
                let mut pod = Pod { stamp: Some(stamp.clone()), gate: opened(pod.gate), ..pod };
                if *narrow {
                    pod.constraints.required = Some(vec![only(&stamp.node)]);
                }
                self.put(pod);
                Outcome::Done
            }
            Effect::Unplan(_) if pod.node.is_none() => {
                self.put(Pod { stamp: None, ..pod });
                Outcome::Done
            }
            Effect::Recreate(_) if pod.node.is_none() => {
                self.pod_lost(&pod.uid);
                Outcome::Done
            }
            // What `BindingREST.Create` checks: not bound, not gated, not being deleted.
            Effect::Bind { stamp, .. }
                if pod.node.is_none() && pod.gate == Gate::Open && !pod.terminating =>
            {
                self.bound(Pod { node: Some(stamp.node.clone()), stamp: Some(stamp.clone()), ..pod });
                Outcome::Done
            }
            Effect::Bind { .. } => Outcome::Refused(Name::from("the pod is bound or gated")),
            Effect::Unplan(_)
            | Effect::Recreate(_)
            | Effect::Answer(..)
            | Effect::Tell { .. }
            | Effect::Evict { .. } => Outcome::Done,
        }
    }

    /// Each victim is being deleted, and gone after a while.
    fn evict(&mut self, victims: &[Arc<Pod>]) {
        for victim in victims {
            let Some(pod) = self.pods.get(&victim.uid).filter(|pod| !pod.terminating).cloned() else {
                continue;
            };
            let grace = self.kubelet.span(200, pod.tenure.grace.0);
            self.put(Pod { terminating: true, ..pod });
            self.after(grace, Happening::Leave(victim.uid.clone()));
        }
    }

    fn bound(&mut self, pod: Pod) {
        self.tally.bound += 1;
        let (uid, Some(node)) = (pod.uid.clone(), pod.node.clone()) else { return };
        let used = self.pods.values().filter(|p| p.node.as_ref() == Some(&node) && p.alive());
        let gpus = used.map(|p| p.request.gpus).sum::<u64>() + pod.request.gpus;
        let there = self.machines.get(&node).map_or(0, |m| m.node.allocatable.gpus);
        if gpus > there && pod.phase == PodPhase::Pending {
            self.tally
                .broken
                .push(format!("{} ms: {gpus} GPUs granted on {node}, which has {there}", self.now.0));
        }
        self.put(pod);
        let delay = self.kubelet.span(self.pace.pod_start.0 / 2, self.pace.pod_start.0);
        self.after(delay, Happening::Start(uid));
    }
}

/// Our gate is dropped; one that is not ours stays.
fn opened(gate: Gate) -> Gate {
    match gate {
        Gate::Open | Gate::Ours => Gate::Open,
        Gate::Foreign => Gate::Foreign,
    }
}

fn only(node: &NodeName) -> Term {
    let values = vec![Name::from(node.as_str())];
    let name = Requirement { key: Name::from(NAME_FIELD), operator: Operator::In, values };
    Term { expressions: Vec::new(), fields: vec![name] }
}
