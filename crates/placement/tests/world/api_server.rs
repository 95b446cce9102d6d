//! What the API server and kube-scheduler do with effects.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_placement::preempt::Eviction;

use super::*;

impl World {
    /// Carries out the next call of the n-th pod that has one, or lets it fail.
    pub fn land(&mut self, n: u8, failure: Option<Outcome>) {
        let Some(uid) = nth(self.calls.keys(), n) else { return };
        let Some(effect) = self.calls.get_mut(&uid).and_then(VecDeque::pop_front) else { return };
        self.calls.retain(|_, queue| !queue.is_empty());
        if let Effect::Evict { gang, number, victims } = effect {
            self.evict(gang, number, &victims, failure.is_some());
            return;
        }
        let Some(pod) = self.pods.get(&uid).cloned() else {
            self.outcome(&effect, Outcome::Gone);
            return;
        };
        if let Some(failure) =
            failure.filter(|_| matches!(effect, Effect::Bind { .. } | Effect::Release { .. }))
        {
            self.outcome(&effect, failure);
            return;
        }
        match &effect {
            Effect::Release { stamp, narrow, .. } => {
                let mut pod = Pod { stamp: Some(stamp.clone()), gate: Gate::Open, ..pod };
                if *narrow {
                    pod.constraints.required = Some(vec![only(&stamp.node)]);
                }
                self.put(pod);
                self.outcome(&effect, Outcome::Done);
            }
            Effect::Unplan(_) if pod.node.is_none() => self.put(Pod { stamp: None, ..pod }),
            Effect::Recreate(_) if pod.node.is_none() => self.delete(&uid),
            Effect::Bind { stamp, .. } if pod.node.is_none() && pod.gate == Gate::Open => {
                // The outcome and the watch race; here the outcome comes first.
                self.pods.insert(
                    uid.clone(),
                    Pod { node: Some(stamp.node.clone()), stamp: Some(stamp.clone()), ..pod.clone() },
                );
                self.outcome(&effect, Outcome::Done);
                let bound = self.pods[&uid].clone();
                self.put(Pod { phase: PodPhase::Running, ..bound });
            }
            Effect::Bind { .. } => self.outcome(&effect, Outcome::Refused(Name::from("bound or gated"))),
            Effect::Unplan(_)
            | Effect::Recreate(_)
            | Effect::Answer(..)
            | Effect::Tell { .. }
            | Effect::Evict { .. } => {}
        }
    }

    /// A dry run of each, then all of them; a protected pod stays, and then all do.
    fn evict(
        &mut self,
        gang: GangId,
        number: muster_placement::ids::Epoch,
        victims: &[Arc<Pod>],
        fails: bool,
    ) {
        let there = |p: &&Arc<Pod>| self.pods.contains_key(&p.uid);
        let stay: Vec<PodUid> = victims
            .iter()
            .filter(there)
            .filter(|p| fails || self.protected.contains(&p.name))
            .map(|p| p.uid.clone())
            .collect();
        if stay.is_empty() {
            for victim in victims {
                if let Some(pod) = self.pods.get(&victim.uid).cloned() {
                    assert!(pod.node.is_some(), "only bound pods are evicted: {}", pod.name);
                    self.put(Pod { terminating: true, ..pod });
                }
            }
            self.tell(Event::EvictOutcome(gang, number, Eviction::Done));
        } else {
            let why = Name::from("Cannot evict pod as it would violate the pod's disruption budget.");
            self.tell(Event::EvictOutcome(gang, number, Eviction::Refused { stay, why }));
        }
    }

    /// Pods that are being deleted.
    pub fn leaving(&self) -> Vec<PodUid> {
        self.pods.values().filter(|p| p.terminating).map(|p| p.uid.clone()).collect()
    }

    /// A pod that is being deleted is gone.
    pub fn reap(&mut self, uid: &PodUid) {
        if let Some(pod) = self.pods.get_mut(uid).filter(|p| p.phase == PodPhase::Running) {
            // Its controller makes another one.
            pod.phase = PodPhase::Pending;
        }
        self.delete(uid);
    }

    fn outcome(&mut self, effect: &Effect, outcome: Outcome) {
        match effect {
            Effect::Bind { pod, stamp } => {
                self.tell(Event::BindOutcome(pod.uid.clone(), stamp.node.clone(), outcome));
            }
            Effect::Release { pod, stamp, .. } => {
                self.tell(Event::ReleaseOutcome(pod.uid.clone(), stamp.epoch, outcome));
            }
            Effect::Unplan(_)
            | Effect::Recreate(_)
            | Effect::Answer(..)
            | Effect::Tell { .. }
            | Effect::Evict { .. } => {}
        }
    }

    /// One scheduling cycle: in-tree filters, our filter, our prioritize, bind.
    pub fn cycle(&mut self, n: u8) {
        if let Some(uid) = nth(self.waiting().into_iter(), n) {
            self.cycle_of(&uid);
        }
    }

    /// kube-scheduler tries everybody once.
    pub fn cycle_all(&mut self) {
        for uid in self.waiting() {
            self.cycle_of(&uid);
        }
    }

    /// Pods in kube-scheduler's queue: not gated, not bound, not at their bind.
    fn waiting(&self) -> Vec<PodUid> {
        let open = |p: &&Pod| p.node.is_none() && p.gate == Gate::Open && p.alive() && !p.terminating;
        let asked = |p: &&Pod| !self.asks.values().any(|a| *a == p.uid);
        self.pods.values().filter(open).filter(asked).map(|p| p.uid.clone()).collect()
    }

    fn cycle_of(&mut self, uid: &PodUid) {
        let Some(pod) = self.pods.get(uid).cloned() else { return };
        let view = self.cluster.view();
        let feasible: Vec<&str> = view
            .nodes
            .iter()
            .filter(|s| !s.excludes(&pod) && self.in_tree_room(&s.node.name, &pod))
            .map(|s| s.node.name.as_str())
            .collect();
        let passed: Vec<&str> = match view.filter(&pod, &feasible) {
            FilterAnswer::All => feasible.clone(),
            FilterAnswer::These(each) => each.iter().map(|at| feasible[*at]).collect(),
            FilterAnswer::Each(each) => {
                feasible.iter().zip(&each).filter(|(_, v)| v.is_ok()).map(|(n, _)| *n).collect()
            }
            FilterAnswer::None(..) => Vec::new(),
        };
        let scores = view.prioritize(&pod, &passed);
        let Some((_, node)) = scores.iter().zip(&passed).max() else {
            let own = format!("{}SomeReason", muster_placement::MARK);
            let verdict = if feasible.is_empty() { "in-tree says no" } else { own.as_str() };
            self.put(Pod { verdict: Some(Name::from(verdict)), ..pod });
            return;
        };
        let ask = AskId(self.next());
        self.asks.insert(ask, pod.uid.clone());
        self.tell(Event::BindAsked { ask, pod: pod.uid.clone(), node: NodeName::from(*node) });
    }

    /// kube-scheduler's own count of GPUs and CPU.
    fn in_tree_room(&self, node: &NodeName, pod: &Pod) -> bool {
        let used = self.pods.values().filter(|p| p.node.as_ref() == Some(node) && p.alive());
        let used = used.fold(Resources::default(), |sum, p| sum.plus(p.request));
        pod.request.short_of(&self.nodes[node].allocatable.minus(used)).is_none()
    }

    /// Whether a pod, with the rest of its gang, would fit if nothing else were there.
    pub fn fits_empty_cluster(&self, pod: &Pod) -> bool {
        let Membership::Member(m) = &pod.membership else { return pod.request.gpus <= GPUS_PER_NODE };
        let gang: Vec<&Pod> = self
            .pods
            .values()
            .filter(|p| matches!(&p.membership, Membership::Member(o) if o.gang == m.gang))
            .collect();
        let each = gang.iter().map(|p| p.request.gpus).max().unwrap_or(0);
        let workers = gang.iter().filter(|p| p.request.gpus > 0).count() as u64;
        // CPU never binds in these worlds.
        let whole = gang.len() as u32 >= self.specs[&m.gang].min;
        whole && (each == 0 || (GPUS_PER_NODE / each) * self.nodes.len() as u64 >= workers)
    }

    /// What the gangs that are not placed say of themselves, for a failed test.
    pub fn unfinished(&self) -> String {
        let view = self.cluster.view();
        let gangs = view.gangs.values().filter(|g| g.phase != muster_placement::gang::Phase::Placed);
        let gangs: Vec<_> = gangs.map(|g| format!("{}: {:?} {:?}", g.id, g.phase, g.refusal)).collect();
        let asks = &self.asks;
        format!(
            "{gangs:#?}\nasks {asks:?}\ncalls {:?}\n{}",
            self.calls,
            self.log[self.log.len().saturating_sub(30)..].join("\n")
        )
    }

    /// Runs until nothing is left to do: calls land, kube-scheduler tries everybody.
    pub fn quiesce(&mut self) {
        for round in 0..400u16 {
            let before = self.log.len();
            while !self.calls.is_empty() {
                self.land(0, None);
            }
            self.cycle_all();
            for uid in self.leaving() {
                self.reap(&uid);
            }
            if self.calls.is_empty() && self.log.len() == before {
                return;
            }
            if round % 10 == 9 {
                self.run(&Op::Tick(1_000));
            }
        }
    }
}

fn only(node: &NodeName) -> Term {
    let name = Name::from(node.as_str());
    let fields =
        vec![Requirement { key: Name::from(NAME_FIELD), operator: Operator::In, values: vec![name] }];
    Term { expressions: Vec::new(), fields }
}
