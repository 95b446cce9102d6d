//! The API server: objects, who hears of their changes, and what it does and refuses to do.

use muster_placement::ids::{Name, NodeName, PodUid};
use muster_placement::pod::{Gate, Membership, Pod, PodPhase, Scheduler};
use muster_placement::selector::{NAME_FIELD, Operator, Requirement, Term};
use muster_placement::{Effect, Event, Outcome};

use super::controllers::gang_of;
use super::{Happening, World};

impl World {
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

    /// A node changed, came or went.
    pub(crate) fn node_changed(&mut self, name: &NodeName) {
        let Some(machine) = self.machines.get(name) else { return };
        let event = if machine.present {
            Event::NodeSeen(Box::new(machine.node.clone()))
        } else {
            Event::NodeGone(name.clone())
        };
        self.watch(event);
        self.wake_all();
    }

    /// Carries out a call about a pod that is there.
    pub(crate) fn perform(&mut self, effect: &Effect, pod: Pod) -> Outcome {
        match effect {
            Effect::Release { stamp, narrow, .. } => {
                if self.denied(&pod) {
                    return Outcome::Refused(Name::from("admission webhook denied the request"));
                }
                if pod.node.is_some() {
                    // The annotation of a plan on a bound pod says nothing: its grant does.
                    return Outcome::Done;
                }
                let mut pod = Pod { stamp: Some(stamp.clone()), ..pod };
                let term = only(&stamp.node);
                if *narrow && pod.constraints.required.as_ref() != Some(&vec![term.clone()]) {
                    if pod.gate == Gate::Open {
                        // Node affinity may be tightened only while a pod is gated (KEP-3838).
                        return Outcome::Refused(Name::from("pod updates may not change fields"));
                    }
                    pod.constraints.required = Some(vec![term]);
                }
                pod.gate = opened(pod.gate);
                self.put(pod);
                Outcome::Done
            }
            Effect::Unplan(_) if pod.node.is_none() => {
                self.put(Pod { stamp: None, ..pod });
                Outcome::Done
            }
            Effect::Recreate(_) if pod.node.is_none() && !pod.terminating => {
                self.pod_lost(&pod.uid);
                Outcome::Done
            }
            Effect::Bind { stamp, .. } => self.bind(stamp.clone(), pod),
            Effect::Unplan(_)
            | Effect::Recreate(_)
            | Effect::Answer(..)
            | Effect::Tell { .. }
            | Effect::Evict { .. } => Outcome::Done,
        }
    }

    /// What `BindingREST.Create` checks: not bound, not gated, not being deleted.
    fn bind(&mut self, stamp: muster_placement::pod::Stamp, pod: Pod) -> Outcome {
        match &pod.node {
            Some(node) if *node == stamp.node => return Outcome::Done,
            Some(_) => return Outcome::Refused(Name::from("the pod is bound elsewhere")),
            None => {}
        }
        if pod.terminating {
            return Outcome::Gone;
        }
        if pod.gate != Gate::Open || self.denied(&pod) {
            if let Some(job) = gang_of(&pod).and_then(|id| self.jobs.get_mut(&id)) {
                job.lost = true;
            }
            return Outcome::Refused(Name::from("the pod is gated, or its Binding was denied"));
        }
        self.bound(Pod { node: Some(stamp.node.clone()), stamp: Some(stamp), ..pod });
        Outcome::Done
    }

    /// Whether a webhook or a policy has something against this member.
    fn denied(&self, pod: &Pod) -> bool {
        let Membership::Member(member) = &pod.membership else { return false };
        self.weather.denied_index == Some(member.index)
    }

    fn bound(&mut self, pod: Pod) {
        self.tally.bound += 1;
        let (uid, Some(node)) = (pod.uid.clone(), pod.node.clone()) else { return };
        let ours = |p: &&Pod| p.node.as_ref() == Some(&node) && p.alive() && p.scheduler == Scheduler::Ours;
        let gpus = self.pods.values().filter(ours).map(|p| p.request.gpus).sum::<u64>() + pod.request.gpus;
        // What a kubelet offers may fall while a Binding is on its way; what is built in does not.
        let there = self.machines.get(&node).map_or(0, |machine| machine.devices.len() as u64);
        if gpus > there && pod.phase == PodPhase::Pending {
            self.tally
                .broken
                .push(format!("{} ms: {gpus} GPUs granted on {node}, which has {there}", self.now.0));
        }
        if let Some(id) = gang_of(&pod) {
            self.begins(&id);
        }
        self.put(pod);
        let delay = self.kubelet.span(self.pace.pod_start.0 / 2, self.pace.pod_start.0);
        self.after(delay, Happening::Start(uid));
        self.binding_landed();
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
